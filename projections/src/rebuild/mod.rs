//! Rebuilding a read model on the running system: another generation of its tables is built from the log beside the one that
//! is served, compared with it, and served in its place; the old one is kept and fed, and can be served again.
//!
//! The flow: [`operation`] takes the read model's lease, [`tables`] makes empty tables, [`load`] folds the log into them, some
//! partitions at a time, [`tables`] builds the indexes, [`compare`] proves the rows against the old ones in one snapshot,
//! [`swap`] moves the pointer. Each step may be done again: after a crash whoever comes next goes on where the table and the
//! checkpoints stand.

mod compare;
mod error;
mod load;
mod operation;
mod progress;
mod swap;
mod tables;
pub(crate) mod window;
mod work;

pub(crate) use compare::compare;
pub use compare::{Comparison, Difference};
pub use error::RebuildError;
pub use load::LoadError;
pub(crate) use load::{Loader, PartitionLoader, Site};
pub use operation::{Operation, Purpose, Step, UnknownWord, Wish, all as operations};
pub use progress::{Held, PartitionProgress, Progress};

use crate::{
    fold::chain,
    generation::{self, Generation, Known},
    limits,
    projector::{Projector, Table},
    read_models::{self, ReadModel},
};
use docket_event_store::Store;
use sqlx::{Connection, PgConnection};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use work::{Told, Work, beat};

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
            return Err(operation::running(now.clone()));
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
    let mut work = Work::new(store.clone(), model, held, options, progress.clone());
    let worked = progress
        .stopped()
        .clone()
        .run_until_cancelled_owned(work.patiently())
        .await;
    ends.cancel();
    let told = beats.await.unwrap_or(Told::Nothing);
    match (worked, told) {
        (Some(Ok(outcome)), _) => Ok(work.rebuilt(outcome)),
        (_, Told::Cancel) => {
            let mut connection = tables::workbench(pool).await?;
            let outcome = undo(&mut connection, work.model().tables(), work.held()).await?;
            Ok(work.rebuilt(outcome))
        }
        (_, Told::Lost) => Err(RebuildError::Lost),
        (worked, Told::Nothing) => {
            let error = match worked {
                Some(Err(error)) => error,
                _ => RebuildError::Interrupted,
            };
            // Where this fails as well, the lease runs out.
            let stands = work.stands(&error).await;
            if let Err(error) = stands {
                tracing::warn!(
                    error = chain(&error),
                    "it was not said at which event a rebuild stands"
                );
            }
            if let Err(error) = work.held().leave(pool, &chain(&error)).await {
                tracing::warn!(error = chain(&error), "a rebuild's lease was not given up");
            }
            Err(error)
        }
    }
}
