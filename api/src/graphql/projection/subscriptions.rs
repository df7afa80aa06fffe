//! Following how read models fare, and a rebuild in progress.
//!
//! A message is a state, not an event: each says all that there is to say now, so there is no cursor and nothing to resume. Who
//! was away begins anew and has missed nothing that still holds.

use std::{sync::Arc, time::Instant};

use async_graphql::{Context, Result, SimpleObject, Subscription};
use chrono::{DateTime, Utc};
use docket_projections::overview::{Follower, Seen};
use futures::{Stream, stream};
use tokio::time::timeout_at;

use super::{queries::check, types::Projection};
use crate::graphql::{error::Refused, limits, services};

/// How things stand.
#[derive(Clone, Debug, SimpleObject)]
pub struct ProjectionMessage {
    /// When it was said.
    pub at: DateTime<Utc>,
    /// The projections that are followed.
    pub projections: Vec<Projection>,
}

struct Followed {
    follower: Follower,
    name: Option<String>,
    /// What was said last, and when.
    said: Option<(Arc<Seen>, Instant)>,
}

impl Followed {
    /// How things stand: at once, then when something has changed, or after [`limits::IDLE_CURSOR`].
    async fn next(&mut self) -> Result<ProjectionMessage, Refused> {
        loop {
            let Some((said, when)) = &self.said else {
                let seen = self.look().await?;
                check(&seen, self.name.as_deref())?;
                return Ok(self.say(seen));
            };
            let (said, until) = (Arc::clone(said), *when + limits::IDLE_CURSOR);
            match timeout_at(until.into(), self.look()).await {
                Ok(seen) => {
                    let seen = seen?;
                    if !seen.is_as(&said, self.name.as_deref()) {
                        return Ok(self.say(seen));
                    }
                }
                Err(_) => return Ok(self.say(said)),
            }
        }
    }

    async fn look(&mut self) -> Result<Arc<Seen>, Refused> {
        let seen = self.follower.next().await;
        seen.map_err(|error| Refused::of_shared(&error))
    }

    fn say(&mut self, seen: Arc<Seen>) -> ProjectionMessage {
        let message = ProjectionMessage {
            at: Utc::now(),
            projections: Projection::all(&seen, self.name.as_deref()),
        };
        self.said = Some((seen, Instant::now()));
        message
    }
}

/// Subscriptions to projections.
#[derive(Default)]
pub struct ProjectionSubscriptions;

#[Subscription]
impl ProjectionSubscriptions {
    /// How read models and reactors fare, with their rebuilds: a message at once, then one whenever something has changed, twice
    /// a second at most, and one each 15 s in which nothing has. A message is a whole state: it has no cursor, and who comes
    /// again begins anew.
    async fn projection_progress(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "This one; all where nothing is said.")] name: Option<String>,
    ) -> Result<impl Stream<Item = Result<ProjectionMessage>> + use<>> {
        let followed = Followed {
            follower: services(ctx)?.watch.follow(),
            name,
            said: None,
        };
        Ok(stream::unfold(Some(followed), |followed| async move {
            let mut followed = followed?;
            match followed.next().await {
                Ok(message) => Some((Ok(message), Some(followed))),
                Err(refused) => Some((Err(refused.into()), None)),
            }
        }))
    }
}
