//! An entry, and what it can be about.

use super::NAME;
use crate::{json_table::JsonTable, read_models::axes::words};
use chrono::{DateTime, Utc};
use docket_domain::{
    ActorKind, Currency, OrderId,
    quantity::LineQuantity,
    text::{Code, Name, Reason, Reference},
};
use docket_event_store::Position;
use serde::{Deserialize, Serialize};

pub(super) const TABLE: JsonTable = JsonTable {
    name: NAME,
    key: &[("partition", "smallint"), ("offset", "bigint")],
    columns: &[
        "offset",
        "order_id",
        "at",
        "partition",
        "number",
        "internal",
        "kind",
        "actor_kind",
        "actor_id",
        "facts",
    ],
};

words! {
    /// What an entry is about: the event's type.
    Kind {
        /// The order was begun.
        Drafted = "order.drafted",
        /// A line was added.
        LineAdded = "order.line_added",
        /// A line's quantity was changed.
        LineQuantityChanged = "order.line_quantity_changed",
        /// Addresses, shipping method, contact or note were set.
        DetailsSet = "order.details_set",
        /// Nobody works on the draft any more.
        Abandoned = "order.abandoned",
        /// The customer committed to it.
        Placed = "order.placed",
        /// An address was put right.
        AddressCorrected = "order.address_corrected",
        /// The shop committed to it.
        Confirmed = "order.confirmed",
        /// It was stopped.
        HoldPlaced = "order.hold_placed",
        /// It was let go on.
        HoldReleased = "order.hold_released",
        /// A detector saw something.
        Flagged = "order.flagged",
        /// Its subject's key was destroyed.
        PersonalDataForgotten = "order.personal_data_forgotten",
        /// Pieces will not be delivered.
        LinesCancelled = "order.lines_cancelled",
        /// Nothing will be delivered.
        Cancelled = "order.cancelled",
        /// It was not paid in time.
        Expired = "order.expired",
        /// Pieces were set aside for a shipment.
        FulfillmentAllocated = "order.fulfillment_allocated",
        /// They were given back.
        FulfillmentReleased = "order.fulfillment_released",
        /// The customer wants to send pieces back.
        ReturnRequested = "order.return_requested",
        /// Pieces came back.
        ReturnReceived = "order.return_received",
        /// Everything is delivered and settled.
        Completed = "order.completed",
        /// A payment was started.
        PaymentInitiated = "payment.initiated",
        /// The payer has to do something.
        ActionRequired = "payment.action_required",
        /// The gateway holds money.
        Authorized = "payment.authorized",
        /// It refused.
        AuthorizationFailed = "payment.authorization_failed",
        /// It holds another amount, or longer.
        AuthorizationAdjusted = "payment.authorization_adjusted",
        /// It holds nothing more.
        AuthorizationExpired = "payment.authorization_expired",
        /// It was asked to take money.
        CaptureRequested = "payment.capture_requested",
        /// It did.
        Captured = "payment.captured",
        /// It did not.
        CaptureFailed = "payment.capture_failed",
        /// The uncaptured rest was let go.
        Voided = "payment.voided",
        /// It was asked to give money back.
        RefundRequested = "payment.refund_requested",
        /// It did.
        Refunded = "payment.refunded",
        /// It did not.
        RefundFailed = "payment.refund_failed",
        /// The payer disputes money that was taken.
        DisputeOpened = "payment.dispute_opened",
        /// It was decided who keeps it.
        DisputeClosed = "payment.dispute_closed",
        /// A shipment was started.
        ShipmentCreated = "shipment.created",
        /// Its parcels have labels.
        LabelPurchased = "shipment.label_purchased",
        /// The carrier has it.
        Dispatched = "shipment.dispatched",
        /// The carrier saw a parcel.
        TrackingUpdated = "shipment.tracking_updated",
        /// It could not hand a parcel over.
        DeliveryAttemptFailed = "shipment.delivery_attempt_failed",
        /// All of it arrived.
        Delivered = "shipment.delivered",
        /// All of it comes back.
        Returned = "shipment.returned",
        /// It will not arrive.
        ShipmentFailed = "shipment.failed",
        /// It was called off.
        ShipmentCancelled = "shipment.cancelled",
    }
}

impl Kind {
    /// Whether events of a type are, by [`Kind::is_internal`]; an unknown type is.
    pub fn is_type_internal(event_type: &str) -> bool {
        Kind::from_word(event_type).is_none_or(Kind::is_internal)
    }

    /// Not for the customer: holds and checks, and what the shop asks of a gateway or hears from it on the way to a result
    /// that has an entry of its own.
    pub fn is_internal(self) -> bool {
        matches!(
            self,
            Kind::HoldPlaced
                | Kind::HoldReleased
                | Kind::Abandoned
                | Kind::Flagged
                | Kind::DisputeOpened
                | Kind::DisputeClosed
                | Kind::AuthorizationAdjusted
                | Kind::CaptureRequested
                | Kind::CaptureFailed
                | Kind::RefundRequested
                | Kind::RefundFailed
                | Kind::FulfillmentReleased
        )
    }
}

/// What happened, in parts: each kind has its own. Amounts are minor units of `currency`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// How much money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    /// What it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// Of both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// What people call the order by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_number: Option<i64>,
    /// A stock-keeping unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Code>,
    /// A line's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u16>,
    /// Pieces before and after a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantities: Option<(u32, u32)>,
    /// Pieces of lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineQuantity>,
    /// A gateway's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Why, in somebody's words. Not for the customer, unless the customer or a carrier said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// A word of the shop's or a gateway's: why it is held or refused, what has to be done, how it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// What a gateway advises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<Name>,
    /// Through whom money goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Code>,
    /// Where goods lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Code>,
    /// Who carries them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<Code>,
    /// The carrier's names for the parcels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tracking_numbers: Vec<Reference>,
    /// A shipment of the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipment: Option<u16>,
    /// Which parcel, capture, refund or return; the how-manieth attempt or reminder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u32>,
    /// What shows what a detector saw: references and counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Reference>,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where its event is in the log.
    pub partition: u16,
    /// Where its event is in the partition.
    pub offset: i64,
    /// Of this order.
    pub order_id: OrderId,
    /// Of this payment or shipment of the order; 0 where it is about the order itself.
    pub number: u16,
    /// The business time.
    pub at: DateTime<Utc>,
    /// What it is about.
    pub kind: Kind,
    /// Not for the customer.
    pub internal: bool,
    /// Who did it: the kind.
    pub actor_kind: ActorKind,
    /// Who did it; none where it was a customer.
    pub actor_id: Option<String>,
    /// What happened.
    pub facts: Facts,
}

impl Entry {
    /// Where its event is in the log.
    pub fn position(&self) -> Position {
        Position {
            partition: self.partition,
            offset: self.offset,
        }
    }
}
