//! The order's goods: what is set aside for shipments, and what is taken out (Q1: cancelled + allocated <= ordered).

use std::collections::BTreeSet;

use super::{currency, require, require_no_hold};
use crate::case::Case;
use crate::decide::Decision;
use crate::limits;
use crate::money::MoneyError;
use crate::order::command::{AllocateFulfillment, CancelLines, ReleaseFulfillment};
use crate::order::error::OrderError;
use crate::order::event::{FulfillmentAllocated, FulfillmentReleased, LinesCancelled, OrderEvent};
use crate::order::state::{Order, OrderLine, OrderStatus};
use crate::quantity::{self, LineQuantity, Quantity};
use crate::shipment::ShipmentStatus;

type Decided = Result<Decision<OrderEvent>, OrderError>;

/// Q1: finds each line named, once, with that many pieces still open.
fn open_lines<'a>(order: &'a Order, lines: &[LineQuantity]) -> Result<Vec<(&'a OrderLine, u32)>, OrderError> {
    if lines.is_empty() {
        return Err(OrderError::NoLines);
    }
    let mut seen = BTreeSet::new();
    let find = |pieces: &LineQuantity| {
        let (id, requested) = (pieces.line, pieces.quantity.get());
        if !seen.insert(id) {
            return Err(OrderError::DuplicateLine { line: id });
        }
        let line = order.line(id).ok_or(OrderError::UnknownLine { line: id })?;
        if requested > line.open() {
            let (ordered, cancelled, allocated) = (line.line.quantity.get(), line.cancelled, line.allocated);
            return Err(OrderError::ExceedsOpen {
                line: id,
                ordered,
                cancelled,
                allocated,
                requested,
            });
        }
        Ok((line, requested))
    };
    lines.iter().map(find).collect()
}

pub(crate) fn cancel_lines(order: &Order, command: &CancelLines) -> Decided {
    require(
        order,
        "have lines cancelled",
        &[OrderStatus::Placed, OrderStatus::Confirmed],
    )?;
    let mut value = 0i64;
    for (line, pieces) in open_lines(order, &command.lines)? {
        let before = line.line.value_of(line.cancelled)?;
        let after = line.line.value_of(line.cancelled.saturating_add(pieces))?;
        let share = after.checked_sub(before).ok_or(MoneyError::Overflow)?;
        value = value.checked_add(share).ok_or(MoneyError::Overflow)?;
    }
    Ok(Decision::one(OrderEvent::LinesCancelled(LinesCancelled {
        lines: command.lines.clone(),
        reason: command.reason.clone(),
        value,
        currency: currency(order),
    })))
}

pub(crate) fn allocate(order: &Order, command: &AllocateFulfillment) -> Decided {
    require(order, "allocate goods", &[OrderStatus::Confirmed])?;
    require_no_hold(order)?;
    let lines = match &command.lines {
        Some(lines) => lines.clone(),
        None => open_goods(order),
    };
    if command.lines.is_none() && lines.is_empty() {
        return Ok(Decision::NothingToDo);
    }
    for (line, _) in open_lines(order, &lines)? {
        if !line.line.requires_shipping {
            return Err(OrderError::NothingToShip { line: line.line.id });
        }
    }
    let last = order.allocations.keys().next_back().copied().unwrap_or(0);
    if last >= limits::ORDER_SHIPMENTS {
        return Err(OrderError::TooManyShipments {
            limit: limits::ORDER_SHIPMENTS,
        });
    }
    Ok(Decision::one(OrderEvent::FulfillmentAllocated(
        FulfillmentAllocated {
            shipment: last + 1,
            lines,
        },
    )))
}

/// Everything that is to be shipped and not yet set aside.
fn open_goods(order: &Order) -> Vec<LineQuantity> {
    let goods = order.lines.iter().filter(|line| line.line.requires_shipping);
    let open = |line: &OrderLine| {
        Some(LineQuantity {
            line: line.line.id,
            quantity: Quantity::try_new(line.open()).ok()?,
        })
    };
    goods.filter_map(open).collect()
}

/// Gives an allocation back: all of it, or, where a shipment is under way or has arrived, what that does not hold.
pub(crate) fn release(case: &Case, command: &ReleaseFulfillment) -> Decided {
    let (order, shipment) = (&case.order, command.shipment);
    let allocation = order
        .allocations
        .get(&shipment.number)
        .ok_or(OrderError::NotAllocated { shipment })?;
    if allocation.released {
        return Ok(Decision::NothingToDo);
    }
    require(
        order,
        "release goods",
        &[OrderStatus::Confirmed, OrderStatus::Cancelled],
    )?;
    let held: &[LineQuantity] = match case.shipment(shipment.number) {
        None => &[],
        Some(ended) if matches!(ended.status, ShipmentStatus::Cancelled | ShipmentStatus::Failed) => &[],
        Some(shipment) => &shipment.lines,
    };
    let lines = quantity::without(&allocation.lines, held);
    if lines.is_empty() {
        return Err(OrderError::ShipmentLive { shipment });
    }
    let shipment = shipment.number;
    Ok(Decision::one(OrderEvent::FulfillmentReleased(
        FulfillmentReleased { shipment, lines },
    )))
}
