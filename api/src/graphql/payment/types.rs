//! A payment as it is shown.

use std::sync::Arc;

use async_graphql::{Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use docket_domain::{CaptureId, Currency, PaymentId, RefundId, payment as domain};
use docket_projections::read_models::order_detail::document::{CaptureDetail, PaymentDetail, RefundDetail};

use super::inputs::CaptureMethod;
use crate::graphql::{
    order::{parts::LineQuantity, view::OrderView},
    scalars::{CurrencyScalar, MoneyValue},
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
    fn of(status: domain::PaymentStatus) -> Option<PaymentStatus> {
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
    fn of(
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
    /// For these pieces.
    pub lines: Vec<LineQuantity>,
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
    fn of(
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

/// A payment.
pub struct Payment {
    view: Arc<OrderView>,
    number: u16,
    // There from a payment's first event on; kept apart so that no field has to ask for it again.
    currency: Currency,
}

impl Payment {
    /// A payment of an order, where it was started.
    pub(in crate::graphql) fn of(view: &Arc<OrderView>, number: u16) -> Option<Payment> {
        let currency = view.detail.document.payments.get(&number)?.state.currency?;
        Some(Payment {
            view: Arc::clone(view),
            number,
            currency,
        })
    }

    fn payment_id(&self) -> PaymentId {
        PaymentId::new(self.view.detail.id, self.number)
    }

    fn detail(&self) -> Option<&PaymentDetail> {
        self.view.detail.document.payments.get(&self.number)
    }

    fn state(&self) -> Option<&domain::Payment> {
        self.detail().map(|detail| &detail.state)
    }

    fn money(&self, amount: impl FnOnce(&domain::Payment) -> i64) -> Option<MoneyValue> {
        self.state()
            .map(|state| MoneyValue::new(amount(state), self.currency))
    }
}

/// A payment of an order.
#[Object]
impl Payment {
    /// Its id: `<order>-p1`.
    async fn id(&self) -> ID {
        ID(self.payment_id().to_string())
    }

    /// Which of the order's, from 1.
    async fn number(&self) -> i32 {
        i32::from(self.number)
    }

    /// Its order's id.
    async fn order_id(&self) -> ID {
        ID(self.view.detail.id.to_string())
    }

    /// The version of its stream, for `expectedVersion`.
    async fn version(&self) -> Option<i32> {
        self.detail().map(|detail| detail.version.0)
    }

    /// How far it has come.
    async fn status(&self) -> Option<PaymentStatus> {
        self.state().and_then(|state| PaymentStatus::of(state.status()))
    }

    /// What is to be paid.
    async fn amount(&self) -> Option<MoneyValue> {
        self.money(|state| state.amount)
    }

    /// Of every amount.
    async fn currency(&self) -> CurrencyScalar {
        CurrencyScalar(self.currency)
    }

    /// When and in how many parts it is captured.
    async fn capture_method(&self) -> Option<CaptureMethod> {
        self.state()?.capture_method.map(Into::into)
    }

    /// How it is paid.
    async fn method(&self) -> Option<PaymentMethod> {
        let method = self.state()?.method.as_ref()?;
        Some(PaymentMethod {
            kind: method.kind.to_string(),
            brand: method.brand.as_ref().map(ToString::to_string),
            last4: method.last4.as_ref().map(ToString::to_string),
        })
    }

    /// Through whom; `manual` is the shop's own hands.
    async fn gateway(&self) -> Option<String> {
        self.state()?.gateway.as_ref().map(ToString::to_string)
    }

    /// What the payer has to do.
    async fn action(&self) -> Option<PaymentAction> {
        let action = self.state()?.action.as_ref()?;
        Some(PaymentAction {
            kind: action.kind.to_string(),
            expires_at: action.expires_at,
        })
    }

    /// What the gateway holds or held for us, captured or not.
    async fn authorized(&self) -> Option<MoneyValue> {
        self.money(|state| state.authorized)
    }

    /// What the gateway still holds.
    async fn capturable(&self) -> Option<MoneyValue> {
        self.money(domain::Payment::capturable)
    }

    /// What was taken.
    async fn captured(&self) -> Option<MoneyValue> {
        self.money(domain::Payment::captured)
    }

    /// What the gateway is asked to take.
    async fn capture_pending(&self) -> Option<MoneyValue> {
        self.money(domain::Payment::capture_pending)
    }

    /// What was given back.
    async fn refunded(&self) -> Option<MoneyValue> {
        self.money(domain::Payment::refunded)
    }

    /// What the gateway is asked to give back.
    async fn refund_pending(&self) -> Option<MoneyValue> {
        self.money(domain::Payment::refund_pending)
    }

    /// What can still be given back.
    async fn refundable(&self) -> Option<MoneyValue> {
        self.money(domain::Payment::refundable)
    }

    /// What was let go of the authorized amount.
    async fn voided(&self) -> Option<MoneyValue> {
        self.money(|state| state.voided)
    }

    /// Why the rest was let go.
    async fn void_reason(&self) -> Option<String> {
        self.detail()?.void_reason.as_ref().map(ToString::to_string)
    }

    /// What ran out of the authorized amount.
    async fn expired(&self) -> Option<MoneyValue> {
        self.money(|state| state.expired)
    }

    /// The gateway's name for it.
    async fn reference(&self) -> Option<String> {
        self.state()?.reference.as_ref().map(ToString::to_string)
    }

    /// When the gateway said yes to it first.
    async fn authorized_at(&self) -> Option<DateTime<Utc>> {
        self.detail()?.authorized_at
    }

    /// How long the gateway holds it.
    async fn capture_before(&self) -> Option<DateTime<Utc>> {
        self.state()?.capture_before
    }

    /// Why the gateway refused it last.
    async fn failure(&self) -> Option<PaymentFailure> {
        self.detail()?.failure.as_ref().map(PaymentFailure::from)
    }

    /// Its captures, by number.
    async fn captures(&self) -> Vec<Capture> {
        let Some(detail) = self.detail() else {
            return Vec::new();
        };
        let captures = detail.state.captures.iter();
        let id = self.payment_id();
        captures
            .map(|(number, state)| {
                Capture::of(id, *number, state, detail.captures.get(number), self.currency)
            })
            .collect()
    }

    /// Its refunds, by number.
    async fn refunds(&self) -> Vec<Refund> {
        let Some(detail) = self.detail() else {
            return Vec::new();
        };
        let refunds = detail.state.refunds.iter();
        let id = self.payment_id();
        refunds
            .map(|(number, state)| Refund::of(id, *number, state, detail.refunds.get(number), self.currency))
            .collect()
    }

    /// When it was started.
    async fn created_at(&self) -> Option<DateTime<Utc>> {
        self.detail().map(|detail| detail.created_at)
    }

    /// When something happened to it last.
    async fn updated_at(&self) -> Option<DateTime<Utc>> {
        self.detail().map(|detail| detail.updated_at)
    }
}
