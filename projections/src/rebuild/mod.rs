//! Rebuilding a read model on the running system: another generation of its tables is built from the log beside the one that
//! is served, compared with it, and served in its place; the old one is kept and fed, and can be served again.
//!
//! The flow: [`operation`] takes the read model's lease, [`tables`] makes empty tables, [`load`] folds the log into them, some
//! partitions at a time, [`tables`] builds the indexes, [`compare`] proves the rows against the old ones in one snapshot,
//! [`swap`] moves the pointer. Each step may be done again: after a crash whoever comes next goes on where the table and the
//! checkpoints stand.

mod compare;
mod load;
mod operation;
mod progress;
mod swap;
mod tables;
pub(crate) mod window;

pub use compare::{Comparison, Difference};
use load::Gate;
pub use load::LoadError;
pub(crate) use load::{Loader, PartitionLoader, Site};
pub use operation::{Operation, Purpose, Step, UnknownWord, Wish, all as operations};
pub use progress::{Held, PartitionProgress, Progress};

use crate::{
    Projections, StartError,
    fold::chain,
    generation::{self, Generation, Known},
    limits,
    projector::{Projector, Table},
    read_models::{self, ReadModel},
    verify::VerifyError,
};
use chrono::{DateTime, Utc};
use docket_event_store::{PersonalError, Store};
use futures::future::BoxFuture;
use sqlx::{Connection, PgConnection, PgPool};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How a rebuild is done.
#[derive(Debug, Clone, Copy)]
pub struct RebuildOptions {
    /// Partitions that are filled at once, up to [`limits::REBUILD_PARALLEL`]; each has a connection.
    pub parallel: u16,
    /// What it ends with.
    pub purpose: Purpose,
    /// The new rows are proved by the log and not by those that are served: where these are known to be wrong.
    pub against_log: bool,
}

/// What a rebuild has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// What was served before.
    pub from: Generation,
    /// What was built.
    pub generation: Generation,
    /// Rows that were compared; none differed.
    pub rows: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// How long each step took, as far as it was taken by this process.
    pub took: Vec<(Step, Duration)>,
}

/// How a rebuild ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The new generation is served.
    Swapped,
    /// Both are equal; the new one is gone again.
    Verified,
    /// An operator called it off; nothing of it is left.
    Cancelled,
}

impl Outcome {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Swapped => "swapped",
            Self::Verified => "verified",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why a rebuild did not come to its end. It stands where it is, and whoever rebuilds the read model next goes on there.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The database did not answer, or refused.
    #[error("the database did not do what it was asked")]
    Database(#[from] sqlx::Error),
    /// The keys of personal values cannot be read.
    #[error("the keys of personal data cannot be read")]
    Keys(#[source] Arc<sqlx::Error>),
    /// There is none of this name.
    #[error("there is no read model {name:?}; there are {}", .known.join(", "))]
    NoSuchReadModel {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// Another rebuild of it is under way.
    #[error(
        "{projection} is being rebuilt since {since} (step {step}{})",
        .owner.map_or_else(|| ", by nobody now".to_owned(), |owner| format!(", by process {owner}"))
    )]
    Running {
        /// The read model.
        projection: String,
        /// How far that has come.
        step: Step,
        /// Since when.
        since: DateTime<Utc>,
        /// By which process.
        owner: Option<Uuid>,
    },
    /// A rebuild stands still that another version of the program began.
    #[error(
        "a rebuild of {projection} by version {theirs} of its fold stands still and this program has version {ours}: go on \
         with the program that fits, or cancel it"
    )]
    OtherVersion {
        /// The read model.
        projection: String,
        /// Of the rebuild.
        theirs: i32,
        /// Of this program.
        ours: i32,
    },
    /// A rebuild stands still that was to end otherwise.
    #[error("a rebuild of {0} that was to end otherwise stands still: go on with that one, or cancel it")]
    OtherPurpose(String),
    /// Nothing is under way.
    #[error("no rebuild of {0} is under way")]
    NotRunning(String),
    /// There is no generation to go back to.
    #[error("{0} has no earlier generation to go back to")]
    NothingKept(String),
    /// Another process does it now, or somebody has called it off.
    #[error("another process has taken the rebuild over")]
    Lost,
    /// It was told to stop.
    #[error("it was interrupted")]
    Interrupted,
    /// A partition could not be filled.
    #[error(transparent)]
    Load(LoadError),
    /// The new rows are not the old ones.
    #[error("{} of {} rows differ; the first: {}", .0.differ, .0.rows, first(.0))]
    Differs(Comparison),
    /// The new rows are not the fold of the log.
    #[error("the rows are not the fold of the log")]
    NotTheFold(#[source] VerifyError),
    /// Somebody else has moved the pointer meanwhile.
    #[error(
        "{projection} is served from generation {served} now, not from {from}: somebody has swapped it meanwhile"
    )]
    Moved {
        /// The read model.
        projection: String,
        /// What was served before.
        from: Generation,
        /// What is served now.
        served: Generation,
    },
    /// The generation that is to be served did not come to where the other one is.
    #[error(
        "generation {generation} of {projection} is {behind} events behind what is served and does not come nearer: is a \
         program running that feeds it?"
    )]
    NotThere {
        /// The read model.
        projection: String,
        /// The generation.
        generation: Generation,
        /// How far it is behind.
        behind: i64,
    },
    /// The new generation cannot be fed.
    #[error("the new generation cannot be fed")]
    Start(#[source] StartError),
    /// What was to work broke off.
    #[error("a part of the rebuild broke off: {0}")]
    Broken(String),
}

fn first(comparison: &Comparison) -> String {
    let first = comparison.named.first();
    first.map_or_else(|| "none could be read".to_owned(), ToString::to_string)
}

impl From<LoadError> for RebuildError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Database(error) => Self::Database(error),
            LoadError::Personal(PersonalError::Keys(error)) => Self::Keys(error),
            LoadError::Lost => Self::Lost,
            error => Self::Load(error),
        }
    }
}

impl RebuildError {
    /// The same may go well a moment later.
    fn is_passing(&self) -> bool {
        let error = match self {
            Self::Database(error) => error,
            Self::Keys(error) => error.as_ref(),
            _ => return false,
        };
        match error {
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default();
                // Connections, resources (a full disk among them), operators, deadlocks and serialization.
                // What a lost connection left running may still build the same index, and a snapshot ends with its session.
                ["08", "53", "57", "40", "55", "23505", "42P07", "22023"]
                    .iter()
                    .any(|class| code.starts_with(class))
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::WorkerCrashed => true,
            _ => false,
        }
    }
}

fn find(store: &Store, name: &str) -> Result<Arc<dyn ReadModel>, RebuildError> {
    let models = read_models::all(store);
    let known = models.iter().map(|model| model.name()).collect();
    let found = models.into_iter().find(|model| model.name() == name);
    found.ok_or_else(|| RebuildError::NoSuchReadModel {
        name: name.to_owned(),
        known,
    })
}

/// Rebuilds a read model, or goes on with a rebuild that stands still.
///
/// # Errors
/// See [`RebuildError`]. Whatever goes wrong, what was served is served.
pub async fn rebuild(
    store: &Store,
    name: &str,
    options: RebuildOptions,
    progress: &Progress,
) -> Result<Rebuilt, RebuildError> {
    run(store, find(store, name)?, options, progress).await
}

/// The same for a read model of the caller's.
///
/// # Errors
/// As [`rebuild`].
pub async fn rebuild_only<P: Projector>(
    store: &Store,
    projector: P,
    options: RebuildOptions,
    progress: &Progress,
) -> Result<Rebuilt, RebuildError> {
    run(store, Arc::new(projector), options, progress).await
}

/// Serves the generation again that was served before, which has been fed meanwhile; which it is.
///
/// # Errors
/// When none is kept, a rebuild is under way, or the kept one is not where the other is.
pub async fn rollback(store: &Store, name: &str) -> Result<Generation, RebuildError> {
    let model = find(store, name)?;
    let mut connection = tables::workbench(store.pool()).await?;
    let mut transaction = connection.begin().await?;
    operation::refuse_if_running(&mut transaction, name).await?;
    let known = generation::all(&mut *transaction).await?;
    transaction.rollback().await?;
    let is_kept =
        |one: &&Known| one.projection == model.name() && one.is_live && one.was_served && !one.is_current;
    let kept = known.iter().find(is_kept);
    let kept = kept.ok_or_else(|| RebuildError::NothingKept(name.to_owned()))?;
    let current = current(&known, model.name())?;
    swap::swap(&mut connection, name, (current, kept.generation), None).await?;
    Ok(kept.generation)
}

/// Says what an operator wants of the rebuild of a read model that is under way.
///
/// # Errors
/// When none is.
pub async fn wish(store: &Store, name: &str, wish: Wish) -> Result<Operation, RebuildError> {
    let model = find(store, name)?;
    let operation = operation::wish(store.pool(), model.name(), wish).await?;
    let operation = operation.ok_or_else(|| RebuildError::NotRunning(name.to_owned()))?;
    if wish == Wish::Cancel {
        cancelled(store, &*model, &operation).await?;
    }
    Ok(operation)
}

/// Waits until a rebuild that was called off has ended; where nobody is there to end it, it is ended here.
async fn cancelled(store: &Store, model: &dyn ReadModel, operation: &Operation) -> Result<(), RebuildError> {
    let until = Instant::now() + limits::CANCEL_WAIT;
    loop {
        let all = operation::all(store.pool()).await?;
        let is_it = |now: &&Operation| {
            now.projection == operation.projection
                && now.generation == operation.generation
                && now.ended_at.is_none()
        };
        let Some(now) = all.iter().find(is_it) else {
            return Ok(());
        };
        if now.owner.is_none() {
            let name = (model.name(), operation.version);
            let held = operation::begin(store.pool(), name, operation.purpose, Uuid::new_v4()).await?;
            let mut connection = tables::workbench(store.pool()).await?;
            return undo(&mut connection, model.tables(), &held).await.map(drop);
        }
        if Instant::now() > until {
            return Err(RebuildError::Running {
                projection: now.projection.clone(),
                step: now.step,
                since: now.started_at,
                owner: now.owner,
            });
        }
        sleep(limits::REBUILD_TICK / 2).await;
    }
}

fn current(known: &[Known], projection: &str) -> Result<Generation, RebuildError> {
    let current = known
        .iter()
        .find(|one| one.projection == projection && one.is_current);
    let current = current.ok_or_else(|| RebuildError::NothingKept(projection.to_owned()))?;
    Ok(current.generation)
}

/// Leaves nothing behind, unless the pointer has moved already: then it is done, and there is `docket rollback`.
async fn undo(
    connection: &mut PgConnection,
    tables: &[Table],
    held: &operation::Held,
) -> Result<Outcome, RebuildError> {
    let name = (held.projection(), held.operation.generation);
    let ends = Some((held, Outcome::Cancelled));
    match tables::drop(connection, name, tables, ends).await? {
        true => Ok(Outcome::Cancelled),
        false => Ok(Outcome::Swapped),
    }
}

async fn run(
    store: &Store,
    model: Arc<dyn ReadModel>,
    options: RebuildOptions,
    progress: &Progress,
) -> Result<Rebuilt, RebuildError> {
    let pool = store.pool();
    let name = (model.name(), model.version());
    let held = operation::begin(pool, name, options.purpose, Uuid::new_v4()).await?;
    let ends = CancellationToken::new();
    let beats = tokio::spawn(beat(store.clone(), held.clone(), progress.clone(), ends.clone()));
    let mut work = Work {
        store: store.clone(),
        model,
        held,
        options,
        progress: progress.clone(),
        rows: 0,
        ends,
        took: Vec::new(),
        entered: Instant::now(),
    };
    let worked = progress
        .stopped()
        .clone()
        .run_until_cancelled_owned(work.patiently())
        .await;
    work.ends.cancel();
    let told = beats.await.unwrap_or(Told::Nothing);
    match (worked, told) {
        (Some(Ok(outcome)), _) => Ok(work.rebuilt(outcome)),
        (_, Told::Cancel) => {
            let mut connection = tables::workbench(pool).await?;
            let outcome = undo(&mut connection, work.model.tables(), &work.held).await?;
            Ok(work.rebuilt(outcome))
        }
        (_, Told::Lost) => Err(RebuildError::Lost),
        (worked, Told::Nothing) => {
            let error = match worked {
                Some(Err(error)) => error,
                _ => RebuildError::Interrupted,
            };
            // Where this fails as well, the lease runs out.
            if let Err(error) = work.held.leave(pool, &chain(&error)).await {
                tracing::warn!(error = chain(&error), "a rebuild's lease was not given up");
            }
            Err(error)
        }
    }
}

/// What the one who renews the lease has learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Cancel,
    Lost,
}

const LAG: &str = r#"
select coalesce(max(h.head - c."offset"), 0)
  from checkpoints c
  join heads h on h.partition = c.partition
  join generations g on g.projection = c.projection and g.generation = c.generation
 where g.state = 'live' and c.lease_until > clock_timestamp() and c.stopped_offset is null and c.trouble is null"#;

/// Renews the lease, passes on what operators want, and makes way for live read models that are behind.
async fn beat(store: Store, held: operation::Held, progress: Progress, ends: CancellationToken) -> Told {
    let pool = store.pool();
    while !progress.stopped().is_cancelled() && !ends.is_cancelled() {
        match held.beat(pool).await {
            // It is done.
            Ok(None) => return Told::Nothing,
            Ok(Some(Wish::Cancel)) => {
                progress.stop();
                return Told::Cancel;
            }
            Ok(Some(wish)) => {
                let lag = sqlx::query_scalar::<_, i64>(LAG).fetch_one(pool).await;
                // Where it cannot be asked, nobody is harmed by waiting.
                let yields = lag.map_or(true, |lag| lag > limits::REBUILD_YIELDS_AT);
                progress.hold(wish == Wish::Pause, yields);
            }
            Err(RebuildError::Lost) => {
                progress.stop();
                return Told::Lost;
            }
            Err(error) => tracing::warn!(error = chain(&error), "a rebuild's lease was not renewed"),
        }
        tokio::select! {
            () = progress.stopped().cancelled() => {}
            () = ends.cancelled() => {}
            () = sleep(limits::REBUILD_TICK) => {}
        }
    }
    Told::Nothing
}

/// A rebuild that is under way in this process.
struct Work {
    store: Store,
    model: Arc<dyn ReadModel>,
    held: operation::Held,
    options: RebuildOptions,
    progress: Progress,
    /// Rows that were compared.
    rows: u64,
    /// The lease need not be renewed any more.
    ends: CancellationToken,
    took: Vec<(Step, Duration)>,
    entered: Instant,
}

impl Work {
    fn pool(&self) -> &PgPool {
        self.store.pool()
    }

    fn from(&self) -> Generation {
        self.held.operation.from
    }

    fn generation(&self) -> Generation {
        self.held.operation.generation
    }

    fn parallel(&self) -> u16 {
        self.options.parallel.clamp(1, limits::REBUILD_PARALLEL)
    }

    fn rebuilt(&self, outcome: Outcome) -> Rebuilt {
        Rebuilt {
            from: self.from(),
            generation: self.generation(),
            rows: self.rows,
            outcome,
            took: self.took.clone(),
        }
    }

    /// Tries again what may go well a moment later.
    async fn patiently(&mut self) -> Result<Outcome, RebuildError> {
        let (mut since, mut seen) = (Instant::now(), None);
        loop {
            let error = match self.steps().await {
                Err(error) if error.is_passing() => error,
                other => return other,
            };
            let written = self.progress.partitions().into_iter().map(|at| at.written);
            let now = (self.progress.step(), written.max());
            if seen != Some(now) {
                (since, seen) = (Instant::now(), Some(now));
            } else if since.elapsed() > limits::REBUILD_PATIENCE {
                return Err(error);
            }
            tracing::warn!(error = chain(&error), "a rebuild could not go on; trying again");
            sleep(limits::REBUILD_RETRY).await;
        }
    }

    async fn unpaused(&self) -> Result<(), RebuildError> {
        match self.progress.unpaused().await {
            true => Ok(()),
            false => Err(RebuildError::Interrupted),
        }
    }

    async fn enter(&mut self, connection: &mut PgConnection, step: Step) -> Result<(), RebuildError> {
        self.held.enter(connection, step).await?;
        self.entered(step);
        Ok(())
    }

    fn entered(&mut self, step: Step) {
        let before = std::mem::replace(&mut self.held.operation.step, step);
        self.left(before);
        self.progress.enter(step);
    }

    fn left(&mut self, step: Step) {
        self.took.push((step, self.entered.elapsed()));
        self.entered = Instant::now();
    }

    /// What is still to be done, from the step on at which it stands.
    async fn steps(&mut self) -> Result<Outcome, RebuildError> {
        let pool = self.pool().clone();
        let mut connection = tables::workbench(&pool).await?;
        let (tables, version) = (self.model.tables(), self.model.version());
        self.progress.enter(self.held.operation.step);
        if self.held.operation.step == Step::Create {
            tables::create(&mut connection, tables, version, self.from(), self.generation()).await?;
            self.enter(&mut connection, Step::Load).await?;
        }
        if self.held.operation.step == Step::Load {
            let target = self.target(&mut connection).await?;
            self.fill(&mut connection, &target.offsets, false).await?;
            self.enter(&mut connection, Step::Index).await?;
        }
        if self.held.operation.step == Step::Index {
            self.unpaused().await?;
            tables::index(&pool, tables, version, self.generation(), self.parallel()).await?;
            self.enter(&mut connection, Step::Verify).await?;
        }
        if self.held.operation.step == Step::Verify {
            self.unpaused().await?;
            self.verify(&mut connection).await?;
            if self.held.operation.purpose == Purpose::VerifyOnly {
                let name = (self.model.name(), self.generation());
                let ends = Some((&self.held, Outcome::Verified));
                tables::drop(&mut connection, name, tables, ends).await?;
                self.left(Step::Verify);
                return Ok(Outcome::Verified);
            }
            let heads = self.store.feed().heads();
            self.fill(&mut connection, &heads, false).await?;
            self.unpaused().await?;
            self.hand_over(&mut connection).await?;
        }
        let guest = self.feed_if_nobody_does(&mut connection).await?;
        let pointers = (self.from(), self.generation());
        let swapped = swap::swap(&mut connection, self.model.name(), pointers, Some(&self.held)).await;
        if let Some(guest) = guest {
            guest.stop().await;
        }
        swapped?;
        self.left(Step::Swap);
        // It is done; what is left over is the next one's to drop as well.
        if let Err(error) = self.drop_older(&mut connection).await {
            tracing::warn!(error = chain(&error), "an older generation was not dropped");
        }
        Ok(Outcome::Swapped)
    }

    /// How far the new generation is filled before both are compared: to where the old one is, and no further. Where that
    /// has nothing, or is of another fold, there is nothing to compare with.
    async fn target(&self, connection: &mut PgConnection) -> Result<Target, RebuildError> {
        let offsets = swap::offsets(connection, self.model.name(), self.from()).await?;
        let known = generation::all(&mut *connection).await?;
        let is_old = |one: &Known| one.projection == self.model.name() && one.generation == self.from();
        let is_same_fold = known
            .iter()
            .any(|one| is_old(one) && one.version == self.model.version());
        let is_comparable =
            is_same_fold && !self.options.against_log && offsets.iter().any(|offset| *offset > 0);
        Ok(Target {
            offsets: if is_comparable {
                offsets
            } else {
                self.store.feed().heads()
            },
            is_comparable,
        })
    }

    /// Fills every partition up to an offset, some at a time.
    async fn fill(
        &self,
        connection: &mut PgConnection,
        upto: &[i64],
        is_urgent: bool,
    ) -> Result<(), RebuildError> {
        let offsets = swap::offsets(connection, self.model.name(), self.generation()).await?;
        let mut open = VecDeque::new();
        for ((partition, offset), upto) in (0..).zip(offsets).zip(upto) {
            self.progress.begin(partition, offset);
            self.progress.aim(partition, *upto);
            if offset < *upto {
                open.push_back((partition, offset, *upto));
            }
        }
        let lanes = usize::from(self.parallel()).min(open.len());
        let open = Arc::new(Mutex::new(open));
        let mut filling = JoinSet::new();
        for _ in 0..lanes {
            let (open, store, model) = (Arc::clone(&open), self.store.clone(), Arc::clone(&self.model));
            let (progress, generation, epoch) = (self.progress.clone(), self.generation(), self.held.epoch());
            let urgent = progress.urgent();
            let window_bytes = limits::REBUILD_WINDOW_BYTES / usize::from(self.parallel());
            filling.spawn(async move {
                let mut connection = tables::workbench(store.pool()).await?;
                // Rows are as durable as the checkpoint that is written with them; the next step, which is told to the table
                // durably, comes after both.
                sqlx::query("set synchronous_commit = off")
                    .execute(&mut *connection)
                    .await?;
                loop {
                    let next = open.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((partition, offset, upto)) = next else {
                        return Ok::<_, LoadError>(());
                    };
                    let site = Site {
                        generation,
                        partition,
                        epoch,
                        offset,
                        window_bytes,
                    };
                    let mut loader = Arc::clone(&model).loader(store.clone(), site);
                    let gate: &dyn Gate = if is_urgent { &urgent } else { &progress };
                    if loader.load(&mut connection, upto, gate).await? < upto {
                        // Told to stop.
                        return Ok(());
                    }
                }
            });
        }
        while let Some(filled) = filling.join_next().await {
            filled.map_err(|error| RebuildError::Broken(error.to_string()))??;
        }
        Ok(())
    }

    /// Proves the new rows: against the old ones, or against the log.
    async fn verify(&mut self, connection: &mut PgConnection) -> Result<(), RebuildError> {
        let target = self.target(connection).await?;
        if !target.is_comparable {
            self.fill(connection, &target.offsets, false).await?;
            self.rows = self.examine().await?;
            return Ok(());
        }
        let name = self.model.name();
        let (mut behind, until) = (i64::MAX, Instant::now() + limits::REBUILD_PATIENCE);
        while behind > limits::SWAP_NEAR && Instant::now() < until {
            let wanted = swap::offsets(connection, name, self.from()).await?;
            self.fill(connection, &wanted, false).await?;
            let wanted = swap::offsets(connection, name, self.from()).await?;
            let there = swap::offsets(connection, name, self.generation()).await?;
            behind = swap::behind(&there, &wanted);
        }
        let mut snapshot = tables::workbench(self.pool()).await?;
        let Some(snapshot_name) = self.meet(connection, &mut snapshot).await? else {
            self.rows = self.examine().await?;
            return Ok(());
        };
        let pointers = (self.from(), self.generation());
        let compared = Arc::clone(&self.model);
        let compared = compared.compare(self.pool(), &snapshot_name, pointers, self.parallel());
        let comparison = compared.await?;
        sqlx::query("rollback").execute(&mut *snapshot).await?;
        self.rows = comparison.rows;
        match comparison.differ {
            0 => Ok(()),
            _ => Err(RebuildError::Differs(comparison)),
        }
    }

    /// Holds both generations at the same offsets just long enough to export a snapshot; its name. It lives as long as the
    /// transaction that is begun on `snapshot`. `None` where they do not meet: after a crash the new one may be ahead of an
    /// old one that nobody feeds.
    async fn meet(
        &self,
        connection: &mut PgConnection,
        snapshot: &mut PgConnection,
    ) -> Result<Option<String>, RebuildError> {
        let name = self.model.name();
        let until = Instant::now() + limits::SWAP_PATIENCE;
        loop {
            let wanted = match swap::hold(connection, name, self.from()).await {
                Err(error) if tables::is_lock_timeout(&error) && Instant::now() < until => continue,
                held => held?,
            };
            self.fill(connection, &wanted, true).await?;
            sqlx::query("begin isolation level repeatable read read only")
                .execute(&mut *snapshot)
                .await?;
            let exported: String = sqlx::query_scalar("select pg_export_snapshot()")
                .fetch_one(&mut *snapshot)
                .await?;
            // The hold may have run out before that, and the new one may have been ahead.
            let old = swap::offsets(snapshot, name, self.from()).await?;
            let new = swap::offsets(snapshot, name, self.generation()).await?;
            swap::release(connection, name, self.from()).await?;
            if old == new {
                return Ok(Some(exported));
            }
            sqlx::query("rollback").execute(&mut *snapshot).await?;
            if Instant::now() > until {
                return Ok(None);
            }
            sleep(limits::SWAP_AGAIN).await;
        }
    }

    /// Folds the log once more, by other code, and compares.
    async fn examine(&self) -> Result<u64, RebuildError> {
        let mut rows = 0;
        let heads = self.store.feed().heads();
        for (partition, head) in (0..).zip(heads) {
            let mut connection = tables::workbench(self.pool()).await?;
            let mut snapshot = connection
                .begin_with("begin isolation level repeatable read read only")
                .await?;
            let vault = self.store.vault();
            let examined = self
                .model
                .examine(&mut snapshot, vault, self.generation(), partition, head);
            rows += examined.await.map_err(|error| match error {
                VerifyError::Read(error) => RebuildError::Database(error),
                error => RebuildError::NotTheFold(error),
            })?;
        }
        Ok(rows)
    }

    /// From here on whoever feeds read models feeds the new generation as well.
    async fn hand_over(&mut self, connection: &mut PgConnection) -> Result<(), RebuildError> {
        let mut transaction = connection.begin().await?;
        self.held.enter(&mut transaction, Step::Swap).await?;
        sqlx::query("update generations set state = 'live' where projection = $1 and generation = $2")
            .bind(self.model.name())
            .bind(self.generation().0)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "update checkpoints set owner = null, lease_until = null where projection = $1 and generation = $2",
        )
        .bind(self.model.name())
        .bind(self.generation().0)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        self.entered(Step::Swap);
        Ok(())
    }

    /// In a rolling upgrade the programs that run feed the old fold only: until those of the new one come, it is fed from
    /// here. Where nobody feeds either there is nothing to follow.
    async fn feed_if_nobody_does(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Option<Projections>, RebuildError> {
        let until = Instant::now() + limits::REBUILD_CLAIM;
        loop {
            let (old, new): (i64, i64) = sqlx::query_as(
                "select count(*) filter (where generation = $2 and lease_until > clock_timestamp()),
                        count(*) filter (where generation = $3 and coalesce(lease_until < clock_timestamp(), true))
                   from checkpoints where projection = $1",
            )
            .bind(self.model.name())
            .bind(self.from().0)
            .bind(self.generation().0)
            .fetch_one(&mut *connection)
            .await?;
            if old == 0 || new == 0 {
                return Ok(None);
            }
            if Instant::now() > until {
                let model = Arc::clone(&self.model);
                let guest = Projections::start_guest(self.store.clone(), model).await;
                return Ok(Some(guest.map_err(RebuildError::Start)?));
            }
            sleep(limits::REBUILD_TICK / 5).await;
        }
    }

    /// What was kept before the one that was just left is not needed any more, and was left long ago: nobody reads it.
    async fn drop_older(&self, connection: &mut PgConnection) -> Result<(), RebuildError> {
        let older: Vec<i32> = sqlx::query_scalar(
            "select g.generation from generations g join projections p on p.name = g.projection
              where g.projection = $1 and g.state = 'live' and g.generation <> p.generation and g.generation <> $2
                and g.version = $3
                and (g.left_at is null or g.left_at < clock_timestamp() - make_interval(secs => $4))",
        )
        .bind(self.model.name())
        .bind(self.from().0)
        .bind(self.model.version())
        .bind(limits::REBUILD_GRACE.as_secs_f64())
        .fetch_all(&mut *connection)
        .await?;
        for generation in older {
            let name = (self.model.name(), Generation(generation));
            tables::drop(connection, name, self.model.tables(), None).await?;
        }
        Ok(())
    }
}

/// How far the new generation is to be filled.
struct Target {
    offsets: Vec<i64>,
    /// The old generation is there to be compared with.
    is_comparable: bool,
}

/// What [`ReadModel`] gives for a projector.
pub(crate) fn compare_in<'a, P: Projector>(
    projector: Arc<P>,
    pool: &'a PgPool,
    snapshot: &'a str,
    generations: (Generation, Generation),
    parallel: u16,
) -> BoxFuture<'a, Result<Comparison, sqlx::Error>> {
    Box::pin(async move { compare::compare(pool, &projector, snapshot, generations, parallel).await })
}

impl Progress {
    /// Tells it to stop where it is, for somebody to go on with.
    pub fn interrupt(&self) {
        self.stop();
    }
}
