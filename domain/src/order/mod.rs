//! Orders: what was bought, at what price, and how far the sale has come.
//!
//! Draft, then Placed, Confirmed, Completed; Cancelled or Expired instead. On hold is a flag, not a status. How far
//! payment and fulfilment have come is told by the streams of payments and shipments; the order lists them, so whoever
//! decides over all of them reads the order first. What a customer sends back is the order's own, also after its end.

mod command;
pub(crate) mod decide;
mod error;
mod event;
mod evolve;
mod line;
mod state;

pub use command::*;
pub use error::OrderError;
pub use event::*;
pub use evolve::evolve;
pub(crate) use line::is_zero;
pub use line::{Line, Totals};
pub use state::{Allocation, Idle, Order, OrderLine, OrderStatus, Return};
