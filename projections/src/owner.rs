//! The owner of one partition of what is fed from the log, whatever it does there: it takes steps until it is told to stop
//! or loses the partition.
//!
//! It listens first, then looks, then waits on a wake-up, a poll or cancellation, so nothing can slip in between.
//!
//! An event that cannot be handled is tried again a few times, later each time; everything before it is committed. Then a
//! read model parks it with its order ([`crate::dead_letter`]) and goes on; a reactor, or a read model that is told to,
//! stops the partition: the reason is kept in the checkpoint's row, the log and the metrics, and it is tried again after a
//! restart or when an operator says so. When the database refuses rows (SQL state 22 or 23), the batch is halved until the
//! event that makes them is alone. When it cannot be reached, the step is tried again, later each time.

use crate::{
    board::Cell,
    checkpoint::{self, Held, StopClass, Stopped},
    fold::{Failure, chain, panic_text},
    limits,
    start::OnFailure,
    supervisor::Shared,
};
use docket_event_store::{FeedError, Position};
use futures::FutureExt;
use std::{fmt, future::pending, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};
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

/// What came of parking an event.
pub(crate) enum Parked {
    /// It is, or need not be.
    Yes(Step),
    /// Nothing is parked here.
    No,
    /// As many orders are parked as may be.
    TooMany,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(reason) | Self::Events { reason, .. } => f.write_str(reason),
        }
    }
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

    /// So many orders have dead letters.
    pub(crate) fn waits(&self, orders: usize) {
        if let Some(cell) = self.cell() {
            cell.waits(orders);
        }
    }

    /// The checkpoint did not move: either it is another's, or an earlier try whose answer was lost did commit, or a swap
    /// holds it for a moment.
    pub(crate) async fn look_again(&mut self) -> Result<Step, Trouble> {
        let (shared, held) = (Arc::clone(&self.shared), self.held);
        let found = checkpoint::offset_if_held(shared.store.pool(), &held, shared.config.process).await;
        match found.map_err(|error| Trouble::Unavailable(chain(&error)))? {
            None => Ok(Step::Lost),
            Some(there) => {
                self.waits(there.parked);
                self.reached(there.offset);
                Ok(if there.is_held { Step::Held } else { Step::Moved })
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

    /// Parks the next event, which could not be handled so many times, and goes on behind it.
    fn park(&mut self, _: &Stopped, _attempts: u32) -> impl Future<Output = Result<Parked, Trouble>> + Send {
        std::future::ready(Ok(Parked::No))
    }

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
    let mut attempts = Attempts::default();
    while !cancel.is_cancelled() {
        head.borrow_and_update();
        let came = match guarded(&mut steps).await {
            Err(Trouble::Events {
                first,
                count,
                class,
                reason,
            }) if count <= 1 => {
                let failure = Stopped::new(first, class, reason);
                let made = attempts.count(first);
                if made < shared.config.attempts {
                    steps.forget();
                    let pause = limits::FIRST_RETRY * 2_u32.saturating_pow(made - 1);
                    cancel
                        .run_until_cancelled(sleep(pause.min(limits::LAST_RETRY)))
                        .await;
                    continue;
                }
                attempts = Attempts::default();
                give_up(&mut steps, failure, count == 1, made).await
            }
            came => came,
        };
        match came {
            Ok(Step::Lost) => return End::Lost,
            Ok(Step::Moved) => {
                retry = limits::FIRST_RETRY;
                shared.health.recovered();
            }
            Ok(Step::Held) => {
                cancel.run_until_cancelled(sleep(limits::HELD_POLL)).await;
            }
            Ok(Step::Idle(time)) => {
                let cell = steps.assignment().cell();
                tokio::select! {
                    () = cancel.cancelled() => break,
                    _ = head.changed() => {}
                    () = wished(cell.as_deref()) => {}
                    () = sleep(time) => {}
                }
            }
            Err(Trouble::Unavailable(reason)) => {
                shared.health.failed(&reason);
                // Once is nothing; who cannot be told now is told the next time.
                if retry > limits::FIRST_RETRY {
                    let held = steps.assignment().held;
                    let _ = checkpoint::trouble(shared.store.pool(), &held, &checkpoint::kept(reason)).await;
                }
                cancel.run_until_cancelled(sleep(retry)).await;
                retry = (retry * 2).min(limits::LAST_RETRY);
            }
            Err(Trouble::Events { count, .. }) if count > 1 => steps.at_most(count / 2),
            Err(Trouble::Events {
                first, class, reason, ..
            }) => {
                let failure = Stopped::new(first, class, reason);
                if !stand_still(&mut steps, failure).await {
                    return End::Lost;
                }
            }
        }
    }
    steps.finish().await;
    End::Cancelled
}

/// How often an event was tried.
#[derive(Default)]
struct Attempts {
    position: Option<Position>,
    made: u32,
}

impl Attempts {
    /// One more.
    fn count(&mut self, position: Position) -> u32 {
        if self.position.replace(position) != Some(position) {
            self.made = 0;
        }
        self.made += 1;
        self.made
    }
}

/// An event cannot be handled, however often it is tried: it is parked, where it is known to be the one, or the partition
/// stands still.
async fn give_up(
    steps: &mut impl Steps,
    mut failure: Stopped,
    is_alone: bool,
    attempts: u32,
) -> Result<Step, Trouble> {
    if is_alone && steps.assignment().shared.config.on_failure == OnFailure::Park {
        match steps.park(&failure, attempts).await? {
            Parked::Yes(step) => return Ok(step),
            Parked::No => {}
            Parked::TooMany => {
                let most = limits::PARKED_ORDERS;
                let reason = format!("{most} orders are parked already; {failure}");
                failure = Stopped::new(failure.position, StopClass::Full, reason);
            }
        }
    }
    Ok(match stand_still(steps, failure).await {
        true => Step::Moved,
        false => Step::Lost,
    })
}

async fn wished(cell: Option<&Cell>) {
    match cell {
        Some(cell) => cell.wished.notified().await,
        None => pending().await,
    }
}

/// A step that takes no longer than that.
pub(crate) async fn in_time(
    most: Duration,
    step: impl Future<Output = Result<Step, Trouble>>,
) -> Result<Step, Trouble> {
    let late = || Err(Trouble::Unavailable("the database did not answer in time".into()));
    timeout(most, step).await.unwrap_or_else(|_| late())
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

/// Keeps the reason and waits until somebody says to try again; `false` when the partition is another's meanwhile.
async fn stand_still(steps: &mut impl Steps, stopped: Stopped) -> bool {
    let position = stopped.position;
    let Assignment {
        shared, held, cancel, ..
    } = steps.assignment();
    let (shared, held, cancel) = (Arc::clone(shared), *held, cancel.clone());
    tracing::error!(
        projection = held.projection,
        partition = position.partition,
        offset = position.offset,
        class = stopped.class.as_str(),
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

/// Classes of SQL states by which rows are refused, and not the moment: values, constraints, one row where two are, limits of
/// a row or an index, and what a trigger raises.
const REFUSED: [&str; 5] = ["22", "23", "21", "54", "P0"];

/// Rows that the database will refuse again the next time are trouble with their events; the rest passes.
pub(crate) fn trouble(error: &sqlx::Error, first: Position, count: usize) -> Trouble {
    let reason = match error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            if !REFUSED.iter().any(|class| code.starts_with(class)) {
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
