//! The sale: from the customer's commitment to the shop's, and to its end.

use super::{currency, require, require_no_hold, require_remembered};
use crate::actor::Role;
use crate::case::Case;
use crate::context::Context;
use crate::decide::Decision;
use crate::ids::{OrderId, ShipmentId};
use crate::limits;
use crate::order::command::{CancelOrder, ConfirmOrder, CorrectAddress, FlagOrder, PlaceHold, ReleaseHold};
use crate::order::error::OrderError;
use crate::order::event::{
    AddressCorrected, AddressKind, Cancelled, Completed, ConfirmMode, Confirmed, Expired, Flagged,
    HoldPlaced, HoldReleased, OrderEvent, PersonalDataForgotten,
};
use crate::order::state::{Order, OrderLine, OrderStatus};
use crate::quantity::LineQuantity;
use crate::shipment::ShipmentStatus;

type Decided = Result<Decision<OrderEvent>, OrderError>;

/// Statuses in which an order is under way: committed, and not at an end.
const UNDER_WAY: &[OrderStatus] = &[OrderStatus::Placed, OrderStatus::Confirmed];

/// Q4: refuses once a carrier has or had anything.
fn require_nothing_dispatched(case: &Case, order: OrderId) -> Result<(), OrderError> {
    match case
        .shipments
        .iter()
        .find(|(_, shipment)| shipment.was_dispatched())
    {
        Some((&number, _)) => Err(OrderError::AlreadyDispatched {
            shipment: ShipmentId::new(order, number),
        }),
        None => Ok(()),
    }
}

pub(crate) fn correct_address(case: &Case, command: &CorrectAddress) -> Decided {
    let order = &case.order;
    require(order, "have its address corrected", UNDER_WAY)?;
    let from = match command.which {
        AddressKind::Shipping => &order.shipping_address,
        AddressKind::Billing => &order.billing_address,
    };
    if from.as_ref() == Some(&command.address) {
        return Ok(Decision::NothingToDo);
    }
    require_remembered(order)?;
    require_nothing_dispatched(case, command.order)?;
    Ok(Decision::one(OrderEvent::AddressCorrected(Box::new(
        AddressCorrected {
            which: command.which,
            from: from.clone(),
            to: command.address.clone(),
        },
    ))))
}

pub(crate) fn confirm(case: &Case, command: &ConfirmOrder, context: &Context) -> Decided {
    let order = &case.order;
    if order.status == OrderStatus::Confirmed {
        return Ok(Decision::NothingToDo);
    }
    require(order, "be confirmed", &[OrderStatus::Placed])?;
    require_no_hold(order)?;
    let (authorized, total, currency) = (case.secured(), order.due(), currency(order));
    match command.mode {
        ConfirmMode::Automatic if authorized < total => {
            return Err(OrderError::NotAuthorized {
                authorized,
                total,
                currency,
            });
        }
        ConfirmMode::Manual if !matches!(context.actor.role, Role::Staff | Role::Operator) => {
            return Err(OrderError::ManualByPersonOnly);
        }
        ConfirmMode::Automatic | ConfirmMode::Manual => {}
    }
    let secured = case.payments.iter().filter(|(_, payment)| payment.secured() > 0);
    let payments = secured.map(|(&number, _)| number).collect();
    Ok(Decision::one(OrderEvent::Confirmed(Confirmed {
        mode: command.mode,
        authorized,
        currency,
        payments,
    })))
}

pub(crate) fn place_hold(order: &Order, command: &PlaceHold) -> Decided {
    require(order, "be put on hold", UNDER_WAY)?;
    if order.holds.contains(&command.reason) {
        return Ok(Decision::NothingToDo);
    }
    Ok(Decision::one(OrderEvent::HoldPlaced(HoldPlaced {
        reason: command.reason,
    })))
}

pub(crate) fn release_hold(order: &Order, command: &ReleaseHold) -> Decided {
    require(order, "be released from hold", UNDER_WAY)?;
    if !order.holds.contains(&command.reason) {
        return Ok(Decision::NothingToDo);
    }
    Ok(Decision::one(OrderEvent::HoldReleased(HoldReleased {
        reason: command.reason,
    })))
}

/// Whatever the status: what a detector notices late is still worth knowing.
pub(crate) fn flag(order: &Order, command: &FlagOrder) -> Decided {
    let (count, limit) = (command.evidence.len(), limits::FLAG_EVIDENCE);
    if count > limit {
        return Err(OrderError::TooMuchEvidence { count, limit });
    }
    let flagged = Flagged {
        signal: command.signal,
        evidence: command.evidence.iter().cloned().collect(),
    };
    if order.flags.contains(&flagged) {
        return Ok(Decision::NothingToDo);
    }
    if order.flags.len() >= limits::ORDER_FLAGS {
        return Err(OrderError::TooManyFlags {
            limit: limits::ORDER_FLAGS,
        });
    }
    Ok(Decision::one(OrderEvent::Flagged(flagged)))
}

pub(crate) fn cancel(case: &Case, command: &CancelOrder) -> Decided {
    let order = &case.order;
    if order.status == OrderStatus::Cancelled {
        return Ok(Decision::NothingToDo);
    }
    require(
        order,
        "be cancelled",
        &[OrderStatus::Draft, OrderStatus::Placed, OrderStatus::Confirmed],
    )?;
    require_nothing_dispatched(case, command.order)?;
    Ok(Decision::one(OrderEvent::Cancelled(Cancelled {
        reason: command.reason.clone(),
    })))
}

/// A timer's command: it may ring early, or after the money came.
pub(crate) fn expire(case: &Case, context: &Context) -> Decided {
    let order = &case.order;
    if order.status == OrderStatus::Expired {
        return Ok(Decision::NothingToDo);
    }
    require(order, "expire", &[OrderStatus::Placed])?;
    let due_at = order.payment_due_at.unwrap_or(context.now);
    if context.now < due_at {
        return Err(OrderError::NotDue { due_at });
    }
    let (authorized, total) = (case.secured(), order.due());
    if authorized >= total {
        return Err(OrderError::Covered {
            authorized,
            total,
            currency: currency(order),
        });
    }
    Ok(Decision::one(OrderEvent::Expired(Expired { due_at })))
}

/// The end of the sale, not of the order: returns and disputes may follow it. A return that was asked for does not hold
/// it up, because one may be asked for a day later as well; a refund under way and a dispute that is open do. What a lost
/// dispute took was captured before, so it is settled, at the shop's expense.
pub(crate) fn complete(case: &Case, context: &Context) -> Decided {
    let order = &case.order;
    if order.status == OrderStatus::Completed {
        return Ok(Decision::NothingToDo);
    }
    require(order, "be completed", &[OrderStatus::Confirmed])?;
    require_no_hold(order)?;
    let mut goods = order.lines.iter().filter(|line| line.line.requires_shipping);
    goods.try_for_each(|line| require_arrived(case, line))?;
    let captured = total(case, |payment| payment.captured());
    let open = total(case, |payment| {
        payment
            .capturable()
            .saturating_add(payment.refund_pending())
            .saturating_add(payment.disputed())
    });
    let due = order.due();
    if captured < due || open > 0 {
        return Err(OrderError::NotSettled {
            due,
            captured,
            pending: open,
            currency: currency(order),
        });
    }
    Ok(Decision::one(OrderEvent::Completed(Completed {
        completed_at: context.now,
    })))
}

fn total(case: &Case, of: impl Fn(&crate::payment::Payment) -> i64) -> i64 {
    case.payments
        .values()
        .fold(0, |sum, payment| sum.saturating_add(of(payment)))
}

/// Every piece of a line is cancelled, there, or on its way back.
fn require_arrived(case: &Case, line: &OrderLine) -> Result<(), OrderError> {
    let (id, ordered, cancelled) = (line.line.id, line.line.quantity.get(), line.cancelled);
    let arrived = case.shipments.values().filter(|shipment| {
        matches!(
            shipment.status,
            ShipmentStatus::Delivered | ShipmentStatus::Returned
        )
    });
    let delivered = arrived
        .flat_map(|shipment| &shipment.lines)
        .filter(|LineQuantity { line, .. }| *line == id)
        .fold(0u32, |sum, pieces| sum.saturating_add(pieces.quantity.get()));
    if cancelled.saturating_add(delivered) >= ordered {
        Ok(())
    } else {
        Err(OrderError::NotDelivered {
            line: id,
            ordered,
            cancelled,
            delivered,
        })
    }
}

/// Records, whatever the status, that the key is destroyed.
pub(crate) fn forget(order: &Order) -> Decision<OrderEvent> {
    match &order.subject {
        Some(subject) if !order.forgotten => {
            Decision::one(OrderEvent::PersonalDataForgotten(PersonalDataForgotten {
                subject: subject.clone(),
            }))
        }
        _ => Decision::NothingToDo,
    }
}
