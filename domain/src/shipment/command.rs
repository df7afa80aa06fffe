//! What can be asked of a shipment. Each is also a line of an import file; see [`crate::Command`].

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::{CarrierStatus, Tracking};
use crate::address::{self, Address};
use crate::ids::{ParcelNumber, ShipmentId};
use crate::money::Money;
use crate::personal::{Personal, clear_option};
use crate::quantity::LineQuantity;
use crate::text::{Code, Name, Reason, Reference};

/// Starts a shipment of what was allocated to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateShipment {
    /// As the allocation named it.
    pub shipment: ShipmentId,
    /// Where the goods lie.
    pub location: Code,
    /// Where they go; the order's shipping address where nothing is said.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "address::clear_option"
    )]
    pub ship_to: Option<Address>,
    /// What goes; all that was allocated where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<LineQuantity>>,
}

/// A parcel as it is asked for. They are numbered in the order given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParcelInput {
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

/// Puts labels on a shipment's parcels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuyLabel {
    /// Of this shipment.
    pub shipment: ShipmentId,
    /// At least one.
    pub parcels: Vec<ParcelInput>,
    /// What the labels cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Money>,
}

/// Hands a shipment to its carrier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DispatchShipment {
    /// This one.
    pub shipment: ShipmentId,
}

/// Records what a carrier said of a parcel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordTracking {
    /// Of this shipment.
    pub shipment: ShipmentId,
    /// Which parcel.
    pub parcel: ParcelNumber,
    /// What the carrier said.
    pub status: CarrierStatus,
    /// The carrier's name for the scan: the same one again is nothing new.
    pub carrier_event_id: Reference,
    /// The carrier's time.
    pub at: DateTime<Utc>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "clear_option")]
    pub place: Option<Personal<Name>>,
    /// Why a delivery failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Who took it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "clear_option")]
    pub signed_by: Option<Personal<Name>>,
}

/// Gives a shipment up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MarkShipmentFailed {
    /// This one.
    pub shipment: ShipmentId,
    /// Why.
    pub reason: Reason,
}

/// Calls off a shipment that is not dispatched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelShipment {
    /// This one.
    pub shipment: ShipmentId,
    /// Why.
    pub reason: Reason,
}
