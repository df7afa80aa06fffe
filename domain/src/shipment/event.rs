//! What can happen to a shipment.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::event::events;
use crate::ids::ParcelNumber;
use crate::money::Currency;
use crate::personal::Personal;
use crate::quantity::LineQuantity;
use crate::text::{Code, Name, Reason, Reference, Url};

events! {
    /// What can happen to a shipment.
    ShipmentEvent {
        /// It was started.
        Created(Box<Created>) = "shipment.created", [];
        /// Its parcels have labels.
        LabelPurchased(LabelPurchased) = "shipment.label_purchased", [];
        /// The carrier has it.
        Dispatched(Dispatched) = "shipment.dispatched", [];
        /// The carrier saw a parcel.
        TrackingUpdated(Box<TrackingUpdated>) = "shipment.tracking_updated", [];
        /// The carrier could not hand a parcel over.
        DeliveryAttemptFailed(DeliveryAttemptFailed) = "shipment.delivery_attempt_failed", [];
        /// All of it arrived.
        Delivered(Delivered) = "shipment.delivered", [];
        /// All of it comes back.
        Returned(Returned) = "shipment.returned", [];
        /// It will not arrive.
        Failed(Failed) = "shipment.failed", [];
        /// It was called off.
        Cancelled(Cancelled) = "shipment.cancelled", [];
    }
}

/// It was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// Where the goods lie.
    pub location: Code,
    /// Where they go.
    pub ship_to: Address,
    /// What goes.
    pub lines: Vec<LineQuantity>,
}

/// How a parcel is followed. In commands and events alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracking {
    /// Who carries it.
    pub carrier: Code,
    /// How fast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Code>,
    /// The carrier's name for it.
    #[serde(alias = "trackingNumber")]
    pub tracking_number: Reference,
    /// Where a person can look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
}

/// A parcel with its label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    /// Which.
    pub number: ParcelNumber,
    /// In grams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_g: Option<u32>,
    /// In millimetres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_mm: Option<u32>,
    /// In millimetres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width_mm: Option<u32>,
    /// In millimetres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height_mm: Option<u32>,
    /// How it is followed.
    pub tracking: Tracking,
}

/// What a carrier asks for labels. The shop's own cost: never added to the order's money, so of any currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// In minor units.
    pub amount: i64,
    /// Of it.
    pub currency: Currency,
}

/// Its parcels have labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelPurchased {
    /// By number, dense from 1.
    pub parcels: Vec<Parcel>,
    /// What they cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// A person entered them, so people report how the parcels fare.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_hand: bool,
}

/// The carrier has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatched {
    /// Since when.
    pub dispatched_at: DateTime<Utc>,
    /// How its parcels are followed.
    pub tracking: Vec<Tracking>,
}

/// What a carrier says of a parcel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CarrierStatus {
    /// Nothing that we understand.
    #[default]
    Unknown,
    /// Announced.
    PreTransit,
    /// On its way.
    InTransit,
    /// On its last stretch.
    OutForDelivery,
    /// Waiting to be fetched.
    AvailableForPickup,
    /// There.
    Delivered,
    /// Coming back.
    ReturnToSender,
    /// Something went wrong.
    Failure,
}

/// The carrier saw a parcel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackingUpdated {
    /// Which.
    pub parcel: ParcelNumber,
    /// What the carrier said.
    pub status: CarrierStatus,
    /// What the parcel's status is now: the same, unless the scan was late.
    pub current: CarrierStatus,
    /// The carrier's name for the scan.
    pub carrier_event_id: Reference,
    /// The carrier's time.
    pub at: DateTime<Utc>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Personal<Name>>,
}

/// The carrier could not hand a parcel over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryAttemptFailed {
    /// Which.
    pub parcel: ParcelNumber,
    /// The how-manieth time.
    pub attempt: u32,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The carrier's time.
    pub at: DateTime<Utc>,
}

/// All of it arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The carrier's time.
    pub at: DateTime<Utc>,
    /// Who took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<Personal<Name>>,
    /// What arrived.
    pub lines: Vec<LineQuantity>,
}

/// All of it comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    /// The carrier's time.
    pub at: DateTime<Utc>,
    /// What comes back.
    pub lines: Vec<LineQuantity>,
}

/// It will not arrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Why.
    pub reason: Reason,
}

/// It was called off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// Why.
    pub reason: Reason,
}
