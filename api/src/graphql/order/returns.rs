//! Returns: what mutations of them take, and how they are shown.

use async_graphql::{Enum, ID, InputObject, SimpleObject};
use chrono::{DateTime, Utc};
use docket_domain::{Currency, ReturnId, order as domain, payment::OperationStatus};
use docket_projections::read_models::order_detail::OrderDetail;
use serde::Serialize;

use super::parts::count;
use crate::graphql::{command::asks, scalars::MoneyValue};

asks! {
    RequestReturnInput => domain::RequestReturn, "RequestReturnPayload", required;
    ReceiveReturnInput => domain::ReceiveReturn, "ReceiveReturnPayload", optional;
}

/// Why somebody sends a piece back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[graphql(remote = "docket_domain::order::ReturnReason")]
#[serde(rename_all = "snake_case")]
pub enum ReturnReason {
    /// It arrived damaged.
    Damaged,
    /// It does not work.
    Defective,
    /// It is not what was ordered.
    WrongItem,
    /// It is not as it was described.
    NotAsDescribed,
    /// It is not wanted any more.
    Unwanted,
    /// Something else.
    Other,
}

/// How a piece came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[graphql(remote = "docket_domain::order::ReturnCondition")]
#[serde(rename_all = "snake_case")]
pub enum ReturnCondition {
    /// As new: it can be sold again.
    Sellable,
    /// Opened or used, and whole.
    Used,
    /// Damaged.
    Damaged,
    /// It does not work.
    Defective,
}

/// Some pieces of one line that are to come back.
#[derive(Debug, InputObject, Serialize)]
pub struct ReturnLineInput {
    /// Which line, by its number.
    pub line: i32,
    /// How many of its pieces.
    pub quantity: i32,
    /// Why.
    pub reason: ReturnReason,
}

/// Asks to send back pieces that were delivered.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestReturnInput {
    /// Of this order.
    pub order: ID,
    /// Which, and why; a line once for each reason.
    pub lines: Vec<ReturnLineInput>,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: String,
}

/// Some pieces of one line that came back.
#[derive(Debug, InputObject, Serialize)]
pub struct ReceivedLineInput {
    /// Which line, by its number.
    pub line: i32,
    /// How many of its pieces.
    pub quantity: i32,
    /// How.
    pub condition: ReturnCondition,
}

/// Records what came back of a return, which closes it.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiveReturnInput {
    /// Of this order.
    pub order: ID,
    /// Which return, by its number.
    #[graphql(name = "return")]
    #[serde(rename = "return")]
    pub return_number: i32,
    /// What came, and how; a line once for each condition. Fewer than were announced, if fewer came.
    pub lines: Vec<ReceivedLineInput>,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Some pieces of one line that are to come back.
#[derive(Clone, Copy, Debug, SimpleObject)]
pub struct ReturnLine {
    /// Which line, by its number.
    pub line: i32,
    /// How many of its pieces.
    pub quantity: i32,
    /// Why.
    pub reason: ReturnReason,
}

/// Some pieces of one line that came back.
#[derive(Clone, Copy, Debug, SimpleObject)]
pub struct ReceivedLine {
    /// Which line, by its number.
    pub line: i32,
    /// How many of its pieces.
    pub quantity: i32,
    /// How.
    pub condition: ReturnCondition,
}

/// What a customer sends back.
#[derive(Clone, Debug, SimpleObject)]
pub struct OrderReturn {
    /// Which of the order's, from 1.
    pub number: i32,
    /// Which pieces were to come, and why.
    pub lines: Vec<ReturnLine>,
    /// When it was asked for.
    pub requested_at: Option<DateTime<Utc>>,
    /// It came; what did not come with it may be asked for again.
    pub received: bool,
    /// Which pieces came, and how.
    pub received_lines: Vec<ReceivedLine>,
    /// When they came.
    pub received_at: Option<DateTime<Utc>>,
    /// What the customer is to get: for all of them, or, once it is received, for those that came. Shipping is no part.
    pub refund_due: MoneyValue,
    /// What was given back of it.
    pub refunded: MoneyValue,
    /// What is being given back of it.
    pub refund_pending: MoneyValue,
}

impl OrderReturn {
    /// An order's return, where it was asked for.
    pub(in crate::graphql) fn of(detail: &OrderDetail, number: ReturnId) -> Option<OrderReturn> {
        let (state, currency) = (detail.order().returns.get(&number)?, detail.currency()?);
        Some(Self::shown(detail, number, state, currency))
    }

    fn shown(detail: &OrderDetail, number: ReturnId, state: &domain::Return, currency: Currency) -> Self {
        let times = detail.document.returns.get(&number);
        let money = |amount| MoneyValue::new(amount, currency);
        let asked = |pieces: &domain::ReturnLine| ReturnLine {
            line: i32::from(pieces.line.0),
            quantity: count(pieces.quantity.get()),
            reason: pieces.reason.into(),
        };
        let came = |pieces: &domain::ReceivedLine| ReceivedLine {
            line: i32::from(pieces.line.0),
            quantity: count(pieces.quantity.get()),
            condition: pieces.condition.into(),
        };
        Self {
            number: i32::from(number.0),
            lines: state.lines.iter().map(asked).collect(),
            requested_at: times.map(|times| times.requested_at),
            received: state.received.is_some(),
            received_lines: state.received.iter().flatten().map(came).collect(),
            received_at: times.and_then(|times| times.received_at),
            refund_due: money(state.refund_due),
            refunded: money(detail.refunds_of(number, OperationStatus::Done)),
            refund_pending: money(detail.refunds_of(number, OperationStatus::Pending)),
        }
    }
}
