//! A rebuild that is under way in this process: its steps, one after the other, and the lease that is renewed beside them.

mod aside;
mod meet;

use super::{
    LoadError, Outcome, Progress, Purpose, RebuildError, RebuildOptions, Rebuilt, Site, Sizes, Step,
    TableDifferences, Wish, behind::Behind, held, stretch, swap, tables,
};
use crate::{
    Projections,
    checkpoint::{self, Stopped},
    fold::chain,
    generation::{self, Generation, Known},
    limits,
    read_models::ReadModel,
    verify::VerifyError,
};
use docket_event_store::Store;
use futures::{StreamExt, TryStreamExt, stream};
use sqlx::{Connection, PgConnection, PgPool};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// What the one who renews the lease has learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Cancel,
    Lost,
}

/// Renews the lease, passes on what operators want, and makes way for live read models that are behind.
pub(super) async fn beat(
    pool: PgPool,
    held: held::Held,
    progress: Progress,
    ends: CancellationToken,
) -> Told {
    let mut behind = Behind::default();
    while !progress.stopped().is_cancelled() && !ends.is_cancelled() {
        match held.beat(&pool, &progress).await {
            // It is done.
            Ok(None) => return Told::Nothing,
            Ok(Some(Wish::Cancel)) => {
                progress.stop();
                return Told::Cancel;
            }
            Ok(Some(wish)) => {
                // Where it cannot be asked, nobody is harmed by waiting.
                let yields = behind.look(&pool).await.unwrap_or(true);
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
pub(super) struct Work {
    store: Store,
    /// Its own, so that it takes no connection from those who answer.
    pool: PgPool,
    model: Arc<dyn ReadModel>,
    held: held::Held,
    options: RebuildOptions,
    progress: Progress,
    /// Rows that were proved.
    rows: u64,
    /// By those that are served.
    is_compared: bool,
    differences: Vec<TableDifferences>,
    took: Vec<(Step, Duration)>,
    entered: Instant,
}

impl Work {
    pub(super) fn new(
        store: Store,
        pool: PgPool,
        model: Arc<dyn ReadModel>,
        held: held::Held,
        options: RebuildOptions,
        progress: Progress,
    ) -> Self {
        // What an earlier owner has compared is proved.
        let rows = held.operation.rows.unwrap_or(0).unsigned_abs();
        Self {
            store,
            pool,
            model,
            held,
            options,
            progress,
            rows,
            is_compared: false,
            differences: Vec::new(),
            took: Vec::new(),
            entered: Instant::now(),
        }
    }

    pub(super) fn model(&self) -> &dyn ReadModel {
        &*self.model
    }

    pub(super) fn held(&self) -> &held::Held {
        &self.held
    }

    fn pool(&self) -> &PgPool {
        &self.pool
    }

    fn from(&self) -> Generation {
        self.held.operation.from
    }

    fn generation(&self) -> Generation {
        self.held.operation.generation
    }

    fn purpose(&self) -> Purpose {
        self.held.operation.purpose
    }

    /// Where what is built lies.
    fn place(&self) -> (tables::Schema, Generation) {
        (self.purpose().schema(), self.generation())
    }

    fn parallel(&self) -> u16 {
        self.options.parallel.clamp(1, limits::REBUILD_PARALLEL)
    }

    pub(super) fn rebuilt(&self, outcome: Outcome) -> Rebuilt {
        Rebuilt {
            from: self.from(),
            generation: self.generation(),
            rows: self.rows,
            is_compared: self.is_compared,
            differences: self.differences.clone(),
            outcome,
            took: self.took.clone(),
        }
    }

    /// Tries again what may go well a moment later.
    pub(super) async fn patiently(&mut self) -> Result<Outcome, RebuildError> {
        let (mut since, mut seen) = (Instant::now(), None);
        loop {
            let error = match self.steps().await {
                Err(error) if error.is_passing() => error,
                other => return other,
            };
            let written = self.progress.partitions().into_iter().map(|at| at.written);
            let now = (self.progress.step(), written.max());
            if seen != Some(now) || matches!(error, RebuildError::Paused) {
                (since, seen) = (Instant::now(), Some(now));
            } else if since.elapsed() > limits::REBUILD_PATIENCE {
                return Err(error);
            }
            tracing::warn!(error = chain(&error), "a rebuild could not go on; trying again");
            sleep(limits::REBUILD_RETRY).await;
        }
    }

    /// Says in the table at which event the rebuild stands, where it is one that cannot be folded.
    pub(super) async fn stands(&self, error: &RebuildError) -> Result<(), sqlx::Error> {
        let RebuildError::Load(LoadError::Event {
            position,
            class,
            reason,
        }) = error
        else {
            return Ok(());
        };
        let held = checkpoint::Held {
            projection: self.model.name(),
            generation: self.generation(),
            partition: position.partition,
            epoch: self.held.epoch(),
        };
        let stopped = Stopped::new(*position, *class, reason.clone());
        checkpoint::stop(self.pool(), &held, &stopped).await.map(drop)
    }

    async fn unpaused(&self) -> Result<(), RebuildError> {
        self.progress.unpaused().await;
        self.progress.goes_on()
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
            let place = self.place();
            tables::create(&mut connection, tables, version, &self.held, place).await?;
            self.entered(Step::Load);
        }
        if self.held.operation.step == Step::Load {
            let target = self.target(&mut connection).await?;
            self.fill(&mut connection, &target.offsets, false).await?;
            self.enter(&mut connection, Step::Index).await?;
        }
        if self.held.operation.step == Step::Index {
            self.unpaused().await?;
            let (place, parallel) = (self.place(), self.parallel());
            tables::index(&pool, tables, version, place, parallel, &self.progress).await?;
            self.enter(&mut connection, Step::Verify).await?;
        }
        if self.held.operation.step == Step::Verify {
            self.unpaused().await?;
            if self.purpose().is_aside() {
                return self.set_aside(&mut connection).await;
            }
            self.verify(&mut connection).await?;
            self.held.compared(&mut connection, self.rows).await?;
            if self.purpose() == Purpose::VerifyOnly {
                let name = (self.model.name(), self.generation());
                let outcome = match self.is_compared {
                    true => Outcome::Verified,
                    false => Outcome::Proved,
                };
                tables::drop(&mut connection, name, tables, Some((&self.held, outcome))).await?;
                self.left(Step::Verify);
                return Ok(outcome);
            }
            let heads = self.store.feed().heads();
            self.fill(&mut connection, &heads, false).await?;
            self.unpaused().await?;
            self.hand_over(&mut connection).await?;
        }
        self.unpaused().await?;
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
    /// has nothing, or not all, or is of another fold, there is nothing to compare with. What is built aside is compared
    /// whatever there is.
    async fn target(&self, connection: &mut PgConnection) -> Result<Target, RebuildError> {
        if let Some(offsets) = self.aside_upto(connection).await? {
            return Ok(Target {
                offsets,
                is_comparable: true,
            });
        }
        let offsets = swap::offsets(connection, self.model.name(), self.from()).await?;
        let known = generation::all(&mut *connection).await?;
        let is_old = |one: &Known| one.projection == self.model.name() && one.generation == self.from();
        let is_same_fold = known
            .iter()
            .any(|one| is_old(one) && one.version == self.model.version());
        let is_whole = swap::parked(connection, self.model.name(), self.from()).await? == 0;
        let is_comparable =
            is_same_fold && is_whole && !self.options.against_log && offsets.iter().any(|offset| *offset > 0);
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
        let filled = stretch::filled(connection, self.model.name(), self.generation()).await?;
        let mut open = Vec::new();
        for ((partition, filled), upto) in (0..).zip(filled).zip(upto) {
            let upto = filled.upto(*upto);
            self.progress.begin(partition, filled.events());
            self.progress.aim(partition, upto);
            if filled.offset < upto {
                open.push((partition, filled, upto));
            }
        }
        let sizes = Sizes {
            window_bytes: self.options.sizes.window_bytes / usize::from(self.parallel()),
            ..self.options.sizes
        };
        let (schema, generation) = self.place();
        let epoch = self.held.epoch();
        self.side_by_side(open, |(partition, filled, upto)| {
            let (store, model) = (self.store.clone(), Arc::clone(&self.model));
            let (pool, progress) = (self.pool.clone(), self.progress.clone());
            let site = Site {
                generation,
                partition,
                epoch,
                filled,
                sizes,
            };
            async move {
                progress.goes_on()?;
                let mut connection = tables::workbench_in(&pool, schema).await?;
                // Rows are as durable as the checkpoint that is written with them; the next step, which is told to the table
                // durably, comes after both.
                sqlx::query("set synchronous_commit = off")
                    .execute(&mut *connection)
                    .await?;
                let mut loader = model.loader(store, site);
                loader.load(&mut connection, upto, &progress, is_urgent).await?;
                Ok(())
            }
        })
        .await?;
        // Else it was told to stop.
        self.progress.goes_on()
    }

    /// Does something with each of some partitions, as many at a time as are to be.
    async fn side_by_side<T, R, F>(
        &self,
        partitions: Vec<T>,
        work: impl Fn(T) -> F,
    ) -> Result<Vec<R>, RebuildError>
    where
        R: Send + 'static,
        F: Future<Output = Result<R, RebuildError>> + Send + 'static,
    {
        let spawned = partitions
            .into_iter()
            .map(|partition| async { AbortOnDropHandle::new(tokio::spawn(work(partition))).await });
        stream::iter(spawned)
            .buffer_unordered(usize::from(self.parallel()))
            .map(|done| done.map_err(|error| RebuildError::Broken(error.to_string()))?)
            .try_collect()
            .await
    }

    /// Proves the new rows: against the old ones, or against the log.
    async fn verify(&mut self, connection: &mut PgConnection) -> Result<(), RebuildError> {
        let target = self.target(connection).await?;
        if !target.is_comparable {
            self.fill(connection, &target.offsets, false).await?;
            self.rows = self.examine().await?;
            return Ok(());
        }
        self.follow(connection).await?;
        let mut snapshot = tables::workbench(self.pool()).await?;
        let Some(snapshot_name) = self.meet(connection, &mut snapshot).await? else {
            self.rows = self.examine().await?;
            return Ok(());
        };
        let pointers = (self.from(), self.generation());
        let compared = Arc::clone(&self.model);
        let (parallel, progress) = (self.parallel(), &self.progress);
        let compared = compared.compare(self.pool(), &snapshot_name, pointers, parallel, progress);
        let comparison = compared.await?;
        sqlx::query("rollback").execute(&mut *snapshot).await?;
        (self.rows, self.is_compared) = (comparison.rows, true);
        match comparison.differ {
            0 => Ok(()),
            _ => Err(RebuildError::Differs(comparison)),
        }
    }

    /// Folds the log once more, by other code, and compares.
    async fn examine(&self) -> Result<u64, RebuildError> {
        let heads: Vec<(u16, i64)> = (0..).zip(self.store.feed().heads()).collect();
        let generation = self.generation();
        let rows = self.side_by_side(heads, |(partition, head)| {
            let (store, model) = (self.store.clone(), Arc::clone(&self.model));
            let (pool, progress) = (self.pool.clone(), self.progress.clone());
            async move {
                loop {
                    progress.unpaused().await;
                    progress.goes_on()?;
                    let mut connection = tables::workbench(&pool).await?;
                    let mut snapshot = connection
                        .begin_with("begin isolation level repeatable read read only")
                        .await?;
                    let vault = store.vault();
                    let examined =
                        model.examine(&mut snapshot, vault, generation, partition, head, Some(&progress));
                    return match examined.await {
                        Ok(rows) => Ok(rows),
                        // While it is paused no snapshot is held; this partition is looked at anew.
                        Err(VerifyError::Held) => continue,
                        Err(VerifyError::Read(error)) => Err(RebuildError::Database(error)),
                        Err(error) => Err(RebuildError::NotTheFold(error)),
                    };
                }
            }
        });
        Ok(rows.await?.into_iter().sum())
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
