//! The state of any stream, for folding one without knowing its kind.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::order::{self, Order};
use crate::payment::{self, Payment};
use crate::shipment::{self, Shipment};
use crate::stream::StreamKind;

/// The fold of a stream's events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "one is held at a time; a box would only add an allocation"
)]
pub enum State {
    /// Of an order's stream.
    Order(Order),
    /// Of a payment's stream.
    Payment(Payment),
    /// Of a shipment's stream.
    Shipment(Shipment),
}

impl State {
    /// A stream without events.
    pub fn new(kind: StreamKind) -> Self {
        match kind {
            StreamKind::Order => State::Order(Order::default()),
            StreamKind::Payment => State::Payment(Payment::default()),
            StreamKind::Shipment => State::Shipment(Shipment::default()),
        }
    }

    /// The state after `event`. An event of another kind of stream changes nothing.
    #[must_use]
    pub fn evolve(self, event: &Event) -> Self {
        match (self, event) {
            (State::Order(state), Event::Order(event)) => State::Order(order::evolve(state, event)),
            (State::Payment(state), Event::Payment(event)) => State::Payment(payment::evolve(state, event)),
            (State::Shipment(state), Event::Shipment(event)) => {
                State::Shipment(shipment::evolve(state, event))
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
