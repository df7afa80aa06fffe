//! What a payment's events do to its state. Total: what is in the log has happened, so nothing here can refuse; an event
//! that names what is not there changes nothing, and sums saturate.

use chrono::{DateTime, Utc};

use super::event::{Authorized, DisputeOpened, Initiated, PaymentEvent};
use super::state::{Dispute, Operation, OperationStatus, Payment, Phase};

/// The state after `event`.
#[must_use]
pub fn evolve(mut payment: Payment, event: &PaymentEvent) -> Payment {
    match event {
        PaymentEvent::Initiated(event) => initiated(&mut payment, event),
        PaymentEvent::ActionRequired(event) => {
            payment.phase = Phase::ActionRequired;
            payment.action = Some(event.clone());
        }
        PaymentEvent::Authorized(event) => authorized(&mut payment, event),
        PaymentEvent::AuthorizationFailed(event) => {
            payment.phase = Phase::Failed;
            payment.action = None;
            payment.authorized = 0;
            payment.authorization_at = Some(event.at);
            payment.capture_before = None;
        }
        PaymentEvent::AuthorizationAdjusted(event) => {
            payment.authorized = event.new;
            payment.authorization_at = Some(event.at);
            payment.capture_before = event.capture_before.or(payment.capture_before);
        }
        PaymentEvent::AuthorizationExpired(event) => {
            payment.phase = Phase::Expired;
            payment.action = None;
            payment.expired = payment.expired.saturating_add(event.released);
        }
        PaymentEvent::CaptureRequested(event) => {
            payment
                .captures
                .insert(event.capture, pending(event.amount, event.is_final));
        }
        PaymentEvent::Captured(event) => {
            settle(
                payment.captures.get_mut(&event.capture),
                OperationStatus::Done,
                event.at,
            );
            release(&mut payment, event.released);
        }
        PaymentEvent::CaptureFailed(event) => {
            settle(
                payment.captures.get_mut(&event.capture),
                OperationStatus::Failed,
                event.at,
            );
            release(&mut payment, event.released);
        }
        PaymentEvent::Voided(event) => {
            payment.phase = Phase::Voided;
            payment.action = None;
            payment.voided = payment.voided.saturating_add(event.amount);
        }
        PaymentEvent::RefundRequested(event) => {
            let refund = Operation {
                return_id: event.return_id,
                ..pending(event.amount, false)
            };
            payment.refunds.insert(event.refund, refund);
        }
        PaymentEvent::Refunded(event) => {
            settle(
                payment.refunds.get_mut(&event.refund),
                OperationStatus::Done,
                event.at,
            );
        }
        PaymentEvent::RefundFailed(event) => {
            settle(
                payment.refunds.get_mut(&event.refund),
                OperationStatus::Failed,
                event.at,
            );
        }
        PaymentEvent::DisputeOpened(event) => dispute_opened(&mut payment, event),
        PaymentEvent::DisputeClosed(event) => {
            if let Some(dispute) = payment.disputes.get_mut(&event.dispute) {
                dispute.outcome = Some(event.outcome);
                dispute.closed_at = Some(event.at);
            }
        }
    }
    payment
}

fn dispute_opened(payment: &mut Payment, event: &DisputeOpened) {
    let dispute = Dispute {
        amount: event.amount,
        reason: event.reason.clone(),
        respond_by: event.respond_by,
        opened_at: event.at,
        outcome: None,
        closed_at: None,
    };
    payment.disputes.insert(event.dispute.clone(), dispute);
}

fn initiated(payment: &mut Payment, event: &Initiated) {
    payment.phase = Phase::Initiated;
    payment.amount = event.amount;
    payment.currency = Some(event.currency);
    payment.capture_method = Some(event.capture_method);
    payment.method = Some(event.method.clone());
    payment.gateway = Some(event.gateway.clone());
}

fn authorized(payment: &mut Payment, event: &Authorized) {
    payment.phase = Phase::Authorized;
    payment.action = None;
    payment.authorized = event.amount;
    payment.reference = Some(event.reference.clone());
    payment.authorization_at = Some(event.at);
    payment.capture_before = event.capture_before;
}

fn pending(amount: i64, is_final: bool) -> Operation {
    Operation {
        amount,
        is_final,
        status: OperationStatus::Pending,
        result_at: None,
        return_id: None,
    }
}

fn settle(operation: Option<&mut Operation>, status: OperationStatus, at: DateTime<Utc>) {
    if let Some(operation) = operation {
        operation.status = status;
        operation.result_at = Some(at);
    }
}

/// What nothing can be captured of any more: run out where the authorization has, let go otherwise.
fn release(payment: &mut Payment, released: i64) {
    let target = if payment.phase == Phase::Expired {
        &mut payment.expired
    } else {
        &mut payment.voided
    };
    *target = target.saturating_add(released);
}
