//! Returns: what the customer sends back, and what they are to get for it (Q2: returned <= delivered).
//!
//! Delivered is told by the shipments; a parcel that its carrier brought back was never delivered and is no return. Pieces
//! that are to come back count as if they had: they cannot be announced twice. A delivery does not end otherwise later,
//! so what was let in once is covered for ever, and receiving asks the order alone.

use std::collections::{BTreeMap, BTreeSet};

use super::{currency, require};
use crate::case::Case;
use crate::decide::Decision;
use crate::ids::{LineId, ReturnId};
use crate::limits;
use crate::money::MoneyError;
use crate::order::command::{ReceiveReturn, RequestReturn};
use crate::order::error::OrderError;
use crate::order::event::{OrderEvent, ReturnReceived, ReturnRequested};
use crate::order::state::{Order, OrderStatus};
use crate::quantity::Quantity;

type Decided = Result<Decision<OrderEvent>, OrderError>;

/// Adds up the pieces of each line, which stands once for each of what is said of it.
fn by_line<T: Ord>(
    lines: impl IntoIterator<Item = (LineId, Quantity, T)>,
) -> Result<BTreeMap<LineId, u32>, OrderError> {
    let (mut seen, mut sums) = (BTreeSet::new(), BTreeMap::new());
    for (line, quantity, said) in lines {
        if !seen.insert((line, said)) {
            return Err(OrderError::DuplicateLine { line });
        }
        let sum: &mut u32 = sums.entry(line).or_default();
        *sum = sum.saturating_add(quantity.get());
    }
    if sums.is_empty() {
        return Err(OrderError::NoLines);
    }
    Ok(sums)
}

/// What the customer paid for pieces that come back after those that `before` counts.
fn value(
    order: &Order,
    pieces: &BTreeMap<LineId, u32>,
    before: impl Fn(LineId) -> u32,
) -> Result<i64, OrderError> {
    let mut value = 0i64;
    for (&id, &pieces) in pieces {
        let line = order.line(id).ok_or(OrderError::UnknownLine { line: id })?;
        let share = line.value_returned(before(id), pieces)?;
        value = value.checked_add(share).ok_or(MoneyError::Overflow)?;
    }
    Ok(value)
}

/// Announces a return. Its refund is what the pieces cost, without shipping, if all of them come back.
pub(crate) fn request_return(case: &Case, command: &RequestReturn) -> Decided {
    let order = &case.order;
    require(
        order,
        "have goods returned",
        &[OrderStatus::Confirmed, OrderStatus::Completed],
    )?;
    let lines = command.lines.iter();
    let pieces = by_line(lines.map(|pieces| (pieces.line, pieces.quantity, pieces.reason)))?;
    let mut before = BTreeMap::new();
    for (&id, &requested) in &pieces {
        let line = order.line(id).ok_or(OrderError::UnknownLine { line: id })?;
        let (delivered, returned, pending) = (case.delivered(id), line.returned, order.return_pending(id));
        let gone = returned.saturating_add(pending);
        if requested > delivered.saturating_sub(gone) {
            return Err(OrderError::ReturnExceedsDelivered {
                line: id,
                delivered,
                returned,
                pending,
                requested,
            });
        }
        before.insert(id, gone);
    }
    let last = order.returns.keys().next_back().map_or(0, |last| last.0);
    if last >= limits::ORDER_RETURNS {
        return Err(OrderError::TooManyReturns {
            limit: limits::ORDER_RETURNS,
        });
    }
    Ok(Decision::one(OrderEvent::ReturnRequested(ReturnRequested {
        return_id: ReturnId(last + 1),
        lines: command.lines.clone(),
        refund_due: value(order, &pieces, |id| before.get(&id).copied().unwrap_or(0))?,
        currency: currency(order),
    })))
}

/// Closes a return with what came of it: as much as was announced, or less. Whatever the order's status is by now, the
/// goods are there.
pub(crate) fn receive_return(order: &Order, command: &ReceiveReturn) -> Decided {
    let return_id = command.return_id;
    let back = order
        .returns
        .get(&return_id)
        .ok_or(OrderError::UnknownReturn { return_id })?;
    if let Some(received) = &back.received {
        return if *received == command.lines {
            Ok(Decision::NothingToDo)
        } else {
            Err(OrderError::ReturnReceived { return_id })
        };
    }
    let lines = command.lines.iter();
    let pieces = by_line(lines.map(|pieces| (pieces.line, pieces.quantity, pieces.condition)))?;
    for (&id, &received) in &pieces {
        let announced = back.lines.iter().filter(|pieces| pieces.line == id);
        let requested = announced.fold(0u32, |sum, pieces| sum.saturating_add(pieces.quantity.get()));
        if received > requested {
            return Err(OrderError::ReceivedExceedsRequested {
                return_id,
                line: id,
                requested,
                received,
            });
        }
    }
    let returned = |id| order.line(id).map_or(0, |line| line.returned);
    Ok(Decision::one(OrderEvent::ReturnReceived(ReturnReceived {
        return_id,
        lines: command.lines.clone(),
        refund_due: value(order, &pieces, returned)?,
        currency: currency(order),
    })))
}
