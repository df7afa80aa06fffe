//! What the rules know of an order: the domain's own states, without what is personal or large.

use chrono::{DateTime, Utc};
use docket_domain::{
    Event,
    order::{self, Order},
    payment::{self, Payment},
    shipment::{self, Shipment},
};
use std::collections::BTreeMap;

/// An order with its payments and shipments, after some of its events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderState {
    /// The order.
    pub order: Order,
    /// By number.
    pub payments: BTreeMap<u16, Payment>,
    /// By number.
    pub shipments: BTreeMap<u16, Shipment>,
    /// What was due for it was taken, now or before: true from the first such event on.
    pub was_paid: bool,
}

impl OrderState {
    /// After an event of the order, or of its payment or shipment with this number, that happened at `at`.
    #[must_use]
    pub fn after(mut self, number: u16, event: &Event, at: DateTime<Utc>) -> Self {
        match event {
            Event::Order(event) => {
                let order = order::evolve(self.order, event, at);
                self.order = Order {
                    name: None,
                    email: None,
                    phone: None,
                    note: None,
                    shipping_address: None,
                    billing_address: None,
                    ..order
                };
            }
            Event::Payment(event) => {
                let payment = self.payments.entry(number).or_default();
                *payment = payment::evolve(std::mem::take(payment), event);
                (payment.method, payment.reference, payment.action) = (None, None, None);
            }
            Event::Shipment(event) => {
                let shipment = self.shipments.entry(number).or_default();
                let next = shipment::evolve(std::mem::take(shipment), event);
                *shipment = Shipment {
                    ship_to: None,
                    parcels: Vec::new(),
                    cost: None,
                    scans: Default::default(),
                    ..next
                };
            }
        }
        self.was_paid |= self.is_paid();
        self
    }

    /// Something was taken for the placed order, and it covers what is due.
    fn is_paid(&self) -> bool {
        let captured = self
            .payments
            .values()
            .fold(0_i64, |sum, payment| sum.saturating_add(payment.captured()));
        self.order.number.is_some() && captured > 0 && captured >= self.order.due()
    }

    /// Carriers have, or had, every piece that was bought, needs shipping and was not cancelled.
    pub fn has_left(&self) -> bool {
        let mut lines = self.order.lines.iter().filter(|line| line.line.requires_shipping);
        lines.all(|line| {
            let of_line = self
                .shipments
                .values()
                .filter(|shipment| shipment.was_dispatched())
                .flat_map(|shipment| &shipment.lines)
                .filter(|shipped| shipped.line == line.line.id);
            let shipped = of_line.fold(0_u64, |sum, shipped| {
                sum.saturating_add(u64::from(shipped.quantity.get()))
            });
            let needed = u64::from(line.line.quantity.get()).saturating_sub(u64::from(line.cancelled));
            shipped >= needed
        })
    }

    /// About how much memory it holds, in bytes.
    pub(super) fn approximate_bytes(&self) -> usize {
        let payments = self.payments.values().map(Payment::approximate_bytes);
        let shipments = self.shipments.values().map(Shipment::approximate_bytes);
        size_of::<Self>()
            + self.order.approximate_bytes()
            + payments.sum::<usize>()
            + shipments.sum::<usize>()
    }
}
