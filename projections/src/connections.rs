//! The connections that owners write with: few, and kept while they are busy.
//!
//! An owner takes a turn, then a connection. One that was used a moment ago is taken as it is: the pool would first ask
//! the server whether it lives, a round trip of its own on the way from acknowledgement to row, and under load queries
//! would be in front of it in the pool's queue. What failed goes back to the pool, which examines it; what is idle goes
//! back as well.

use sqlx::{PgPool, Postgres, pool::PoolConnection};
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, SemaphorePermit};

pub(crate) struct Connections {
    pool: PgPool,
    turns: Semaphore,
    kept: Mutex<Vec<(PoolConnection<Postgres>, Instant)>>,
}

/// The right to use one connection.
pub(crate) struct Turn<'a> {
    from: &'a Connections,
    _permit: SemaphorePermit<'a>,
}

impl Connections {
    pub(crate) fn new(pool: PgPool, number: usize) -> Self {
        Self {
            pool,
            turns: Semaphore::new(number.max(1)),
            kept: Mutex::default(),
        }
    }

    /// Waits for a turn; turns are given in the order that they were asked for.
    pub(crate) async fn turn(&self) -> Option<Turn<'_>> {
        // The semaphore is never closed.
        let permit = self.turns.acquire().await.ok()?;
        Some(Turn {
            from: self,
            _permit: permit,
        })
    }

    /// Gives back what was not used for `time`.
    pub(crate) fn give_back_idle(&self, time: Duration) {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(_, used)| used.elapsed() < time);
    }
}

impl Turn<'_> {
    /// A connection, at most one for each turn.
    pub(crate) async fn connection(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
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
    pub(crate) fn keep(self, connection: PoolConnection<Postgres>) {
        let mut kept = self.from.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push((connection, Instant::now()));
    }
}
