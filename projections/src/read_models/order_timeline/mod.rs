//! `order_timeline`: what happened to an order, one entry an event that a person wants to read.
//!
//! An entry keeps structured facts and no sentence, so that wording can change without a rebuild. Nothing personal is
//! in it: names, addresses, notes and a customer's id stay in the log, sealed where they are personal.
//!
//! Rows are keyed by position and only ever inserted, so folding reads nothing back.

mod apply;
mod entry;
mod query;

pub use apply::OrderTimelineProjector;
pub use entry::{Entry, Facts, Kind};
pub use query::{Ask, entries};

/// Its name: of its tables, its checkpoints and in every message.
pub const NAME: &str = "order_timeline";
