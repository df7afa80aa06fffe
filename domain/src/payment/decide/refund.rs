//! Refunds: money that a gateway is asked to give back, and what came of it.

use super::{Decided, currency, illegal, is_news, require_past};
use crate::case::Case;
use crate::context::Context;
use crate::decide::Decision;
use crate::ids::{RefundId, ReturnId};
use crate::limits;
use crate::payment::command::{RecordRefund, RecordRefundFailure, RefundPayment};
use crate::payment::error::PaymentError;
use crate::payment::event::{PaymentEvent, RefundFailed, RefundRequested, Refunded};
use crate::payment::state::{OperationStatus, Payment, PaymentStatus};

/// M3: more than what was taken and neither given back nor being given back.
fn exceeds(payment: &Payment, requested: i64) -> PaymentError {
    PaymentError::RefundExceedsCaptured {
        captured: payment.captured(),
        refunded: payment.refunded(),
        pending: payment.refund_pending(),
        disputed: payment.disputed().saturating_add(payment.lost()),
        requested,
    }
}

/// What is left to give back for a return, by whichever of the order's payments.
fn left_of_return(case: &Case, return_id: ReturnId) -> Result<ReturnMoney, PaymentError> {
    let back = case.order.returns.get(&return_id);
    let back = back.ok_or(PaymentError::UnknownReturn { return_id })?;
    if back.received.is_none() {
        return Err(PaymentError::ReturnNotReceived { return_id });
    }
    Ok(ReturnMoney {
        return_id,
        due: back.refund_due,
        refunded: case.refunds_of(return_id, OperationStatus::Done),
        pending: case.refunds_of(return_id, OperationStatus::Pending),
    })
}

/// A return's money.
struct ReturnMoney {
    return_id: ReturnId,
    due: i64,
    refunded: i64,
    pending: i64,
}

impl ReturnMoney {
    fn left(&self) -> i64 {
        self.due
            .saturating_sub(self.refunded)
            .saturating_sub(self.pending)
            .max(0)
    }

    fn exceeded_by(&self, requested: i64) -> PaymentError {
        PaymentError::RefundExceedsReturn {
            return_id: self.return_id,
            refund_due: self.due,
            refunded: self.refunded,
            pending: self.pending,
            requested,
        }
    }
}

/// Decided over the payment; where it is for a return, over the order and all its payments, because a return may be
/// refunded by several.
pub(crate) fn refund(case: &Case, payment: &Payment, command: &RefundPayment) -> Decided {
    const ALLOWED: &[PaymentStatus] = &[
        PaymentStatus::PartiallyCaptured,
        PaymentStatus::Captured,
        PaymentStatus::PartiallyRefunded,
    ];
    let currency = currency(payment);
    let requested = command
        .amount
        .map(|amount| amount.positive_in(currency))
        .transpose()?;
    if payment.captured() == 0 {
        return Err(illegal(payment, "be refunded", ALLOWED));
    }
    if command.lines.len() > limits::ORDER_LINES {
        return Err(PaymentError::TooManyLines {
            limit: limits::ORDER_LINES,
        });
    }
    let of_return = command
        .return_id
        .map(|return_id| left_of_return(case, return_id))
        .transpose()?;
    let left = of_return.as_ref().map_or(i64::MAX, ReturnMoney::left);
    let amount = requested.unwrap_or(payment.refundable().min(left));
    if let Some(of_return) = &of_return
        && (amount > left || left == 0)
    {
        return Err(of_return.exceeded_by(amount));
    }
    if amount > payment.refundable() || amount == 0 {
        return Err(exceeds(payment, amount));
    }
    let last = payment.refunds.keys().next_back().map_or(0, |last| last.0);
    if last >= limits::PAYMENT_REFUNDS {
        return Err(PaymentError::TooManyOperations {
            what: "refunds",
            limit: limits::PAYMENT_REFUNDS,
        });
    }
    Ok(Decision::one(PaymentEvent::RefundRequested(RefundRequested {
        refund: RefundId(last + 1),
        amount,
        currency,
        reason: command.reason.clone(),
        return_id: command.return_id,
        lines: command.lines.clone(),
    })))
}

pub(crate) fn record_refund(payment: &Payment, command: &RecordRefund, context: &Context) -> Decided {
    require_past(context, command.at)?;
    let known = payment.refunds.get(&command.refund);
    let Some(operation) = known.filter(|_| is_news(known, OperationStatus::Done, command.at)) else {
        return Ok(Decision::NothingToDo);
    };
    if operation.status == OperationStatus::Failed && operation.amount > payment.refundable() {
        return Err(exceeds(payment, operation.amount));
    }
    Ok(Decision::one(PaymentEvent::Refunded(Refunded {
        refund: command.refund,
        amount: operation.amount,
        currency: currency(payment),
        reference: command.reference.clone(),
        at: command.at,
    })))
}

pub(crate) fn record_refund_failure(
    payment: &Payment,
    command: &RecordRefundFailure,
    context: &Context,
) -> Decided {
    require_past(context, command.at)?;
    let known = payment.refunds.get(&command.refund);
    let Some(operation) = known.filter(|_| is_news(known, OperationStatus::Failed, command.at)) else {
        return Ok(Decision::NothingToDo);
    };
    Ok(Decision::one(PaymentEvent::RefundFailed(RefundFailed {
        refund: command.refund,
        amount: operation.amount,
        currency: currency(payment),
        failure: command.failure.clone(),
        reference: command.reference.clone(),
        at: command.at,
    })))
}
