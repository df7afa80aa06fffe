//! Disputes: money that a payer's bank asks back, and who kept it in the end.
//!
//! A dispute begins at the gateway, so its name there is its id. It is let in only for money that is there (M3): what was
//! refunded, or is being refunded, cannot be lost once more.

use super::{Decided, currency, require_past};
use crate::context::Context;
use crate::decide::Decision;
use crate::limits;
use crate::payment::command::{RecordDispute, RecordDisputeOutcome};
use crate::payment::error::PaymentError;
use crate::payment::event::{DisputeClosed, DisputeOpened, DisputeOutcome, PaymentEvent};
use crate::payment::state::Payment;

/// M3: more than what was taken and went no other way.
fn exceeds(payment: &Payment, requested: i64) -> PaymentError {
    PaymentError::DisputeExceedsCaptured {
        captured: payment.captured(),
        refunded: payment.refunded(),
        pending: payment.refund_pending(),
        disputed: payment.disputed().saturating_add(payment.lost()),
        requested,
    }
}

/// M5: a dispute that is known, open or closed, is not opened again.
pub(crate) fn record_dispute(payment: &Payment, command: &RecordDispute, context: &Context) -> Decided {
    require_past(context, command.at)?;
    let currency = currency(payment);
    let amount = command.amount.positive_in(currency)?;
    if payment.disputes.contains_key(&command.dispute) {
        return Ok(Decision::NothingToDo);
    }
    if amount > payment.refundable() {
        return Err(exceeds(payment, amount));
    }
    if payment.disputes.len() >= limits::PAYMENT_DISPUTES {
        return Err(PaymentError::TooManyDisputes {
            limit: limits::PAYMENT_DISPUTES,
        });
    }
    Ok(Decision::one(PaymentEvent::DisputeOpened(DisputeOpened {
        dispute: command.dispute.clone(),
        amount,
        currency,
        reason: command.reason.clone(),
        respond_by: command.respond_by,
        at: command.at,
    })))
}

/// M5: the outcome of an unknown dispute is nothing, and of two outcomes the one with the newer gateway time counts.
pub(crate) fn record_dispute_outcome(
    payment: &Payment,
    command: &RecordDisputeOutcome,
    context: &Context,
) -> Decided {
    require_past(context, command.at)?;
    let Some(dispute) = payment.disputes.get(&command.dispute) else {
        return Ok(Decision::NothingToDo);
    };
    let stale = dispute.closed_at.is_some_and(|known| command.at <= known);
    if stale || dispute.outcome == Some(command.outcome) {
        return Ok(Decision::NothingToDo);
    }
    // One that was won before takes from what is free by now; an open one was counted all along.
    let reopened = dispute.outcome.is_some();
    if reopened && command.outcome == DisputeOutcome::Lost && dispute.amount > payment.refundable() {
        return Err(exceeds(payment, dispute.amount));
    }
    Ok(Decision::one(PaymentEvent::DisputeClosed(DisputeClosed {
        dispute: command.dispute.clone(),
        outcome: command.outcome,
        amount: dispute.amount,
        currency: currency(payment),
        at: command.at,
    })))
}
