//! A row of `fraud_signals`: an order that was placed, or one of its payments.

use super::NAME;
use crate::{
    json_table::JsonTable,
    projector::{Key, PgQuery, bind_parts},
};
use chrono::{DateTime, Utc};
use docket_domain::{Currency, OrderId, PaymentId, Subject, text::Code};
use serde::{Deserialize, Serialize};
use std::fmt;

pub(super) const TABLE: JsonTable = JsonTable {
    name: NAME,
    key: &[("order_id", "uuid"), ("number", "smallint")],
    columns: &[
        "order_id",
        "at",
        "amount",
        "partition",
        "number",
        "high_value",
        "retryable",
        "currency",
        "subject",
        "failure_code",
    ],
};

/// What a row is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FactKey {
    /// Of this order.
    pub order: OrderId,
    /// Which of its payments, from 1; 0 is the order itself.
    pub number: u16,
}

impl fmt::Display for FactKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            0 => self.order.fmt(f),
            number => PaymentId::new(self.order, number).fmt(f),
        }
    }
}

impl Key for FactKey {
    fn bind(query: PgQuery<'_>, keys: Vec<Self>) -> PgQuery<'_> {
        bind_parts(query, keys.into_iter().map(|key| (key.order, key.number)))
    }
}

/// An order that was placed, or one of its payments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// Of this order.
    pub order_id: OrderId,
    /// Which of its payments, from 1; 0 is the order itself.
    pub number: u16,
    /// The partition of the order.
    pub partition: u16,
    /// Whose: the customer's, or, where none is known, whoever this one order is for.
    pub subject: Subject,
    /// In business time: when the order was placed, or when the payment failed first. None where it did not.
    pub at: Option<DateTime<Utc>>,
    /// What the order added up to when it was placed, or what was to be paid, in minor units.
    pub amount: i64,
    /// Of the amount.
    pub currency: Currency,
    /// It is an order of a high value.
    pub high_value: bool,
    /// Why the payment failed, in the gateway's words.
    pub failure_code: Option<Code>,
    /// Whether the gateway thought that it may work the next time.
    pub retryable: Option<bool>,
}

impl Fact {
    pub(super) fn key(&self) -> FactKey {
        FactKey {
            order: self.order_id,
            number: self.number,
        }
    }

    /// The payment, where it is one.
    pub fn payment(&self) -> Option<PaymentId> {
        (self.number > 0).then(|| PaymentId::new(self.order_id, self.number))
    }
}
