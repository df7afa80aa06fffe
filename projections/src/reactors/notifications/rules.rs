//! The rules: what a change of an order says to its recipient. Pure functions; each has its name in the ledger for ever.

use super::{Fact, state::OrderState};
use docket_domain::{Event, order::OrderEvent, payment::PaymentEvent, shipment::ShipmentEvent};

/// An order before and after one event.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// The order before.
    pub before: &'a OrderState,
    /// The order after.
    pub after: &'a OrderState,
    /// Of the payment or shipment that the event is about.
    pub number: u16,
}

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name: in the ledger and in `reactor_rules`.
    pub name: &'static str,
    /// Whether it can say something to such an event at all.
    pub concerns: fn(&Event) -> bool,
    /// What it says to an event that concerns it.
    pub says: fn(&Change<'_>) -> Option<Fact>,
}

/// All of them.
pub const RULES: &[Rule] = &[ORDER_PAID, ORDER_SHIPPED];

/// Their names.
pub const NAMES: &[&str] = &[ORDER_PAID.name, ORDER_SHIPPED.name];

/// The first time that what was taken covers what is due: most often by a capture, also when the unpaid rest is
/// cancelled. An authorization is a promise and no payment, and a refund does not unsay what was said.
const ORDER_PAID: Rule = Rule {
    name: "order_paid",
    concerns: |event| {
        matches!(
            event,
            Event::Payment(PaymentEvent::Captured(_)) | Event::Order(OrderEvent::LinesCancelled(_))
        )
    },
    says: |change| {
        let order = &change.after.order;
        if change.before.was_paid || !change.after.was_paid {
            return None;
        }
        Some(Fact::OrderPaid {
            amount: order.due(),
            currency: order.currency?,
            number: order.number?,
        })
    },
};

/// Each shipment that leaves, and whether everything has left with it.
const ORDER_SHIPPED: Rule = Rule {
    name: "order_shipped",
    concerns: |event| matches!(event, Event::Shipment(ShipmentEvent::Dispatched(_))),
    says: |change| {
        Some(Fact::OrderShipped {
            shipment: change.number,
            complete: change.after.has_left(),
            number: change.after.order.number?,
        })
    },
};
