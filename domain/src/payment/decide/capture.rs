//! Captures: money that a gateway is asked to take, and what came of it.

use super::{Decided, currency, illegal, is_news, require_past};
use crate::context::Context;
use crate::decide::Decision;
use crate::ids::CaptureId;
use crate::limits;
use crate::payment::command::{CapturePayment, RecordCapture, RecordCaptureFailure};
use crate::payment::error::PaymentError;
use crate::payment::event::{CaptureFailed, CaptureMethod, CaptureRequested, Captured, PaymentEvent};
use crate::payment::state::{OperationStatus, Payment, PaymentStatus, Phase};

/// M2: more than what is held and not spoken for.
fn exceeds(payment: &Payment, requested: i64) -> PaymentError {
    PaymentError::CaptureExceedsAuthorized {
        authorized: payment.authorized,
        captured: payment.captured(),
        pending: payment.capture_pending(),
        released: payment.voided.saturating_add(payment.expired),
        requested,
    }
}

pub(crate) fn capture(payment: &Payment, command: &CapturePayment) -> Decided {
    const ALLOWED: &[PaymentStatus] = &[PaymentStatus::Authorized, PaymentStatus::PartiallyCaptured];
    if payment.phase != Phase::Authorized {
        return Err(illegal(payment, "be captured", ALLOWED));
    }
    let currency = currency(payment);
    let uncommitted = payment.uncommitted();
    let requested = command
        .amount
        .map(|amount| amount.positive_in(currency))
        .transpose()?;
    if payment.has_final_capture() {
        return Err(PaymentError::FinalCaptureRequested);
    }
    let amount = requested.unwrap_or(uncommitted);
    if amount > uncommitted || amount == 0 {
        return Err(exceeds(payment, amount));
    }
    let last = payment.captures.keys().next_back().map_or(0, |last| last.0);
    if last >= limits::PAYMENT_CAPTURES {
        return Err(PaymentError::TooManyOperations {
            what: "captures",
            limit: limits::PAYMENT_CAPTURES,
        });
    }
    Ok(Decision::one(PaymentEvent::CaptureRequested(CaptureRequested {
        capture: CaptureId(last + 1),
        amount,
        currency,
        is_final: command.is_final || payment.capture_method != Some(CaptureMethod::ManualMultiple),
        shipment: command.shipment,
    })))
}

pub(crate) fn record_capture(payment: &Payment, command: &RecordCapture, context: &Context) -> Decided {
    require_past(context, command.at)?;
    let capture = command.capture;
    let known = payment.captures.get(&capture);
    let Some(operation) = known.filter(|_| is_news(known, OperationStatus::Done, command.at)) else {
        return Ok(Decision::NothingToDo);
    };
    // One that had failed before takes from what is free; a pending one was counted all along.
    let counted = if operation.status == OperationStatus::Pending {
        operation.amount
    } else {
        0
    };
    let free = payment.uncommitted().saturating_add(counted);
    if operation.amount > free {
        return Err(exceeds(payment, operation.amount));
    }
    // M4: after the last one the rest is let go, except what others still being captured may take.
    let released = if operation.is_final {
        free.saturating_sub(operation.amount)
    } else {
        0
    };
    Ok(Decision::one(PaymentEvent::Captured(Captured {
        capture,
        amount: operation.amount,
        currency: currency(payment),
        reference: command.reference.clone(),
        at: command.at,
        released,
    })))
}

pub(crate) fn record_capture_failure(
    payment: &Payment,
    command: &RecordCaptureFailure,
    context: &Context,
) -> Decided {
    require_past(context, command.at)?;
    let capture = command.capture;
    let known = payment.captures.get(&capture);
    let Some(operation) = known.filter(|_| is_news(known, OperationStatus::Failed, command.at)) else {
        return Ok(Decision::NothingToDo);
    };
    if operation.status == OperationStatus::Done && operation.amount > payment.refundable() {
        // M3: what was given back cannot turn out never to have been taken.
        return Err(PaymentError::RefundExceedsCaptured {
            captured: payment.captured().saturating_sub(operation.amount),
            refunded: payment.refunded(),
            pending: payment.refund_pending(),
            disputed: payment.disputed().saturating_add(payment.lost()),
            requested: 0,
        });
    }
    // M4: where nothing can be captured any more, what it would have taken is let go too.
    let other_final_done = payment
        .captures
        .iter()
        .any(|(&id, other)| id != capture && other.is_final && other.status == OperationStatus::Done);
    let closed = other_final_done || matches!(payment.phase, Phase::Voided | Phase::Expired);
    Ok(Decision::one(PaymentEvent::CaptureFailed(CaptureFailed {
        capture,
        amount: operation.amount,
        currency: currency(payment),
        failure: command.failure.clone(),
        reference: command.reference.clone(),
        at: command.at,
        released: if closed {
            payment.uncommitted().saturating_add(operation.amount)
        } else {
            0
        },
    })))
}
