//! What operators' mutations of dead letters take and answer.

use async_graphql::{InputObject, SimpleObject};
use docket_domain::OrderId;
use uuid::Uuid;

use crate::graphql::{error::Refused, position::PositionInput, scalars::BigInt, user_error::UserError};

/// What is tried again: one order, or all.
#[derive(Debug, InputObject)]
pub struct RetryDeadLettersInput {
    /// The read model.
    pub name: String,
    /// What waits of this order.
    pub order: Option<Uuid>,
    /// Everything that waits.
    #[graphql(default)]
    pub all: bool,
}

impl RetryDeadLettersInput {
    /// The order; `None` for all of them.
    pub(super) fn order(&self) -> Result<Option<OrderId>, Refused> {
        match (self.order, self.all) {
            (Some(order), false) => Ok(Some(OrderId(order))),
            (None, true) => Ok(None),
            (Some(_), true) | (None, false) => Err(Refused::bad_input("Give `order` or `all`, one of them.")),
        }
    }
}

/// What came of a mutation; nothing was done where `userErrors` is not empty.
#[derive(Debug, SimpleObject)]
pub struct RetryDeadLettersPayload {
    /// How many orders are to be tried again. `deadLetters` shows what came of it: `isWanted` is false then.
    pub sequences: Option<BigInt>,
    /// The rule that refused, if one did.
    pub user_errors: Vec<UserError>,
}

/// Which event is passed over, and why.
#[derive(Debug, InputObject)]
pub struct DiscardEventInput {
    /// The read model.
    pub name: String,
    /// The event: the first that waits of its order.
    pub position: PositionInput,
    /// Why, in at most 1,000 bytes and without control characters: it is kept with the event.
    pub reason: String,
}

/// What came of a mutation; nothing was done where `userErrors` is not empty.
#[derive(Debug, SimpleObject)]
pub struct DiscardEventPayload {
    /// Whether the read model passes over the event from now on, or did so already for the same reason.
    pub discarded: bool,
    /// The rule that refused, if one did.
    pub user_errors: Vec<UserError>,
}
