//! A shipment as far as decisions need it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::{CarrierStatus, Cost, Parcel};
use crate::address::Address;
use crate::ids::ParcelNumber;
use crate::quantity::LineQuantity;
use crate::text::{Code, Reference};

/// How far a shipment has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShipmentStatus {
    /// There is no such shipment.
    #[default]
    Missing,
    /// Started.
    Created,
    /// Its parcels have labels.
    LabelPurchased,
    /// The carrier has it.
    Dispatched,
    /// It arrived.
    Delivered,
    /// It comes back.
    Returned,
    /// It will not arrive.
    Failed,
    /// It was called off.
    Cancelled,
}

impl ShipmentStatus {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            ShipmentStatus::Missing => "missing",
            ShipmentStatus::Created => "created",
            ShipmentStatus::LabelPurchased => "label_purchased",
            ShipmentStatus::Dispatched => "dispatched",
            ShipmentStatus::Delivered => "delivered",
            ShipmentStatus::Returned => "returned",
            ShipmentStatus::Failed => "failed",
            ShipmentStatus::Cancelled => "cancelled",
        }
    }
}

impl std::fmt::Display for ShipmentStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A parcel with what the carrier said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParcelState {
    /// As it was labelled.
    pub parcel: Parcel,
    /// Where it is; moves forward only, except to failure and return.
    pub status: CarrierStatus,
    /// The farthest that it came, failure and return aside.
    pub farthest: CarrierStatus,
    /// The carrier's time of the scan that moved it last.
    #[serde(default, with = "crate::instant::option")]
    pub moved_at: Option<DateTime<Utc>>,
    /// How often it could not be handed over.
    pub failed_attempts: u32,
}

/// A shipment's state: the fold of its stream. The default is a shipment that does not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipment {
    /// How far it has come.
    pub status: ShipmentStatus,
    /// Where the goods lie; there from the first event on.
    pub location: Option<Code>,
    /// Where they go; there from the first event on.
    pub ship_to: Option<Address>,
    /// What goes.
    pub lines: Vec<LineQuantity>,
    /// By number, dense from 1.
    pub parcels: Vec<ParcelState>,
    /// What the labels cost.
    pub cost: Option<Cost>,
    /// A person entered the labels.
    pub labelled_by_hand: bool,
    /// Since when the carrier has it; stays when it arrives, comes back or is given up.
    #[serde(default, with = "crate::instant::option")]
    pub dispatched_at: Option<DateTime<Utc>>,
    /// The scans that were recorded.
    pub scans: BTreeSet<(ParcelNumber, Reference)>,
}

impl Shipment {
    /// Whether its stream has any event.
    pub fn exists(&self) -> bool {
        self.status != ShipmentStatus::Missing
    }

    /// Whether a carrier has or had it.
    pub fn was_dispatched(&self) -> bool {
        self.dispatched_at.is_some()
    }

    /// A parcel by its number.
    pub fn parcel(&self, number: ParcelNumber) -> Option<&ParcelState> {
        self.parcels.iter().find(|parcel| parcel.parcel.number == number)
    }

    /// About how much memory it holds, for a cache that counts bytes.
    pub fn approximate_bytes(&self) -> usize {
        let scans = self.scans.iter().map(|(_, id)| id.as_str().len() + 48);
        let address = self.ship_to.as_ref().map_or(0, Address::approximate_bytes);
        size_of::<Self>()
            + 128
            + address
            + self.lines.len() * size_of::<LineQuantity>()
            + self.parcels.len() * (size_of::<ParcelState>() + 128)
            + scans.sum::<usize>()
    }
}
