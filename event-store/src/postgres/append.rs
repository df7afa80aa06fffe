//! The append's two statements. Each commits by itself, so that no client, frozen or slow, can hold a head row.
//!
//! The *fast path* looks nothing up: the unique indexes on (order, stream, version) and on the command id are the
//! check. They catch a version that is too low, never one that is too high, so only versions that this process read from
//! the log or committed itself may go there. It locks the heads in ascending order before it updates them: an UPDATE
//! locks in its plan's order, and two processes that meet in opposite order deadlock.
//!
//! The *checking path* is the function `append_checked` of the migrations: it compares every version that a decision
//! named under the lock, and gives each command an outcome of its own.

use crate::{
    append::{Append, StoredAnswer},
    position::Position,
};
use chrono::{DateTime, Utc};
use docket_domain::{StreamId, Version};
use sqlx::{PgConnection, Row, postgres::PgArguments, query::Query};
use uuid::Uuid;

const FAST_SINGLE: &str = include_str!("append_fast_single.sql");
const FAST_ONE_PARTITION: &str = include_str!("append_fast_one.sql");
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
    let columns = Columns::of(batch);
    let (partitions, counts) = columns.heads();
    let sql = if partitions.len() == 1 {
        FAST_ONE_PARTITION
    } else {
        FAST
    };
    let commands = &columns.commands;
    let query = sqlx::query(sql)
        .bind(&partitions)
        .bind(&counts)
        .bind(&commands.id)
        .bind(&commands.hash)
        .bind(&commands.partition)
        .bind(&commands.last)
        .bind(&commands.events)
        .bind(&commands.version)
        .bind(&columns.events.partition)
        .bind(&columns.events.in_partition)
        .bind(&columns.events.command_id);
    let rows = columns.events.bind(query).fetch_all(connection).await?;

    let mut bases = Vec::with_capacity(rows.len());
    for row in rows {
        let partition: i16 = row.try_get(0)?;
        let base: i64 = row.try_get(1)?;
        let recorded_at: DateTime<Utc> = row.try_get(2)?;
        bases.push((partition, base, recorded_at));
    }
    let verdict = |i: usize| {
        let partition = commands.partition[i];
        let (_, base, recorded_at) = bases
            .iter()
            .find(|(p, _, _)| *p == partition)
            .ok_or(sqlx::Error::RowNotFound)?;
        let position = Position {
            partition: partition as u16,
            offset: base + commands.last[i],
        };
        let answer = answer(position, commands.events[i], commands.version[i]);
        Ok(Verdict::Appended {
            answer,
            recorded_at: *recorded_at,
        })
    };
    (0..commands.id.len()).map(verdict).collect()
}

/// One event of one command: what an idle log sees, and so what its latency is.
async fn single(
    connection: &mut PgConnection,
    partition: u16,
    append: &Append,
) -> Result<Vec<Verdict>, sqlx::Error> {
    let mut columns = EventColumns::default();
    columns.push(append, partition, &mut 0, 1);
    let row = sqlx::query(FAST_SINGLE)
        .bind(partition as i16)
        .bind(columns.command_id[0])
        .bind(append.request_hash.bytes())
        .bind(columns.version[0])
        .bind(columns.order[0])
        .bind(columns.kind[0])
        .bind(columns.number[0])
        .bind(columns.id[0])
        .bind(columns.event_type[0])
        .bind(columns.schema[0])
        .bind(columns.origin[0])
        .bind(columns.occurred[0])
        .bind(columns.causation[0])
        .bind(columns.actor_kind[0])
        .bind(columns.actor_id[0])
        .bind(columns.traceparent[0])
        .bind(columns.payload[0])
        .fetch_all(connection)
        .await?;
    let row = row.first().ok_or(sqlx::Error::RowNotFound)?;
    let position = Position {
        partition,
        offset: row.try_get::<i64, _>(1)? + 1,
    };
    let answer = answer(position, 1, append.target_version().0);
    Ok(vec![Verdict::Appended {
        answer,
        recorded_at: row.try_get(2)?,
    }])
}

/// Appends what passes of a batch, each command for itself.
pub(crate) async fn checked(
    connection: &mut PgConnection,
    batch: &Batch,
) -> Result<Vec<Verdict>, sqlx::Error> {
    let columns = Columns::of(batch);
    let expectations = Expectations::of(batch);
    let commands = &columns.commands;
    let query = sqlx::query(CHECKED)
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
        .bind(&columns.events.command)
        .bind(&columns.events.in_command);
    let rows = columns.events.bind(query).fetch_all(connection).await?;

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
            let answer = answer(position, row.try_get("events")?, version);
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

fn answer(position: Position, events: i16, version: i32) -> StoredAnswer {
    StoredAnswer {
        position,
        events: events as u16,
        version: Version(version),
    }
}

/// A batch, turned on its side: PostgreSQL takes a column an array.
struct Columns<'a> {
    commands: CommandColumns<'a>,
    events: EventColumns<'a>,
}

#[derive(Default)]
struct CommandColumns<'a> {
    id: Vec<Uuid>,
    hash: Vec<&'a [u8]>,
    partition: Vec<i16>,
    /// Its last event's number among the batch's events of its partition, from 1.
    last: Vec<i64>,
    events: Vec<i16>,
    version: Vec<i32>,
}

#[derive(Default)]
struct EventColumns<'a> {
    partition: Vec<i16>,
    /// Its number among the batch's events of its partition, from 1.
    in_partition: Vec<i64>,
    command_id: Vec<Uuid>,
    /// Its command's number in the batch, from 1.
    command: Vec<i32>,
    /// Its number among its command's events, from 1.
    in_command: Vec<i64>,
    order: Vec<Uuid>,
    kind: Vec<i8>,
    number: Vec<i16>,
    version: Vec<i32>,
    id: Vec<Uuid>,
    event_type: Vec<&'a str>,
    schema: Vec<i16>,
    origin: Vec<i8>,
    occurred: Vec<DateTime<Utc>>,
    causation: Vec<Option<Uuid>>,
    actor_kind: Vec<&'a str>,
    actor_id: Vec<&'a str>,
    traceparent: Vec<Option<&'a str>>,
    payload: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a Batch) -> Self {
        let mut commands = CommandColumns::default();
        let mut events = EventColumns::default();
        let mut counts: Vec<(u16, i64)> = Vec::new();
        for (partition, append) in &batch.commands {
            let place = counts
                .iter()
                .position(|(p, _)| p == partition)
                .unwrap_or_else(|| {
                    counts.push((*partition, 0));
                    counts.len() - 1
                });
            let in_partition = &mut counts[place].1;
            events.push(append, *partition, in_partition, commands.id.len() as i32 + 1);
            commands.id.push(append.command_id().0);
            commands.hash.push(append.request_hash.bytes());
            commands.partition.push(*partition as i16);
            commands.last.push(*in_partition);
            commands.events.push(append.event_count() as i16);
            commands.version.push(append.target_version().0);
        }
        Self { commands, events }
    }

    /// The heads that it moves, ascending, and by how much.
    fn heads(&self) -> (Vec<i16>, Vec<i64>) {
        let mut heads: Vec<(i16, i64)> = Vec::new();
        for (partition, last) in self.commands.partition.iter().zip(&self.commands.last) {
            match heads.iter_mut().find(|(p, _)| p == partition) {
                Some(head) => head.1 = head.1.max(*last),
                None => heads.push((*partition, *last)),
            }
        }
        heads.sort_unstable();
        heads.into_iter().unzip()
    }
}

impl<'a> EventColumns<'a> {
    fn push(&mut self, append: &'a Append, partition: u16, in_partition: &mut i64, command: i32) {
        let envelope = &append.envelope;
        let mut in_command = 0;
        for write in &append.writes {
            for (i, event) in write.events.iter().enumerate() {
                *in_partition += 1;
                in_command += 1;
                self.partition.push(partition as i16);
                self.in_partition.push(*in_partition);
                self.command_id.push(envelope.command_id.0);
                self.command.push(command);
                self.in_command.push(in_command);
                self.order.push(write.stream.order.0);
                self.kind.push(super::stream_kind_code(write.stream.kind));
                self.number.push(write.stream.number as i16);
                self.version.push(write.expected.0 + 1 + i as i32);
                self.id.push(event.event_id);
                self.event_type.push(event.event.event_type());
                self.schema.push(event.event.schema_version() as i16);
                self.origin.push(envelope.origin.code());
                self.occurred.push(envelope.occurred_at);
                self.causation.push(envelope.causation_id);
                self.actor_kind.push(envelope.actor_kind.as_str());
                self.actor_id.push(&envelope.actor_id);
                self.traceparent.push(envelope.traceparent.as_deref());
                self.payload.push(&event.payload);
            }
        }
    }

    /// Binds the columns that both statements share, in their order.
    fn bind(
        &'a self,
        query: Query<'a, sqlx::Postgres, PgArguments>,
    ) -> Query<'a, sqlx::Postgres, PgArguments> {
        query
            .bind(&self.order)
            .bind(&self.kind)
            .bind(&self.number)
            .bind(&self.version)
            .bind(&self.id)
            .bind(&self.event_type)
            .bind(&self.schema)
            .bind(&self.origin)
            .bind(&self.occurred)
            .bind(&self.causation)
            .bind(&self.actor_kind)
            .bind(&self.actor_id)
            .bind(&self.traceparent)
            .bind(&self.payload)
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
                all.kind.push(super::stream_kind_code(stream.kind));
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
