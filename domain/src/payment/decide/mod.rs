//! What a payment decides: about its authorization, its captures, its refunds and its disputes.

mod authorization;
mod capture;
mod dispute;
mod refund;

pub(crate) use authorization::{
    adjust, expire, initiate, record_authorization, record_authorization_failure, require_action, void,
};
pub(crate) use capture::{capture, record_capture, record_capture_failure};
pub(crate) use dispute::{record_dispute, record_dispute_outcome};
pub(crate) use refund::{record_refund, record_refund_failure, refund};

use chrono::{DateTime, Utc};

use super::error::PaymentError;
use super::event::PaymentEvent;
use super::state::{Operation, OperationStatus, Payment, PaymentStatus};
use crate::context::Context;
use crate::decide::Decision;
use crate::money::Currency;

type Decided = Result<Decision<PaymentEvent>, PaymentError>;

fn currency(payment: &Payment) -> Currency {
    // There from the first event on.
    payment.currency.unwrap_or(Currency::EUR)
}

fn illegal(payment: &Payment, attempted: &'static str, allowed: &'static [PaymentStatus]) -> PaymentError {
    PaymentError::IllegalTransition {
        from: payment.status(),
        attempted,
        allowed,
    }
}

/// Refuses a gateway's time that cannot be: it would win over every later result.
fn require_past(context: &Context, at: DateTime<Utc>) -> Result<(), PaymentError> {
    if context.is_future(at) {
        Err(PaymentError::ResultInFuture { at })
    } else {
        Ok(())
    }
}

/// M5: whether a result changes what is known of an operation. It does not where the operation is unknown, has that
/// outcome already, or has the other one by a gateway's time that is not older.
fn is_news(operation: Option<&Operation>, outcome: OperationStatus, at: DateTime<Utc>) -> bool {
    operation.is_some_and(|operation| {
        operation.status != outcome && operation.result_at.is_none_or(|known| at > known)
    })
}
