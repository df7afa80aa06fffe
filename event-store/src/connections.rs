//! Connections that are kept while they are busy.
//!
//! Who takes a turn takes a connection that was used a moment ago as it is: the pool would first ask the server whether
//! it lives, a round trip of its own behind each statement, and under load everybody else would be in front of it in the
//! pool's queue. What failed goes back to the pool, which examines it; what lay idle goes back as well.

use crate::limits;
use sqlx::{PgConnection, PgPool, Postgres, pool::PoolConnection};
use std::{
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Some of a pool's connections, for one kind of work.
pub struct Connections {
    pool: PgPool,
    turns: Semaphore,
    kept: Mutex<Vec<(PoolConnection<Postgres>, Instant)>>,
}

/// The right to use one connection.
pub struct Turn<'a> {
    from: &'a Connections,
    _permit: SemaphorePermit<'a>,
}

/// A connection in use, in its turn. Dropped, it goes back to the pool, which examines it.
pub struct InUse<'a> {
    // Dropped first: with its turn somebody else takes one.
    connection: PoolConnection<Postgres>,
    turn: Turn<'a>,
}

impl Deref for InUse<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for InUse<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl InUse<'_> {
    /// Passes on what came of it. It is kept for the next turn where it did what it was asked for, and goes back to the
    /// pool, which examines it, where it failed: a connection that is dead would be taken again and again.
    ///
    /// # Errors
    /// What it failed with.
    pub fn finish<T, E>(self, came: Result<T, E>) -> Result<T, E> {
        if came.is_ok() {
            self.turn.keep(self.connection);
        }
        came
    }
}

impl Connections {
    /// At most `number` (at least 1) of a pool's connections.
    pub fn new(pool: PgPool, number: usize) -> Self {
        Self {
            pool,
            turns: Semaphore::new(number.max(1)),
            kept: Mutex::default(),
        }
    }

    /// Waits for a turn; turns are given in the order that they were asked for.
    pub async fn turn(&self) -> Option<Turn<'_>> {
        // The semaphore is never closed.
        let permit = self.turns.acquire().await.ok()?;
        Some(Turn {
            from: self,
            _permit: permit,
        })
    }

    /// Waits for a turn and for its connection, together at most `limit`.
    ///
    /// # Errors
    /// When the pool has none to give, or not in time.
    pub async fn take(&self, limit: Duration) -> Result<InUse<'_>, sqlx::Error> {
        let taken = async {
            let turn = self.turn().await.ok_or(sqlx::Error::PoolClosed)?;
            let connection = turn.connection().await?;
            Ok(InUse { turn, connection })
        };
        let taken = tokio::time::timeout(limit, taken).await;
        taken.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    /// Gives back what was not used for `time`.
    pub fn give_back_idle(&self, time: Duration) {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(_, used)| used.elapsed() < time);
    }
}

impl Turn<'_> {
    /// A connection, at most one for each turn.
    ///
    /// # Errors
    /// When the pool has none to give.
    pub async fn connection(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        // The newest is on top: where it has lain idle for too long, all have, and are on their way to the pool.
        self.from.give_back_idle(limits::TRUSTED_IDLE);
        let kept = self
            .from
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        match kept {
            Some((connection, _)) => Ok(connection),
            None => self.from.pool.acquire().await,
        }
    }

    /// Keeps a connection that did what it was asked for the next turn.
    pub fn keep(self, connection: PoolConnection<Postgres>) {
        let mut kept = self.from.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.from.pool.is_closed() {
            kept.push((connection, Instant::now()));
        }
    }
}
