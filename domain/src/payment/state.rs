//! A payment as far as decisions need it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::{ActionRequired, CaptureMethod, DisputeOutcome, PaymentMethod};
use crate::ids::{CaptureId, RefundId, ReturnId};
use crate::money::Currency;
use crate::text::{Code, Reference};

/// The gateway's name that stands for the shop's own hands.
pub(crate) const MANUAL_GATEWAY: &str = "manual";

/// How far a payment has come. Derived from its amounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// There is no such payment.
    #[default]
    Missing,
    /// Started.
    Initiated,
    /// The payer has to do something.
    ActionRequired,
    /// The gateway holds money.
    Authorized,
    /// It took some, and holds more.
    PartiallyCaptured,
    /// It took all that it will take.
    Captured,
    /// It gave some back.
    PartiallyRefunded,
    /// It gave everything back.
    Refunded,
    /// It refused.
    Failed,
    /// Let go before anything was taken.
    Voided,
    /// Ran out before anything was taken.
    Expired,
}

impl PaymentStatus {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            PaymentStatus::Missing => "missing",
            PaymentStatus::Initiated => "initiated",
            PaymentStatus::ActionRequired => "action_required",
            PaymentStatus::Authorized => "authorized",
            PaymentStatus::PartiallyCaptured => "partially_captured",
            PaymentStatus::Captured => "captured",
            PaymentStatus::PartiallyRefunded => "partially_refunded",
            PaymentStatus::Refunded => "refunded",
            PaymentStatus::Failed => "failed",
            PaymentStatus::Voided => "voided",
            PaymentStatus::Expired => "expired",
        }
    }
}

impl std::fmt::Display for PaymentStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far an authorization has come; captures and refunds are counted beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    #[default]
    Missing,
    Initiated,
    ActionRequired,
    Authorized,
    Failed,
    Voided,
    Expired,
}

/// What became of a capture or refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationStatus {
    /// Asked for.
    Pending,
    /// Done.
    Done,
    /// Not done.
    Failed,
}

/// A capture or refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// How much.
    pub amount: i64,
    /// The last of its kind.
    pub is_final: bool,
    /// What became of it.
    pub status: OperationStatus,
    /// The gateway's time of its result.
    #[serde(default, with = "crate::instant::option")]
    pub result_at: Option<DateTime<Utc>>,
    /// Of a refund: for this return of the order.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "return")]
    pub return_id: Option<ReturnId>,
}

/// A dispute. An open one has no outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// How much.
    pub amount: i64,
    /// Why, in the gateway's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Code>,
    /// Until when the shop may answer.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::instant::option"
    )]
    pub respond_by: Option<DateTime<Utc>>,
    /// The gateway's time of its beginning.
    #[serde(with = "crate::instant")]
    pub opened_at: DateTime<Utc>,
    /// Who keeps the money, once it is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<DisputeOutcome>,
    /// The gateway's time of that.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::instant::option"
    )]
    pub closed_at: Option<DateTime<Utc>>,
}

/// A payment's state: the fold of its stream. The default is a payment that does not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    pub(crate) phase: Phase,
    /// What is to be paid.
    pub amount: i64,
    /// Of every amount; there from the first event on.
    pub currency: Option<Currency>,
    /// When and in how many parts it is captured; there from the first event on.
    pub capture_method: Option<CaptureMethod>,
    /// How it is paid; there from the first event on.
    pub method: Option<PaymentMethod>,
    /// Through whom; there from the first event on.
    pub gateway: Option<Code>,
    /// What the payer has to do.
    pub action: Option<ActionRequired>,
    /// What the gateway holds or held for us, captured or not.
    pub authorized: i64,
    /// The gateway's name for it.
    pub reference: Option<Reference>,
    /// The gateway's time of its last word on the authorization.
    #[serde(default, with = "crate::instant::option")]
    pub authorization_at: Option<DateTime<Utc>>,
    /// How long it holds it.
    #[serde(default, with = "crate::instant::option")]
    pub capture_before: Option<DateTime<Utc>>,
    /// What was let go of the authorized amount, by a void or after a final capture.
    pub voided: i64,
    /// What ran out of the authorized amount.
    pub expired: i64,
    /// By number, dense from 1.
    pub captures: BTreeMap<CaptureId, Operation>,
    /// By number, dense from 1.
    pub refunds: BTreeMap<RefundId, Operation>,
    /// By the gateway's name for each. A side axis: a payment is disputed beside whatever else it is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub disputes: BTreeMap<Reference, Dispute>,
}

fn sum<'a>(operations: impl Iterator<Item = &'a Operation>, status: OperationStatus) -> i64 {
    operations
        .filter(|o| o.status == status)
        .fold(0, |sum, o| sum.saturating_add(o.amount))
}

impl Payment {
    /// Whether its stream has any event.
    pub fn exists(&self) -> bool {
        self.phase != Phase::Missing
    }

    /// Whether it goes through the shop's own hands.
    pub fn is_manual(&self) -> bool {
        self.gateway
            .as_ref()
            .is_some_and(|gateway| gateway.as_str() == MANUAL_GATEWAY)
    }

    /// What was taken.
    pub fn captured(&self) -> i64 {
        sum(self.captures.values(), OperationStatus::Done)
    }

    /// What the gateway is asked to take.
    pub fn capture_pending(&self) -> i64 {
        sum(self.captures.values(), OperationStatus::Pending)
    }

    /// What was given back.
    pub fn refunded(&self) -> i64 {
        sum(self.refunds.values(), OperationStatus::Done)
    }

    /// What the gateway is asked to give back.
    pub fn refund_pending(&self) -> i64 {
        sum(self.refunds.values(), OperationStatus::Pending)
    }

    /// What the gateway still holds: authorized, and neither taken, let go nor run out. Pending captures are part of it.
    pub fn capturable(&self) -> i64 {
        self.authorized
            .saturating_sub(self.captured())
            .saturating_sub(self.voided)
            .saturating_sub(self.expired)
    }

    /// What can still be asked for: [`Payment::capturable`] without what is pending.
    pub fn uncommitted(&self) -> i64 {
        self.capturable().saturating_sub(self.capture_pending())
    }

    fn disputes(&self, wanted: Option<DisputeOutcome>) -> i64 {
        self.disputes
            .values()
            .filter(|dispute| dispute.outcome == wanted)
            .fold(0, |sum, dispute| sum.saturating_add(dispute.amount))
    }

    /// What payers dispute and nobody has decided.
    pub fn disputed(&self) -> i64 {
        self.disputes(None)
    }

    /// What was lost to payers who disputed it. It was captured, and is not refunded: money that went a third way.
    pub fn lost(&self) -> i64 {
        self.disputes(Some(DisputeOutcome::Lost))
    }

    /// What can still be given back. What is disputed cannot: whoever loses the dispute too would pay twice.
    pub fn refundable(&self) -> i64 {
        self.captured()
            .saturating_sub(self.refunded())
            .saturating_sub(self.refund_pending())
            .saturating_sub(self.disputed())
            .saturating_sub(self.lost())
    }

    /// What vouches for its order: taken and not lost, or held to be taken.
    pub fn secured(&self) -> i64 {
        self.captured()
            .saturating_sub(self.lost())
            .saturating_add(self.capturable())
    }

    /// Whether a capture that is, or may still be, the last one was asked for.
    pub(crate) fn has_final_capture(&self) -> bool {
        self.captures
            .values()
            .any(|capture| capture.is_final && capture.status != OperationStatus::Failed)
    }

    /// How far it has come.
    pub fn status(&self) -> PaymentStatus {
        let (captured, refunded) = (self.captured(), self.refunded());
        if refunded > 0 {
            let all = refunded >= captured && self.capturable() == 0;
            return if all {
                PaymentStatus::Refunded
            } else {
                PaymentStatus::PartiallyRefunded
            };
        }
        if captured > 0 {
            let all = self.capturable() == 0;
            return if all {
                PaymentStatus::Captured
            } else {
                PaymentStatus::PartiallyCaptured
            };
        }
        match self.phase {
            Phase::Missing => PaymentStatus::Missing,
            Phase::Initiated => PaymentStatus::Initiated,
            Phase::ActionRequired => PaymentStatus::ActionRequired,
            Phase::Authorized => PaymentStatus::Authorized,
            Phase::Failed => PaymentStatus::Failed,
            Phase::Voided => PaymentStatus::Voided,
            Phase::Expired => PaymentStatus::Expired,
        }
    }

    /// About how much memory it holds, for a cache that counts bytes.
    pub fn approximate_bytes(&self) -> usize {
        size_of::<Self>()
            + 256
            + (self.captures.len() + self.refunds.len()) * (size_of::<Operation>() + 32)
            + self.disputes.len() * (size_of::<Dispute>() + 128)
    }
}
