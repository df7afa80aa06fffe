//! Disputes: what mutations of them take, and how they are shown.

use async_graphql::{Enum, ID, InputObject, SimpleObject};
use chrono::{DateTime, Utc};
use docket_domain::{Currency, payment as domain, text::Reference};
use serde::Serialize;

use crate::graphql::{
    command::asks,
    scalars::{MoneyInput, MoneyValue},
};

asks! {
    RecordDisputeInput => domain::RecordDispute, "RecordDisputePayload", optional;
    RecordDisputeOutcomeInput => domain::RecordDisputeOutcome, "RecordDisputeOutcomePayload", optional;
}

/// Records that the payer disputes money that was taken.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordDisputeInput {
    /// This payment: `<order>-p1`.
    pub payment: ID,
    /// The gateway's name for the dispute, which is its id.
    pub dispute: String,
    /// How much.
    pub amount: MoneyInput,
    /// Why, in the gateway's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Until when the shop may answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub respond_by: Option<DateTime<Utc>>,
    /// The gateway's time.
    pub at: DateTime<Utc>,
    /// The version that the payment's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Who keeps disputed money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeOutcome {
    /// The shop.
    Won,
    /// The payer.
    Lost,
    /// The shop: the payer took it back.
    Withdrawn,
}

/// Records who keeps disputed money.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordDisputeOutcomeInput {
    /// This payment: `<order>-p1`.
    pub payment: ID,
    /// Which dispute, by the gateway's name.
    pub dispute: String,
    /// Who.
    pub outcome: DisputeOutcome,
    /// The gateway's time.
    pub at: DateTime<Utc>,
    /// The version that the payment's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// How far a dispute has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum DisputeStatus {
    /// Nobody has decided.
    Open,
    /// The shop keeps the money.
    Won,
    /// The payer got it.
    Lost,
    /// The shop keeps the money: the payer took it back.
    Withdrawn,
}

/// A dispute: the payer's bank asks for money back.
#[derive(Clone, Debug, SimpleObject)]
pub struct Dispute {
    /// The gateway's name for it, which is its id.
    pub dispute: String,
    /// How much.
    pub amount: MoneyValue,
    /// How far it has come.
    pub status: DisputeStatus,
    /// Why, in the gateway's words.
    pub reason: Option<String>,
    /// Until when the shop may answer.
    pub respond_by: Option<DateTime<Utc>>,
    /// The gateway's time of its beginning.
    pub opened_at: DateTime<Utc>,
    /// The gateway's time of its end.
    pub closed_at: Option<DateTime<Utc>>,
}

impl Dispute {
    pub(super) fn of(dispute: &Reference, state: &domain::Dispute, currency: Currency) -> Self {
        Self {
            dispute: dispute.to_string(),
            amount: MoneyValue::new(state.amount, currency),
            status: match state.outcome {
                None => DisputeStatus::Open,
                Some(domain::DisputeOutcome::Won) => DisputeStatus::Won,
                Some(domain::DisputeOutcome::Lost) => DisputeStatus::Lost,
                Some(domain::DisputeOutcome::Withdrawn) => DisputeStatus::Withdrawn,
            },
            reason: state.reason.as_ref().map(ToString::to_string),
            respond_by: state.respond_by,
            opened_at: state.opened_at,
            closed_at: state.closed_at,
        }
    }
}
