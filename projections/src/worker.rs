//! The owner of one partition of one read model: reads the feed, folds, commits, again.
//!
//! It listens first, then looks, then waits on a wake-up, a poll or cancellation, so nothing can slip in between. A step
//! reads as many events as wait, up to a limit: under load batches grow by themselves, when idle an event goes alone.
//!
//! An event that cannot be applied stops the partition: everything before it is committed, the reason is kept in the
//! checkpoint's row, the log and the metrics, and it is tried again after a restart or when an operator says so. When
//! the database refuses rows (SQL state 22 or 23), the batch is halved until the event that makes them is alone. When it
//! cannot be reached, the step is tried again, later each time.

use crate::{
    board::Cell,
    checkpoint::{self, Held, StopClass, Stopped},
    commit::{self, Move, Statements},
    fold::{Failure, Fold, chain, panic_text},
    limits,
    projector::Projector,
    supervisor::Shared,
};
use docket_event_store::{FeedError, Position, RecordedEvent, Turn};
use futures::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
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

enum Step {
    /// Nothing to do.
    Idle,
    /// The checkpoint moved, or stands where an earlier try had put it.
    Moved,
    Lost,
}

enum Trouble {
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

/// What a worker starts with.
pub(crate) struct Assignment {
    pub(crate) shared: Arc<Shared>,
    pub(crate) held: Held,
    pub(crate) offset: i64,
    pub(crate) cancel: CancellationToken,
}

/// The owner of one partition.
pub(crate) struct Worker<P: Projector> {
    shared: Arc<Shared>,
    projector: Arc<P>,
    statements: Arc<Statements>,
    fold: Fold<P>,
    held: Held,
    offset: i64,
    /// Events in the next batch at most; halved to trace an event that the database refuses.
    most: usize,
    cancel: CancellationToken,
}

impl<P: Projector> Worker<P> {
    pub(crate) fn new(projector: Arc<P>, statements: Arc<Statements>, start: Assignment) -> Self {
        let fold = Fold::new(Arc::clone(&projector), start.shared.cache_bytes(P::CACHE_SHARE));
        let Assignment {
            shared,
            held,
            offset,
            cancel,
        } = start;
        let most = shared.config.batch_events.max(1);
        Self {
            shared,
            projector,
            statements,
            fold,
            held,
            offset,
            most,
            cancel,
        }
    }

    /// Feeds the partition until it is told to stop or loses it.
    pub(crate) async fn run(mut self) -> End {
        let feed = self.shared.store.feed().clone();
        let Some(mut head) = feed.watch(self.held.partition) else {
            return End::Cancelled;
        };
        let mut retry = limits::FIRST_RETRY;
        while !self.cancel.is_cancelled() {
            head.borrow_and_update();
            match self.guarded_step().await {
                Ok(Step::Lost) => return End::Lost,
                Ok(Step::Moved) => {
                    retry = limits::FIRST_RETRY;
                    self.shared.health.recovered();
                }
                Ok(Step::Idle) => {
                    tokio::select! {
                        () = self.cancel.cancelled() => break,
                        _ = head.changed() => {}
                        () = sleep(limits::IDLE_POLL) => {}
                    }
                }
                Err(Trouble::Unavailable(reason)) => {
                    self.shared.health.failed(&reason);
                    self.pause(retry).await;
                    retry = (retry * 2).min(limits::LAST_RETRY);
                }
                Err(Trouble::Events { count, .. }) if count > 1 => self.most = count / 2,
                Err(Trouble::Events {
                    first, class, reason, ..
                }) => {
                    if !self.stand_still(first, class, reason).await {
                        return End::Lost;
                    }
                }
            }
        }
        End::Cancelled
    }

    /// A step; a panic anywhere in it is trouble with its events.
    async fn guarded_step(&mut self) -> Result<Step, Trouble> {
        let mut count = 0;
        let step = AssertUnwindSafe(self.step(&mut count)).catch_unwind().await;
        step.unwrap_or_else(|panic| {
            self.fold.clear();
            let first = Position {
                partition: self.held.partition,
                offset: self.offset + 1,
            };
            let reason = panic_text(panic.as_ref());
            Err(Trouble::Events {
                first,
                count,
                class: StopClass::Panic,
                reason,
            })
        })
    }

    async fn step(&mut self, count: &mut usize) -> Result<Step, Trouble> {
        let shared = Arc::clone(&self.shared);
        let feed = shared.store.feed();
        if feed.head(self.held.partition) <= self.offset {
            return Ok(Step::Idle);
        }
        // The feed is read under the permit: what arrives while this waits for its turn joins the batch.
        let Some(turn) = shared.connections.turn().await else {
            return Ok(Step::Idle);
        };
        let events = feed
            .read(self.held.partition, self.offset, self.most)
            .await
            .map_err(unreadable)?;
        *count = events.len();
        if events.is_empty() {
            return Ok(Step::Idle);
        }
        match timeout(shared.config.step, self.commit(&events, turn)).await {
            Ok(step) => step,
            Err(_) => Err(Trouble::Unavailable("the database did not answer in time".into())),
        }
    }

    /// Folds the events as far as they can be, and writes what came out.
    async fn commit(&mut self, events: &[Arc<RecordedEvent>], turn: Turn<'_>) -> Result<Step, Trouble> {
        let started = std::time::Instant::now();
        let partition = self.held.partition;
        let first = Position {
            partition,
            offset: self.offset + 1,
        };
        let refused = |error: sqlx::Error| trouble(error, first, events.len());
        let mut connection = turn.connection().await.map_err(refused)?;
        let missing = self.fold.missing(events);
        let loaded = self
            .fold
            .load(&mut connection, &self.statements, missing)
            .await
            .map_err(refused)?;
        let (events, entities) = match self.fold.apply(events, &loaded) {
            Ok(entities) => (events, entities),
            Err(failure) => {
                // What comes before the event is written first; the next step meets it alone.
                let good = &events[..failure.at];
                let again = if good.is_empty() {
                    None
                } else {
                    self.fold.apply(good, &loaded).ok()
                };
                let Some(entities) = again else {
                    return Err(failed(failure, first));
                };
                (good, entities)
            }
        };
        let Some(last) = events.last() else {
            return Ok(Step::Idle);
        };
        let step = Move {
            generation: self.held.generation,
            partition,
            epoch: self.held.epoch,
            from: self.offset,
            to: last.position.offset,
            event_id: last.event_id,
            lease: self.shared.config.lease,
        };
        let written = commit::write(
            &mut connection,
            &*self.projector,
            &self.statements,
            &step,
            &entities,
        );
        if !written
            .await
            .map_err(|error| trouble(error, first, events.len()))?
        {
            turn.keep(connection);
            return self.look_again().await;
        }
        turn.keep(connection);
        self.offset = step.to;
        self.most = (self.most * 2).min(self.shared.config.batch_events.max(1));
        if let Some(cell) = self.cell() {
            cell.reached(self.offset);
        }
        self.fold.keep(entities);
        self.count(events.len(), started.elapsed());
        Ok(Step::Moved)
    }

    /// The checkpoint is not where this owner left it: either it is another's, or an earlier try whose answer was lost
    /// did commit.
    async fn look_again(&mut self) -> Result<Step, Trouble> {
        self.fold.clear();
        let process = self.shared.config.process;
        let found = checkpoint::offset_if_held(self.shared.store.pool(), &self.held, process).await;
        match found.map_err(|error| Trouble::Unavailable(chain(&error)))? {
            None => Ok(Step::Lost),
            Some(offset) => {
                self.offset = offset;
                if let Some(cell) = self.cell() {
                    cell.reached(offset);
                }
                Ok(Step::Moved)
            }
        }
    }

    /// Keeps the reason and waits until somebody says to try again; `false` when the partition is another's meanwhile.
    async fn stand_still(&mut self, position: Position, class: StopClass, mut reason: String) -> bool {
        reason.truncate(reason.floor_char_boundary(limits::REASON_BYTES));
        let reason = reason.replace('\0', "");
        let stopped = Stopped {
            position,
            class,
            reason,
        };
        tracing::error!(
            projection = self.held.projection,
            partition = position.partition,
            offset = position.offset,
            class = class.as_str(),
            reason = stopped.reason,
            "a partition of a read model stands still: an event cannot be applied"
        );
        let mut retry = limits::FIRST_RETRY;
        loop {
            match checkpoint::stop(self.shared.store.pool(), &self.held, &stopped).await {
                Ok(true) => break,
                Ok(false) => return false,
                Err(error) => {
                    self.shared.health.failed(&chain(&error));
                    self.pause(retry).await;
                    retry = (retry * 2).min(limits::LAST_RETRY);
                }
            }
            if self.cancel.is_cancelled() {
                return true;
            }
        }
        let shared = Arc::clone(&self.shared);
        let Some(cell) = shared.board.cell(self.held.projection, self.held.partition) else {
            return true;
        };
        cell.stopped(stopped);
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = cell.retry.notified() => {
                tracing::info!(
                    projection = self.held.projection,
                    partition = position.partition,
                    "a partition of a read model tries again"
                );
                self.fold.clear();
                cell.hopeful();
            }
        }
        true
    }

    async fn pause(&self, time: Duration) {
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = sleep(time) => {}
        }
    }

    fn cell(&self) -> Option<&Cell> {
        self.shared.board.cell(self.held.projection, self.held.partition)
    }

    fn count(&self, events: usize, took: Duration) {
        let name = self.held.projection;
        metrics::counter!("docket_projection_events_total", "projection" => name).increment(events as u64);
        metrics::counter!("docket_projection_batches_total", "projection" => name).increment(1);
        metrics::histogram!("docket_projection_batch_seconds", "projection" => name).record(took);
    }
}

fn unreadable(error: FeedError) -> Trouble {
    Trouble::Unavailable(chain(&error))
}

fn failed(failure: Failure, first: Position) -> Trouble {
    Trouble::Events {
        first,
        count: 1,
        class: failure.class,
        reason: failure.reason,
    }
}

/// Rows that the database will refuse again the next time are trouble with their events; the rest passes.
fn trouble(error: sqlx::Error, first: Position, count: usize) -> Trouble {
    let reason = match &error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            if !code.starts_with("22") && !code.starts_with("23") {
                return Trouble::Unavailable(chain(&error));
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
        sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => chain(&error),
        _ => return Trouble::Unavailable(chain(&error)),
    };
    Trouble::Events {
        first,
        count,
        class: StopClass::Sql,
        reason,
    }
}
