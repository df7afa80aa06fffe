//! Shipments: goods on their way.
//!
//! Created, LabelPurchased, Dispatched, Delivered; Cancelled before dispatch, Failed or Returned instead. What a shipment
//! may hold was allocated by its order first. What a carrier reports is recorded whatever its order of arrival; a parcel's
//! status only moves forward (P1).

mod command;
pub(crate) mod decide;
mod error;
mod event;
mod evolve;
mod state;

pub use command::*;
pub use error::ShipmentError;
pub use event::*;
pub use evolve::evolve;
pub use state::{ParcelState, Shipment, ShipmentStatus};
