//! `order_detail`: one document an order, with everything that is known of it, its payments and its shipments.

mod apply;
pub mod document;
mod query;

pub use apply::{OrderDetailProjector, fold};
pub use document::{Document, OrderDetail, PaymentDetail, ShipmentDetail};
pub(crate) use query::read;
pub use query::{DetailRow, find, rows};

/// Its name: of its tables, its checkpoints and in every message.
pub const NAME: &str = "order_detail";
