//! The lease of a rebuild: beginning one, asking for one, going on with one that stands still, and what its owner tells.
//!
//! Who takes over raises the epoch, in the checkpoints as well, so that what a dead owner still sends hits nothing.

use super::{
    Outcome, Progress, RebuildError, RebuildOptions, TableDifferences,
    operation::{Operation, Step, Wish, locked, pointer, running},
};
use crate::{fold::chain, lease, limits};
use sqlx::{Connection, PgConnection, PgPool, postgres::PgQueryResult};
use std::{pin::pin, time::Duration};
use tokio::time::sleep;
use uuid::Uuid;

const BEGIN: &str = "
insert into rebuilds (projection, from_generation, generation, version, epoch, owner, lease_until, retry_at, step, purpose,
                      against_log, parallel, as_of)
select $1, $2, $3, $4, $5, $6, case when $6 is not null then clock_timestamp() + make_interval(secs => $7) end,
       case when $6 is null then clock_timestamp() end, 'create', $8, $9, $10, $11
on conflict (projection) do update
   set from_generation = excluded.from_generation, generation = excluded.generation, version = excluded.version,
       epoch = excluded.epoch, owner = excluded.owner, lease_until = excluded.lease_until, retry_at = excluded.retry_at,
       step = excluded.step, purpose = excluded.purpose, against_log = excluded.against_log, parallel = excluded.parallel,
       as_of = excluded.as_of, wish = 'run', started_at = clock_timestamp(), ended_at = null, outcome = null, deaths = 0, yields = false,
       rows = null, differences = null, folded = '{}', written = '{}', targets = '{}'";

/// Who goes on by itself counts whoever died over it; who was told to begins to count anew.
const GO_ON: &str = "
update rebuilds
   set epoch = $2, owner = $3, lease_until = case when $3 is not null then clock_timestamp() + make_interval(secs => $4) end,
       retry_at = case when $3 is null then clock_timestamp() end, against_log = $5, parallel = $6, outcome = null,
       wish = case when wish = 'cancel' then wish else 'run' end,
       deaths = case when $7 then 0 when owner is null then deaths else deaths + 1 end
 where projection = $1";

/// The generation may be fed by live owners already: theirs stay as they are.
const FENCE: &str = "
update checkpoints c
   set epoch = $3, owner = $4, lease_until = case when $4 is not null then clock_timestamp() + make_interval(secs => $5) end
  from generations g
 where c.projection = $1 and c.generation = $2 and g.projection = $1 and g.generation = $2 and g.state = 'building'";

const BUILD: &str =
    "insert into generations (projection, generation, version, state) values ($1, $2, $3, 'building')";

const FILL: &str = "
insert into checkpoints (projection, generation, partition, epoch, owner, lease_until)
select $1, $2, p, $3, $4, case when $4 is not null then clock_timestamp() + make_interval(secs => $5) end
  from docket, generate_series(0, docket.partitions - 1) p";

const BEAT: &str = "
update rebuilds
   set lease_until = clock_timestamp() + make_interval(secs => $4), folded = $5, written = $6, targets = $7, yields = $8
 where projection = $1 and epoch = $2 and owner = $3 and ended_at is null
returning wish";

const TELL: &str =
    "update rebuilds set folded = $3, written = $4, targets = $5 where projection = $1 and epoch = $2";

/// What holds for as long as its lease does.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) operation: Operation,
    pub(crate) process: Uuid,
}

/// Begins a rebuild beside the generation that is served, or goes on with one that stands still.
pub(super) async fn begin(
    pool: &PgPool,
    name: (&str, i32),
    options: &RebuildOptions,
    process: Uuid,
) -> Result<Held, RebuildError> {
    let operation = enter(pool, name, options, Some(process)).await?;
    Ok(Held { operation, process })
}

/// The same for whoever looks for rebuilds next.
pub(super) async fn ask(
    pool: &PgPool,
    name: (&str, i32),
    options: &RebuildOptions,
) -> Result<Operation, RebuildError> {
    enter(pool, name, options, None).await
}

async fn enter(
    pool: &PgPool,
    (projection, version): (&str, i32),
    options: &RebuildOptions,
    owner: Option<Uuid>,
) -> Result<Operation, RebuildError> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    let before = locked(&mut transaction, projection).await?;
    let epoch = before.as_ref().map_or(0, |before| before.epoch) + 1;
    match before.filter(|before| before.ended_at.is_none()) {
        Some(before) if before.owner.is_some() => return Err(running(before)),
        Some(before) if before.version != version => {
            return Err(RebuildError::OtherVersion {
                projection: before.projection,
                theirs: before.version,
                ours: version,
            });
        }
        // Who calls it off need not say what it was for.
        Some(before)
            if (before.purpose, before.against_log) != (options.purpose.kept(), options.against_log)
                && before.wish != Wish::Cancel =>
        {
            return Err(RebuildError::OtherPurpose(before.projection));
        }
        Some(before) => go_on(&mut transaction, &before, options, owner, true).await?,
        None => create(&mut transaction, (projection, version), options, owner, epoch).await?,
    }
    let operation = locked(&mut transaction, projection).await?;
    transaction.commit().await?;
    operation.ok_or(RebuildError::Lost)
}

/// Goes on with a rebuild that stands still, where it is as the caller wants it.
pub(super) async fn take_over(
    pool: &PgPool,
    projection: &str,
    process: Uuid,
    is_wanted: impl Fn(&Operation) -> bool,
) -> Result<Option<Held>, RebuildError> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    let before = locked(&mut transaction, projection).await?;
    let Some(before) = before.filter(|before| before.owner.is_none() && is_wanted(before)) else {
        return Ok(None);
    };
    let options = before.options();
    go_on(&mut transaction, &before, &options, Some(process), false).await?;
    let operation = locked(&mut transaction, projection).await?;
    transaction.commit().await?;
    Ok(operation.map(|operation| Held { operation, process }))
}

async fn go_on(
    transaction: &mut PgConnection,
    before: &Operation,
    options: &RebuildOptions,
    owner: Option<Uuid>,
    is_told_to: bool,
) -> Result<(), sqlx::Error> {
    let (lease, epoch) = (limits::REBUILD_LEASE.as_secs_f64(), before.epoch + 1);
    sqlx::query(GO_ON)
        .bind(&before.projection)
        .bind(epoch)
        .bind(owner)
        .bind(lease)
        .bind(options.against_log)
        .bind(options.parallel as i16)
        .bind(is_told_to)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(FENCE)
        .bind(&before.projection)
        .bind(before.generation.0)
        .bind(epoch)
        .bind(owner)
        .bind(lease)
        .execute(transaction)
        .await?;
    Ok(())
}

async fn create(
    transaction: &mut PgConnection,
    (projection, version): (&str, i32),
    options: &RebuildOptions,
    owner: Option<Uuid>,
    epoch: i64,
) -> Result<(), sqlx::Error> {
    let newest: i32 = sqlx::query_scalar(
        "select greatest((select max(generation) from generations where projection = $1),
                         (select generation from rebuilds where projection = $1))",
    )
    .bind(projection)
    .fetch_one(&mut *transaction)
    .await?;
    let (lease, generation) = (limits::REBUILD_LEASE.as_secs_f64(), newest + 1);
    let from = pointer(&mut *transaction, projection).await?;
    sqlx::query(BEGIN)
        .bind(projection)
        .bind(from.0)
        .bind(generation)
        .bind(version)
        .bind(epoch)
        .bind(owner)
        .bind(lease)
        .bind(options.purpose.as_str())
        .bind(options.against_log)
        .bind(options.parallel as i16)
        .bind(options.purpose.as_of())
        .execute(&mut *transaction)
        .await?;
    sqlx::query(BUILD)
        .bind(projection)
        .bind(generation)
        .bind(version)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(FILL)
        .bind(projection)
        .bind(generation)
        .bind(epoch)
        .bind(owner)
        .bind(lease)
        .execute(transaction)
        .await?;
    Ok(())
}

/// How far each partition is, as the table has it: folded, written, targets.
fn columns(progress: &Progress) -> (Vec<i64>, Vec<i64>, Vec<i64>) {
    let mut columns = (Vec::new(), Vec::new(), Vec::new());
    for at in progress.partitions() {
        columns.0.push(at.folded);
        columns.1.push(at.written);
        columns.2.push(at.target);
    }
    columns
}

impl Held {
    pub(crate) fn projection(&self) -> &str {
        &self.operation.projection
    }

    pub(crate) fn epoch(&self) -> i64 {
        self.operation.epoch
    }

    /// Renews the lease, tells how far it is, and learns what operators want; `None` where it has ended.
    pub(super) async fn beat(
        &self,
        pool: &PgPool,
        progress: &Progress,
    ) -> Result<Option<Wish>, RebuildError> {
        let (folded, written, targets) = columns(progress);
        let wish: Option<String> = sqlx::query_scalar(BEAT)
            .bind(self.projection())
            .bind(self.epoch())
            .bind(self.process)
            .bind(limits::REBUILD_LEASE.as_secs_f64())
            .bind(folded)
            .bind(written)
            .bind(targets)
            .bind(progress.yields())
            .fetch_optional(pool)
            .await?;
        let Some(wish) = wish else {
            let ended = sqlx::query_scalar(
                "select ended_at is not null from rebuilds where projection = $1 and epoch = $2",
            );
            let ended = ended.bind(self.projection()).bind(self.epoch());
            return match ended.fetch_optional(pool).await? {
                Some(true) => Ok(None),
                _ => Err(RebuildError::Lost),
            };
        };
        lease::renew(pool, self.process, limits::REBUILD_LEASE).await?;
        Ok(Some(Wish::of(&wish)))
    }

    /// Tells how far it came, also where it has ended. Nobody else's rebuild is touched.
    pub(super) async fn tell(&self, pool: &PgPool, progress: &Progress) -> Result<(), sqlx::Error> {
        let (folded, written, targets) = columns(progress);
        sqlx::query(TELL)
            .bind(self.projection())
            .bind(self.epoch())
            .bind(folded)
            .bind(written)
            .bind(targets)
            .execute(pool)
            .await?;
        Ok(())
    }

    /// The next step begins, once the transaction has ended.
    pub(super) async fn enter(&self, connection: &mut PgConnection, step: Step) -> Result<(), RebuildError> {
        let done = sqlx::query(
            "update rebuilds set step = $4 where projection = $1 and epoch = $2 and owner = $3 and ended_at is null",
        )
        .bind(self.projection())
        .bind(self.epoch())
        .bind(self.process)
        .bind(step.as_str())
        .execute(connection)
        .await?;
        ours(&done)
    }

    /// So many rows were compared, and none differed.
    pub(super) async fn compared(
        &self,
        connection: &mut PgConnection,
        rows: u64,
    ) -> Result<(), RebuildError> {
        let done =
            sqlx::query("update rebuilds set rows = $4 where projection = $1 and epoch = $2 and owner = $3")
                .bind(self.projection())
                .bind(self.epoch())
                .bind(self.process)
                .bind(rows as i64)
                .execute(connection)
                .await?;
        ours(&done)
    }

    /// So many rows were compared with what is served, and they differ so.
    pub(super) async fn differs(
        &self,
        connection: &mut PgConnection,
        rows: u64,
        differences: &[TableDifferences],
    ) -> Result<(), RebuildError> {
        let text = serde_json::to_string(differences);
        let text = text.map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        sqlx::query(
            "update rebuilds set differences = $4::jsonb where projection = $1 and epoch = $2 and owner = $3",
        )
        .bind(self.projection())
        .bind(self.epoch())
        .bind(self.process)
        .bind(text)
        .execute(&mut *connection)
        .await?;
        self.compared(connection, rows).await
    }

    /// It is over, once the transaction has ended: in the one that does what ends it, so that nobody who has lost the lease
    /// does it, and it does not end otherwise than an operator was told that it will.
    pub(super) async fn end(
        &self,
        connection: &mut PgConnection,
        outcome: Outcome,
    ) -> Result<(), RebuildError> {
        let done = sqlx::query(
            "update rebuilds set owner = null, lease_until = null, retry_at = null, ended_at = clock_timestamp(), outcome = $4
              where projection = $1 and epoch = $2 and owner = $3 and ended_at is null
                and wish = case when $4 = 'cancelled' then wish else 'run' end",
        )
        .bind(self.projection())
        .bind(self.epoch())
        .bind(self.process)
        .bind(outcome.as_str())
        .execute(&mut *connection)
        .await?;
        if let Err(lost) = ours(&done) {
            return Err(self.wanted(connection).await?.unwrap_or(lost));
        }
        Ok(())
    }

    /// What an operator wants that keeps it from its end.
    async fn wanted(&self, connection: &mut PgConnection) -> Result<Option<RebuildError>, sqlx::Error> {
        let wish: Option<String> = sqlx::query_scalar(
            "select wish from rebuilds where projection = $1 and epoch = $2 and owner = $3 and ended_at is null",
        )
        .bind(self.projection())
        .bind(self.epoch())
        .bind(self.process)
        .fetch_optional(connection)
        .await?;
        Ok(match wish.as_deref().map(Wish::of) {
            Some(Wish::Cancel) => Some(RebuildError::CalledOff(self.projection().to_owned())),
            Some(Wish::Pause) => Some(RebuildError::Paused),
            Some(Wish::Run) | None => None,
        })
    }

    /// Keeps the lease for as long as something lasts.
    pub(super) async fn during<T>(
        &self,
        pool: &PgPool,
        progress: &Progress,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = sleep(limits::REBUILD_TICK) => {
                    if let Err(error) = self.beat(pool, progress).await {
                        tracing::debug!(error = chain(&error), "a rebuild's lease was not renewed");
                    }
                }
            }
        }
    }

    /// It stands still where it is, and why. After so long a server goes on with it by itself; with `None` somebody has to
    /// say so.
    pub(super) async fn leave(
        &self,
        pool: &PgPool,
        why: &str,
        again: Option<Duration>,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "update rebuilds set owner = null, lease_until = null, outcome = $4,
                                 retry_at = clock_timestamp() + make_interval(secs => $5)
              where projection = $1 and epoch = $2 and owner = $3 and ended_at is null",
        )
        .bind(self.projection())
        .bind(self.epoch())
        .bind(self.process)
        .bind(why)
        .bind(again.map(|again| again.as_secs_f64()))
        .execute(pool)
        .await?;
        Ok(())
    }
}

/// Who has lost the lease changes nothing.
fn ours(done: &PgQueryResult) -> Result<(), RebuildError> {
    match done.rows_affected() {
        1 => Ok(()),
        _ => Err(RebuildError::Lost),
    }
}
