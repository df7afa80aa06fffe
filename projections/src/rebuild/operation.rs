//! The work on a read model's generations, as the table has it: one at a time, by whoever holds its lease.

use super::RebuildError;
use crate::{generation::Generation, lease, limits};
use chrono::{DateTime, Utc};
use sqlx::{
    Connection, PgConnection, PgPool, Row,
    postgres::{PgQueryResult, PgRow},
};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// How far a rebuild has come. Each step may be done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Its tables are made.
    Create,
    /// Events are folded into rows.
    Load,
    /// Indexes are built.
    Index,
    /// Both generations are compared.
    Verify,
    /// The pointer moves.
    Swap,
}

impl Step {
    /// Every one, in the order in which they are taken.
    pub const ALL: [Self; 5] = [Self::Create, Self::Load, Self::Index, Self::Verify, Self::Swap];

    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Load => "load",
            Self::Index => "index",
            Self::Verify => "verify",
            Self::Swap => "swap",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Step {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let mut all = Self::ALL.into_iter();
        all.find(|step| step.as_str() == text).ok_or(UnknownWord)
    }
}

/// A word that a newer program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the word is unknown to this program")]
pub struct UnknownWord;

/// What a rebuild ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The new generation is served.
    Swap,
    /// It is compared and dropped.
    VerifyOnly,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Swap => "swap",
            Self::VerifyOnly => "verify_only",
        }
    }
}

/// What an operator wants of a rebuild that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// That it goes on.
    Run,
    /// That it waits.
    Pause,
    /// That it ends and leaves nothing behind.
    Cancel,
}

impl Wish {
    fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Pause => "pause",
            Self::Cancel => "cancel",
        }
    }

    fn of(text: &str) -> Self {
        match text {
            "pause" => Self::Pause,
            "cancel" => Self::Cancel,
            _ => Self::Run,
        }
    }
}

/// A rebuild as the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The read model.
    pub projection: String,
    /// What is served meanwhile, and compared with.
    pub from: Generation,
    /// What is built.
    pub generation: Generation,
    /// Of the fold that builds it.
    pub version: i32,
    /// How far it has come.
    pub step: Step,
    /// What it ends with.
    pub purpose: Purpose,
    /// What an operator wants of it.
    pub wish: Wish,
    /// Who does it; nobody where it stands still.
    pub owner: Option<Uuid>,
    /// When it was begun.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// How it ended, or why it stands still.
    pub outcome: Option<String>,
    epoch: i64,
}

const SELECT: &str = "
select projection, from_generation, generation, version, step, purpose, wish,
       case when lease_until > clock_timestamp() then owner end as owner, started_at, ended_at, outcome, epoch
  from rebuilds";

fn read(row: &PgRow) -> Result<Operation, sqlx::Error> {
    let decode = |error| sqlx::Error::Decode(Box::new(error));
    Ok(Operation {
        projection: row.try_get(0)?,
        from: Generation(row.try_get(1)?),
        generation: Generation(row.try_get(2)?),
        version: row.try_get(3)?,
        step: row.try_get::<&str, _>(4)?.parse().map_err(decode)?,
        purpose: match row.try_get::<&str, _>(5)? {
            "verify_only" => Purpose::VerifyOnly,
            _ => Purpose::Swap,
        },
        wish: Wish::of(row.try_get(6)?),
        owner: row.try_get(7)?,
        started_at: row.try_get(8)?,
        ended_at: row.try_get(9)?,
        outcome: row.try_get(10)?,
        epoch: row.try_get(11)?,
    })
}

/// The rebuilds that are under way or ended last, one a read model.
///
/// # Errors
/// When the database does not answer.
pub async fn all(pool: &PgPool) -> Result<Vec<Operation>, sqlx::Error> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} order by projection")));
    rows.fetch_all(pool).await?.iter().map(read).collect()
}

async fn locked(connection: &mut PgConnection, projection: &str) -> Result<Option<Operation>, sqlx::Error> {
    // The read model's own row is the lock: there may be no rebuild yet.
    pointer(connection, projection).await?;
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} where projection = $1")));
    let row = row.bind(projection).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()
}

/// Refuses where a rebuild is under way; until the transaction ends none begins.
pub(super) async fn refuse_if_running(
    transaction: &mut PgConnection,
    projection: &str,
) -> Result<(), RebuildError> {
    match locked(transaction, projection).await? {
        Some(operation) if operation.ended_at.is_none() => Err(running(operation)),
        _ => Ok(()),
    }
}

/// The generation that the pointer is on; it stays there until the transaction ends.
pub(super) async fn pointer(
    transaction: &mut PgConnection,
    projection: &str,
) -> Result<Generation, sqlx::Error> {
    let pointer = sqlx::query_scalar("select generation from projections where name = $1 for update");
    Ok(Generation(pointer.bind(projection).fetch_one(transaction).await?))
}

/// That it is under way.
pub(super) fn running(operation: Operation) -> RebuildError {
    RebuildError::Running {
        projection: operation.projection,
        step: operation.step,
        since: operation.started_at,
        owner: operation.owner,
    }
}

const BEGIN: &str = "
insert into rebuilds (projection, from_generation, generation, version, epoch, owner, lease_until, step, purpose)
values ($1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(secs => $7), 'create', $8)
on conflict (projection) do update
   set from_generation = excluded.from_generation, generation = excluded.generation, version = excluded.version,
       epoch = excluded.epoch, owner = excluded.owner, lease_until = excluded.lease_until, step = excluded.step,
       purpose = excluded.purpose, wish = 'run', started_at = clock_timestamp(), ended_at = null, outcome = null";

const TAKE_OVER: &str = "
update rebuilds set epoch = $2, owner = $3, lease_until = clock_timestamp() + make_interval(secs => $4),
       wish = case when wish = 'cancel' then wish else 'run' end, outcome = null
 where projection = $1";

/// What holds for as long as its lease does.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) operation: Operation,
    pub(crate) process: Uuid,
}

/// Begins a rebuild beside the generation that is served, or goes on with one that stands still.
pub(super) async fn begin(
    pool: &PgPool,
    (projection, version): (&str, i32),
    purpose: Purpose,
    process: Uuid,
) -> Result<Held, RebuildError> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    let lease = limits::REBUILD_LEASE.as_secs_f64();
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
        Some(before) if before.purpose != purpose && before.wish != Wish::Cancel => {
            return Err(RebuildError::OtherPurpose(before.projection));
        }
        Some(before) => {
            sqlx::query(TAKE_OVER)
                .bind(projection)
                .bind(epoch)
                .bind(process)
                .bind(lease)
                .execute(&mut *transaction)
                .await?;
            // The generation may be fed by live owners already: theirs stay as they are.
            sqlx::query(
                "update checkpoints c set epoch = $3, owner = $4,
                                          lease_until = clock_timestamp() + make_interval(secs => $5)
                   from generations g
                  where c.projection = $1 and c.generation = $2 and g.projection = $1 and g.generation = $2
                    and g.state = 'building'",
            )
            .bind(projection)
            .bind(before.generation.0)
            .bind(epoch)
            .bind(process)
            .bind(lease)
            .execute(&mut *transaction)
            .await?;
        }
        None => {
            let newest: i32 = sqlx::query_scalar(
                "select greatest((select max(generation) from generations where projection = $1),
                                 (select generation from rebuilds where projection = $1))",
            )
            .bind(projection)
            .fetch_one(&mut *transaction)
            .await?;
            let generation = newest + 1;
            let from = pointer(&mut transaction, projection).await?;
            sqlx::query(BEGIN)
                .bind(projection)
                .bind(from.0)
                .bind(generation)
                .bind(version)
                .bind(epoch)
                .bind(process)
                .bind(lease)
                .bind(purpose.as_str())
                .execute(&mut *transaction)
                .await?;
            sqlx::query(
                "insert into generations (projection, generation, version, state) values ($1, $2, $3, 'building')",
            )
            .bind(projection)
            .bind(generation)
            .bind(version)
            .execute(&mut *transaction)
            .await?;
            sqlx::query(
                "insert into checkpoints (projection, generation, partition, epoch, owner, lease_until)
                 select $1, $2, p, $3, $4, clock_timestamp() + make_interval(secs => $5)
                   from docket, generate_series(0, docket.partitions - 1) p",
            )
            .bind(projection)
            .bind(generation)
            .bind(epoch)
            .bind(process)
            .bind(lease)
            .execute(&mut *transaction)
            .await?;
        }
    }
    let operation = locked(&mut transaction, projection).await?;
    transaction.commit().await?;
    let operation = operation.ok_or(RebuildError::Lost)?;
    Ok(Held { operation, process })
}

impl Held {
    pub(crate) fn projection(&self) -> &str {
        &self.operation.projection
    }

    pub(crate) fn epoch(&self) -> i64 {
        self.operation.epoch
    }

    /// Renews the lease, and tells what operators want; `None` where it has ended.
    pub(super) async fn beat(&self, pool: &PgPool) -> Result<Option<Wish>, RebuildError> {
        let wish: Option<String> = sqlx::query_scalar(
            "update rebuilds set lease_until = clock_timestamp() + make_interval(secs => $4)
              where projection = $1 and epoch = $2 and owner = $3 and ended_at is null
             returning wish",
        )
        .bind(self.projection())
        .bind(self.epoch())
        .bind(self.process)
        .bind(limits::REBUILD_LEASE.as_secs_f64())
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

    /// It is over, once the transaction has ended: in the one that does what ends it, so that nobody who has lost the lease
    /// does it.
    pub(super) async fn end(&self, connection: &mut PgConnection, outcome: &str) -> Result<(), RebuildError> {
        let done = sqlx::query(
            "update rebuilds set owner = null, lease_until = null, ended_at = clock_timestamp(), outcome = $4
              where projection = $1 and epoch = $2 and owner = $3 and ended_at is null",
        )
        .bind(self.projection())
        .bind(self.epoch())
        .bind(self.process)
        .bind(outcome)
        .execute(connection)
        .await?;
        ours(&done)
    }

    /// It stands still where it is, for somebody to go on with; why.
    pub(super) async fn leave(&self, pool: &PgPool, why: &str) -> Result<(), sqlx::Error> {
        sqlx::query(
            "update rebuilds set owner = null, lease_until = null, outcome = $4
              where projection = $1 and epoch = $2 and owner = $3 and ended_at is null",
        )
        .bind(self.projection())
        .bind(self.epoch())
        .bind(self.process)
        .bind(why)
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

/// Says what an operator wants of the rebuild of a read model; what it was then, `None` where none is under way.
pub(super) async fn wish(
    pool: &PgPool,
    projection: &str,
    wish: Wish,
) -> Result<Option<Operation>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    let operation = locked(&mut transaction, projection).await?;
    let operation = operation.filter(|operation| operation.ended_at.is_none());
    if operation.is_some() {
        sqlx::query("update rebuilds set wish = $2 where projection = $1")
            .bind(projection)
            .bind(wish.as_str())
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(operation)
}
