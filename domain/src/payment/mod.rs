//! Payments: money that a gateway holds for us, takes, and gives back.
//!
//! Initiated, then perhaps ActionRequired, Authorized, PartiallyCaptured, Captured, PartiallyRefunded, Refunded; Failed,
//! Voided or Expired instead. Every money rule (M1 to M6) is decided here, over one stream. What goes to a gateway is a
//! request first and a result later; results come at least once, late and out of order, so of two results of one
//! operation the one with the newer gateway time counts, whichever arrives first.
//!
//! A dispute is a side axis: the payment stays captured or refunded, and its status does not tell. While it is open its
//! amount cannot be refunded, because a payer who then won it would be paid twice; a lost one is money out of what was
//! captured (M3: refunded and being refunded <= captured - disputed - lost), never out of what was authorized (M6).

mod command;
pub(crate) mod decide;
mod error;
mod event;
mod evolve;
pub(crate) mod state;
mod upcast;

pub use command::*;
pub use error::PaymentError;
pub use event::*;
pub use evolve::evolve;
pub use state::{Dispute, Operation, OperationStatus, Payment, PaymentStatus};
