//! What moved on a day.

use super::payments::LedgerPayment;
use crate::json_table::JsonTable;
use chrono::NaiveDate;
use docket_domain::{Currency, payment::PaymentEvent};
use serde::{Deserialize, Serialize};

pub(super) const TABLE: JsonTable = JsonTable {
    name: "payment_ledger_days",
    key: &[("partition", "smallint"), ("day", "date"), ("currency", "text")],
    columns: &[
        "day",
        "authorized",
        "captured",
        "refunded",
        "voided",
        "expired",
        "lost",
        "failed",
        "disputes",
        "partition",
        "currency",
    ],
};

/// What moved, in minor units of one currency. An authorization that is lowered or taken back moves less than nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// What gateways hold or held, captured or not.
    pub authorized: i64,
    /// What they took.
    pub captured: i64,
    /// What they gave back.
    pub refunded: i64,
    /// What was let go.
    pub voided: i64,
    /// What ran out.
    pub expired: i64,
    /// What was lost to payers who disputed it.
    pub lost: i64,
    /// How often a gateway did not do what it was asked.
    pub failed: i64,
    /// Disputes that were opened.
    pub disputes: i64,
}

impl Movement {
    /// What an event moved.
    pub(super) fn between(
        before: Option<&LedgerPayment>,
        after: &LedgerPayment,
        fact: &PaymentEvent,
    ) -> Self {
        let moved = |amount: fn(&LedgerPayment) -> i64| amount(after).wrapping_sub(before.map_or(0, amount));
        Self {
            authorized: moved(|payment| payment.authorized),
            captured: moved(|payment| payment.captured),
            refunded: moved(|payment| payment.refunded),
            voided: moved(|payment| payment.voided),
            expired: moved(|payment| payment.expired),
            lost: moved(|payment| payment.lost),
            failed: moved(|payment| i64::from(payment.failures)),
            disputes: opened(fact),
        }
    }

    /// The sum. It wraps around: only amounts that nobody can pay overflow 64 bits, wrapped sums do not depend on the order
    /// of what is added, and a sum must never stop a partition.
    #[must_use]
    pub fn and(self, other: Movement) -> Movement {
        Movement {
            authorized: self.authorized.wrapping_add(other.authorized),
            captured: self.captured.wrapping_add(other.captured),
            refunded: self.refunded.wrapping_add(other.refunded),
            voided: self.voided.wrapping_add(other.voided),
            expired: self.expired.wrapping_add(other.expired),
            lost: self.lost.wrapping_add(other.lost),
            failed: self.failed.wrapping_add(other.failed),
            disputes: self.disputes.wrapping_add(other.disputes),
        }
    }
}

fn opened(fact: &PaymentEvent) -> i64 {
    i64::from(matches!(fact, PaymentEvent::DisputeOpened(_)))
}

/// Whether an event may move anything.
pub(super) fn moves(fact: &PaymentEvent) -> bool {
    match fact {
        PaymentEvent::Authorized(_)
        | PaymentEvent::AuthorizationFailed(_)
        | PaymentEvent::AuthorizationAdjusted(_)
        | PaymentEvent::AuthorizationExpired(_)
        | PaymentEvent::Captured(_)
        | PaymentEvent::CaptureFailed(_)
        | PaymentEvent::Voided(_)
        | PaymentEvent::Refunded(_)
        | PaymentEvent::RefundFailed(_)
        | PaymentEvent::DisputeOpened(_)
        | PaymentEvent::DisputeClosed(_) => true,
        PaymentEvent::Initiated(_)
        | PaymentEvent::ActionRequired(_)
        | PaymentEvent::CaptureRequested(_)
        | PaymentEvent::RefundRequested(_) => false,
    }
}

/// What moved on one day in one currency, in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// The partition.
    pub partition: u16,
    /// Of the events' business time, in UTC.
    pub day: NaiveDate,
    /// Of every amount.
    pub currency: Currency,
    /// What moved.
    #[serde(flatten)]
    pub movement: Movement,
}
