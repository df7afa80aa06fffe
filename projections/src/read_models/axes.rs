//! The two axes of an order that are not its own: how far payment and fulfilment have come.
//!
//! Both are derived from the domain's own states, folded from the log; no money or quantity rule is repeated here.
//! Sums are those of the payments, so what is called paid is what the payments captured.

use docket_domain::{
    LineId,
    order::{Order, OrderStatus},
    payment::{Payment, PaymentStatus},
    shipment::{Shipment, ShipmentStatus},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// As it is stored and shown.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The one that a word stands for.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use words;

words! {
    /// How far an order's payments have come together.
    OrderPaymentStatus {
        /// Nothing was started, or what was came to nothing before a gateway answered.
        Unpaid = "unpaid",
        /// A payment was started; its gateway has not answered.
        Pending = "pending",
        /// Gateways hold some of what is due.
        PartiallyAuthorized = "partially_authorized",
        /// Gateways hold, or have taken, what is due.
        Authorized = "authorized",
        /// Some of what is due was taken.
        PartiallyPaid = "partially_paid",
        /// What is due was taken, or nothing is due.
        Paid = "paid",
        /// Some of what was taken was given back.
        PartiallyRefunded = "partially_refunded",
        /// All that was taken was given back.
        Refunded = "refunded",
        /// What gateways held was let go.
        Voided = "voided",
        /// What gateways held ran out.
        Expired = "expired",
        /// Every payment was refused.
        Failed = "failed",
    }
}

words! {
    /// How far an order's shipments have come together.
    FulfillmentStatus {
        /// Nothing that was bought needs shipping.
        NotRequired = "not_required",
        /// Nothing is set aside.
        Unfulfilled = "unfulfilled",
        /// Some pieces are set aside for shipments.
        PartiallyAllocated = "partially_allocated",
        /// All are.
        Allocated = "allocated",
        /// Carriers have some pieces.
        PartiallyShipped = "partially_shipped",
        /// Carriers have all.
        Shipped = "shipped",
        /// Some pieces arrived.
        PartiallyDelivered = "partially_delivered",
        /// All did.
        Delivered = "delivered",
        /// All did, and the customer sent some back.
        PartiallyReturned = "partially_returned",
        /// All that was shipped comes back.
        Returned = "returned",
    }
}

/// An order's money: the sums over its payments, in minor units of its currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// What gateways hold or held, captured or not.
    pub authorized: i64,
    /// What they took, which is what the order calls paid. What was refunded or lost to disputes was paid before, and
    /// has its own sums.
    pub captured: i64,
    /// What they gave back.
    pub refunded: i64,
    /// What was let go.
    pub voided: i64,
    /// What ran out.
    pub expired: i64,
    /// What they still hold.
    pub capturable: i64,
}

impl Sums {
    /// Adds up; `None` where a sum does not fit 64 bits.
    pub fn of<'a>(payments: impl IntoIterator<Item = &'a Payment>) -> Option<Self> {
        payments.into_iter().try_fold(Self::default(), |sums, payment| {
            Some(Self {
                authorized: sums.authorized.checked_add(payment.authorized)?,
                captured: sums.captured.checked_add(payment.captured())?,
                refunded: sums.refunded.checked_add(payment.refunded())?,
                voided: sums.voided.checked_add(payment.voided)?,
                expired: sums.expired.checked_add(payment.expired)?,
                capturable: sums.capturable.checked_add(payment.capturable())?,
            })
        })
    }
}

/// How far the payments have come together.
pub fn payment_status<'a>(
    order: &Order,
    sums: &Sums,
    payments: impl IntoIterator<Item = &'a Payment>,
) -> OrderPaymentStatus {
    let is_placed = order.number.is_some();
    let due = order.due();
    if sums.refunded > 0 {
        return if sums.refunded >= sums.captured {
            OrderPaymentStatus::Refunded
        } else {
            OrderPaymentStatus::PartiallyRefunded
        };
    }
    if is_placed && sums.captured >= due && (sums.captured > 0 || order.status != OrderStatus::Cancelled) {
        return OrderPaymentStatus::Paid;
    }
    if sums.captured > 0 && sums.capturable == 0 {
        return OrderPaymentStatus::PartiallyPaid;
    }
    if sums.captured > 0 || sums.capturable > 0 {
        let secured = sums.captured.saturating_add(sums.capturable);
        return match (sums.captured > 0, secured >= due) {
            (true, _) => OrderPaymentStatus::PartiallyPaid,
            (false, true) => OrderPaymentStatus::Authorized,
            (false, false) => OrderPaymentStatus::PartiallyAuthorized,
        };
    }
    let statuses: Vec<PaymentStatus> = payments.into_iter().map(Payment::status).collect();
    let any = |wanted: &[PaymentStatus]| statuses.iter().any(|status| wanted.contains(status));
    if any(&[PaymentStatus::Initiated, PaymentStatus::ActionRequired]) {
        OrderPaymentStatus::Pending
    } else if any(&[PaymentStatus::Voided]) {
        OrderPaymentStatus::Voided
    } else if any(&[PaymentStatus::Expired]) {
        OrderPaymentStatus::Expired
    } else if any(&[PaymentStatus::Failed]) {
        OrderPaymentStatus::Failed
    } else {
        OrderPaymentStatus::Unpaid
    }
}

/// What became of the pieces of one line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineProgress {
    /// Bought.
    pub ordered: u64,
    /// Will not be delivered.
    pub cancelled: u64,
    /// Set aside for shipments, shipped ones included.
    pub allocated: u64,
    /// Handed to carriers, delivered and returned ones included.
    pub shipped: u64,
    /// Arrived.
    pub delivered: u64,
    /// On their way back with a carrier that could not hand them over, or sent back by the customer and received.
    /// Those were delivered before, and are counted there too.
    pub returned: u64,
}

/// What became of the pieces of each line, in the order of the lines.
pub fn line_progress<'a>(
    order: &Order,
    shipments: impl IntoIterator<Item = &'a Shipment>,
) -> Vec<(LineId, LineProgress)> {
    let mut moved: BTreeMap<LineId, LineProgress> = BTreeMap::new();
    for shipment in shipments {
        for line in &shipment.lines {
            let pieces = u64::from(line.quantity.get());
            let progress = moved.entry(line.line).or_default();
            if shipment.was_dispatched() {
                progress.shipped = progress.shipped.saturating_add(pieces);
            }
            match shipment.status {
                ShipmentStatus::Delivered => progress.delivered = progress.delivered.saturating_add(pieces),
                ShipmentStatus::Returned => progress.returned = progress.returned.saturating_add(pieces),
                _ => {}
            }
        }
    }
    let of = |line: &docket_domain::order::OrderLine| {
        let moved = moved.get(&line.line.id).copied().unwrap_or_default();
        let progress = LineProgress {
            ordered: u64::from(line.line.quantity.get()),
            cancelled: u64::from(line.cancelled),
            allocated: u64::from(line.allocated),
            returned: moved.returned.saturating_add(u64::from(line.returned)),
            ..moved
        };
        (line.line.id, progress)
    };
    order.lines.iter().map(of).collect()
}

/// How far the shipments have come together. Lines that need no shipping do not count.
pub fn fulfillment_status(order: &Order, progress: &[(LineId, LineProgress)]) -> FulfillmentStatus {
    let (mut sum, mut sent_back) = (LineProgress::default(), false);
    for (line, (_, progress)) in order.lines.iter().zip(progress) {
        if line.line.requires_shipping {
            sum.ordered = sum.ordered.saturating_add(progress.ordered);
            sum.cancelled = sum.cancelled.saturating_add(progress.cancelled);
            sum.allocated = sum.allocated.saturating_add(progress.allocated);
            sum.shipped = sum.shipped.saturating_add(progress.shipped);
            sum.delivered = sum.delivered.saturating_add(progress.delivered);
            sum.returned = sum.returned.saturating_add(progress.returned);
            sent_back |= line.returned > 0;
        }
    }
    let needed = sum.ordered.saturating_sub(sum.cancelled);
    if sum.ordered == 0 && !order.lines.is_empty() {
        FulfillmentStatus::NotRequired
    } else if sum.returned > 0 && sum.returned >= sum.shipped {
        FulfillmentStatus::Returned
    } else if sum.delivered > 0 {
        let all = sum.delivered >= needed;
        // While pieces are still to come, that is what matters.
        if all && sent_back {
            FulfillmentStatus::PartiallyReturned
        } else if all {
            FulfillmentStatus::Delivered
        } else {
            FulfillmentStatus::PartiallyDelivered
        }
    } else if sum.shipped > 0 {
        let all = sum.shipped >= needed;
        if all {
            FulfillmentStatus::Shipped
        } else {
            FulfillmentStatus::PartiallyShipped
        }
    } else if sum.allocated > 0 {
        let all = sum.allocated >= needed;
        if all {
            FulfillmentStatus::Allocated
        } else {
            FulfillmentStatus::PartiallyAllocated
        }
    } else {
        FulfillmentStatus::Unfulfilled
    }
}
