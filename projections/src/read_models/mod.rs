//! The read models, a folder each: the row, its fold, its queries.

pub mod axes;
pub mod order_detail;
pub mod order_summary;
mod stored;
