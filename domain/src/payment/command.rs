//! What can be asked of a payment. Each is also a line of an import file; see [`crate::Command`].
//!
//! The `Record` commands carry what a gateway did: they are allowed to the payment's own gateway, and, where that is
//! `manual`, to staff.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::{CaptureMethod, DisputeOutcome, Failure, PaymentMethod};
use crate::ids::{CaptureId, OrderId, PaymentId, RefundId, ReturnId};
use crate::money::Money;
use crate::quantity::LineQuantity;
use crate::text::{Code, Reason, Reference};

/// Starts a payment of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InitiatePayment {
    /// Of this order.
    pub order: OrderId,
    /// How much.
    pub amount: Money,
    /// When and in how many parts it is captured.
    pub capture_method: CaptureMethod,
    /// How it is paid.
    pub method: PaymentMethod,
    /// Through whom; `manual` is the shop's own hands.
    pub gateway: Code,
}

/// The payer has to do something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequireAction {
    /// For this payment.
    pub payment: PaymentId,
    /// What, in the gateway's words.
    pub kind: Code,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// The gateway's time.
    pub at: DateTime<Utc>,
}

/// The gateway holds money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordAuthorization {
    /// For this payment.
    pub payment: PaymentId,
    /// How much; all that was asked for where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// The gateway's name for it.
    pub reference: Reference,
    /// The gateway's time.
    pub at: DateTime<Utc>,
    /// How long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_before: Option<DateTime<Utc>>,
}

/// The gateway refused to hold money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordAuthorizationFailure {
    /// For this payment.
    pub payment: PaymentId,
    /// Why.
    pub failure: Failure,
    /// The gateway's name for the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// The gateway's time.
    pub at: DateTime<Utc>,
}

/// The gateway holds another amount, or longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdjustAuthorization {
    /// For this payment.
    pub payment: PaymentId,
    /// How much from now on.
    pub amount: Money,
    /// How long; as before where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_before: Option<DateTime<Utc>>,
    /// The gateway's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// The gateway's time; now where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
}

/// The gateway holds nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpireAuthorization {
    /// For this payment.
    pub payment: PaymentId,
}

/// Asks the gateway to take money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CapturePayment {
    /// Of this payment.
    pub payment: PaymentId,
    /// How much; all that is left where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// The last one: what is left afterwards is let go. Always so unless the capture method is `manual_multiple`.
    #[serde(default, rename = "final")]
    pub is_final: bool,
    /// For this shipment of the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipment: Option<u16>,
}

/// The gateway took money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordCapture {
    /// Of this payment.
    pub payment: PaymentId,
    /// By this capture.
    pub capture: CaptureId,
    /// The gateway's name for it.
    pub reference: Reference,
    /// The gateway's time.
    pub at: DateTime<Utc>,
}

/// The gateway did not take money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordCaptureFailure {
    /// Of this payment.
    pub payment: PaymentId,
    /// By this capture.
    pub capture: CaptureId,
    /// Why.
    pub failure: Failure,
    /// The gateway's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// The gateway's time.
    pub at: DateTime<Utc>,
}

/// Lets the uncaptured rest go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VoidPayment {
    /// Of this payment.
    pub payment: PaymentId,
    /// Why.
    pub reason: Reason,
}

/// Asks the gateway to give money back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefundPayment {
    /// Of this payment.
    pub payment: PaymentId,
    /// How much; all that is left, of the payment and of the return where one is named, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Why.
    pub reason: Reason,
    /// For this return of the order, which was received.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "return")]
    pub return_id: Option<ReturnId>,
    /// For these pieces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineQuantity>,
}

/// The gateway gave money back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordRefund {
    /// Of this payment.
    pub payment: PaymentId,
    /// By this refund.
    pub refund: RefundId,
    /// The gateway's name for it.
    pub reference: Reference,
    /// The gateway's time.
    pub at: DateTime<Utc>,
}

/// The gateway did not give money back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordRefundFailure {
    /// Of this payment.
    pub payment: PaymentId,
    /// By this refund.
    pub refund: RefundId,
    /// Why.
    pub failure: Failure,
    /// The gateway's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// The gateway's time.
    pub at: DateTime<Utc>,
}

/// The payer disputes money that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordDispute {
    /// Of this payment.
    pub payment: PaymentId,
    /// The gateway's name for it.
    pub dispute: Reference,
    /// How much.
    pub amount: Money,
    /// Why, in the gateway's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Code>,
    /// Until when the shop may answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond_by: Option<DateTime<Utc>>,
    /// The gateway's time.
    pub at: DateTime<Utc>,
}

/// It was decided who keeps the money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordDisputeOutcome {
    /// Of this payment.
    pub payment: PaymentId,
    /// Which dispute.
    pub dispute: Reference,
    /// Who.
    pub outcome: DisputeOutcome,
    /// The gateway's time.
    pub at: DateTime<Utc>,
}
