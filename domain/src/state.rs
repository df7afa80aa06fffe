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

#[cfg(test)]
mod tests {
    use crate::testing::layout;
    use crate::{address, order, payment, quantity, shipment};

    /// Documents of orders hold states packed: by the places of fields and variants. A field with a default, and a variant,
    /// may be added behind the others. What changes places makes rows unreadable, or worse: raise the version of
    /// `order_detail`'s fold, and add the template of its tables in a migration.
    #[test]
    fn states_are_laid_out_as_packed_documents_know_them() {
        let now = [
            layout::<order::Order>(),
            layout::<order::OrderStatus>(),
            layout::<order::OrderLine>(),
            layout::<order::Line>(),
            layout::<order::Totals>(),
            layout::<order::ShippingMethod>(),
            layout::<order::HoldReason>(),
            layout::<order::Allocation>(),
            layout::<order::Return>(),
            layout::<order::ReturnLine>(),
            layout::<order::ReturnReason>(),
            layout::<order::ReceivedLine>(),
            layout::<order::ReturnCondition>(),
            layout::<order::Flagged>(),
            layout::<order::Signal>(),
            layout::<address::Address>(),
            layout::<quantity::LineQuantity>(),
            layout::<payment::Payment>(),
            layout::<payment::state::Phase>(),
            layout::<payment::CaptureMethod>(),
            layout::<payment::PaymentMethod>(),
            layout::<payment::ActionRequired>(),
            layout::<payment::Operation>(),
            layout::<payment::OperationStatus>(),
            layout::<payment::Dispute>(),
            layout::<payment::DisputeOutcome>(),
            layout::<payment::Failure>(),
            layout::<shipment::Shipment>(),
            layout::<shipment::ShipmentStatus>(),
            layout::<shipment::ParcelState>(),
            layout::<shipment::Parcel>(),
            layout::<shipment::Tracking>(),
            layout::<shipment::CarrierStatus>(),
            layout::<shipment::Cost>(),
        ];
        assert_eq!(
            now.join("\n"),
            include_str!("../tests/layout/states.txt").trim_end()
        );
    }
}
