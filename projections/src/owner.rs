//! The owner of one partition of what is fed from the log, whatever it does there: it takes steps until it is told to stop
//! or loses the partition.
//!
//! It listens first, then looks, then waits on a wake-up, a poll or cancellation, so nothing can slip in between.
//!
//! An event that cannot be handled stops the partition: everything before it is committed, the reason is kept in the
//! checkpoint's row, the log and the metrics, and it is tried again after a restart or when an operator says so. When
//! the database refuses rows (SQL state 22 or 23), the batch is halved until the event that makes them is alone. When it
//! cannot be reached, the step is tried again, later each time.

use crate::{
    board::Cell,
    checkpoint::{self, Held, StopClass, Stopped},
    fold::{Failure, chain, panic_text},
    limits,
    supervisor::Shared,
};
use docket_event_store::{FeedError, Position};
use futures::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Why an owner ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It was told to.
    Cancelled,
    /// Another process owns the partition.
    Lost,
}

/// What came of a step.
pub(crate) enum Step {
    /// Nothing to do for so long, unless the partition grows.
    Idle(Duration),
    /// The owner has come further, or stands where an earlier try had put it.
    Moved,
    /// The checkpoint may not move for a moment.
    Held,
    /// Another process owns the partition.
    Lost,
}

/// Why a step was not taken.
pub(crate) enum Trouble {
    /// The database cannot be reached, or not now.
    Unavailable(String),
    /// These events cannot be applied or written together.
    Events {
        first: Position,
        count: usize,
        class: StopClass,
        reason: String,
    },
}

/// What an owner starts with.
pub(crate) struct Assignment {
    pub(crate) shared: Arc<Shared>,
    pub(crate) held: Held,
    pub(crate) offset: i64,
    pub(crate) cancel: CancellationToken,
}

impl Assignment {
    /// What this process knows of the partition.
    pub(crate) fn cell(&self) -> Option<Arc<Cell>> {
        self.held.cell(&self.shared.board)
    }

    /// Everything up to `offset` is handled.
    pub(crate) fn reached(&mut self, offset: i64) {
        self.offset = offset;
        if let Some(cell) = self.cell() {
            cell.reached(offset);
        }
    }

    /// The checkpoint did not move: either it is another's, or an earlier try whose answer was lost did commit, or a swap
    /// holds it for a moment.
    pub(crate) async fn look_again(&mut self) -> Result<Step, Trouble> {
        let (shared, held) = (Arc::clone(&self.shared), self.held);
        let found = checkpoint::offset_if_held(shared.store.pool(), &held, shared.config.process).await;
        match found.map_err(|error| Trouble::Unavailable(chain(&error)))? {
            None => Ok(Step::Lost),
            Some((offset, true)) => {
                self.reached(offset);
                Ok(Step::Held)
            }
            Some((offset, false)) => {
                self.reached(offset);
                Ok(Step::Moved)
            }
        }
    }

    /// The first event that is not handled.
    pub(crate) fn next(&self) -> Position {
        Position {
            partition: self.held.partition,
            offset: self.offset + 1,
        }
    }
}

/// What is done with a partition, step by step.
pub(crate) trait Steps: Send {
    /// The partition, and how far it is handled.
    fn assignment(&self) -> &Assignment;

    /// Handles the next events, as many as wait, up to a limit; `count` is how many were tried.
    fn step(&mut self, count: &mut usize) -> impl Future<Output = Result<Step, Trouble>> + Send;

    /// Forgets what it remembers: it may not be what the tables hold.
    fn forget(&mut self);

    /// Tries no more events at a time.
    fn at_most(&mut self, events: usize);

    /// Finishes what need not have been done at once, as far as that is possible now.
    fn finish(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Takes steps until the owner is told to stop or loses its partition.
pub(crate) async fn own(mut steps: impl Steps) -> End {
    let (shared, cancel) = (
        Arc::clone(&steps.assignment().shared),
        steps.assignment().cancel.clone(),
    );
    let Some(mut head) = shared.store.feed().watch(steps.assignment().held.partition) else {
        return End::Cancelled;
    };
    let mut retry = limits::FIRST_RETRY;
    while !cancel.is_cancelled() {
        head.borrow_and_update();
        match guarded(&mut steps).await {
            Ok(Step::Lost) => return End::Lost,
            Ok(Step::Moved) => {
                retry = limits::FIRST_RETRY;
                shared.health.recovered();
            }
            Ok(Step::Held) => {
                cancel.run_until_cancelled(sleep(limits::HELD_POLL)).await;
            }
            Ok(Step::Idle(time)) => {
                tokio::select! {
                    () = cancel.cancelled() => break,
                    _ = head.changed() => {}
                    () = sleep(time) => {}
                }
            }
            Err(Trouble::Unavailable(reason)) => {
                shared.health.failed(&reason);
                // Once is nothing; who cannot be told now is told the next time.
                if retry > limits::FIRST_RETRY {
                    let held = steps.assignment().held;
                    let _ = checkpoint::trouble(shared.store.pool(), &held, &kept(reason)).await;
                }
                cancel.run_until_cancelled(sleep(retry)).await;
                retry = (retry * 2).min(limits::LAST_RETRY);
            }
            Err(Trouble::Events { count, .. }) if count > 1 => steps.at_most(count / 2),
            Err(Trouble::Events {
                first, class, reason, ..
            }) => {
                if !stand_still(&mut steps, first, class, reason).await {
                    return End::Lost;
                }
            }
        }
    }
    steps.finish().await;
    End::Cancelled
}

/// A step; a panic anywhere in it is trouble with its events.
async fn guarded(steps: &mut impl Steps) -> Result<Step, Trouble> {
    let mut count = 0;
    let step = AssertUnwindSafe(steps.step(&mut count)).catch_unwind().await;
    step.unwrap_or_else(|panic| {
        steps.forget();
        Err(Trouble::Events {
            first: steps.assignment().next(),
            count,
            class: StopClass::Panic,
            reason: panic_text(panic.as_ref()),
        })
    })
}

/// As much of a reason as is kept.
fn kept(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(limits::REASON_BYTES));
    reason.replace('\0', "")
}

/// Keeps the reason and waits until somebody says to try again; `false` when the partition is another's meanwhile.
async fn stand_still(steps: &mut impl Steps, position: Position, class: StopClass, reason: String) -> bool {
    let reason = kept(reason);
    let stopped = Stopped {
        position,
        class,
        reason,
    };
    let Assignment {
        shared, held, cancel, ..
    } = steps.assignment();
    let (shared, held, cancel) = (Arc::clone(shared), *held, cancel.clone());
    tracing::error!(
        projection = held.projection,
        partition = position.partition,
        offset = position.offset,
        class = class.as_str(),
        reason = stopped.reason,
        "a partition stands still: an event cannot be applied"
    );
    let mut retry = limits::FIRST_RETRY;
    loop {
        match checkpoint::stop(shared.store.pool(), &held, &stopped).await {
            Ok(true) => break,
            Ok(false) => return false,
            Err(error) => {
                shared.health.failed(&chain(&error));
                cancel.run_until_cancelled(sleep(retry)).await;
                retry = (retry * 2).min(limits::LAST_RETRY);
            }
        }
        if cancel.is_cancelled() {
            return true;
        }
    }
    let Some(cell) = held.cell(&shared.board) else {
        return true;
    };
    cell.stopped(stopped);
    tokio::select! {
        () = cancel.cancelled() => {}
        () = cell.retry.notified() => {
            tracing::info!(
                projection = held.projection,
                partition = position.partition,
                "a partition tries again"
            );
            steps.forget();
            cell.hopeful();
        }
    }
    true
}

pub(crate) fn count(projection: &'static str, events: usize, took: Duration) {
    metrics::counter!("docket_projection_events_total", "projection" => projection).increment(events as u64);
    metrics::counter!("docket_projection_batches_total", "projection" => projection).increment(1);
    metrics::histogram!("docket_projection_batch_seconds", "projection" => projection).record(took);
}

pub(crate) fn unreadable(error: FeedError) -> Trouble {
    Trouble::Unavailable(chain(&error))
}

pub(crate) fn failed(failure: Failure, first: Position) -> Trouble {
    Trouble::Events {
        first,
        count: 1,
        class: failure.class,
        reason: failure.reason,
    }
}

/// Rows that the database will refuse again the next time are trouble with their events; the rest passes.
pub(crate) fn trouble(error: &sqlx::Error, first: Position, count: usize) -> Trouble {
    let reason = match error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            if !code.starts_with("22") && !code.starts_with("23") {
                return Trouble::Unavailable(chain(error));
            }
            let constraint = database
                .constraint()
                .map(|name| format!(" ({name})"))
                .unwrap_or_default();
            format!(
                "the database refused its rows: {}{constraint}, SQL state {code}",
                database.message()
            )
        }
        sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => chain(error),
        _ => return Trouble::Unavailable(chain(error)),
    };
    Trouble::Events {
        first,
        count,
        class: StopClass::Sql,
        reason,
    }
}
