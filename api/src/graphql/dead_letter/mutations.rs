//! What operators do about dead letters.

use async_graphql::{Context, Object, Result};
use docket_projections::dead_letter;

use super::payloads::{
    DiscardEventInput, DiscardEventPayload, RetryDeadLettersInput, RetryDeadLettersPayload,
};
use crate::graphql::{
    actor,
    projection::mutations::noted,
    scalars::BigInt,
    user_error::{UserError, answered},
};

/// Mutations of dead letters.
#[derive(Default)]
pub struct DeadLetterMutations;

#[Object]
impl DeadLetterMutations {
    /// Has what waits tried again, in order: of one order, or of all. It answers at once; where somebody feeds the read model it
    /// is done within a second or two.
    async fn retry_dead_letters(
        &self,
        ctx: &Context<'_>,
        input: RetryDeadLettersInput,
    ) -> Result<Option<RetryDeadLettersPayload>> {
        let order = input.order()?;
        let services = noted(ctx, "retryDeadLetters", &input.name)?;
        let asked = dead_letter::retry(services.store.pool(), &input.name, order).await;
        let (sequences, user_errors) = answered(asked, UserError::of_dead_letter)?;
        Ok(Some(RetryDeadLettersPayload {
            sequences: sequences.map(BigInt),
            user_errors,
        }))
    }

    /// Has a read model pass over an event for good that could not be applied, in every generation and every rebuild. What waits
    /// behind it is tried then.
    async fn discard_event(
        &self,
        ctx: &Context<'_>,
        input: DiscardEventInput,
    ) -> Result<Option<DiscardEventPayload>> {
        let position = input.position.checked()?;
        let services = noted(ctx, "discardEvent", &input.name)?;
        let who = actor(ctx)?;
        let by = format!("{}:{}", who.role, who.id);
        let pool = services.store.pool();
        let asked = dead_letter::discard(pool, &input.name, position, &input.reason, &by).await;
        let (discarded, user_errors) = answered(asked, UserError::of_dead_letter)?;
        Ok(Some(DiscardEventPayload {
            discarded: discarded.is_some(),
            user_errors,
        }))
    }
}
