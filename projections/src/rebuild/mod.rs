//! Rebuilding a read model on the running system: another generation of its tables is built from the log beside the one that
//! is served, compared with it, and served in its place; the old one is kept and fed, and can be served again.
//!
//! The flow: [`held`] takes the read model's lease, [`tables`] makes empty tables, [`load`] folds the log into them, some
//! partitions at a time, [`tables`] builds the indexes, [`compare`] proves the rows against the old ones in one snapshot,
//! [`swap`] moves the pointer. Each step may be done again: after a crash whoever comes next goes on where the table and the
//! checkpoints stand. [`attend`] is what has a server be that one.
//!
//! A build aside ([`Purpose::WhatIf`], [`Purpose::AsOf`]) goes the same way and ends with the comparison: [`differences`] tells
//! how its rows differ from those that are served, and its tables stay in a schema of their own, which nobody feeds or serves.

mod attend;
mod begun;
mod behind;
mod compare;
mod differences;
mod error;
mod follow;
mod held;
mod instant;
mod load;
mod operation;
mod progress;
mod purpose;
pub(crate) mod stretch;
mod swap;
mod tables;
pub(crate) mod window;
mod work;

pub use attend::Attendant;
pub use begun::Begun;
pub(crate) use compare::compare;
pub use compare::{Comparison, Difference};
pub use differences::TableDifferences;
pub use error::RebuildError;
pub use follow::rebuild_or_follow;
pub use load::LoadError;
pub(crate) use load::{Loader, PartitionLoader, Site};
pub use operation::{Operation, Step, UnknownWord, Wish, all as operations};
pub use progress::{Held, PartitionProgress, Progress};
pub use purpose::Purpose;

use crate::{
    generation::{self, Generation, Known, Serving},
    limits,
    projector::Projector,
    read_models::{self, ReadModel},
    shown_name,
};
use docket_event_store::Store;
use sqlx::Connection;
use std::{str::FromStr, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};
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
    /// How much it takes at once, in this process.
    pub sizes: Sizes,
}

/// How much a rebuild takes at once. What is right for every log is [`Sizes::USUAL`]; where it ends and begins may be seen with
/// smaller ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// See [`limits::REBUILD_STRETCH`].
    pub stretch: i64,
    /// See [`limits::REBUILD_PAGE`].
    pub page: usize,
    /// See [`limits::REBUILD_WINDOW_BYTES`].
    pub window_bytes: usize,
}

impl Sizes {
    /// As the limits have them.
    pub const USUAL: Self = Self {
        stretch: limits::REBUILD_STRETCH,
        page: limits::REBUILD_PAGE,
        window_bytes: limits::REBUILD_WINDOW_BYTES,
    };
}

/// How many partitions a rebuild fills at once where nobody says: half of the processors. The other half answers meanwhile.
pub fn usual_parallel() -> u16 {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u16::try_from(processors / 2)
        .unwrap_or(limits::REBUILD_PARALLEL)
        .clamp(1, limits::REBUILD_PARALLEL)
}

/// What a rebuild has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// What was served before.
    pub from: Generation,
    /// What was built.
    pub generation: Generation,
    /// Rows that were proved: compared with what is served, or with the log. None differed, but for a build aside.
    pub rows: u64,
    /// They were compared with what is served, by this process.
    pub is_compared: bool,
    /// Of a build aside: how each of its tables differs from the one that is served.
    pub differences: Vec<TableDifferences>,
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
    /// The rows are the fold of the log, and what is served was not compared with them; they are gone again.
    Proved,
    /// It stays aside, compared with what is served.
    Aside,
    /// An operator called it off; nothing of it is left.
    Cancelled,
}

impl Outcome {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Swapped => "swapped",
            Self::Verified => "verified",
            Self::Proved => "proved",
            Self::Aside => "aside",
            Self::Cancelled => "cancelled",
        }
    }
}

impl FromStr for Outcome {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let mut all = [
            Self::Swapped,
            Self::Verified,
            Self::Proved,
            Self::Aside,
            Self::Cancelled,
        ]
        .into_iter();
        all.find(|outcome| outcome.as_str() == text).ok_or(UnknownWord)
    }
}

fn find(store: &Store, name: &str) -> Result<Arc<dyn ReadModel>, RebuildError> {
    let models = read_models::all(store);
    let known = models.iter().map(|model| model.name()).collect();
    let found = models.into_iter().find(|model| model.name() == name);
    found.ok_or_else(|| RebuildError::NoSuchReadModel {
        name: shown_name(name),
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
    let begun = Begun::begin(store, find(store, name)?, options).await?;
    begun.work(progress).await
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
    let begun = Begun::begin(store, Arc::new(projector), options).await?;
    begun.work(progress).await
}

/// Has a read model rebuilt, or a rebuild that stands still gone on with, by whichever server looks next ([`Attendant`]).
///
/// # Errors
/// When there is no such read model, or one is under way that somebody does, is of another version or ends otherwise.
pub async fn ask(store: &Store, name: &str, options: RebuildOptions) -> Result<Operation, RebuildError> {
    let model = find(store, name)?;
    let name = begun::check(store.pool(), &*model, &options).await?;
    held::ask(store.pool(), name, &options).await
}

/// Has every read model rebuilt of which no generation is of this program's version, by whichever server looks next; which
/// they are. For who knows that no other program uses the database: one of the old version would go on feeding what it
/// serves, and needs room for both. A rebuild that somebody does already goes on.
///
/// # Errors
/// When the database does not answer, or a rebuild of one of them differs that stands still.
pub async fn ask_for_missing(store: &Store) -> Result<Vec<&'static str>, RebuildError> {
    let options = RebuildOptions {
        parallel: usual_parallel(),
        purpose: Purpose::Swap,
        against_log: false,
        sizes: Sizes::USUAL,
    };
    let serving = Serving::read(store).await?;
    let models = read_models::all(store);
    let names = models.iter().map(|model| model.name());
    let missing: Vec<_> = names.filter(|name| serving.of(name).is_err()).collect();
    for name in &missing {
        match ask(store, name, options).await {
            Ok(_) | Err(RebuildError::Running { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(missing)
}

/// Serves the generation again that was served before, which has been fed meanwhile; which it is.
///
/// # Errors
/// When none is kept, a rebuild is under way, or the kept one is not where the other is within
/// [`limits::ROLLBACK_PATIENCE`].
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

/// Takes away what was built aside of a read model and is done.
///
/// # Errors
/// When there is nothing, or it is read for longer than [`limits::ROLLBACK_PATIENCE`].
pub async fn drop_side(store: &Store, name: &str) -> Result<(), RebuildError> {
    let model = find(store, name)?;
    let mut connection = tables::workbench(store.pool()).await?;
    match tables::drop_sides(&mut connection, model.name(), model.tables(), None).await? {
        0 => Err(RebuildError::NothingAside(name.to_owned())),
        _ => Ok(()),
    }
}

fn current(known: &[Known], projection: &str) -> Result<Generation, RebuildError> {
    let current = known
        .iter()
        .find(|one| one.projection == projection && one.is_current);
    let current = current.ok_or_else(|| RebuildError::NothingKept(projection.to_owned()))?;
    Ok(current.generation)
}

/// Says what an operator wants of the rebuild of a read model that is under way; how that was then. One that nobody does and
/// that is to run is gone on with by whichever server looks next; one that is called off has ended so.
///
/// # Errors
/// When none is, or it is being called off: also where it is not off within [`limits::CANCEL_WAIT`], as it will be then.
pub async fn wish(store: &Store, name: &str, wish: Wish) -> Result<Operation, RebuildError> {
    let model = find(store, name)?;
    let operation = operation::wish(store.pool(), model.name(), wish).await?;
    let operation = operation.ok_or_else(|| RebuildError::NotRunning(name.to_owned()))?;
    if wish == Wish::Cancel {
        cancelled(store, model, &operation).await?;
    }
    Ok(operation)
}

/// Waits until a rebuild that was called off has ended; where nobody is there to end it, it is ended here.
async fn cancelled(
    store: &Store,
    model: Arc<dyn ReadModel>,
    operation: &Operation,
) -> Result<(), RebuildError> {
    let until = Instant::now() + limits::CANCEL_WAIT;
    let is_it = |now: &Operation| now.generation == operation.generation && now.ended_at.is_none();
    loop {
        let all = operation::all(store.pool()).await?;
        let now = all.into_iter().find(|now| now.projection == model.name());
        let Some(now) = now.filter(is_it) else {
            return Ok(());
        };
        if now.owner.is_none() {
            let held = held::take_over(store.pool(), model.name(), Uuid::new_v4(), is_it).await?;
            if let Some(held) = held {
                let undo = Begun::of(store, Arc::clone(&model), held).undo();
                match timeout_at(until, undo).await {
                    // Whoever was faster ends it; who looks next goes on with what lasts longer.
                    Ok(Err(RebuildError::Lost)) | Err(_) => {}
                    Ok(Err(RebuildError::InUse(_))) => return Err(RebuildError::CalledOff(now.projection)),
                    Ok(undone) => return undone.map(drop),
                }
            }
        }
        if Instant::now() > until {
            return Err(RebuildError::CalledOff(now.projection));
        }
        sleep(limits::REBUILD_TICK / 2).await;
    }
}
