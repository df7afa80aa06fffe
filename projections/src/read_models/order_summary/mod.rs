//! `order_summary`: one row an order, for lists and search.

mod apply;
mod query;
mod row;

pub use apply::OrderSummaryProjector;
pub use query::{Filter, Keyset, Listed, PageError, Sort, SortField, count, find, page, page_of_documents};
pub use row::OrderSummary;

/// Its name: of its tables, its checkpoints and in every message.
pub const NAME: &str = "order_summary";
