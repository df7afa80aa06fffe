//! What waits, and what was discarded.

use async_graphql::{Context, Object, Result};
use docket_domain::OrderId;
use docket_projections::dead_letter::{self, DeadLetterError};
use uuid::Uuid;

use super::types::{DeadLetter, DeadLetterConnection, DiscardedEvent};
use crate::graphql::{
    cursor,
    error::{NOT_FOUND, Refused, sentence},
    paging::Window,
    scalars::BigInt,
    services,
};

/// Queries of dead letters.
#[derive(Default)]
pub struct DeadLetterQueries;

#[Object]
impl DeadLetterQueries {
    /// The orders whose events wait because one of them could not be applied, by read model, generation and position.
    async fn dead_letters(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of this read model; of all where nothing is said.")] name: Option<String>,
        #[graphql(desc = "How many; 20 where nothing is said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "After this place.")] after: Option<String>,
    ) -> Result<Option<DeadLetterConnection>> {
        let window = Window::of(first, after.as_deref(), None, None, cursor::to_letter)?;
        let one_more = window.limit as i64 + 1;
        let pool = services(ctx)?.store.pool();
        let found = dead_letter::list(pool, name.as_deref(), window.from.as_ref(), one_more).await;
        let found = found.map_err(refused)?;
        Ok(Some(DeadLetterConnection::of(found, &window)))
    }

    /// What waits of an order, in every generation of a read model: the event that could not be applied, and those behind it;
    /// at most 1,000, and `deadLetterCount` tells how many there are.
    async fn dead_letter(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The read model.")] name: String,
        #[graphql(desc = "The order's id.")] order: Uuid,
    ) -> Result<Option<Vec<DeadLetter>>> {
        let shown = dead_letter::show(services(ctx)?.store.pool(), &name, OrderId(order)).await;
        let letters = shown.map_err(refused)?;
        Ok(Some(letters.into_iter().map(Into::into).collect()))
    }

    /// How many events of an order wait, in every generation of a read model together: `deadLetter` shows at most 1,000.
    async fn dead_letter_count(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The read model.")] name: String,
        #[graphql(desc = "The order's id.")] order: Uuid,
    ) -> Result<Option<BigInt>> {
        let counted = dead_letter::letter_count(services(ctx)?.store.pool(), &name, OrderId(order)).await;
        Ok(Some(BigInt(counted.map_err(refused)?)))
    }

    /// Events that read models pass over for good, the last to be discarded first; at most 1,000, and `discardedEventCount`
    /// tells how many there are.
    async fn discarded_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "By this read model; by all where nothing is said.")] name: Option<String>,
    ) -> Result<Option<Vec<DiscardedEvent>>> {
        let discarded = dead_letter::discarded(services(ctx)?.store.pool(), name.as_deref()).await;
        let discarded = discarded.map_err(refused)?;
        Ok(Some(discarded.into_iter().map(Into::into).collect()))
    }

    /// How many events read models pass over for good: `discardedEvents` shows at most 1,000.
    async fn discarded_event_count(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "By this read model; by all where nothing is said.")] name: Option<String>,
    ) -> Result<Option<BigInt>> {
        let counted = dead_letter::discarded_count(services(ctx)?.store.pool(), name.as_deref()).await;
        Ok(Some(BigInt(counted.map_err(refused)?)))
    }
}

/// Why nothing is shown.
fn refused(error: DeadLetterError) -> Refused {
    match error {
        DeadLetterError::NoSuchReadModel { .. } | DeadLetterError::NotParked { .. } => {
            Refused::new(NOT_FOUND, sentence(&error))
        }
        DeadLetterError::Database(error) => error.into(),
        // What refuses a discard; nothing is discarded here.
        DeadLetterError::NotFirst { .. }
        | DeadLetterError::Applied { .. }
        | DeadLetterError::Rebuilding { .. }
        | DeadLetterError::AlreadyDiscarded { .. }
        | DeadLetterError::Reason(_)
        | DeadLetterError::By(_) => Refused::internal(&error),
    }
}
