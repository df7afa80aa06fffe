//! Examining the log: dense, in order, decodable, and at one with the stored answers.

use super::VerifyError;
use crate::limits;
use chrono::{DateTime, Utc};
use docket_domain::{CommandId, Event, OrderId, StreamId, Version};
use docket_event_store::{CommandEnvelope, Origin, Partitions, Position, RecordedEvent, stream_kind_of};
use sqlx::{PgConnection, Row, postgres::PgRow};
use std::{borrow::Cow, sync::Arc};

const DENSE: &str = r#"
select (select count(*) from events where partition = $1),
       (select coalesce(min("offset"), 1) from events where partition = $1),
       (select coalesce(max("offset"), 0) from events where partition = $1),
       (select head from heads where partition = $1),
       (select count(*) from command_ids where partition = $1)"#;

const STREAMS: &str = r#"
select order_id, stream_kind, stream_number, "offset", version, number
  from (select order_id, stream_kind, stream_number, "offset", version,
               row_number() over (partition by order_id, stream_kind, stream_number order by "offset") as number
          from events where partition = $1) n
 where version <> number
 order by "offset" limit 1"#;

/// Every command's events lie side by side and end where its answer says, and the version that it names is one that a
/// stream of the order had by then (the target may be a stream that was only read); every answer has its events.
const COMMANDS: &str = r#"
select id, what
  from (select coalesce(e.command_id, k.id) as id,
               case when k.id is null then 'its events have no stored answer'
                    when k.partition <> $1 then 'its stored answer names partition ' || k.partition
                    when e.command_id is null or k.events <> e.events
                    then 'its stored answer names ' || k.events || ' events and there are ' || coalesce(e.events, 0)
                    when k."offset" <> e.newest
                    then 'its stored answer names offset ' || k."offset" || ' and its events end at ' || e.newest
                    when e.newest - e.oldest + 1 <> e.events then 'its events do not lie side by side'
                    when not exists (select from events s where s.partition = $1 and s.order_id = e.order_id
                                        and s.version = k.version and s."offset" <= e.newest)
                    then 'its stored answer names version ' || k.version || ', which no stream of its order had'
               end as what
          from (select e.command_id, count(*) as events, min(e."offset") as oldest, max(e."offset") as newest,
                       (array_agg(e.order_id))[1] as order_id
                  from events e where e.partition = $1 group by e.command_id) e
          full join (select k.* from command_ids k
                      where (k.partition = $1 and k.events > 0)
                         or exists (select from events e where e.partition = $1 and e.command_id = k.id)) k
            on k.id = e.command_id) c
 where what is not null
 limit 1"#;

const ANSWERS: &str = r#"
select id, "offset" from command_ids where partition = $1 and ("offset" < 0 or "offset" > $2) limit 1"#;

const PAGE: &str = r#"
select "offset", occurred_at, recorded_at, event_id, order_id, command_id, version, stream_number, schema_version,
       stream_kind, origin, event_type, actor_kind, actor_id, causation_id, traceparent, payload::text, partition
  from events where partition = $1 and "offset" > $2 and "offset" <= $3 order by "offset""#;

/// The columns that [`decode`] reads, of some orders' events up to an offset, order by order.
pub(super) const OF_ORDERS: &str = r#"
select "offset", occurred_at, recorded_at, event_id, order_id, command_id, version, stream_number, schema_version,
       stream_kind, origin, event_type, actor_kind, actor_id, causation_id, traceparent, payload::text, partition
  from events where partition = $1 and order_id = any ($2) and "offset" <= $3 order by order_id, "offset""#;

/// What a partition holds.
pub(super) struct Size {
    pub(super) head: i64,
    pub(super) events: u64,
    pub(super) commands: u64,
}

/// Examines one partition.
pub(super) async fn examine(
    snapshot: &mut PgConnection,
    partitions: Partitions,
    partition: u16,
) -> Result<Size, VerifyError> {
    let row = sqlx::query(DENSE)
        .bind(partition as i16)
        .fetch_one(&mut *snapshot)
        .await?;
    let (count, first, last): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let (head, commands): (Option<i64>, i64) = (row.try_get(3)?, row.try_get(4)?);
    let head = head.unwrap_or(-1);
    if count != last || first != 1 || head != last {
        return Err(VerifyError::NotDense {
            partition,
            count,
            first,
            last,
            head,
        });
    }
    streams(snapshot, partition).await?;
    stored_answers(snapshot, partition, head).await?;
    events(snapshot, partitions, partition, head).await?;
    Ok(Size {
        head,
        events: count.unsigned_abs(),
        commands: commands.unsigned_abs(),
    })
}

async fn streams(snapshot: &mut PgConnection, partition: u16) -> Result<(), VerifyError> {
    let row = sqlx::query(STREAMS)
        .bind(partition as i16)
        .fetch_optional(snapshot)
        .await?;
    let Some(row) = row else { return Ok(()) };
    Err(VerifyError::StreamNotDense {
        stream: StreamId {
            order: OrderId(row.try_get(0)?),
            kind: stream_kind_of(row.try_get(1)?).map_err(sqlx::Error::from)?,
            number: row.try_get::<i16, _>(2)? as u16,
        },
        position: Position {
            partition,
            offset: row.try_get(3)?,
        },
        version: row.try_get(4)?,
        number: row.try_get(5)?,
    })
}

async fn stored_answers(snapshot: &mut PgConnection, partition: u16, head: i64) -> Result<(), VerifyError> {
    let row = sqlx::query(COMMANDS)
        .bind(partition as i16)
        .fetch_optional(&mut *snapshot)
        .await?;
    if let Some(row) = row {
        return Err(VerifyError::Command {
            command: CommandId(row.try_get(0)?),
            partition,
            what: row.try_get(1)?,
        });
    }
    let row = sqlx::query(ANSWERS)
        .bind(partition as i16)
        .bind(head)
        .fetch_optional(snapshot)
        .await?;
    let Some(row) = row else { return Ok(()) };
    let offset: i64 = row.try_get(1)?;
    let what = format!("its stored answer names offset {offset} and the partition ends at {head}");
    Err(VerifyError::Command {
        command: CommandId(row.try_get(0)?),
        partition,
        what,
    })
}

async fn events(
    snapshot: &mut PgConnection,
    partitions: Partitions,
    partition: u16,
    head: i64,
) -> Result<(), VerifyError> {
    let mut newest: Option<DateTime<Utc>> = None;
    let mut after = 0;
    while after < head {
        let until = after + limits::VERIFY_EVENTS;
        let rows = sqlx::query(PAGE)
            .bind(partition as i16)
            .bind(after)
            .bind(until)
            .fetch_all(&mut *snapshot)
            .await?;
        for row in &rows {
            let event = decode(row).map_err(|error| unreadable(partition, row, error))?;
            let position = event.position;
            if let Err(error) = &event.event {
                return Err(VerifyError::Undecodable {
                    position,
                    reason: crate::fold::chain(error),
                });
            }
            let (order, expected) = (event.stream.order, partitions.of(event.stream.order));
            if expected != partition {
                return Err(VerifyError::WrongPartition {
                    position,
                    order,
                    expected,
                });
            }
            if newest.is_some_and(|newest| event.recorded_at < newest) {
                return Err(VerifyError::TimeWentBack { position });
            }
            newest = Some(event.recorded_at);
        }
        after = until;
    }
    Ok(())
}

/// What an event's columns hold is the log's fault, not the database's.
fn unreadable(partition: u16, row: &PgRow, error: sqlx::Error) -> VerifyError {
    match (&error, row.try_get(0)) {
        (sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. }, Ok(offset)) => VerifyError::Undecodable {
            position: Position { partition, offset },
            reason: crate::fold::chain(&error),
        },
        _ => VerifyError::Read(error),
    }
}

/// Reads an event from the columns of this module's statements.
pub(super) fn decode(row: &PgRow) -> Result<RecordedEvent, sqlx::Error> {
    let event_type: &str = row.try_get(11)?;
    let payload: &str = row.try_get(16)?;
    let schema_version = row.try_get::<i16, _>(8)? as u16;
    let actor_kind: &str = row.try_get(12)?;
    Ok(RecordedEvent {
        position: Position {
            partition: row.try_get::<i16, _>(17)? as u16,
            offset: row.try_get(0)?,
        },
        event_id: row.try_get(3)?,
        stream: StreamId {
            order: OrderId(row.try_get(4)?),
            kind: stream_kind_of(row.try_get(9)?)?,
            number: row.try_get::<i16, _>(7)? as u16,
        },
        version: Version(row.try_get(6)?),
        event_type: Cow::Owned(event_type.to_owned()),
        schema_version,
        recorded_at: row.try_get(2)?,
        command: Arc::new(CommandEnvelope {
            command_id: CommandId(row.try_get(5)?),
            origin: Origin::from_code(row.try_get(10)?)?,
            occurred_at: row.try_get(1)?,
            causation_id: row.try_get(14)?,
            actor_kind: actor_kind
                .parse()
                .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            actor_id: Arc::from(row.try_get::<&str, _>(13)?),
            traceparent: row.try_get::<Option<&str>, _>(15)?.map(Arc::from),
        }),
        payload: payload.into(),
        event: Event::from_payload(event_type, schema_version, payload).map_err(Arc::new),
    })
}
