//! Why a command was refused.

use chrono::{DateTime, Utc};
use thiserror::Error;

use crate::access::AccessError;
use crate::order::OrderError;
use crate::payment::PaymentError;
use crate::shipment::ShipmentError;
use crate::stream::StreamId;

/// The rule that refused a command. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A rule of orders.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// A rule of payments.
    #[error(transparent)]
    Payment(#[from] PaymentError),
    /// A rule of shipments.
    #[error(transparent)]
    Shipment(#[from] ShipmentError),
    /// The actor may not do it.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The command, or what came with it, makes no sense whatever the state.
    #[error(transparent)]
    Invalid(#[from] InvalidError),
    /// What the command is about does not exist, or is none of the actor's business, which looks the same.
    #[error("{stream} does not exist")]
    NotFound {
        /// What was looked for.
        stream: StreamId,
    },
}

/// What makes no sense whatever the state.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the fields are the values that each message shows")]
pub enum InvalidError {
    /// A business time ahead of the clock.
    #[error("the time {occurred_at} is more than {limit_minutes} minutes in the future")]
    OccurredInFuture {
        occurred_at: DateTime<Utc>,
        limit_minutes: i64,
    },
    /// A business time before our calendar begins, which is a mistake and nothing that a database keeps.
    #[error("the time {occurred_at} is before the year {first_year}")]
    OccurredTooEarly {
        occurred_at: DateTime<Utc>,
        first_year: i32,
    },
    /// A time in a command that no calendar of four-digit years holds.
    #[error("the time {time} is not between the years {first_year} and {last_year}")]
    TimeOutOfRange {
        time: DateTime<Utc>,
        first_year: i32,
        last_year: i32,
    },
    /// A creation that was not given an id before its decision.
    #[error("the order has no id")]
    NoOrderId,
    /// A placing that was not given a number before its decision.
    #[error("the order has no number")]
    NoOrderNumber,
}
