//! Random tokens to their actors, with what was verified remembered for a short while.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use docket_domain::Actor;
use quick_cache::sync::Cache;
use sqlx::PgPool;

use super::{
    Checked,
    token::{TokenError, TokenHash, find},
};

/// Verified tokens that are remembered: about 200 bytes each.
const MAX_REMEMBERED: usize = 10_000;
/// How long a verified token is believed without asking: the longest that a revoked one still opens a request.
const REMEMBERED_FOR: Duration = Duration::from_secs(10);

/// Tells callers by the table `api_tokens`. Clones share what is remembered.
#[derive(Clone)]
pub struct Tokens {
    pool: PgPool,
    // Only tokens that hold are kept: an attacker's guesses must not push out what is used.
    verified: Arc<Cache<TokenHash, Verified>>,
}

#[derive(Clone)]
struct Verified {
    actor: Arc<Actor>,
    since: Instant,
    holds_for: Duration,
}

impl Verified {
    /// How long the token still holds; `None` where it has to be asked for again.
    fn left(&self) -> Option<Duration> {
        let age = self.since.elapsed();
        let left = self.holds_for.checked_sub(age)?;
        (age < REMEMBERED_FOR && !left.is_zero()).then_some(left)
    }
}

impl Tokens {
    /// Over the table in this database.
    pub fn new(pool: PgPool) -> Tokens {
        Tokens {
            pool,
            verified: Arc::new(Cache::new(MAX_REMEMBERED)),
        }
    }

    async fn verify(&self, text: &str) -> Result<Option<(Arc<Actor>, Duration)>, TokenError> {
        let Some(hash) = TokenHash::of(text) else {
            return Ok(None);
        };
        if let Some(known) = self.verified.get(&hash)
            && let Some(left) = known.left()
        {
            return Ok(Some((known.actor, left)));
        }
        let since = Instant::now();
        let Some((actor, holds_for)) = find(&self.pool, hash).await? else {
            self.verified.remove(&hash);
            return Ok(None);
        };
        let actor = Arc::new(actor);
        self.verified.insert(
            hash,
            Verified {
                actor: Arc::clone(&actor),
                since,
                holds_for,
            },
        );
        Ok(Some((actor, holds_for)))
    }

    /// The actor of a token that holds now, and for how long it goes on holding.
    pub(super) async fn check(&self, text: &str) -> Checked<(Arc<Actor>, Duration)> {
        match self.verify(text).await {
            Ok(Some(verified)) => Checked::Holds(verified),
            Ok(None) => Checked::Not,
            Err(error) => Checked::Unknown(Box::new(error)),
        }
    }
}
