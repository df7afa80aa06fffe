//! Why a shipment refuses.

use chrono::{DateTime, Utc};
use thiserror::Error;

use super::state::ShipmentStatus;
use crate::ids::{LineId, ParcelNumber, ShipmentId};
use crate::money::MoneyError;
use crate::order::{HoldReason, OrderStatus};

/// The rule that refused, with its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the fields are the numbers that each message shows")]
pub enum ShipmentError {
    /// The shipment was started with other content.
    #[error("the shipment {shipment} exists already, with other content")]
    AlreadyExists { shipment: ShipmentId },
    /// The order does not allow it.
    #[error("an order that is {status} ships nothing")]
    OrderNotShippable {
        status: OrderStatus,
        allowed: &'static [OrderStatus],
    },
    /// The order is stopped.
    #[error("the order is on hold: {reasons:?}")]
    OnHold { reasons: Vec<HoldReason> },
    /// The order has set nothing aside under this number.
    #[error("nothing is allocated to the shipment {shipment}")]
    NotAllocated { shipment: ShipmentId },
    /// Q2: more than was set aside.
    #[error("{requested} of line {line} are to be shipped, but {allocated} are allocated")]
    ExceedsAllocated {
        line: LineId,
        allocated: u32,
        requested: u32,
    },
    /// One line twice in one request.
    #[error("line {line} is named twice")]
    DuplicateLine { line: LineId },
    /// A shipment of nothing.
    #[error("no line is named")]
    NoLines,
    /// Goods without a destination.
    #[error("neither the shipment nor the order has a shipping address")]
    NoAddress,
    /// The status does not allow it.
    #[error("a shipment that is {from} cannot {attempted}")]
    IllegalTransition {
        from: ShipmentStatus,
        attempted: &'static str,
        allowed: &'static [ShipmentStatus],
    },
    /// Parcels out of their bounds.
    #[error("a shipment has 1 to {limit} parcels, not {count}")]
    ParcelCount { count: usize, limit: usize },
    /// A measure out of its bounds.
    #[error("{what} of {value} is not between 1 and {limit}")]
    Measure {
        what: &'static str,
        value: u32,
        limit: u32,
    },
    /// People follow it, so it must lead to a page and nowhere else.
    #[error("a parcel's link begins with https:// or http://")]
    NotALink,
    /// An amount is not one.
    #[error(transparent)]
    Amount(#[from] MoneyError),
    /// There is no such parcel.
    #[error("the shipment has no parcel {parcel}")]
    UnknownParcel { parcel: ParcelNumber },
    /// No more scans fit.
    #[error("a shipment has at most {limit} scans")]
    TooManyScans { limit: usize },
    /// A carrier's time ahead of ours.
    #[error("the carrier's time {at} lies in the future")]
    ScanInFuture { at: DateTime<Utc> },
}
