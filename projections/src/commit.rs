//! Writing a batch: rows and checkpoint in one statement, one round trip.
//!
//! The checkpoint moves by compare-and-set on (offset, fence), the fence being its owner's epoch and what was done about dead
//! letters, which both only rise; the rows are inserted from its one row, so where it does
//! not hit, nothing is written. Being one autocommitted statement it is atomic, and no client that is slow, frozen or
//! dead can hold its locks between two statements.
//!
//! It commits durably (`synchronous_commit = on`): who was told that a read model has reached a position must find it
//! there after a crash of the database, too. The log's own commits share the flush.

use crate::projector::{Generation, PgQuery, Projector, ProjectorSql};
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row, SqlSafeStr, SqlStr};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

const MOVE_CHECKPOINT: &str = r#"with moved as (
  update checkpoints
     set "offset" = $6, event_id = $7, lease_until = clock_timestamp() + make_interval(secs => $8),
         stopped_offset = null, stopped_class = null, stopped_reason = null, trouble = null
   where projection = $1 and generation = $2 and partition = $3 and "offset" = $4 and epoch + letters = $5
     and (held_until is null or held_until < clock_timestamp())
  returning 1)"#;
/// Holds the checkpoint where it is, for rows that are written before it moves. It takes the same arguments.
const HOLD_CHECKPOINT: &str = r#"with moved as (
  select from checkpoints
   where projection = $1 and generation = $2 and partition = $3 and "offset" = $4 and epoch + letters = $5
     and $6::bigint is not null and $7::uuid is not null and $8::double precision is not null
     for update)"#;
const COUNT_MOVED: &str = "select count(*) from moved";

/// A projector's statements, built once for a generation.
pub(crate) struct Statements {
    pub(crate) load: SqlStr,
    /// Writes rows and moves the checkpoint.
    pub(crate) write: SqlStr,
    /// Writes rows, in a transaction that ends with [`Statements::write`].
    pub(crate) write_part: SqlStr,
}

impl Statements {
    pub(crate) fn new(sql: ProjectorSql) -> Self {
        let mut inserts = String::new();
        for (number, insert) in sql.inserts.iter().enumerate() {
            inserts.push_str(&format!(",\nwritten_{number} as ({insert})"));
        }
        // Nothing but table names of this program and the generation's number is put together here.
        let text = |first: &str| AssertSqlSafe(format!("{first}{inserts}\n{COUNT_MOVED}")).into_sql_str();
        Self {
            load: sql.load,
            write: text(MOVE_CHECKPOINT),
            write_part: text(HOLD_CHECKPOINT),
        }
    }
}

/// From where to where a batch moves its checkpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Move {
    pub(crate) generation: Generation,
    pub(crate) partition: u16,
    /// The epoch, and what is known to have been done about dead letters.
    pub(crate) fence: i64,
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) event_id: Uuid,
    pub(crate) lease: Duration,
}

impl Move {
    /// A statement that finds the checkpoint by its first five arguments, where it is to be moved from.
    pub(crate) fn query<'q>(&self, statement: impl SqlSafeStr, projection: &'q str) -> PgQuery<'q> {
        sqlx::query(statement)
            .bind(projection)
            .bind(self.generation.0)
            .bind(self.partition as i16)
            .bind(self.from)
            .bind(self.fence)
    }
}

/// Writes a batch, or, by [`Statements::write_part`], some of its rows; `false` where the checkpoint is not where the batch
/// starts, or somebody else's, or something was done about dead letters.
pub(crate) async fn write<P: Projector>(
    connection: &mut PgConnection,
    projector: &P,
    statement: &SqlStr,
    step: &Move,
    entities: &[(P::Key, Arc<P::Entity>)],
) -> Result<bool, sqlx::Error> {
    let query = step
        .query(statement.clone(), projector.name())
        .bind(step.to)
        .bind(step.event_id)
        .bind(step.lease.as_secs_f64());
    let query = projector.bind(query, entities)?;
    let moved: i64 = connection.fetch_one(query).await?.try_get(0)?;
    Ok(moved == 1)
}
