//! How every read model and reactor fares.

use async_graphql::{Context, Object, Result};
use docket_projections::{overview::Seen, shown_name};

use super::types::Projection;
use crate::graphql::{error::Refused, services};

/// Queries of projections.
#[derive(Default)]
pub struct ProjectionQueries;

#[Object]
impl ProjectionQueries {
    /// How every read model and reactor fares, partition by partition, and why one does not move. It is looked at for a moment,
    /// at most four times a second however many ask.
    async fn projections(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "This one; all where nothing is said.")] name: Option<String>,
    ) -> Result<Option<Vec<Projection>>> {
        let mut follower = services(ctx)?.watch.follow();
        let seen = follower
            .next()
            .await
            .map_err(|error| Refused::of_shared(&error))?;
        check(&seen, name.as_deref())?;
        Ok(Some(Projection::all(&seen, name.as_deref())))
    }
}

/// That there is something of this name.
pub(super) fn check(seen: &Seen, name: Option<&str>) -> Result<(), Refused> {
    match name {
        Some(name) if !seen.has(Some(name)) => {
            let name = shown_name(name);
            Err(Refused::not_found(format!("The read model {name:?}")))
        }
        _ => Ok(()),
    }
}
