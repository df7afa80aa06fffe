//! The work on a read model's generations, as the table has it: one at a time, by whoever holds its lease ([`super::held`]).

use super::{PartitionProgress, Purpose, RebuildError, RebuildOptions, Sizes, TableDifferences};
use crate::{generation::Generation, limits};
use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection, PgPool, Row, postgres::PgRow};
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
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Pause => "pause",
            Self::Cancel => "cancel",
        }
    }

    pub(super) fn of(text: &str) -> Self {
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
    /// From when on a server goes on with it by itself; `None` where somebody does it, or has to say so.
    pub goes_on_at: Option<DateTime<Utc>>,
    /// Its rows are proved by the log alone.
    pub against_log: bool,
    /// Partitions that are filled at once.
    pub parallel: u16,
    /// It makes way for live read models.
    pub yields: bool,
    /// Rows that were compared, once they were.
    pub rows: Option<i64>,
    /// How a build aside differs from what is served, once it was compared.
    pub differences: Vec<TableDifferences>,
    /// How far each partition is filled, as its owner said last: twice a second. None before it begins.
    pub partitions: Vec<PartitionProgress>,
    pub(super) epoch: i64,
    /// That time has come.
    pub(super) is_due: bool,
}

impl Operation {
    /// How it is done, by whomever.
    pub(super) fn options(&self) -> RebuildOptions {
        RebuildOptions {
            parallel: self.parallel,
            purpose: self.purpose,
            against_log: self.against_log,
            sizes: Sizes::USUAL,
        }
    }
}

/// Whose owner died is gone on with when its lease has run out, unless too many died over it; who left it said when, if at
/// all.
fn select() -> String {
    let deaths = limits::REBUILD_DEATHS;
    format!(
        "select r.*, goes_on_at <= clock_timestamp() as is_due
           from (select projection, from_generation, generation, version, step, purpose, wish,
                        case when lease_until > clock_timestamp() then owner end as owner, started_at, ended_at, outcome,
                        case when ended_at is not null or wish = 'pause' or lease_until > clock_timestamp() then null
                             when owner is null then retry_at
                             when deaths < {deaths} then lease_until end as goes_on_at,
                        against_log, parallel, yields, rows, folded, written, targets, epoch, as_of,
                        differences::text
                   from rebuilds) r"
    )
}

fn read_progress(row: &PgRow) -> Result<Vec<PartitionProgress>, sqlx::Error> {
    let (folded, written): (Vec<i64>, Vec<i64>) = (row.try_get("folded")?, row.try_get("written")?);
    let targets: Vec<i64> = row.try_get("targets")?;
    let partitions = (0..).zip(folded).zip(written).zip(targets);
    let progress = |(((partition, folded), written), target)| PartitionProgress {
        partition,
        folded,
        written,
        target,
    };
    Ok(partitions.map(progress).collect())
}

fn read_differences(row: &PgRow) -> Result<Vec<TableDifferences>, sqlx::Error> {
    let differences: Option<&str> = row.try_get("differences")?;
    let differences = differences.map(serde_json::from_str).transpose();
    let differences = differences.map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(differences.unwrap_or_default())
}

fn read(row: &PgRow) -> Result<Operation, sqlx::Error> {
    let decode = |error: UnknownWord| sqlx::Error::Decode(Box::new(error));
    Ok(Operation {
        projection: row.try_get(0)?,
        from: Generation(row.try_get(1)?),
        generation: Generation(row.try_get(2)?),
        version: row.try_get(3)?,
        step: row.try_get::<&str, _>(4)?.parse().map_err(decode)?,
        purpose: Purpose::of(row.try_get(5)?, row.try_get("as_of")?).map_err(decode)?,
        wish: Wish::of(row.try_get(6)?),
        owner: row.try_get(7)?,
        started_at: row.try_get(8)?,
        ended_at: row.try_get(9)?,
        outcome: row.try_get(10)?,
        goes_on_at: row.try_get("goes_on_at")?,
        against_log: row.try_get("against_log")?,
        parallel: row.try_get::<i16, _>("parallel")?.unsigned_abs(),
        yields: row.try_get("yields")?,
        rows: row.try_get("rows")?,
        differences: read_differences(row)?,
        partitions: read_progress(row)?,
        epoch: row.try_get("epoch")?,
        is_due: row.try_get::<Option<bool>, _>("is_due")?.unwrap_or(false),
    })
}

/// The rebuilds that are under way or ended last, one a read model.
///
/// # Errors
/// When the database does not answer.
pub async fn all(pool: &PgPool) -> Result<Vec<Operation>, sqlx::Error> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!("{} order by projection", select())));
    rows.fetch_all(pool).await?.iter().map(read).collect()
}

pub(super) async fn locked(
    connection: &mut PgConnection,
    projection: &str,
) -> Result<Option<Operation>, sqlx::Error> {
    // The read model's own row is the lock: there may be no rebuild yet.
    pointer(connection, projection).await?;
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("{} where projection = $1", select())));
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
    let pointer = sqlx::query_scalar("select generation from projections where name = $1 for no key update");
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

/// Says what an operator wants of the rebuild of a read model; what it was then, `None` where none is under way. Where nobody
/// does it and it is to move, whoever looks next goes on with it. One that is called off stays so.
pub(super) async fn wish(
    pool: &PgPool,
    projection: &str,
    wish: Wish,
) -> Result<Option<Operation>, RebuildError> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    let operation = locked(&mut transaction, projection).await?;
    let operation = operation.filter(|operation| operation.ended_at.is_none());
    if let Some(before) = &operation {
        if before.wish == Wish::Cancel && wish != Wish::Cancel {
            return Err(RebuildError::CalledOff(projection.to_owned()));
        }
        let say = "update rebuilds set wish = $2,
                          retry_at = case when $2 = 'pause' then retry_at else clock_timestamp() end,
                          deaths = case when $2 = 'pause' then deaths else 0 end
                    where projection = $1";
        sqlx::query(say)
            .bind(projection)
            .bind(wish.as_str())
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(operation.map(|operation| Operation { wish, ..operation }))
}
