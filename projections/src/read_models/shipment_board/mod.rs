//! `shipment_board`: one row a shipment, from its allocation on: open work, what is late, what went wrong.
//!
//! Until when something should be done follows from the times of events and two constants; whether it is late is asked
//! when it is read, so no row changes because time passes.

mod apply;
mod query;
mod row;

pub use apply::{DELIVER_WITHIN, DISPATCH_WITHIN, ShipmentBoardProjector};
pub use query::{Filter, Sort, SortField, count, page};
pub use row::{BoardShipment, BoardStatus};

/// Its name: of its tables, its checkpoints and in every message.
pub const NAME: &str = "shipment_board";
