//! The parts of a payment as they are shown.

use async_graphql::{Enum, SimpleObject};
use chrono::{DateTime, Utc};
use docket_domain::{CaptureId, Currency, PaymentId, RefundId, payment as domain};
use docket_projections::read_models::order_detail::document::{CaptureDetail, RefundDetail};

use crate::graphql::{
    order::parts::LineQuantity,
    plain::{PlainList, leaf_enum, shown},
    scalars::MoneyValue,
};

/// How far a payment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum PaymentStatus {
    /// Started.
    Initiated,
    /// The payer has to do something.
    ActionRequired,
    /// The gateway holds money.
    Authorized,
    /// It took some, and holds more.
    PartiallyCaptured,
    /// It took all that it will take.
    Captured,
    /// It gave some back.
    PartiallyRefunded,
    /// It gave everything back.
    Refunded,
    /// It refused.
    Failed,
    /// Let go before anything was taken.
    Voided,
    /// Ran out before anything was taken.
    Expired,
}

impl PaymentStatus {
    /// None for a payment that does not exist, which is never shown.
    pub(super) fn of(status: domain::PaymentStatus) -> Option<PaymentStatus> {
        Some(match status {
            domain::PaymentStatus::Missing => return None,
            domain::PaymentStatus::Initiated => PaymentStatus::Initiated,
            domain::PaymentStatus::ActionRequired => PaymentStatus::ActionRequired,
            domain::PaymentStatus::Authorized => PaymentStatus::Authorized,
            domain::PaymentStatus::PartiallyCaptured => PaymentStatus::PartiallyCaptured,
            domain::PaymentStatus::Captured => PaymentStatus::Captured,
            domain::PaymentStatus::PartiallyRefunded => PaymentStatus::PartiallyRefunded,
            domain::PaymentStatus::Refunded => PaymentStatus::Refunded,
            domain::PaymentStatus::Failed => PaymentStatus::Failed,
            domain::PaymentStatus::Voided => PaymentStatus::Voided,
            domain::PaymentStatus::Expired => PaymentStatus::Expired,
        })
    }

    /// As the log's types have it.
    pub(super) fn to_domain(self) -> domain::PaymentStatus {
        match self {
            PaymentStatus::Initiated => domain::PaymentStatus::Initiated,
            PaymentStatus::ActionRequired => domain::PaymentStatus::ActionRequired,
            PaymentStatus::Authorized => domain::PaymentStatus::Authorized,
            PaymentStatus::PartiallyCaptured => domain::PaymentStatus::PartiallyCaptured,
            PaymentStatus::Captured => domain::PaymentStatus::Captured,
            PaymentStatus::PartiallyRefunded => domain::PaymentStatus::PartiallyRefunded,
            PaymentStatus::Refunded => domain::PaymentStatus::Refunded,
            PaymentStatus::Failed => domain::PaymentStatus::Failed,
            PaymentStatus::Voided => domain::PaymentStatus::Voided,
            PaymentStatus::Expired => domain::PaymentStatus::Expired,
        }
    }
}

/// What became of a capture or refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "docket_domain::payment::OperationStatus")]
pub enum OperationStatus {
    /// Asked for.
    Pending,
    /// Done.
    Done,
    /// Not done.
    Failed,
}

/// How somebody pays. The gateway's token for it is never shown.
#[derive(Clone, Debug, SimpleObject)]
pub struct PaymentMethod {
    /// card, transfer, wallet, ...
    #[graphql(name = "type")]
    pub kind: String,
    /// Of a card or wallet.
    pub brand: Option<String>,
    /// The last four digits.
    #[graphql(name = "last4")]
    pub last4: Option<String>,
}

/// What the payer has to do.
#[derive(Clone, Debug, SimpleObject)]
pub struct PaymentAction {
    /// What, in the gateway's words.
    pub kind: String,
    /// Until when.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Why a gateway did not do what it was asked.
#[derive(Clone, Debug, SimpleObject)]
pub struct PaymentFailure {
    /// In the gateway's words.
    pub code: String,
    /// Whether it may work the next time.
    pub retryable: bool,
    /// What the gateway advises.
    pub recommended_action: Option<String>,
}

impl From<&domain::Failure> for PaymentFailure {
    fn from(failure: &domain::Failure) -> Self {
        Self {
            code: failure.code.to_string(),
            retryable: failure.retryable,
            recommended_action: failure.recommended_action.as_ref().map(ToString::to_string),
        }
    }
}

/// A capture.
#[derive(Clone, Debug, SimpleObject)]
pub struct Capture {
    /// Which of the payment's, from 1.
    pub number: i32,
    /// What the gateway is given as our reference.
    pub our_reference: String,
    /// How much.
    pub amount: MoneyValue,
    /// The last one: what is left afterwards is let go.
    #[graphql(name = "final")]
    pub is_final: bool,
    /// What became of it.
    pub status: OperationStatus,
    /// When it was asked for.
    pub requested_at: Option<DateTime<Utc>>,
    /// The gateway's time of its result.
    pub result_at: Option<DateTime<Utc>>,
    /// For this shipment of the order, by its number.
    pub shipment: Option<i32>,
    /// The gateway's name for it.
    pub reference: Option<String>,
    /// Why it was not done.
    pub failure: Option<PaymentFailure>,
}

impl Capture {
    pub(super) fn of(
        id: PaymentId,
        number: CaptureId,
        state: &domain::Operation,
        more: Option<&CaptureDetail>,
        of: Currency,
    ) -> Self {
        Self {
            number: i32::from(number.0),
            our_reference: id.capture_reference(number),
            amount: MoneyValue::new(state.amount, of),
            is_final: state.is_final,
            status: state.status.into(),
            requested_at: more.map(|more| more.requested_at),
            result_at: state.result_at,
            shipment: more.and_then(|more| more.shipment).map(i32::from),
            reference: more
                .and_then(|more| more.reference.as_ref())
                .map(ToString::to_string),
            failure: more
                .and_then(|more| more.failure.as_ref())
                .map(PaymentFailure::from),
        }
    }
}

/// A refund.
#[derive(Clone, Debug, SimpleObject)]
pub struct Refund {
    /// Which of the payment's, from 1.
    pub number: i32,
    /// What the gateway is given as our reference.
    pub our_reference: String,
    /// How much.
    pub amount: MoneyValue,
    /// What became of it.
    pub status: OperationStatus,
    /// Why it was asked for.
    pub reason: Option<String>,
    /// For this return of the order, by its number.
    #[graphql(name = "return")]
    pub return_number: Option<i32>,
    /// For these pieces.
    pub lines: PlainList<LineQuantity>,
    /// When it was asked for.
    pub requested_at: Option<DateTime<Utc>>,
    /// The gateway's time of its result.
    pub result_at: Option<DateTime<Utc>>,
    /// The gateway's name for it.
    pub reference: Option<String>,
    /// Why it was not done.
    pub failure: Option<PaymentFailure>,
}

impl Refund {
    pub(super) fn of(
        id: PaymentId,
        number: RefundId,
        state: &domain::Operation,
        more: Option<&RefundDetail>,
        of: Currency,
    ) -> Self {
        Self {
            number: i32::from(number.0),
            our_reference: id.refund_reference(number),
            amount: MoneyValue::new(state.amount, of),
            status: state.status.into(),
            reason: more
                .and_then(|more| more.reason.as_ref())
                .map(ToString::to_string),
            return_number: state.return_id.map(|number| i32::from(number.0)),
            lines: more
                .map(|more| more.lines.iter().map(LineQuantity::from).collect())
                .unwrap_or_default(),
            requested_at: more.map(|more| more.requested_at),
            result_at: state.result_at,
            reference: more
                .and_then(|more| more.reference.as_ref())
                .map(ToString::to_string),
            failure: more
                .and_then(|more| more.failure.as_ref())
                .map(PaymentFailure::from),
        }
    }
}

leaf_enum!(OperationStatus);

shown!(Capture, |capture| {
    number: &capture.number,
    ourReference: &capture.our_reference,
    amount: &capture.amount,
    final: &capture.is_final,
    status: &capture.status,
    requestedAt: &capture.requested_at,
    resultAt: &capture.result_at,
    shipment: &capture.shipment,
    reference: &capture.reference,
});

shown!(Refund, |refund| {
    number: &refund.number,
    ourReference: &refund.our_reference,
    amount: &refund.amount,
    status: &refund.status,
    reason: &refund.reason,
    return: &refund.return_number,
    lines: &refund.lines,
    requestedAt: &refund.requested_at,
    resultAt: &refund.result_at,
    reference: &refund.reference,
});
