//! What an order's events do to its state. Total: what is in the log has happened, so nothing here can refuse; an event
//! that names what is not there changes nothing, and sums saturate.
//!
//! The time of an event comes from its envelope. Only the rest of a draft depends on it, so what an event says and when
//! it was said are two functions.

use chrono::{DateTime, Utc};

use super::event::{AddressKind, DetailsSet, Drafted, OrderEvent, Placed, ReturnReceived};
use super::state::{Allocation, Idle, Order, OrderLine, OrderStatus, Return};
use crate::address::Address;
use crate::ids::LineId;
use crate::personal::Personal;
use crate::quantity::{self, LineQuantity, Quantity};

/// The state after `event`, which happened `at` this business time.
#[must_use]
pub fn evolve(order: Order, event: &OrderEvent, at: DateTime<Utc>) -> Order {
    let mut order = apply(order, event);
    note_time(&mut order, event, at);
    order
}

/// How long nobody has worked on a draft. Business times may run backwards in an import: the newest counts.
fn note_time(order: &mut Order, event: &OrderEvent, at: DateTime<Utc>) {
    match event {
        OrderEvent::Drafted(_)
        | OrderEvent::LineAdded(_)
        | OrderEvent::LineQuantityChanged(_)
        | OrderEvent::DetailsSet(_) => {
            let idle = order.idle.get_or_insert(Idle {
                since: at,
                reminders: 0,
                reminded_at: None,
            });
            idle.since = idle.since.max(at);
        }
        OrderEvent::Abandoned(event) => {
            if let Some(idle) = &mut order.idle {
                idle.reminders = event.reminder;
                idle.reminded_at = idle.reminded_at.max(Some(at));
            }
        }
        _ => {}
    }
    if order.status != OrderStatus::Draft {
        order.idle = None;
    }
}

/// What an event says, whenever it was said.
pub(super) fn apply(mut order: Order, event: &OrderEvent) -> Order {
    match event {
        OrderEvent::Drafted(event) => drafted(&mut order, event),
        OrderEvent::LineAdded(event) => {
            order.last_line = event.line.id.0;
            order.lines.push(OrderLine {
                line: event.line.clone(),
                cancelled: 0,
                allocated: 0,
                returned: 0,
            });
        }
        OrderEvent::LineQuantityChanged(event) => match Quantity::try_new(event.to) {
            Err(_) => order.lines.retain(|line| line.line.id != event.line),
            Ok(quantity) => with_line(&mut order, event.line, |line| {
                line.line.quantity = quantity;
                line.line.discount = event.discount;
                line.line.tax = event.tax;
            }),
        },
        OrderEvent::DetailsSet(event) => details_set(&mut order, event),
        OrderEvent::Placed(event) => placed(&mut order, event),
        OrderEvent::AddressCorrected(event) => match event.which {
            AddressKind::Shipping => order.shipping_address = Some(event.to.clone()),
            AddressKind::Billing => order.billing_address = Some(event.to.clone()),
        },
        OrderEvent::Confirmed(_) => order.status = OrderStatus::Confirmed,
        OrderEvent::HoldPlaced(event) => {
            order.holds.insert(event.reason);
        }
        OrderEvent::HoldReleased(event) => {
            order.holds.remove(&event.reason);
        }
        OrderEvent::PersonalDataForgotten(_) => forgotten(&mut order),
        OrderEvent::LinesCancelled(event) => {
            for_each(&mut order, &event.lines, |line, pieces| {
                line.cancelled = line.cancelled.saturating_add(pieces)
            });
            order.cancelled_value = order.cancelled_value.saturating_add(event.value);
        }
        OrderEvent::Cancelled(_) => order.status = OrderStatus::Cancelled,
        OrderEvent::Expired(_) => order.status = OrderStatus::Expired,
        OrderEvent::FulfillmentAllocated(event) => {
            for_each(&mut order, &event.lines, |line, pieces| {
                line.allocated = line.allocated.saturating_add(pieces)
            });
            let allocation = Allocation {
                lines: event.lines.clone(),
                released: false,
            };
            order.allocations.insert(event.shipment, allocation);
        }
        OrderEvent::FulfillmentReleased(event) => {
            for_each(&mut order, &event.lines, |line, pieces| {
                line.allocated = line.allocated.saturating_sub(pieces)
            });
            if let Some(allocation) = order.allocations.get_mut(&event.shipment) {
                match quantity::without(&allocation.lines, &event.lines) {
                    rest if rest.is_empty() => allocation.released = true,
                    rest => allocation.lines = rest,
                }
            }
        }
        OrderEvent::PaymentAttached(event) => order.payments = order.payments.max(event.payment),
        OrderEvent::Completed(_) => order.status = OrderStatus::Completed,
        OrderEvent::Flagged(event) => order.flags.push(event.clone()),
        OrderEvent::ReturnRequested(event) => {
            let back = Return {
                lines: event.lines.clone(),
                refund_due: event.refund_due,
                received: None,
            };
            order.returns.insert(event.return_id, back);
        }
        OrderEvent::ReturnReceived(event) => return_received(&mut order, event),
        OrderEvent::Abandoned(_) => {}
    }
    order
}

fn with_line(order: &mut Order, id: LineId, change: impl FnOnce(&mut OrderLine)) {
    if let Some(line) = order.lines.iter_mut().find(|line| line.line.id == id) {
        change(line);
    }
}

fn for_each(order: &mut Order, lines: &[LineQuantity], change: impl Fn(&mut OrderLine, u32)) {
    for &LineQuantity { line, quantity } in lines {
        with_line(order, line, |line| change(line, quantity.get()));
    }
}

fn return_received(order: &mut Order, event: &ReturnReceived) {
    let Some(back) = order.returns.get_mut(&event.return_id) else {
        return;
    };
    back.received = Some(event.lines.clone());
    back.refund_due = event.refund_due;
    for pieces in &event.lines {
        with_line(order, pieces.line, |line| {
            line.returned = line.returned.saturating_add(pieces.quantity.get());
        });
    }
}

fn drafted(order: &mut Order, event: &Drafted) {
    order.status = OrderStatus::Draft;
    order.subject = Some(event.subject.clone());
    order.customer.clone_from(&event.customer);
    order.name.clone_from(&event.name);
    order.email.clone_from(&event.email);
    order.phone.clone_from(&event.phone);
    order.channel = Some(event.channel.clone());
    order.currency = Some(event.currency);
    order.locale = Some(event.locale.clone());
}

fn details_set(order: &mut Order, event: &DetailsSet) {
    fn set<T: Clone>(target: &mut Option<T>, value: &Option<T>) {
        if value.is_some() {
            target.clone_from(value);
        }
    }
    set(&mut order.shipping_address, &event.shipping_address);
    set(&mut order.billing_address, &event.billing_address);
    set(&mut order.shipping_method, &event.shipping_method);
    set(&mut order.name, &event.name);
    set(&mut order.email, &event.email);
    set(&mut order.phone, &event.phone);
    set(&mut order.note, &event.note);
}

/// Only what the draft did not know yet: the rest of the event repeats it for readers of the event alone.
fn placed(order: &mut Order, event: &Placed) {
    order.status = OrderStatus::Placed;
    order.number = Some(event.number);
    order.totals = event.totals;
    order.payment_due_at = Some(event.payment_due_at);
}

/// The key is gone, so what it sealed says nothing more. Fields of their own are dropped, an address keeps its country.
fn forgotten(order: &mut Order) {
    order.forgotten = true;
    order.name = None;
    order.email = None;
    order.phone = None;
    order.note = None;
    for Address { lines, .. } in [&mut order.shipping_address, &mut order.billing_address]
        .into_iter()
        .flatten()
    {
        *lines = Personal::Forgotten;
    }
}
