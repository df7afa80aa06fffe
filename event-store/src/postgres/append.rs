//! The append's two statements. Each commits by itself, so that no client, frozen or slow, can hold a head row.
//!
//! The *fast path* looks nothing up: the unique indexes on (order, stream, version) and on the command id are the
//! check. They catch a version that is too low, never one that is too high, so only versions that this process read from
//! the log or committed itself may go there. It locks the heads in ascending order before it updates them: an UPDATE
//! locks in its plan's order, and two processes that meet in opposite order deadlock.
//!
//! The *checking path* is the function `append_checked` of the migrations: it compares every version that a decision
//! named under the lock, and gives each command an outcome of its own.

use super::{row::EventRow, stream_kind_code};
use crate::{
    append::{Append, StoredAnswer},
    position::Position,
};
use chrono::{DateTime, Utc};
use docket_domain::{StreamId, Version};
use sqlx::{Arguments, PgConnection, Row, postgres::PgArguments};
use uuid::Uuid;

const FAST_SINGLE: &str = include_str!("append_fast_single.sql");
const FAST: &str = include_str!("append_fast.sql");
const CHECKED: &str = include_str!("append_checked.sql");

/// A batch: commands in order with their partitions.
pub(crate) struct Batch {
    pub(crate) commands: Vec<(u16, Append)>,
}

/// What the database said of one command of a batch.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// In, with its last event's position and its time.
    Appended {
        answer: StoredAnswer,
        recorded_at: DateTime<Utc>,
    },
    /// Met its own stored answer.
    Stored {
        answer: StoredAnswer,
        same_request: bool,
    },
    /// A stream that it named stands at another version.
    Conflict {
        stream: StreamId,
        expected: Version,
        actual: Version,
    },
}

/// Appends a batch without looking anything up. An index violation fails all of it and changes nothing.
pub(crate) async fn fast(connection: &mut PgConnection, batch: &Batch) -> Result<Vec<Verdict>, sqlx::Error> {
    if let [(partition, append)] = batch.commands.as_slice()
        && append.event_count() == 1
    {
        return single(connection, *partition, append).await;
    }
    let rows = batch.rows();
    let (partitions, counts) = heads(&rows);
    let mut arguments = PgArguments::default();
    arguments.reserve(3, EventRow::bytes(&rows));
    let bound = [
        arguments.add(&partitions),
        arguments.add(&counts),
        arguments.add(&rows),
    ];
    bound
        .into_iter()
        .collect::<Result<(), _>>()
        .map_err(sqlx::Error::Encode)?;
    let heads = sqlx::query_with(FAST, arguments).fetch_all(connection).await?;

    let mut bases = Vec::with_capacity(heads.len());
    for head in heads {
        let partition: i16 = head.try_get(0)?;
        let base: i64 = head.try_get(1)?;
        let recorded_at: DateTime<Utc> = head.try_get(2)?;
        bases.push((partition as u16, base, recorded_at));
    }
    let lasts = rows.iter().filter(|row| row.ends_command);
    let verdict = |last: &EventRow| {
        let (_, base, recorded_at) = bases
            .iter()
            .find(|(partition, _, _)| *partition == last.partition)
            .ok_or(sqlx::Error::RowNotFound)?;
        let position = Position {
            partition: last.partition,
            offset: base + last.in_partition,
        };
        Ok(Verdict::Appended {
            answer: answer(position, last.append),
            recorded_at: *recorded_at,
        })
    };
    lasts.map(verdict).collect()
}

/// One event of one command: what an idle log sees, and so what its latency is.
async fn single(
    connection: &mut PgConnection,
    partition: u16,
    append: &Append,
) -> Result<Vec<Verdict>, sqlx::Error> {
    let envelope = &append.envelope;
    let event = EventRow::of(partition, append, 0).next();
    let EventRow {
        write, new, version, ..
    } = event.ok_or(sqlx::Error::RowNotFound)?;
    let row = sqlx::query(FAST_SINGLE)
        .bind(partition as i16)
        .bind(envelope.command_id.0)
        .bind(append.request_hash.bytes())
        .bind(version)
        .bind(write.stream.order.0)
        .bind(stream_kind_code(write.stream.kind))
        .bind(write.stream.number as i16)
        .bind(new.event_id)
        .bind(new.event.event_type())
        .bind(new.event.schema_version() as i16)
        .bind(envelope.origin.code())
        .bind(envelope.occurred_at)
        .bind(envelope.causation_id)
        .bind(envelope.actor_kind.as_str())
        .bind(&*envelope.actor_id)
        .bind(envelope.traceparent.as_deref())
        .bind(&*new.payload)
        .fetch_all(connection)
        .await?;
    let row = row.first().ok_or(sqlx::Error::RowNotFound)?;
    let position = Position {
        partition,
        offset: row.try_get::<i64, _>(1)? + 1,
    };
    Ok(vec![Verdict::Appended {
        answer: answer(position, append),
        recorded_at: row.try_get(2)?,
    }])
}

/// Appends what passes of a batch, each command for itself.
pub(crate) async fn checked(
    connection: &mut PgConnection,
    batch: &Batch,
) -> Result<Vec<Verdict>, sqlx::Error> {
    let commands = Commands::of(batch);
    let expectations = Expectations::of(batch);
    let events = batch.rows();
    let rows = sqlx::query(CHECKED)
        .bind(&commands.id)
        .bind(&commands.hash)
        .bind(&commands.partition)
        .bind(&commands.events)
        .bind(&commands.version)
        .bind(&expectations.command)
        .bind(&expectations.order)
        .bind(&expectations.kind)
        .bind(&expectations.number)
        .bind(&expectations.version)
        .bind(events)
        .fetch_all(connection)
        .await?;

    let mut verdicts = Vec::with_capacity(commands.id.len());
    verdicts.resize_with(commands.id.len(), || None);
    for row in rows {
        let command: i32 = row.try_get("command")?;
        let partition: i16 = row.try_get("partition")?;
        let version: i32 = row.try_get("version")?;
        let verdict = if row.try_get::<i16, _>("outcome")? == 2 {
            let index: i32 = row.try_get("x_index")?;
            let (stream, expected) = expectations.at(index).ok_or(sqlx::Error::RowNotFound)?;
            Verdict::Conflict {
                stream,
                expected,
                actual: Version(version),
            }
        } else {
            let position = Position {
                partition: partition as u16,
                offset: row.try_get("offset")?,
            };
            let answer = StoredAnswer {
                position,
                events: row.try_get::<i16, _>("events")? as u16,
                version: Version(version),
            };
            match row.try_get::<Option<DateTime<Utc>>, _>("recorded_at")? {
                Some(recorded_at) => Verdict::Appended { answer, recorded_at },
                None => Verdict::Stored {
                    answer,
                    same_request: row.try_get("same_request")?,
                },
            }
        };
        let slot = usize::try_from(command - 1)
            .ok()
            .and_then(|i| verdicts.get_mut(i));
        *slot.ok_or(sqlx::Error::RowNotFound)? = Some(verdict);
    }
    verdicts
        .into_iter()
        .map(|verdict| verdict.ok_or(sqlx::Error::RowNotFound))
        .collect()
}

fn answer(position: Position, append: &Append) -> StoredAnswer {
    StoredAnswer {
        position,
        events: append.event_count() as u16,
        version: append.target_version(),
    }
}

impl Batch {
    /// Its events, numbered in their partitions.
    fn rows(&self) -> Vec<EventRow<'_>> {
        let events = self.commands.iter().map(|(_, append)| append.event_count());
        let mut rows = Vec::with_capacity(events.sum());
        let mut counts: Vec<(u16, i64)> = Vec::new();
        for (partition, append) in &self.commands {
            let count = match counts.iter_mut().find(|(p, _)| p == partition) {
                Some((_, count)) => count,
                None => &mut counts.push_mut((*partition, 0)).1,
            };
            rows.extend(EventRow::of(*partition, append, *count));
            *count += append.event_count() as i64;
        }
        rows
    }
}

/// The heads that the rows move, ascending, and by how much.
fn heads(rows: &[EventRow<'_>]) -> (Vec<i16>, Vec<i64>) {
    let mut heads: Vec<(i16, i64)> = Vec::new();
    for row in rows {
        let partition = row.partition as i16;
        match heads.iter_mut().find(|(p, _)| *p == partition) {
            Some((_, last)) => *last = row.in_partition,
            None => heads.push((partition, row.in_partition)),
        }
    }
    heads.sort_unstable();
    heads.into_iter().unzip()
}

/// A batch's commands, turned on their side: PostgreSQL takes a column an array.
#[derive(Default)]
struct Commands<'a> {
    id: Vec<Uuid>,
    hash: Vec<&'a [u8]>,
    partition: Vec<i16>,
    events: Vec<i16>,
    version: Vec<i32>,
}

impl<'a> Commands<'a> {
    fn of(batch: &'a Batch) -> Self {
        let mut all = Self::default();
        for (partition, append) in &batch.commands {
            all.id.push(append.command_id().0);
            all.hash.push(append.request_hash.bytes());
            all.partition.push(*partition as i16);
            all.events.push(append.event_count() as i16);
            all.version.push(append.target_version().0);
        }
        all
    }
}

/// The versions that a batch's commands expect, of streams written and of streams only read.
#[derive(Default)]
struct Expectations {
    command: Vec<i32>,
    order: Vec<Uuid>,
    kind: Vec<i8>,
    number: Vec<i16>,
    version: Vec<i32>,
    streams: Vec<StreamId>,
}

impl Expectations {
    fn of(batch: &Batch) -> Self {
        let mut all = Self::default();
        for (i, (_, append)) in batch.commands.iter().enumerate() {
            let writes = append.writes.iter().map(|write| (write.stream, write.expected));
            for (stream, version) in writes.chain(append.reads.iter().copied()) {
                all.command.push(i as i32 + 1);
                all.order.push(stream.order.0);
                all.kind.push(stream_kind_code(stream.kind));
                all.number.push(stream.number as i16);
                all.version.push(version.0);
                all.streams.push(stream);
            }
        }
        all
    }

    /// The expectation with this number, from 1.
    fn at(&self, index: i32) -> Option<(StreamId, Version)> {
        let i = usize::try_from(index - 1).ok()?;
        Some((*self.streams.get(i)?, Version(self.version[i])))
    }
}
