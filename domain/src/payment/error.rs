//! Why a payment refuses.

use chrono::{DateTime, Utc};
use thiserror::Error;

use super::state::PaymentStatus;
use crate::ids::ReturnId;
use crate::money::MoneyError;
use crate::order::OrderStatus;

/// The rule that refused, with its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the fields are the numbers that each message shows")]
pub enum PaymentError {
    /// The order cannot be paid for.
    #[error("an order that is {status} cannot be paid for")]
    OrderNotPayable {
        status: OrderStatus,
        allowed: &'static [OrderStatus],
    },
    /// No more payments fit.
    #[error("an order has at most {limit} payments")]
    TooManyPayments { limit: u16 },
    /// No more captures or refunds fit.
    #[error("a payment has at most {limit} {what}")]
    TooManyOperations { what: &'static str, limit: u16 },
    /// A request about too many lines.
    #[error("a refund names at most {limit} lines")]
    TooManyLines { limit: usize },
    /// The status does not allow it.
    #[error("a payment that is {from} cannot {attempted}")]
    IllegalTransition {
        from: PaymentStatus,
        attempted: &'static str,
        allowed: &'static [PaymentStatus],
    },
    /// An amount is not one.
    #[error(transparent)]
    Amount(#[from] MoneyError),
    /// More held than was asked for.
    #[error("{authorized} are authorized, but only {amount} were asked for")]
    AuthorizationExceedsAmount { amount: i64, authorized: i64 },
    /// Less held than is already spoken for.
    #[error(
        "an authorization cannot be lowered to {requested}: {captured} are captured and {pending} under way"
    )]
    AuthorizationBelowCaptured {
        captured: i64,
        pending: i64,
        requested: i64,
    },
    /// M2: more taken than held.
    #[error(
        "{requested} cannot be captured: of {authorized} authorized, {captured} are captured, {pending} under way and {released} released"
    )]
    CaptureExceedsAuthorized {
        authorized: i64,
        captured: i64,
        pending: i64,
        released: i64,
        requested: i64,
    },
    /// M4: the last capture was asked for.
    #[error("the final capture was asked for already")]
    FinalCaptureRequested,
    /// M4: what is pending cannot be let go.
    #[error("{pending} are being captured and cannot be voided")]
    CapturePending { pending: i64 },
    /// M3: more given back than taken.
    #[error(
        "{requested} cannot be refunded: of {captured} captured, {refunded} are refunded, {pending} under way and {disputed} disputed or lost"
    )]
    RefundExceedsCaptured {
        captured: i64,
        refunded: i64,
        pending: i64,
        disputed: i64,
        requested: i64,
    },
    /// M3: more disputed than is left of what was taken.
    #[error(
        "{requested} cannot be disputed: of {captured} captured, {refunded} are refunded, {pending} under way and {disputed} disputed or lost"
    )]
    DisputeExceedsCaptured {
        captured: i64,
        refunded: i64,
        pending: i64,
        disputed: i64,
        requested: i64,
    },
    /// No more disputes fit.
    #[error("a payment has at most {limit} disputes")]
    TooManyDisputes { limit: usize },
    /// There is no such return.
    #[error("the order has no return {return_id}")]
    UnknownReturn { return_id: ReturnId },
    /// Nothing came back yet.
    #[error("the return {return_id} is not received")]
    ReturnNotReceived { return_id: ReturnId },
    /// More given back for a return than it is worth.
    #[error(
        "{requested} cannot be refunded for the return {return_id}: of {refund_due} due, {refunded} are refunded and {pending} under way"
    )]
    RefundExceedsReturn {
        return_id: ReturnId,
        refund_due: i64,
        refunded: i64,
        pending: i64,
        requested: i64,
    },
    /// A timer that rang early.
    #[error("the authorization does not expire before {capture_before:?}")]
    NotDue { capture_before: Option<DateTime<Utc>> },
    /// A gateway's time ahead of ours.
    #[error("the gateway's time {at} lies in the future")]
    ResultInFuture { at: DateTime<Utc> },
}
