//! Reading the log: a partition from any offset, a stream from any version. Every statement names the partition: by a
//! predicate, or by its table where the statement is short and frequent, because a plan over the parent is either made
//! anew for each call or locks every child.

use super::{stream_kind_code, stream_kind_of};
use crate::{
    envelope::{CommandEnvelope, Origin, RecordedEvent},
    position::Position,
};
use chrono::{DateTime, Utc};
use docket_domain::{CommandId, DecodeError, Event, OrderId, StreamId, Version};
use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, PgExecutor, Row, postgres::PgRow};
use std::{borrow::Cow, sync::Arc};
use uuid::Uuid;

const PARTITION: &str = r#"
select "offset", occurred_at, recorded_at, event_id, order_id, command_id, version, stream_number, schema_version,
       stream_kind, origin, event_type, actor_kind, actor_id, causation_id, traceparent, payload::text
  from events where partition = $1 and "offset" > $2 and "offset" <= $3 order by "offset""#;

const AT: &str = r#"
select "offset", occurred_at, recorded_at, event_id, order_id, command_id, version, stream_number, schema_version,
       stream_kind, origin, event_type, actor_kind, actor_id, causation_id, traceparent, payload::text
  from events where partition = $1 and "offset" = any ($2) order by "offset""#;

const ORDERS_IN: &str = r#"select order_id, event_id from events where partition = $1 and "offset" > $2 and "offset" <= $3 order by "offset""#;

const STREAM: &str = r#"
select "offset", occurred_at, recorded_at, event_id, order_id, command_id, version, stream_number, schema_version,
       stream_kind, origin, event_type, actor_kind, actor_id, causation_id, traceparent, payload::text
  from events
 where order_id = $1 and stream_kind = $2 and stream_number = $3 and version > $4
 order by version limit $5"#;

const ORDERS: &str = r#"
select "offset", occurred_at, recorded_at, event_id, order_id, command_id, version, stream_number, schema_version,
       stream_kind, origin, event_type, actor_kind, actor_id, causation_id, traceparent, payload::text
  from events where order_id = any ($1) and "offset" <= $2 order by order_id, "offset""#;

/// What a fold needs of a stream, and no more: a stream is folded far more often than it is shown.
const FACTS: &str = r#"
select version, schema_version, event_type, payload::text, occurred_at
  from events
 where order_id = $1 and stream_kind = $2 and stream_number = $3 and version > $4
 order by version limit $5"#;

/// A statement over one partition's own table. There are P texts of it, and so P prepared statements a connection.
pub(super) fn in_partition(sql: &str, partition: u16) -> AssertSqlSafe<String> {
    AssertSqlSafe(sql.replace("from events", &format!("from events_p{partition}")))
}

/// The events of a partition in (after, after + limit], in order. Offsets are dense, so the range needs no LIMIT.
pub(crate) async fn partition(
    executor: impl PgExecutor<'_>,
    partition: u16,
    after: i64,
    limit: usize,
) -> Result<Vec<Arc<RecordedEvent>>, sqlx::Error> {
    let rows = sqlx::query(PARTITION)
        .bind(partition as i16)
        .bind(after)
        .bind(after.saturating_add(limit as i64))
        .fetch_all(executor)
        .await?;
    decode(partition, rows)
}

/// The events of a partition at some offsets, in order.
pub(crate) async fn at(
    executor: impl PgExecutor<'_>,
    partition: u16,
    offsets: &[i64],
) -> Result<Vec<Arc<RecordedEvent>>, sqlx::Error> {
    let rows = sqlx::query(AT)
        .bind(partition as i16)
        .bind(offsets)
        .fetch_all(executor)
        .await?;
    decode(partition, rows)
}

/// The order and the id of each event of a partition in (after, until], in the order of the log.
pub(crate) async fn orders_in(
    executor: impl PgExecutor<'_>,
    partition: u16,
    (after, until): (i64, i64),
    mut each: impl FnMut(OrderId, Uuid),
) -> Result<(), sqlx::Error> {
    let query = sqlx::query(ORDERS_IN)
        .bind(partition as i16)
        .bind(after)
        .bind(until);
    let mut rows = query.fetch(executor);
    while let Some(row) = rows.try_next().await? {
        each(OrderId(row.try_get(0)?), row.try_get(1)?);
    }
    Ok(())
}

/// Up to `limit` events of a stream after a version, in order.
pub(crate) async fn stream(
    executor: impl PgExecutor<'_>,
    partition: u16,
    stream: StreamId,
    after: Version,
    limit: usize,
) -> Result<Vec<Arc<RecordedEvent>>, sqlx::Error> {
    decode(
        partition,
        rows_of(STREAM, executor, partition, stream, after, limit).await?,
    )
}

/// The events of some orders up to an offset, order by order, one at a time.
pub(crate) async fn orders(
    executor: impl PgExecutor<'_>,
    partition: u16,
    orders: &[OrderId],
    until: i64,
    mut each: impl FnMut(RecordedEvent),
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = orders.iter().map(|order| order.0).collect();
    let query = sqlx::query(in_partition(ORDERS, partition)).bind(ids).bind(until);
    let mut rows = query.fetch(executor);
    while let Some(row) = rows.try_next().await? {
        let command = envelope(&row, CommandId(row.try_get(5)?))?;
        each(event(partition, &row, Arc::new(command))?);
    }
    Ok(())
}

/// A fact of a stream at its version and business time, or why it cannot be decoded.
pub(super) type VersionedFact = (Version, DateTime<Utc>, Result<Event, DecodeError>);

/// Up to `limit` facts of a stream after a version, in order.
pub(super) async fn facts(
    executor: impl PgExecutor<'_>,
    partition: u16,
    stream: StreamId,
    after: Version,
    limit: usize,
) -> Result<Vec<VersionedFact>, sqlx::Error> {
    let rows = rows_of(FACTS, executor, partition, stream, after, limit).await?;
    let fact = |row: &PgRow| {
        let schema_version = row.try_get::<i16, _>(1)? as u16;
        let event = Event::from_payload(row.try_get(2)?, schema_version, row.try_get(3)?);
        Ok((Version(row.try_get(0)?), row.try_get(4)?, event))
    };
    rows.iter().map(fact).collect()
}

async fn rows_of(
    sql: &str,
    executor: impl PgExecutor<'_>,
    partition: u16,
    stream: StreamId,
    after: Version,
    limit: usize,
) -> Result<Vec<PgRow>, sqlx::Error> {
    sqlx::query(in_partition(sql, partition))
        .bind(stream.order.0)
        .bind(stream_kind_code(stream.kind))
        .bind(stream.number as i16)
        .bind(after.0)
        .bind(limit as i64)
        .fetch_all(executor)
        .await
}

/// The newest offset of each partition, ascending.
pub(crate) async fn heads(executor: impl PgExecutor<'_>) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar("select head from heads order by partition")
        .fetch_all(executor)
        .await
}

/// The id of the event at a position, where the log holds one.
pub(crate) async fn event_id(
    executor: impl PgExecutor<'_>,
    position: Position,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar(r#"select event_id from events where partition = $1 and "offset" = $2"#)
        .bind(position.partition as i16)
        .bind(position.offset)
        .fetch_optional(executor)
        .await
}

const MISSING: &str = r#"
select x.partition, x."offset" from unnest($1::smallint[], $2::bigint[], $3::uuid[]) x (partition, "offset", event_id)
 where not exists (select from events e
                    where e.partition = x.partition and e."offset" = x."offset" and e.event_id = x.event_id)
 limit 1"#;

/// The first of these events that the log does not hold.
pub(crate) async fn missing(
    executor: impl PgExecutor<'_>,
    events: &[(Position, Uuid)],
) -> Result<Option<Position>, sqlx::Error> {
    let (positions, ids): (Vec<_>, Vec<_>) = events.iter().copied().unzip();
    let partitions: Vec<i16> = positions
        .iter()
        .map(|position| position.partition as i16)
        .collect();
    let offsets: Vec<i64> = positions.iter().map(|position| position.offset).collect();
    let row = sqlx::query(MISSING)
        .bind(partitions)
        .bind(offsets)
        .bind(ids)
        .fetch_optional(executor)
        .await?;
    let position = |row: PgRow| {
        Ok(Position {
            partition: row.try_get::<i16, _>(0)? as u16,
            offset: row.try_get(1)?,
        })
    };
    row.map(position).transpose()
}

fn decode(partition: u16, rows: Vec<PgRow>) -> Result<Vec<Arc<RecordedEvent>>, sqlx::Error> {
    let mut events: Vec<Arc<RecordedEvent>> = Vec::with_capacity(rows.len());
    for row in rows {
        let command_id = CommandId(row.try_get(5)?);
        let shared = events
            .last()
            .map(|e| &e.command)
            .filter(|c| c.command_id == command_id)
            .cloned();
        let command = match shared {
            Some(command) => command,
            None => Arc::new(envelope(&row, command_id)?),
        };
        events.push(Arc::new(event(partition, &row, command)?));
    }
    Ok(events)
}

fn envelope(row: &PgRow, command_id: CommandId) -> Result<CommandEnvelope, sqlx::Error> {
    let kind: &str = row.try_get(12)?;
    Ok(CommandEnvelope {
        command_id,
        origin: Origin::from_code(row.try_get(10)?)?,
        occurred_at: row.try_get(1)?,
        causation_id: row.try_get(14)?,
        // Only this crate writes the column, from the same table.
        actor_kind: kind
            .parse()
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        actor_id: Arc::from(row.try_get::<&str, _>(13)?),
        traceparent: row.try_get::<Option<&str>, _>(15)?.map(Arc::from),
    })
}

fn event(partition: u16, row: &PgRow, command: Arc<CommandEnvelope>) -> Result<RecordedEvent, sqlx::Error> {
    let event_type: &str = row.try_get(11)?;
    let payload: &str = row.try_get(16)?;
    let schema_version = row.try_get::<i16, _>(8)? as u16;
    let event = Event::from_payload(event_type, schema_version, payload).map_err(Arc::new);
    let event_type = match &event {
        Ok(event) => Cow::Borrowed(event.event_type()),
        Err(_) => Cow::Owned(event_type.to_owned()),
    };
    let stream = StreamId {
        order: OrderId(row.try_get(4)?),
        kind: stream_kind_of(row.try_get(9)?)?,
        number: row.try_get::<i16, _>(7)? as u16,
    };
    let position = Position {
        partition,
        offset: row.try_get(0)?,
    };
    Ok(RecordedEvent {
        position,
        event_id: row.try_get(3)?,
        stream,
        version: Version(row.try_get(6)?),
        event_type,
        schema_version,
        recorded_at: row.try_get(2)?,
        command,
        payload: payload.into(),
        event,
    })
}
