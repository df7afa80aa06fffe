//! What an order decides: while it is a draft, as a sale, and about its goods, there and back.

mod draft;
mod fulfillment;
mod returns;
mod sale;

pub(crate) use draft::{add_line, create, place, remind, set_details, set_line_quantity};
pub(crate) use fulfillment::{allocate, cancel_lines, release};
pub(crate) use returns::{receive_return, request_return};
pub(crate) use sale::{
    cancel, complete, confirm, correct_address, expire, flag, forget, place_hold, release_hold,
};

use super::error::OrderError;
use super::state::{Order, OrderStatus};
use crate::money::Currency;

/// The order's currency: it has one from its first event on.
pub(crate) fn currency(order: &Order) -> Currency {
    order.currency.unwrap_or(Currency::EUR)
}

/// Refuses unless the order has one of the statuses.
fn require(
    order: &Order,
    attempted: &'static str,
    allowed: &'static [OrderStatus],
) -> Result<(), OrderError> {
    if allowed.contains(&order.status) {
        Ok(())
    } else {
        Err(OrderError::IllegalTransition {
            from: order.status,
            attempted,
            allowed,
        })
    }
}

/// Refuses while the order is stopped.
fn require_no_hold(order: &Order) -> Result<(), OrderError> {
    if order.holds.is_empty() {
        Ok(())
    } else {
        Err(OrderError::OnHold {
            reasons: order.holds.iter().copied().collect(),
        })
    }
}

/// Refuses to add personal data that nothing can seal any more.
fn require_remembered(order: &Order) -> Result<(), OrderError> {
    match &order.subject {
        Some(subject) if order.forgotten => Err(OrderError::Forgotten {
            subject: subject.clone(),
        }),
        _ => Ok(()),
    }
}
