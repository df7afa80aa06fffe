//! `customer_orders`: what each customer bought, by currency.
//!
//! A customer's orders lie in all partitions. So the model keeps facts, one row an order with its customer as a column, and
//! the sums are made when they are asked for, along an index that holds all that they need. Sums that are kept (by customer,
//! partition and currency) would be read faster where a customer has very many orders, but a payment's events do not say
//! whose order they are about: the row of the order would be needed beside them to find the sum.

mod apply;
mod query;
mod row;

pub use apply::CustomerOrdersProjector;
pub use query::{CustomerTotals, totals};
pub use row::CustomerOrder;

/// Its name: of its tables, its checkpoints and in every message.
pub const NAME: &str = "customer_orders";
