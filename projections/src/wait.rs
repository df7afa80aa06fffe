//! Waiting until read models have reached a position: what makes "read your own writes" true.
//!
//! A mutation returns its position; a query that names it waits here until every read model that it touches is at or
//! past it, or is told why not. Never an old row passed off as new.
//!
//! Waiters watch cells in memory. What this process feeds wakes them as it commits; what others feed is read from their
//! checkpoints every 50 ms while anybody waits, once for all waiters.

use crate::{
    checkpoint::Stopped,
    dead_letter,
    generation::{NotServed, Serving},
    limits,
    supervisor::Shared,
};
use docket_event_store::Position;
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};
use tokio::time::{Instant, timeout_at};

/// Why the rows may not be read yet.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WaitError {
    /// The read model is behind and does not get there in time.
    #[error("{projection} has reached offset {reached} of partition {partition}, not {wanted}{}", because(.stopped))]
    Stale {
        /// The read model.
        projection: &'static str,
        /// The partition.
        partition: u16,
        /// How far it is.
        reached: i64,
        /// How far it should be.
        wanted: i64,
        /// Why it stands still, where it does.
        stopped: Option<Arc<Stopped>>,
    },
    /// The event waits among dead letters: it could not be applied, or one before it of the same order could not.
    #[error("{projection} has not applied event {position}: it waits among dead letters")]
    Parked {
        /// The read model.
        projection: &'static str,
        /// The position that was asked for.
        position: Position,
    },
    /// The database did not say whether the event waits among dead letters.
    #[error("the dead letters cannot be read")]
    Letters(#[source] Arc<sqlx::Error>),
    /// Too many wait already.
    #[error("too many requests wait for read models")]
    Overloaded,
    /// More positions than a log has partitions.
    #[error("{0} positions are too many to wait for")]
    TooMany(usize),
    /// There is no such partition.
    #[error("there is no partition {0}")]
    NoSuchPartition(u16),
    /// It has no rows of this program's version, or there is no such read model.
    #[error(transparent)]
    NotServed(#[from] NotServed),
}

fn because(stopped: &Option<Arc<Stopped>>) -> String {
    stopped
        .as_ref()
        .map(|stopped| format!("; it stands still at {stopped}"))
        .unwrap_or_default()
}

/// Counts a waiter as long as it lives.
struct Waiter<'a>(&'a Shared);

impl<'a> Waiter<'a> {
    fn enter(shared: &'a Shared) -> Result<Self, WaitError> {
        let before = shared.waiters.fetch_add(1, Ordering::AcqRel);
        metrics::gauge!("docket_position_waiters").increment(1);
        let waiter = Self(shared);
        if before >= shared.config.waiters {
            return Err(WaitError::Overloaded);
        }
        shared.waiting.notify_one();
        Ok(waiter)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::AcqRel);
        metrics::gauge!("docket_position_waiters").decrement(1);
    }
}

/// What events count as that wait among dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Letters {
    /// They are not in the rows.
    Refused,
    /// The read model has come past them.
    Passed,
}

/// Waits in every generation that is served or will be next. Looked at once more at the end: where a swap was learnt of
/// meanwhile, what comes next has to be waited for as well.
pub(crate) async fn wait_for(
    shared: &Shared,
    read_models: &[&'static str],
    positions: &[Position],
    letters: Letters,
) -> Result<(), WaitError> {
    if positions.len() > limits::WAIT_POSITIONS {
        return Err(WaitError::TooMany(positions.len()));
    }
    let until = Instant::now() + shared.config.wait;
    let mut waited: Vec<Serving> = Vec::new();
    loop {
        let mut served = shared.served();
        served.retain(|serving| !waited.contains(serving));
        if served.is_empty() {
            return Ok(());
        }
        for serving in served {
            wait_in(shared, &serving, read_models, positions, letters, until).await?;
            waited.push(serving);
        }
    }
}

async fn wait_in(
    shared: &Shared,
    serving: &Serving,
    read_models: &[&'static str],
    positions: &[Position],
    letters: Letters,
    until: Instant,
) -> Result<(), WaitError> {
    let mut open = Vec::new();
    for projection in read_models {
        let line = shared.board.line(projection, serving.of(projection)?);
        // Gone since: it was served long ago.
        let line = line.ok_or_else(|| NotServed((*projection).to_owned()))?;
        for position in positions {
            let cell = line.cells.get(usize::from(position.partition));
            let cell = cell.ok_or(WaitError::NoSuchPartition(position.partition))?;
            let (reached, parked) = {
                let progress = cell.progress.borrow();
                (progress.offset, progress.parked)
            };
            if reached < position.offset || (parked > 0 && letters == Letters::Refused) {
                open.push((*projection, line.generation, *position, Arc::clone(cell)));
            }
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    let _waiter = Waiter::enter(shared)?;
    let mut passed = BTreeMap::new();
    for (projection, generation, position, cell) in open {
        let mut progress = cell.progress.subscribe();
        let there = progress.wait_for(|p| p.offset >= position.offset || p.stopped.is_some());
        // An error means that the sender is gone, and it lives in `shared`.
        let _ = timeout_at(until, there).await;
        let now = cell.progress.borrow().clone();
        if now.offset < position.offset {
            return Err(WaitError::Stale {
                projection,
                partition: position.partition,
                reached: now.offset,
                wanted: position.offset,
                stopped: now.stopped,
            });
        }
        // The checkpoint has passed it; the rows have it unless it waits.
        if now.parked > 0 && letters == Letters::Refused {
            let positions: &mut Vec<Position> = passed.entry((projection, generation)).or_default();
            positions.push(position);
        }
    }
    for ((projection, generation), positions) in passed {
        let parked = dead_letter::first_parked(shared.store.pool(), projection, generation, &positions);
        let parked = timeout_at(until, parked)
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut));
        if let Some(position) = parked.map_err(|error| WaitError::Letters(Arc::new(error)))? {
            return Err(WaitError::Parked { projection, position });
        }
    }
    Ok(())
}
