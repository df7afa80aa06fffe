//! `sales_by_minute`: what was placed in each minute of event time, by currency and channel.
//!
//! Orders of all partitions fall into one minute, so the partition is in the key: each partition has rows of its own, and a
//! query adds up what they hold. Everything in a row can be added up (count, sum, sum of squares, smallest, largest), so it
//! does not depend on the order in which orders came.

mod apply;
mod query;
mod row;

pub use apply::SalesByMinuteProjector;
pub use query::{Window, windows};
pub use row::{Minute, MinuteKey, Sales};

/// Its name.
pub const NAME: &str = "sales_by_minute";
