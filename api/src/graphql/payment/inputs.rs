//! What mutations of a payment take. The fields are those of the commands' JSON form.

use async_graphql::{Enum, ID, InputObject};
use chrono::{DateTime, Utc};
use docket_domain::payment as domain;
use serde::Serialize;

use crate::graphql::{command::asks, order::inputs::LineQuantityInput, scalars::MoneyInput};

asks! {
    InitiatePaymentInput => domain::InitiatePayment, "InitiatePaymentPayload", required;
    RequireActionInput => domain::RequireAction, "RequireActionPayload", optional;
    RecordAuthorizationInput => domain::RecordAuthorization, "RecordAuthorizationPayload", optional;
    RecordAuthorizationFailureInput => domain::RecordAuthorizationFailure, "RecordAuthorizationFailurePayload", optional;
    AdjustAuthorizationInput => domain::AdjustAuthorization, "AdjustAuthorizationPayload", optional;
    ExpireAuthorizationInput => domain::ExpireAuthorization, "ExpireAuthorizationPayload", optional;
    CapturePaymentInput => domain::CapturePayment, "CapturePaymentPayload", required;
    RecordCaptureInput => domain::RecordCapture, "RecordCapturePayload", optional;
    RecordCaptureFailureInput => domain::RecordCaptureFailure, "RecordCaptureFailurePayload", optional;
    VoidPaymentInput => domain::VoidPayment, "VoidPaymentPayload", required;
    RefundPaymentInput => domain::RefundPayment, "RefundPaymentPayload", required;
    RecordRefundInput => domain::RecordRefund, "RecordRefundPayload", optional;
    RecordRefundFailureInput => domain::RecordRefundFailure, "RecordRefundFailurePayload", optional;
}

/// When and in how many parts an authorization is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[graphql(remote = "docket_domain::payment::CaptureMethod")]
#[serde(rename_all = "snake_case")]
pub enum CaptureMethod {
    /// At once, by the gateway.
    Automatic,
    /// Later, in one part; the rest is let go.
    Manual,
    /// Later, in as many parts as it takes.
    ManualMultiple,
}

/// How somebody pays.
#[derive(Debug, InputObject, Serialize)]
pub struct PaymentMethodInput {
    /// card, transfer, wallet, ...
    #[graphql(name = "type")]
    #[serde(rename = "type")]
    pub kind: String,
    /// Of a card or wallet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// The last four digits.
    #[graphql(name = "last4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last4: Option<String>,
    /// The gateway's name for it; it is kept, and never shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Why a gateway did not do what it was asked.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureInput {
    /// In the gateway's words.
    pub code: String,
    /// Whether it may work the next time.
    pub retryable: bool,
    /// What the gateway advises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recommended_action: Option<String>,
}

/// Starts a payment of an order.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InitiatePaymentInput {
    /// Of this order.
    pub order: ID,
    /// How much.
    pub amount: MoneyInput,
    /// When and in how many parts it is captured.
    pub capture_method: CaptureMethod,
    /// How it is paid.
    pub method: PaymentMethodInput,
    /// Through whom; `manual` is the shop's own hands.
    pub gateway: String,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: String,
}

/// Records that the payer has to do something.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequireActionInput {
    /// This payment: `<order>-p1`.
    pub payment: ID,
    /// What, in the gateway's words.
    pub kind: String,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// The gateway's time.
    pub at: DateTime<Utc>,
    /// The version that the payment's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Records that the gateway holds money.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordAuthorizationInput {
    /// This payment: `<order>-p1`.
    pub payment: ID,
    /// How much; all that was asked for where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<MoneyInput>,
    /// The gateway's name for it.
    pub reference: String,
    /// The gateway's time.
    pub at: DateTime<Utc>,
    /// How long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture_before: Option<DateTime<Utc>>,
    /// The version that the payment's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Records that the gateway refused to hold money.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordAuthorizationFailureInput {
    /// This payment: `<order>-p1`.
    pub payment: ID,
    /// Why.
    pub failure: FailureInput,
    /// The gateway's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The gateway's time.
    pub at: DateTime<Utc>,
    /// The version that the payment's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Records that the gateway holds another amount, or longer.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AdjustAuthorizationInput {
    /// This payment: `<order>-p1`.
    pub payment: ID,
    /// How much from now on: it replaces what was held, and is not added to it.
    pub amount: MoneyInput,
    /// How long; as before where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture_before: Option<DateTime<Utc>>,
    /// The gateway's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The gateway's time; now where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
    /// The version that the payment's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Records that the gateway holds nothing more.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExpireAuthorizationInput {
    /// This payment: `<order>-p1`.
    pub payment: ID,
    /// The version that the payment's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Asks the gateway to take money.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CapturePaymentInput {
    /// This payment: `<order>-p1`.
    pub payment: ID,
    /// How much; all that is left where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<MoneyInput>,
    /// The last one: what is left afterwards is let go. Always so unless the capture method is `MANUAL_MULTIPLE`.
    #[graphql(name = "final", default)]
    #[serde(rename = "final")]
    pub is_final: bool,
    /// For this shipment of the order, by its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipment: Option<i32>,
    /// The version that the payment's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: String,
}

/// Records that the gateway took money.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordCaptureInput {
    /// This payment: `<order>-p1`.
    pub payment: ID,
    /// By this capture.
    pub capture: i32,
    /// The gateway's name for it.
    pub reference: String,
    /// The gateway's time.
    pub at: DateTime<Utc>,
    /// The version that the payment's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Records that the gateway did not take money.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordCaptureFailureInput {
    /// This payment: `<order>-p1`.
    pub payment: ID,
    /// By this capture.
    pub capture: i32,
    /// Why.
    pub failure: FailureInput,
    /// The gateway's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The gateway's time.
    pub at: DateTime<Utc>,
    /// The version that the payment's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Lets the uncaptured rest of a payment go.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VoidPaymentInput {
    /// This payment: `<order>-p1`.
    pub payment: ID,
    /// Why.
    pub reason: String,
    /// The version that the payment's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: String,
}

/// Asks the gateway to give money back.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundPaymentInput {
    /// This payment: `<order>-p1`.
    pub payment: ID,
    /// How much; all that is left where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<MoneyInput>,
    /// Why.
    pub reason: String,
    /// For this return of the order, by its number: it must have been received, and all its refunds together are at most
    /// what is due for it.
    #[graphql(name = "return")]
    #[serde(rename = "return", skip_serializing_if = "Option::is_none")]
    pub return_number: Option<i32>,
    /// For these pieces.
    #[graphql(default)]
    pub lines: Vec<LineQuantityInput>,
    /// The version that the payment's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: String,
}

/// Records that the gateway gave money back.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordRefundInput {
    /// This payment: `<order>-p1`.
    pub payment: ID,
    /// By this refund.
    pub refund: i32,
    /// The gateway's name for it.
    pub reference: String,
    /// The gateway's time.
    pub at: DateTime<Utc>,
    /// The version that the payment's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Records that the gateway did not give money back.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordRefundFailureInput {
    /// This payment: `<order>-p1`.
    pub payment: ID,
    /// By this refund.
    pub refund: i32,
    /// Why.
    pub failure: FailureInput,
    /// The gateway's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The gateway's time.
    pub at: DateTime<Utc>,
    /// The version that the payment's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}
