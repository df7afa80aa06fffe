//! The authorization: what a gateway holds for us, and until when.

use super::{Decided, currency, illegal, require_past};
use crate::actor::Role;
use crate::context::Context;
use crate::decide::Decision;
use crate::ids::CaptureId;
use crate::limits;
use crate::order::{Order, OrderStatus};
use crate::payment::command::{
    AdjustAuthorization, InitiatePayment, RecordAuthorization, RecordAuthorizationFailure, RequireAction,
    VoidPayment,
};
use crate::payment::error::PaymentError;
use crate::payment::event::{
    ActionRequired, AuthorizationAdjusted, AuthorizationExpired, AuthorizationFailed, Authorized,
    CaptureMethod, CaptureRequested, Initiated, PaymentEvent, Voided,
};
use crate::payment::state::{Payment, PaymentStatus, Phase};

/// Starts the order's next payment; its number goes into the order, so that the order lists it.
pub(crate) fn initiate(
    order: &Order,
    command: &InitiatePayment,
) -> Result<(u16, PaymentEvent), PaymentError> {
    const PAYABLE: &[OrderStatus] = &[OrderStatus::Placed, OrderStatus::Confirmed];
    if !PAYABLE.contains(&order.status) {
        return Err(PaymentError::OrderNotPayable {
            status: order.status,
            allowed: PAYABLE,
        });
    }
    if order.payments >= limits::ORDER_PAYMENTS {
        return Err(PaymentError::TooManyPayments {
            limit: limits::ORDER_PAYMENTS,
        });
    }
    let currency = crate::order::decide::currency(order);
    let initiated = Initiated {
        amount: command.amount.positive_in(currency)?,
        currency,
        capture_method: command.capture_method,
        method: command.method.clone(),
        gateway: command.gateway.clone(),
    };
    Ok((order.payments + 1, PaymentEvent::Initiated(Box::new(initiated))))
}

/// Waits for the payer. Once the gateway has decided, the question is settled (M5).
pub(crate) fn require_action(payment: &Payment, command: &RequireAction, context: &Context) -> Decided {
    require_past(context, command.at)?;
    let action = ActionRequired {
        kind: command.kind.clone(),
        expires_at: command.expires_at,
        at: command.at,
    };
    let is_news = match (&payment.phase, &payment.action) {
        (Phase::Initiated, _) => true,
        (Phase::ActionRequired, Some(known)) => {
            action.at > known.at && (&action.kind, action.expires_at) != (&known.kind, known.expires_at)
        }
        _ => false,
    };
    if !is_news {
        return Ok(Decision::NothingToDo);
    }
    Ok(Decision::one(PaymentEvent::ActionRequired(action)))
}

/// M5: whether the gateway's word on the authorization still counts: nothing was asked for on its strength, it was not
/// let go and has not run out, and no word of a newer or the same gateway time is known.
fn is_open(payment: &Payment, at: chrono::DateTime<chrono::Utc>) -> bool {
    let undone = matches!(payment.phase, Phase::Voided | Phase::Expired);
    !undone && payment.captures.is_empty() && payment.authorization_at.is_none_or(|known| at > known)
}

pub(crate) fn record_authorization(
    payment: &Payment,
    command: &RecordAuthorization,
    context: &Context,
) -> Decided {
    require_past(context, command.at)?;
    let currency = currency(payment);
    let amount = match command.amount {
        Some(amount) => amount.positive_in(currency)?,
        None => payment.amount,
    };
    if amount > payment.amount {
        return Err(PaymentError::AuthorizationExceedsAmount {
            amount: payment.amount,
            authorized: amount,
        });
    }
    let same = payment.phase == Phase::Authorized && payment.authorized == amount;
    if same || !is_open(payment, command.at) {
        return Ok(Decision::NothingToDo);
    }
    let mut events = vec![PaymentEvent::Authorized(Authorized {
        amount,
        currency,
        reference: command.reference.clone(),
        at: command.at,
        capture_before: command.capture_before,
    })];
    if payment.capture_method == Some(CaptureMethod::Automatic) {
        // The gateway takes the money by itself: what it will report is the result of this capture.
        let capture = CaptureId(1);
        let request = CaptureRequested {
            capture,
            amount,
            currency,
            is_final: true,
            shipment: None,
        };
        events.push(PaymentEvent::CaptureRequested(request));
    }
    Ok(Decision::Events(events))
}

pub(crate) fn record_authorization_failure(
    payment: &Payment,
    command: &RecordAuthorizationFailure,
    context: &Context,
) -> Decided {
    require_past(context, command.at)?;
    if payment.phase == Phase::Failed || !is_open(payment, command.at) {
        return Ok(Decision::NothingToDo);
    }
    Ok(Decision::one(PaymentEvent::AuthorizationFailed(
        AuthorizationFailed {
            failure: command.failure.clone(),
            reference: command.reference.clone(),
            at: command.at,
        },
    )))
}

/// M2: the new amount replaces the old, and holds what is taken and being taken.
pub(crate) fn adjust(payment: &Payment, command: &AdjustAuthorization, context: &Context) -> Decided {
    let at = command.at.unwrap_or(context.now);
    require_past(context, at)?;
    if payment.phase != Phase::Authorized {
        let allowed = &[PaymentStatus::Authorized, PaymentStatus::PartiallyCaptured];
        return Err(illegal(payment, "have its authorization adjusted", allowed));
    }
    if payment.has_final_capture() {
        return Err(PaymentError::FinalCaptureRequested);
    }
    let currency = currency(payment);
    let (old, new) = (payment.authorized, command.amount.positive_in(currency)?);
    let stale = payment.authorization_at.is_some_and(|known| at < known);
    let same = new == old
        && command
            .capture_before
            .is_none_or(|until| payment.capture_before == Some(until));
    if stale || same {
        return Ok(Decision::NothingToDo);
    }
    let (captured, pending) = (payment.captured(), payment.capture_pending());
    if new < captured.saturating_add(pending) {
        return Err(PaymentError::AuthorizationBelowCaptured {
            captured,
            pending,
            requested: new,
        });
    }
    Ok(Decision::one(PaymentEvent::AuthorizationAdjusted(
        AuthorizationAdjusted {
            old,
            new,
            currency,
            capture_before: command.capture_before,
            reference: command.reference.clone(),
            at,
        },
    )))
}

/// A timer's or the gateway's word that nothing is held any more. A timer may ring early; whoever else says so knows.
pub(crate) fn expire(payment: &Payment, context: &Context) -> Decided {
    const ALLOWED: &[PaymentStatus] = &[
        PaymentStatus::Initiated,
        PaymentStatus::ActionRequired,
        PaymentStatus::Authorized,
        PaymentStatus::PartiallyCaptured,
    ];
    let released = payment.uncommitted();
    match payment.phase {
        Phase::Expired => return Ok(Decision::NothingToDo),
        Phase::Initiated | Phase::ActionRequired => {}
        Phase::Authorized if released > 0 => {}
        _ => return Err(illegal(payment, "expire", ALLOWED)),
    }
    let due = payment
        .capture_before
        .or(payment.action.as_ref().and_then(|action| action.expires_at));
    let rang_early = due.is_none_or(|due| context.now < due);
    if context.actor.role == Role::Service && rang_early {
        return Err(PaymentError::NotDue { capture_before: due });
    }
    let currency = currency(payment);
    Ok(Decision::one(PaymentEvent::AuthorizationExpired(
        AuthorizationExpired { released, currency },
    )))
}

/// M4: lets go only what is neither taken nor being taken.
pub(crate) fn void(payment: &Payment, command: &VoidPayment) -> Decided {
    const ALLOWED: &[PaymentStatus] = &[
        PaymentStatus::Initiated,
        PaymentStatus::ActionRequired,
        PaymentStatus::Authorized,
        PaymentStatus::PartiallyCaptured,
    ];
    let pending = payment.capture_pending();
    match payment.phase {
        Phase::Voided => return Ok(Decision::NothingToDo),
        Phase::Initiated | Phase::ActionRequired => {}
        Phase::Authorized if pending > 0 => return Err(PaymentError::CapturePending { pending }),
        Phase::Authorized if payment.capturable() > 0 => {}
        _ => return Err(illegal(payment, "be voided", ALLOWED)),
    }
    Ok(Decision::one(PaymentEvent::Voided(Voided {
        amount: payment.uncommitted(),
        currency: currency(payment),
        reason: command.reason.clone(),
    })))
}
