//! An order with its payments and shipments.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::decide::StreamEvent;
use crate::event::Event;
use crate::ids::{LineId, ReturnId};
use crate::order::{self, Order};
use crate::payment::{self, OperationStatus, Payment};
use crate::shipment::{self, Shipment, ShipmentStatus};

/// An order's streams as far as they are loaded: what a command is decided over. What is not loaded and what does not
/// exist look alike; [`crate::Command::needs`] says what has to be loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Case {
    /// The order.
    pub order: Arc<Order>,
    /// By number.
    pub payments: BTreeMap<u16, Arc<Payment>>,
    /// By number.
    pub shipments: BTreeMap<u16, Arc<Shipment>>,
}

impl Case {
    /// Whether every payment and shipment that the order lists is loaded.
    pub fn is_whole(&self) -> bool {
        let (mut payments, mut shipments) = (self.order.payment_numbers(), self.order.shipment_numbers());
        payments.all(|number| self.payments.contains_key(&number))
            && shipments.all(|number| self.shipments.contains_key(&number))
    }

    /// A payment that exists and is loaded.
    pub fn payment(&self, number: u16) -> Option<&Payment> {
        self.payments
            .get(&number)
            .map(Arc::as_ref)
            .filter(|payment| payment.exists())
    }

    /// A shipment that exists and is loaded.
    pub fn shipment(&self, number: u16) -> Option<&Shipment> {
        self.shipments
            .get(&number)
            .map(Arc::as_ref)
            .filter(|shipment| shipment.exists())
    }

    /// Pieces of a line that arrived at the customer's.
    pub fn delivered(&self, line: LineId) -> u32 {
        let arrived = self.shipments.values();
        arrived
            .filter(|shipment| shipment.status == ShipmentStatus::Delivered)
            .flat_map(|shipment| &shipment.lines)
            .filter(|pieces| pieces.line == line)
            .fold(0u32, |sum, pieces| sum.saturating_add(pieces.quantity.get()))
    }

    /// What was given back for a return by all payments, or, as `Pending`, is being given back.
    pub fn refunds_of(&self, return_id: ReturnId, status: OperationStatus) -> i64 {
        let refunds = self
            .payments
            .values()
            .flat_map(|payment| payment.refunds.values());
        refunds
            .filter(|refund| refund.return_id == Some(return_id) && refund.status == status)
            .fold(0, |sum, refund| sum.saturating_add(refund.amount))
    }

    /// What vouches for the order: taken by its payments and not lost, or held to be taken.
    pub fn secured(&self) -> i64 {
        self.payments
            .values()
            .fold(0, |sum, payment| sum.saturating_add(payment.secured()))
    }

    /// The case after `event`, which happened `at` this business time.
    #[must_use]
    pub fn evolve(mut self, event: &StreamEvent, at: DateTime<Utc>) -> Self {
        let number = event.stream.number;
        match &event.event {
            Event::Order(event) => change(&mut self.order, |state| order::evolve(state, event, at)),
            Event::Payment(event) => {
                change(self.payments.entry(number).or_default(), |state| {
                    payment::evolve(state, event)
                });
            }
            Event::Shipment(event) => {
                change(self.shipments.entry(number).or_default(), |state| {
                    shipment::evolve(state, event)
                });
            }
        }
        self
    }
}

/// Evolves a shared state: in place where nobody else holds it, else a copy of it.
fn change<S: Clone + Default>(shared: &mut Arc<S>, evolve: impl FnOnce(S) -> S) {
    let state = std::mem::take(shared);
    *shared = Arc::new(evolve(Arc::unwrap_or_clone(state)));
}
