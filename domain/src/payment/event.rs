//! What can happen to a payment. Amounts are minor units of the payment's currency.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::upcast;
use crate::event::events;
use crate::ids::{CaptureId, RefundId, ReturnId};
use crate::money::Currency;
use crate::order::is_zero;
use crate::quantity::LineQuantity;
use crate::text::{Code, Name, Reason, Reference};

events! {
    /// What can happen to a payment.
    PaymentEvent {
        /// It was started.
        Initiated(Box<Initiated>) = "payment.initiated", [upcast::initiated_1];
        /// The payer has to do something.
        ActionRequired(ActionRequired) = "payment.action_required", [];
        /// The gateway holds money for us.
        Authorized(Authorized) = "payment.authorized", [];
        /// The gateway refused.
        AuthorizationFailed(AuthorizationFailed) = "payment.authorization_failed", [];
        /// The gateway holds another amount for us, or longer.
        AuthorizationAdjusted(AuthorizationAdjusted) = "payment.authorization_adjusted", [];
        /// The gateway holds nothing more.
        AuthorizationExpired(AuthorizationExpired) = "payment.authorization_expired", [];
        /// The gateway is asked to take money.
        CaptureRequested(CaptureRequested) = "payment.capture_requested", [];
        /// It did.
        Captured(Captured) = "payment.captured", [];
        /// It did not.
        CaptureFailed(CaptureFailed) = "payment.capture_failed", [];
        /// The uncaptured rest was let go.
        Voided(Voided) = "payment.voided", [];
        /// The gateway is asked to give money back.
        RefundRequested(RefundRequested) = "payment.refund_requested", [];
        /// It did.
        Refunded(Refunded) = "payment.refunded", [];
        /// It did not.
        RefundFailed(RefundFailed) = "payment.refund_failed", [];
        /// The payer disputes it.
        DisputeOpened(DisputeOpened) = "payment.dispute_opened", [];
        /// It was decided who keeps the money.
        DisputeClosed(DisputeClosed) = "payment.dispute_closed", [];
    }
}

/// When and in how many parts an authorization is captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureMethod {
    /// At once, by the gateway.
    Automatic,
    /// Later, in one part; the rest is let go.
    Manual,
    /// Later, in as many parts as it takes.
    ManualMultiple,
}

/// How somebody pays. In commands and events alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentMethod {
    /// card, transfer, wallet, ...
    #[serde(rename = "type")]
    pub kind: Code,
    /// Of a card or wallet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<Code>,
    /// The last four digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last4: Option<Code>,
    /// The gateway's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Reference>,
}

/// It was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Initiated {
    /// What is to be paid.
    pub amount: i64,
    /// Of every amount of the payment.
    pub currency: Currency,
    /// When and in how many parts it is captured.
    pub capture_method: CaptureMethod,
    /// How it is paid.
    pub method: PaymentMethod,
    /// Through whom.
    pub gateway: Code,
}

/// The payer has to do something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionRequired {
    /// What, in the gateway's words.
    pub kind: Code,
    /// Until when.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::instant::option"
    )]
    pub expires_at: Option<DateTime<Utc>>,
    /// The gateway's time.
    #[serde(with = "crate::instant")]
    pub at: DateTime<Utc>,
}

/// The gateway holds money for us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorized {
    /// How much.
    pub amount: i64,
    /// Of it.
    pub currency: Currency,
    /// The gateway's name for it.
    pub reference: Reference,
    /// The gateway's time.
    pub at: DateTime<Utc>,
    /// How long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_before: Option<DateTime<Utc>>,
}

/// Why a gateway did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// In the gateway's words.
    pub code: Code,
    /// Whether it may work the next time.
    pub retryable: bool,
    /// What the gateway advises.
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "recommendedAction")]
    pub recommended_action: Option<Name>,
}

/// The gateway refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationFailed {
    /// Why.
    pub failure: Failure,
    /// The gateway's name for the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// The gateway's time.
    pub at: DateTime<Utc>,
}

/// The gateway holds another amount for us, or longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationAdjusted {
    /// What it held.
    pub old: i64,
    /// What it holds; it replaces the old, it does not add to it.
    pub new: i64,
    /// Of both.
    pub currency: Currency,
    /// How long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_before: Option<DateTime<Utc>>,
    /// The gateway's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// The gateway's time.
    pub at: DateTime<Utc>,
}

/// The gateway holds nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationExpired {
    /// What it held and did not take.
    pub released: i64,
    /// Of it.
    pub currency: Currency,
}

/// The gateway is asked to take money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureRequested {
    /// Which capture.
    pub capture: CaptureId,
    /// How much.
    pub amount: i64,
    /// Of it.
    pub currency: Currency,
    /// The last one: what is left afterwards is let go.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// For this shipment of the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipment: Option<u16>,
}

/// The gateway took money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// Which capture.
    pub capture: CaptureId,
    /// How much.
    pub amount: i64,
    /// Of it.
    pub currency: Currency,
    /// The gateway's name for it.
    pub reference: Reference,
    /// The gateway's time.
    pub at: DateTime<Utc>,
    /// What was let go, because it was the last one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub released: i64,
}

/// The gateway did not take money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureFailed {
    /// Which capture.
    pub capture: CaptureId,
    /// How much.
    pub amount: i64,
    /// Of it.
    pub currency: Currency,
    /// Why.
    pub failure: Failure,
    /// The gateway's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// The gateway's time.
    pub at: DateTime<Utc>,
    /// What was let go, because nothing more can be captured.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub released: i64,
}

/// The uncaptured rest was let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voided {
    /// How much; zero where nothing had been authorized yet.
    pub amount: i64,
    /// Of it.
    pub currency: Currency,
    /// Why.
    pub reason: Reason,
}

/// The gateway is asked to give money back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundRequested {
    /// Which refund.
    pub refund: RefundId,
    /// How much.
    pub amount: i64,
    /// Of it.
    pub currency: Currency,
    /// Why.
    pub reason: Reason,
    /// For this return of the order.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "return")]
    pub return_id: Option<ReturnId>,
    /// For these pieces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineQuantity>,
}

/// The gateway gave money back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refunded {
    /// Which refund.
    pub refund: RefundId,
    /// How much.
    pub amount: i64,
    /// Of it.
    pub currency: Currency,
    /// The gateway's name for it.
    pub reference: Reference,
    /// The gateway's time.
    pub at: DateTime<Utc>,
}

/// The gateway did not give money back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundFailed {
    /// Which refund.
    pub refund: RefundId,
    /// How much.
    pub amount: i64,
    /// Of it.
    pub currency: Currency,
    /// Why.
    pub failure: Failure,
    /// The gateway's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// The gateway's time.
    pub at: DateTime<Utc>,
}

/// The payer disputes money that was taken: their bank asks for it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeOpened {
    /// The gateway's name for it, which is its id: it begins there.
    pub dispute: Reference,
    /// How much.
    pub amount: i64,
    /// Of it.
    pub currency: Currency,
    /// Why, in the gateway's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Code>,
    /// Until when the shop may answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond_by: Option<DateTime<Utc>>,
    /// The gateway's time.
    pub at: DateTime<Utc>,
}

/// Who keeps disputed money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeOutcome {
    /// The shop.
    Won,
    /// The payer.
    Lost,
    /// The shop: the payer took it back.
    Withdrawn,
}

/// It was decided who keeps the money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeClosed {
    /// Which dispute.
    pub dispute: Reference,
    /// Who.
    pub outcome: DisputeOutcome,
    /// How much.
    pub amount: i64,
    /// Of it.
    pub currency: Currency,
    /// The gateway's time.
    pub at: DateTime<Utc>,
}
