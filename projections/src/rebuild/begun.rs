//! A rebuild from its lease to its end, in this process.

use super::{
    Outcome, Progress, Purpose, RebuildError, RebuildOptions, Rebuilt,
    held::{self, Held},
    instant, tables,
    work::{Told, Work, beat},
};
use crate::{fold::chain, limits, read_models::ReadModel};
use docket_event_store::{Store, limits as log_limits};
use sqlx::{PgPool, postgres::PgPoolOptions};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A rebuild whose lease this process has; it is to be worked on at once, for the lease is short.
pub struct Begun {
    store: Store,
    model: Arc<dyn ReadModel>,
    held: Held,
    options: RebuildOptions,
}

impl Begun {
    /// Begins one, or goes on with one that stands still.
    pub(super) async fn begin(
        store: &Store,
        model: Arc<dyn ReadModel>,
        options: RebuildOptions,
    ) -> Result<Self, RebuildError> {
        let name = check(store.pool(), &*model, &options).await?;
        let held = held::begin(store.pool(), name, &options, Uuid::new_v4()).await?;
        let mut begun = Self::of(store, model, held);
        begun.options.sizes = options.sizes;
        Ok(begun)
    }

    /// One that was taken over, to be done as it was begun.
    pub(super) fn of(store: &Store, model: Arc<dyn ReadModel>, held: Held) -> Self {
        Self {
            store: store.clone(),
            model,
            options: held.operation.options(),
            held,
        }
    }

    pub(super) fn projection(&self) -> &'static str {
        self.model.name()
    }

    /// Works on it until it has ended or stands still.
    pub(super) async fn work(self, progress: &Progress) -> Result<Rebuilt, RebuildError> {
        let Self {
            store,
            model,
            held,
            options,
        } = self;
        let pool = own_pool(&store, options.parallel);
        let ends = CancellationToken::new();
        // Also where the work panics: then nobody is to renew the lease.
        let _ends = ends.clone().drop_guard();
        let beats = tokio::spawn(beat(pool.clone(), held.clone(), progress.clone(), ends.clone()));
        let mut work = Work::new(store, pool.clone(), model, held, options, progress.clone());
        let worked = progress
            .stopped()
            .clone()
            .run_until_cancelled_owned(work.patiently())
            .await;
        ends.cancel();
        let told = beats.await.unwrap_or(Told::Nothing);
        if let Err(error) = work.held().tell(&pool, progress).await {
            tracing::debug!(error = chain(&error), "a rebuild's last progress was not told");
        }
        let ended = end(&mut work, &pool, progress, worked, told).await;
        // What is still on its way ends with its connection.
        let _ = timeout(limits::REBUILD_STOP, pool.close()).await;
        ended
    }

    /// Leaves nothing behind of it.
    pub(super) async fn undo(self) -> Result<Outcome, RebuildError> {
        let progress = Progress::new(self.store.partitions().count());
        undo(self.store.pool(), &*self.model, &self.held, &progress).await
    }
}

/// That it can be begun at all: what it is called, and in which version.
pub(super) async fn check<'m>(
    pool: &PgPool,
    model: &'m dyn ReadModel,
    options: &RebuildOptions,
) -> Result<(&'m str, i32), RebuildError> {
    tables::refuse_unless_migrated(pool, model).await?;
    if let Purpose::AsOf(instant) = options.purpose {
        instant::refuse_future(pool, instant).await?;
    }
    Ok((model.name(), model.version()))
}

/// Connections that nobody else waits for, made when they are needed.
fn own_pool(store: &Store, parallel: u16) -> PgPool {
    let options = store.pool().connect_options();
    PgPoolOptions::new()
        .max_connections(u32::from(parallel.clamp(1, limits::REBUILD_PARALLEL)) + limits::REBUILD_CONNECTIONS)
        .acquire_timeout(log_limits::MAX_POOL_WAIT)
        .connect_lazy_with((*options).clone())
}

async fn end(
    work: &mut Work,
    pool: &PgPool,
    progress: &Progress,
    worked: Option<Result<Outcome, RebuildError>>,
    told: Told,
) -> Result<Rebuilt, RebuildError> {
    match (worked, told) {
        (Some(Ok(outcome)), _) => Ok(work.rebuilt(outcome)),
        (Some(Err(RebuildError::CalledOff(_))), _) | (_, Told::Cancel) => {
            let outcome = undo(pool, work.model(), work.held(), progress).await?;
            Ok(work.rebuilt(outcome))
        }
        (_, Told::Lost) => Err(RebuildError::Lost),
        (worked, Told::Nothing) => {
            let error = match worked {
                Some(Err(error)) => error,
                _ => RebuildError::Interrupted,
            };
            if let Err(error) = work.stands(&error).await {
                tracing::warn!(
                    error = chain(&error),
                    "it was not said at which event a rebuild stands"
                );
            }
            // Where this fails as well, the lease runs out.
            let (why, again) = (chain(&error), again(&error, progress));
            if let Err(error) = work.held().leave(pool, &why, again).await {
                tracing::warn!(error = chain(&error), "a rebuild's lease was not given up");
            }
            Err(error)
        }
    }
}

/// When a server goes on with it by itself: at once where this one stops, later where the reason passes, and never where it
/// would come to the same again or somebody has interrupted it.
fn again(error: &RebuildError, progress: &Progress) -> Option<Duration> {
    match error {
        RebuildError::Interrupted if progress.hands_over() => Some(Duration::ZERO),
        error if error.is_passing() => Some(limits::REBUILD_AGAIN),
        _ => None,
    }
}

/// Leaves nothing behind, unless the pointer has moved already: then it is done, and there is `docket rollback`. Where that
/// does not go well a server tries it again.
async fn undo(
    pool: &PgPool,
    model: &dyn ReadModel,
    held: &Held,
    progress: &Progress,
) -> Result<Outcome, RebuildError> {
    let mut connection = tables::workbench(pool).await?;
    let name = (held.projection(), held.operation.generation);
    let ends = Some((held, Outcome::Cancelled));
    let dropped = tables::drop(&mut connection, name, model.tables(), ends);
    match held.during(pool, progress, dropped).await {
        Ok(true) => Ok(Outcome::Cancelled),
        Ok(false) => Ok(Outcome::Swapped),
        Err(error) => {
            let again = Some(limits::REBUILD_AGAIN);
            held.leave(pool, &chain(&error), again).await?;
            Err(error)
        }
    }
}
