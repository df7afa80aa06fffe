//! Checkpoints: how far each partition of each read model has come, and why it stands still where it does.

use crate::{
    board::{Board, Cell},
    limits,
    projector::Generation,
};
use docket_event_store::Position;
use sqlx::{PgExecutor, PgPool, Row, postgres::PgRow};
use std::{fmt, str::FromStr, sync::Arc};
use uuid::Uuid;

const STATE: &str = r#"
select c.projection, c.partition, c."offset", c.owner, coalesce(c.lease_until > clock_timestamp(), false) as leased,
       c.stopped_offset, c.stopped_class, c.stopped_reason, c.generation, c.parked
  from checkpoints c left join generations g on g.projection = c.projection and g.generation = c.generation
 where g.state is distinct from 'building'
 order by c.projection, c.generation, c.partition"#;

const EXAMINE: &str = r#"
select c.projection, c.partition, c."offset", c.event_id, h.head, e.event_id as in_log
  from checkpoints c
  join heads h on h.partition = c.partition
  left join events e on e.partition = c.partition and e."offset" = c."offset"
 where c.projection = any ($1) and c."offset" > 0
   and (c."offset" > h.head or e.event_id is distinct from c.event_id)
 order by c.projection, c.generation, c.partition
 limit 1"#;

const ONE: &str = r#"
select "offset", owner, epoch, coalesce(held_until > clock_timestamp(), false), parked
  from checkpoints where projection = $1 and generation = $2 and partition = $3"#;

const STOP: &str = r#"
update checkpoints set stopped_offset = $5, stopped_class = $6, stopped_reason = $7
 where projection = $1 and generation = $2 and partition = $3 and epoch = $4"#;

const TROUBLE: &str = "
update checkpoints set trouble = $5
 where projection = $1 and generation = $2 and partition = $3 and epoch = $4 and trouble is distinct from $5";

const RESUME: &str = r#"
update checkpoints set stopped_offset = null, stopped_class = null, stopped_reason = null
 where projection = $1 and partition = $2 and stopped_offset is not null"#;

/// What kind of trouble stopped a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopClass {
    /// The event cannot be decoded.
    Decode,
    /// The event does not fit what came before.
    Apply,
    /// The database refused the rows that the event makes.
    Sql,
    /// The projector panicked.
    Panic,
    /// The log does not hold the event that the rows were folded from last.
    History,
    /// As many orders are parked as may be.
    Full,
}

impl StopClass {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Apply => "apply",
            Self::Sql => "sql",
            Self::Panic => "panic",
            Self::History => "history",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for StopClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StopClass {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        let all = [
            Self::Decode,
            Self::Apply,
            Self::Sql,
            Self::Panic,
            Self::History,
            Self::Full,
        ];
        all.into_iter()
            .find(|class| class.as_str() == text)
            .ok_or(UnknownClass)
    }
}

/// A reason of a kind that a newer program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reason's class is unknown to this program")]
pub struct UnknownClass;

/// Why a partition stands still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// The event that stopped it; everything before it is in the rows, unless a rebuild fills them.
    pub position: Position,
    /// What kind of trouble.
    pub class: StopClass,
    /// In words.
    pub reason: String,
}

impl Stopped {
    /// With as much of the reason as is kept.
    pub(crate) fn new(position: Position, class: StopClass, reason: String) -> Self {
        Self {
            position,
            class,
            reason: kept(reason),
        }
    }
}

/// As much of a reason as is kept.
pub(crate) fn kept(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(limits::REASON_BYTES));
    reason.replace('\0', "")
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {} ({}): {}", self.position, self.class, self.reason)
    }
}

/// A checkpoint with its lease, as the table has it.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoint {
    pub(crate) projection: String,
    pub(crate) generation: Generation,
    pub(crate) partition: u16,
    pub(crate) offset: i64,
    pub(crate) owner: Option<Uuid>,
    /// Its owner's lease has not run out.
    pub(crate) leased: bool,
    /// Orders that have dead letters.
    pub(crate) parked: usize,
    pub(crate) stopped: Option<Stopped>,
}

/// Why a partition stands still, where it does: from the columns of the table.
pub(crate) fn decode_stopped(row: &PgRow, partition: u16) -> Result<Option<Stopped>, sqlx::Error> {
    let Some(offset) = row.try_get("stopped_offset")? else {
        return Ok(None);
    };
    let class = row.try_get::<&str, _>("stopped_class")?.parse();
    Ok(Some(Stopped {
        position: Position { partition, offset },
        class: class.map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        reason: row.try_get("stopped_reason")?,
    }))
}

fn decode_state(row: &PgRow) -> Result<Checkpoint, sqlx::Error> {
    let partition = row.try_get::<i16, _>(1)? as u16;
    let stopped = decode_stopped(row, partition)?;
    Ok(Checkpoint {
        projection: row.try_get(0)?,
        generation: Generation(row.try_get(8)?),
        partition,
        offset: row.try_get(2)?,
        owner: row.try_get(3)?,
        leased: row.try_get(4)?,
        parked: row.try_get::<i32, _>(9)? as usize,
        stopped,
    })
}

/// The checkpoints of every generation that is fed.
pub(crate) async fn all(executor: impl PgExecutor<'_>) -> Result<Vec<Checkpoint>, sqlx::Error> {
    sqlx::query(STATE)
        .fetch_all(executor)
        .await?
        .iter()
        .map(decode_state)
        .collect()
}

/// A checkpoint that this log cannot have made.
pub(crate) struct Foreign {
    pub(crate) projection: String,
    pub(crate) position: Position,
    pub(crate) expected: Option<Uuid>,
    pub(crate) found: Option<Uuid>,
    pub(crate) head: i64,
}

/// The first checkpoint that the log does not prove. One statement, so one snapshot: processes that append and fold
/// meanwhile cannot make it look wrong.
pub(crate) async fn first_foreign(
    pool: &PgPool,
    projections: &[&str],
) -> Result<Option<Foreign>, sqlx::Error> {
    let row = sqlx::query(EXAMINE)
        .bind(projections)
        .fetch_optional(pool)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let partition = row.try_get::<i16, _>(1)? as u16;
    Ok(Some(Foreign {
        projection: row.try_get(0)?,
        position: Position {
            partition,
            offset: row.try_get(2)?,
        },
        expected: row.try_get(3)?,
        head: row.try_get(4)?,
        found: row.try_get(5)?,
    }))
}

/// What is fed, and by which lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) projection: &'static str,
    pub(crate) generation: Generation,
    pub(crate) partition: u16,
    pub(crate) epoch: i64,
}

impl Held {
    /// What this process knows of it.
    pub(crate) fn cell(&self, board: &Board) -> Option<Arc<Cell>> {
        board.cell(self.projection, self.generation, self.partition)
    }
}

/// Where a checkpoint stands.
pub(crate) struct Standpoint {
    pub(crate) offset: i64,
    /// It may not move for a moment.
    pub(crate) is_held: bool,
    /// Orders that have dead letters.
    pub(crate) parked: usize,
}

/// Where a checkpoint stands whose lease is still held; `None` where it is not.
pub(crate) async fn offset_if_held(
    executor: impl PgExecutor<'_>,
    held: &Held,
    process: Uuid,
) -> Result<Option<Standpoint>, sqlx::Error> {
    let row = sqlx::query(ONE)
        .bind(held.projection)
        .bind(held.generation.0)
        .bind(held.partition as i16)
        .fetch_optional(executor)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let ours = row.try_get::<Option<Uuid>, _>(1)? == Some(process) && row.try_get::<i64, _>(2)? == held.epoch;
    Ok(if ours {
        Some(Standpoint {
            offset: row.try_get(0)?,
            is_held: row.try_get(3)?,
            parked: row.try_get::<i32, _>(4)? as usize,
        })
    } else {
        None
    })
}

/// Keeps the reason why a held partition stands still; `false` where it is no longer held.
pub(crate) async fn stop(
    executor: impl PgExecutor<'_>,
    held: &Held,
    stopped: &Stopped,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(STOP)
        .bind(held.projection)
        .bind(held.generation.0)
        .bind(held.partition as i16)
        .bind(held.epoch)
        .bind(stopped.position.offset)
        .bind(stopped.class.as_str())
        .bind(&stopped.reason)
        .execute(executor)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Keeps why an owner cannot write now, as far as the database takes it.
pub(crate) async fn trouble(
    executor: impl PgExecutor<'_>,
    held: &Held,
    reason: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(TROUBLE)
        .bind(held.projection)
        .bind(held.generation.0)
        .bind(held.partition as i16)
        .bind(held.epoch)
        .bind(reason)
        .execute(executor)
        .await?;
    Ok(())
}

/// Lets a stopped partition try again, in each generation; `false` where it was not stopped.
pub(crate) async fn resume(
    executor: impl PgExecutor<'_>,
    projection: &str,
    partition: u16,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(RESUME)
        .bind(projection)
        .bind(partition as i16)
        .execute(executor)
        .await?;
    Ok(done.rows_affected() > 0)
}
