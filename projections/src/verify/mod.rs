//! Proving, at rest, that the log is whole and that every read model is its fold.
//!
//! Each partition is examined in one snapshot of its own, so live processes may go on meanwhile. The log is read by
//! statements of its own, not through the feed: a checker that shares a reader with what it checks shares its faults.
//!
//! Memory is bounded: pages of [`limits::VERIFY_EVENTS`](crate::limits::VERIFY_EVENTS) events for the log, and for the
//! read models the entities of [`limits::VERIFY_ORDERS`](crate::limits::VERIFY_ORDERS) orders, or of
//! [`limits::VERIFY_KEYS`](crate::limits::VERIFY_KEYS) keys that many orders share, at a time, folded from events that are
//! streamed. What has to be sorted as a whole is sorted by the database, within its `work_mem`.

mod log;
mod rows;

use crate::{
    generation,
    projector::{Generation, Projector},
    read_models,
    rebuild::Progress,
};
use docket_domain::{CommandId, OrderId, StreamId};
use docket_event_store::{PersonalError, Position, Store, Vault};
use sqlx::PgConnection;

const LEFT_OUT: &str = "
select (select count(*) from dead_letters d join projections p on p.name = d.projection and p.generation = d.generation
         where d.partition = $1)
     + (select count(*) from discarded_events d join projections p on p.name = d.projection and p.version = d.version
         where d.partition = $1)";

/// What was examined, and found to be right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Partitions of the log.
    pub partitions: u16,
    /// Events in them.
    pub events: u64,
    /// Stored answers of commands.
    pub commands: u64,
    /// Rows of each read model.
    pub rows: Vec<(&'static str, u64)>,
    /// Events that wait as dead letters, and that were discarded: the rows are the fold of the log without them.
    pub left_out: u64,
}

/// The first difference that was found, or why nothing could be.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The database did not answer.
    #[error("the database cannot be read")]
    Read(#[from] sqlx::Error),
    /// A partition is not dense.
    #[error(
        "partition {partition} is not dense: it holds {count} events from offset {first} to {last}, and its head says {head}"
    )]
    NotDense {
        /// The partition.
        partition: u16,
        /// How many events it holds.
        count: i64,
        /// The lowest offset.
        first: i64,
        /// The highest offset.
        last: i64,
        /// The newest offset according to its head.
        head: i64,
    },
    /// A stream is not dense, or not in order.
    #[error(
        "stream {stream} is not dense: event {position} is its number {number} and says version {version}"
    )]
    StreamNotDense {
        /// The stream.
        stream: StreamId,
        /// The event.
        position: Position,
        /// Its place among the stream's events.
        number: i64,
        /// What it says.
        version: i32,
    },
    /// An event lies where its order does not belong.
    #[error("event {position} of order {order} belongs to partition {expected}")]
    WrongPartition {
        /// Where it is.
        position: Position,
        /// Of this order.
        order: OrderId,
        /// Where it belongs.
        expected: u16,
    },
    /// Time ran backwards.
    #[error("event {position} was recorded before the one in front of it")]
    TimeWentBack {
        /// The event.
        position: Position,
    },
    /// An event cannot be decoded.
    #[error("event {position} cannot be decoded: {reason}")]
    Undecodable {
        /// The event.
        position: Position,
        /// Why.
        reason: String,
    },
    /// A command's events and its stored answer do not agree.
    #[error("command {command} in partition {partition}: {what}")]
    Command {
        /// The command.
        command: CommandId,
        /// The partition.
        partition: u16,
        /// What does not agree.
        what: String,
    },
    /// A checkpoint is beyond the log.
    #[error("{projection} has folded partition {partition} up to {offset}, and the log ends at {head}")]
    Ahead {
        /// The read model.
        projection: &'static str,
        /// The partition.
        partition: u16,
        /// Its checkpoint.
        offset: i64,
        /// The newest offset.
        head: i64,
    },
    /// A row is not the fold of its events.
    #[error("{projection}, row {key}, column {column}: the log says {expected}, the row says {found}")]
    Row {
        /// The read model.
        projection: &'static str,
        /// The key of the row.
        key: String,
        /// The first column that differs.
        column: &'static str,
        /// What the fold gives.
        expected: String,
        /// What the table holds.
        found: String,
    },
    /// An event that was folded once cannot be folded again.
    #[error("{projection} cannot fold event {position}: {reason}")]
    Fold {
        /// The read model.
        projection: &'static str,
        /// The event.
        position: Position,
        /// Why.
        reason: String,
    },
    /// Personal values cannot be opened.
    #[error("the keys of personal data cannot be used")]
    Personal(#[from] PersonalError),
    /// The database does not know the read model in this program's version.
    #[error("{0} is not there in this program's version")]
    NoReadModel(&'static str),
    /// A rebuild that it is a step of is held or stopped.
    #[error("it was held")]
    Held,
}

/// Examines the whole log and every read model; `progress` hears of each partition that is done.
///
/// # Errors
/// The first difference.
pub async fn verify(store: &Store, mut progress: impl FnMut(u16) + Send) -> Result<Report, VerifyError> {
    let partitions = store.partitions();
    let models = read_models::all(store);
    let mut report = Report {
        partitions: partitions.count(),
        rows: models.iter().map(|model| (model.name(), 0)).collect(),
        ..Report::default()
    };
    for partition in partitions.all() {
        let mut snapshot = store
            .pool()
            .begin_with("begin isolation level repeatable read read only")
            .await?;
        let known = generation::all(&mut *snapshot).await?;
        let size = log::examine(&mut snapshot, partitions, partition).await?;
        report.events += size.events;
        report.commands += size.commands;
        for (model, (_, sum)) in models.iter().zip(&mut report.rows) {
            let served = generation::served(&known, model.name(), model.version());
            let served = served.ok_or(VerifyError::NoReadModel(model.name()))?;
            *sum += model
                .examine(&mut snapshot, store.vault(), served, partition, size.head, None)
                .await?;
        }
        let left_out: i64 = sqlx::query_scalar(LEFT_OUT)
            .bind(partition as i16)
            .fetch_one(&mut *snapshot)
            .await?;
        report.left_out += left_out.unsigned_abs();
        snapshot.rollback().await?;
        progress(partition);
    }
    Ok(report)
}

/// Compares a generation's rows of a partition with the fold of the log, which ends at `head`; how many they are. As a
/// rebuild's step it makes way as that does.
pub(crate) async fn compare<P: Projector>(
    snapshot: &mut PgConnection,
    vault: &Vault,
    projector: &P,
    generation: Generation,
    partition: u16,
    head: i64,
    step: Option<&Progress>,
) -> Result<u64, VerifyError> {
    let projection = projector.name();
    let offset: i64 = sqlx::query_scalar(
        r#"select "offset" from checkpoints where projection = $1 and generation = $2 and partition = $3"#,
    )
    .bind(projection)
    .bind(generation.0)
    .bind(partition as i16)
    .fetch_optional(&mut *snapshot)
    .await?
    .ok_or(VerifyError::NoReadModel(projection))?;
    if offset > head {
        return Err(VerifyError::Ahead {
            projection,
            partition,
            offset,
            head,
        });
    }
    let upto = Position { partition, offset };
    rows::examine(snapshot, vault, projector, generation, upto, step).await
}
