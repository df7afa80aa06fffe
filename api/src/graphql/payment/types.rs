//! A payment as it is shown.

use std::sync::Arc;

use async_graphql::{ID, Object};
use chrono::{DateTime, Utc};
use docket_domain::{Currency, PaymentId, payment as domain};
use docket_projections::read_models::order_detail::PaymentDetail;

use super::{
    disputes::Dispute,
    inputs::CaptureMethod,
    parts::{Capture, PaymentAction, PaymentFailure, PaymentMethod, PaymentStatus, Refund},
};
use crate::graphql::{
    order::view::OrderView,
    plain::{PlainList, leaf_enum, shown},
    scalars::{CurrencyScalar, MoneyValue},
};

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

    fn shown_status(&self) -> Option<PaymentStatus> {
        self.state().and_then(|state| PaymentStatus::of(state.status()))
    }

    fn shown_gateway(&self) -> Option<String> {
        self.state()?.gateway.as_ref().map(ToString::to_string)
    }

    fn shown_captures(&self) -> PlainList<Capture> {
        let Some(detail) = self.detail() else {
            return PlainList::default();
        };
        let captures = detail.state.captures.iter();
        let id = self.payment_id();
        captures
            .map(|(number, state)| {
                Capture::of(id, *number, state, detail.captures.get(number), self.currency)
            })
            .collect()
    }

    fn shown_refunds(&self) -> PlainList<Refund> {
        let Some(detail) = self.detail() else {
            return PlainList::default();
        };
        let refunds = detail.state.refunds.iter();
        let id = self.payment_id();
        refunds
            .map(|(number, state)| Refund::of(id, *number, state, detail.refunds.get(number), self.currency))
            .collect()
    }
}

/// A payment of an order.
#[Object]
impl Payment {
    /// Its id: `<order>-p1`.
    pub async fn id(&self) -> ID {
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
        self.shown_status()
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
        self.shown_gateway()
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

    /// What the payer disputes and nobody has decided.
    async fn disputed(&self) -> Option<MoneyValue> {
        self.money(domain::Payment::disputed)
    }

    /// What was lost to a payer who disputed it. It was captured, and is not refunded.
    async fn lost(&self) -> Option<MoneyValue> {
        self.money(domain::Payment::lost)
    }

    /// What can still be given back: captured, and neither refunded, being refunded, disputed nor lost.
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
    async fn captures(&self) -> PlainList<Capture> {
        self.shown_captures()
    }

    /// Its refunds, by number.
    async fn refunds(&self) -> PlainList<Refund> {
        self.shown_refunds()
    }

    /// Its disputes, by the gateway's names for them.
    async fn disputes(&self) -> Vec<Dispute> {
        let disputes = self.state().into_iter().flat_map(|state| &state.disputes);
        disputes
            .map(|(dispute, state)| Dispute::of(dispute, state, self.currency))
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

leaf_enum!(PaymentStatus);

shown!(Payment, |payment| {
    id: ID(payment.payment_id().to_string()),
    number: i32::from(payment.number),
    orderId: ID(payment.view.detail.id.to_string()),
    version: payment.detail().map(|detail| detail.version.0),
    status: payment.shown_status(),
    amount: payment.money(|state| state.amount),
    currency: CurrencyScalar(payment.currency),
    gateway: payment.shown_gateway(),
    authorized: payment.money(|state| state.authorized),
    capturable: payment.money(domain::Payment::capturable),
    captured: payment.money(domain::Payment::captured),
    refunded: payment.money(domain::Payment::refunded),
    captures: payment.shown_captures(),
    refunds: payment.shown_refunds(),
    createdAt: payment.detail().map(|detail| detail.created_at),
    updatedAt: payment.detail().map(|detail| detail.updated_at),
});
