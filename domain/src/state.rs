//! The state of any stream, for folding one without knowing its kind.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::order::{self, Order};
use crate::payment::{self, Payment};
use crate::shipment::{self, Shipment};
use crate::stream::StreamKind;

/// The fold of a stream's events, shared between whoever holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Of an order's stream.
    Order(Arc<Order>),
    /// Of a payment's stream.
    Payment(Arc<Payment>),
    /// Of a shipment's stream.
    Shipment(Arc<Shipment>),
}

impl State {
    /// A stream without events.
    pub fn new(kind: StreamKind) -> Self {
        match kind {
            StreamKind::Order => State::Order(Arc::default()),
            StreamKind::Payment => State::Payment(Arc::default()),
            StreamKind::Shipment => State::Shipment(Arc::default()),
        }
    }

    /// The state after `event`, which happened `at` this business time. An event of another kind of stream changes
    /// nothing.
    #[must_use]
    pub fn evolve(self, event: &Event, at: DateTime<Utc>) -> Self {
        match (self, event) {
            (State::Order(state), Event::Order(event)) => {
                State::Order(Arc::new(order::evolve(Arc::unwrap_or_clone(state), event, at)))
            }
            (State::Payment(state), Event::Payment(event)) => {
                State::Payment(Arc::new(payment::evolve(Arc::unwrap_or_clone(state), event)))
            }
            (State::Shipment(state), Event::Shipment(event)) => {
                State::Shipment(Arc::new(shipment::evolve(Arc::unwrap_or_clone(state), event)))
            }
            (state, _) => state,
        }
    }

    /// About how much memory it holds, for a cache that counts bytes.
    pub fn approximate_bytes(&self) -> usize {
        match self {
            State::Order(state) => state.approximate_bytes(),
            State::Payment(state) => state.approximate_bytes(),
            State::Shipment(state) => state.approximate_bytes(),
        }
    }
}
