//! A row of `shipment_board`.

use super::NAME;
use crate::{json_table::JsonTable, read_models::axes::words};
use chrono::{DateTime, Utc};
use docket_domain::{
    OrderId, ParcelNumber, ShipmentId,
    shipment::CarrierStatus,
    text::{Code, Reference},
};
use docket_event_store::Position;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub(super) const TABLE: JsonTable = JsonTable {
    name: NAME,
    key: &[("order_id", "uuid"), ("number", "smallint")],
    columns: &[
        "order_id",
        "offset",
        "allocated_at",
        "updated_at",
        "due_at",
        "created_at",
        "labelled_at",
        "dispatched_at",
        "delivered_at",
        "closed_at",
        "pieces",
        "parcels",
        "failed_attempts",
        "partition",
        "number",
        "open",
        "failed",
        "status",
        "location",
        "carrier",
        "service",
        "tracking_numbers",
        "carrier_statuses",
    ],
};

words! {
    /// How far a shipment has come, from its allocation on.
    BoardStatus {
        /// Pieces are set aside for it.
        Allocated = "allocated",
        /// It was started.
        Created = "created",
        /// Its parcels have labels.
        LabelPurchased = "label_purchased",
        /// The carrier has it.
        Dispatched = "dispatched",
        /// It arrived.
        Delivered = "delivered",
        /// It comes back.
        Returned = "returned",
        /// It will not arrive.
        Failed = "failed",
        /// It was called off.
        Cancelled = "cancelled",
        /// Its pieces were given back before it was started.
        Released = "released",
    }
}

/// A shipment as the board shows it. Times are those of the events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardShipment {
    /// Of this order.
    pub order_id: OrderId,
    /// Which of the order's.
    pub number: u16,
    /// The partition of the order.
    pub partition: u16,
    /// Of the newest event about it.
    pub offset: i64,
    /// How far it has come.
    pub status: BoardStatus,
    /// Somebody has something to do, or a carrier is on the way.
    pub open: bool,
    /// It will not arrive; or it is open, and a parcel could not be handed over or comes back.
    pub failed: bool,
    /// Where the goods lie.
    pub location: Option<Code>,
    /// Who carries it: its first parcel.
    pub carrier: Option<Code>,
    /// How fast: its first parcel.
    pub service: Option<Code>,
    /// The carriers' names for its parcels.
    pub tracking_numbers: Vec<Reference>,
    /// What carriers said of each parcel last.
    pub carrier_statuses: BTreeMap<ParcelNumber, CarrierStatus>,
    /// Pieces in it.
    pub pieces: u64,
    /// Parcels.
    pub parcels: u32,
    /// How often a parcel could not be handed over.
    pub failed_attempts: u32,
    /// When its pieces were set aside.
    pub allocated_at: DateTime<Utc>,
    /// When it was started.
    pub created_at: Option<DateTime<Utc>>,
    /// When its parcels were labelled.
    pub labelled_at: Option<DateTime<Utc>>,
    /// Since when the carrier has it.
    pub dispatched_at: Option<DateTime<Utc>>,
    /// The carrier's time of its arrival.
    pub delivered_at: Option<DateTime<Utc>>,
    /// When it ended, however.
    pub closed_at: Option<DateTime<Utc>>,
    /// Until when it should be dispatched, and once it is, delivered.
    pub due_at: DateTime<Utc>,
    /// When something happened to it last.
    pub updated_at: DateTime<Utc>,
}

impl BoardShipment {
    /// Which.
    pub fn id(&self) -> ShipmentId {
        ShipmentId::new(self.order_id, self.number)
    }

    /// The newest event about it.
    pub fn position(&self) -> Position {
        Position {
            partition: self.partition,
            offset: self.offset,
        }
    }

    /// It is open and should have come farther by `now`.
    pub fn is_late(&self, now: DateTime<Utc>) -> bool {
        self.open && self.due_at < now
    }
}
