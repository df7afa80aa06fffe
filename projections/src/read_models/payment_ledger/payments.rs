//! A payment's row.

use super::NAME;
use crate::json_table::JsonTable;
use chrono::{DateTime, SubsecRound, Utc};
use docket_domain::{
    Currency, OrderId, PaymentId,
    payment::{self, Initiated, Payment, PaymentEvent, PaymentStatus},
    text::Code,
};
use docket_event_store::{Position, RecordedEvent};
use serde::{Deserialize, Serialize};

pub(super) const TABLE: JsonTable = JsonTable {
    name: NAME,
    key: &[("order_id", "uuid"), ("number", "smallint")],
    columns: &[
        "order_id",
        "offset",
        "created_at",
        "updated_at",
        "authorized_at",
        "captured_at",
        "refunded_at",
        "capture_before",
        "amount",
        "authorized",
        "captured",
        "refunded",
        "voided",
        "expired",
        "capturable",
        "disputed",
        "lost",
        "failures",
        "partition",
        "number",
        "status",
        "gateway",
        "currency",
        "facts",
    ],
};

/// A payment as the ledger has it. Amounts are minor units of its currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerPayment {
    /// Of this order.
    pub order_id: OrderId,
    /// Which of the order's.
    pub number: u16,
    /// The partition of the order.
    pub partition: u16,
    /// Of the newest event about it.
    pub offset: i64,
    /// Through whom.
    pub gateway: Code,
    /// Of every amount.
    pub currency: Currency,
    /// How far it has come.
    pub status: PaymentStatus,
    /// What is to be paid.
    pub amount: i64,
    /// What the gateway holds or held, captured or not.
    pub authorized: i64,
    /// What it took.
    pub captured: i64,
    /// What it gave back.
    pub refunded: i64,
    /// What was let go.
    pub voided: i64,
    /// What ran out.
    pub expired: i64,
    /// What it still holds.
    pub capturable: i64,
    /// What its payer disputes, undecided.
    pub disputed: i64,
    /// What was lost to its payer.
    pub lost: i64,
    /// How often the gateway did not do what it was asked.
    pub failures: u32,
    /// When it was started.
    pub created_at: DateTime<Utc>,
    /// When something happened to it last.
    pub updated_at: DateTime<Utc>,
    /// When the gateway said yes to it first.
    pub authorized_at: Option<DateTime<Utc>>,
    /// When money was taken last.
    pub captured_at: Option<DateTime<Utc>>,
    /// When money was given back last.
    pub refunded_at: Option<DateTime<Utc>>,
    /// How long the gateway holds what it holds.
    pub capture_before: Option<DateTime<Utc>>,
    /// What the row follows from: no method, reference or action.
    pub(super) facts: Payment,
}

impl LedgerPayment {
    /// Which.
    pub fn id(&self) -> PaymentId {
        PaymentId::new(self.order_id, self.number)
    }

    /// The newest event about it.
    pub fn position(&self) -> Position {
        Position {
            partition: self.partition,
            offset: self.offset,
        }
    }

    pub(super) fn begin(event: &RecordedEvent, fact: &Initiated) -> Self {
        let at = event.command.occurred_at.trunc_subsecs(6);
        Self {
            order_id: event.stream.order,
            number: event.stream.number,
            partition: event.position.partition,
            offset: event.position.offset,
            gateway: fact.gateway.clone(),
            currency: fact.currency,
            status: PaymentStatus::Missing,
            amount: 0,
            authorized: 0,
            captured: 0,
            refunded: 0,
            voided: 0,
            expired: 0,
            capturable: 0,
            disputed: 0,
            lost: 0,
            failures: 0,
            created_at: at,
            updated_at: at,
            authorized_at: None,
            captured_at: None,
            refunded_at: None,
            capture_before: None,
            facts: Payment::default(),
        }
    }

    pub(super) fn change(&mut self, event: &RecordedEvent, fact: &PaymentEvent) {
        // The log keeps microseconds; an event that was handed over in process may know more.
        let at = event.command.occurred_at.trunc_subsecs(6);
        (self.offset, self.updated_at) = (event.position.offset, at);
        match fact {
            PaymentEvent::Authorized(_) => self.authorized_at = self.authorized_at.or(Some(at)),
            PaymentEvent::Captured(_) => self.captured_at = Some(at),
            PaymentEvent::Refunded(_) => self.refunded_at = Some(at),
            PaymentEvent::AuthorizationFailed(_)
            | PaymentEvent::CaptureFailed(_)
            | PaymentEvent::RefundFailed(_) => self.failures = self.failures.saturating_add(1),
            PaymentEvent::Initiated(_)
            | PaymentEvent::ActionRequired(_)
            | PaymentEvent::AuthorizationAdjusted(_)
            | PaymentEvent::AuthorizationExpired(_)
            | PaymentEvent::CaptureRequested(_)
            | PaymentEvent::Voided(_)
            | PaymentEvent::RefundRequested(_)
            | PaymentEvent::DisputeOpened(_)
            | PaymentEvent::DisputeClosed(_) => {}
        }
        let mut payment = payment::evolve(std::mem::take(&mut self.facts), fact);
        (payment.method, payment.reference, payment.action) = (None, None, None);
        self.status = payment.status();
        self.amount = payment.amount;
        self.authorized = payment.authorized;
        self.captured = payment.captured();
        self.refunded = payment.refunded();
        self.voided = payment.voided;
        self.expired = payment.expired;
        self.capturable = payment.capturable();
        (self.disputed, self.lost) = (payment.disputed(), payment.lost());
        self.capture_before = payment.capture_before.map(|until| until.trunc_subsecs(6));
        self.facts = payment;
    }
}
