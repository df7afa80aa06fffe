//! The ledger: what recipients were told, numbered for each from 1 without a gap.
//!
//! The orders of one recipient lie in partitions that several processes own. A number is given by raising the recipient's
//! row in `notification_recipients`, in the statement that moves the checkpoint: who else has something for the same
//! recipient waits for its commit, so numbers become visible in their order, and a statement that is undone gives its
//! numbers back. A statement raises its recipients in their order, so two that meet wait and never in a circle.

use super::{Fact, Notification};
use crate::{
    projector::PgQuery,
    reactor::Ruled,
    read_models::stored::{parse, to_json},
};
use chrono::{DateTime, Utc};
use docket_domain::{OrderId, Subject};
use docket_event_store::{Position, RecordedEvent};
use sqlx::{PgPool, Row, postgres::PgRow};
use uuid::Uuid;

/// The rows are numbered in the order of the events that they follow from. What is in the ledger already is passed over:
/// the checkpoint was put back, and the recipient has been told.
pub(super) const WRITE: &str = r#"said as materialized (
  select e.*
    from moved, unnest($10::text[], $11::text[], $12::uuid[], $13::uuid[], $14::bigint[], $15::timestamptz[], $16::text[])
                with ordinality as e (recipient, rule, event_id, order_id, "offset", created_at, facts, turn)
   where not exists (select from notifications n
                      where n.event_id = e.event_id and n.rule = e.rule and n.recipient = e.recipient)),
raised as (
  insert into notification_recipients as r (recipient, newest)
  select recipient, count(*) from said group by recipient order by recipient
  on conflict (recipient) do update set newest = r.newest + excluded.newest
  returning recipient, newest),
written as (
  insert into notifications (number, "offset", created_at, event_id, order_id, partition, recipient, rule, facts)
  select r.newest - count(*) over (partition by s.recipient) + row_number() over (partition by s.recipient order by s.turn),
         s."offset", s.created_at, s.event_id, s.order_id, $3, s.recipient, s.rule, s.facts::json
    from said s join raised r using (recipient))"#;

const AFTER: &str = r#"
select number, "offset", created_at, event_id, order_id, partition, recipient, facts::text
  from notifications where recipient = $1 and number > $2 order by number limit $3"#;

const BEFORE: &str = r#"
select number, "offset", created_at, event_id, order_id, partition, recipient, facts::text
  from notifications where recipient = $1 and number < $2 order by number desc limit $3"#;

/// Of all recipients, in the order of each partition.
const TAIL: &str = r#"
select n.number, n."offset", n.created_at, n.event_id, n.order_id, n.partition, n.recipient, n.facts::text
  from unnest($1::smallint[], $2::bigint[]) s (partition, "offset")
 cross join lateral (select * from notifications t
                      where t.partition = s.partition and t."offset" > s."offset"
                      order by t."offset" limit $3) n
 order by n.partition, n."offset""#;

/// A row before it has its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    recipient: Subject,
    event_id: Uuid,
    order: OrderId,
    offset: i64,
    created_at: DateTime<Utc>,
    fact: Fact,
}

impl Entry {
    /// What a recipient is told because of an event.
    pub(super) fn of(recipient: &Subject, event: &RecordedEvent, fact: Fact) -> Self {
        Self {
            recipient: recipient.clone(),
            event_id: event.event_id,
            order: event.stream.order,
            offset: event.position.offset,
            created_at: event.recorded_at,
            fact,
        }
    }
}

pub(super) fn bind<'q>(query: PgQuery<'q>, entries: &[Ruled<Entry>]) -> Result<PgQuery<'q>, sqlx::Error> {
    fn all<T>(entries: &[Ruled<Entry>], value: impl Fn(&Entry) -> T) -> Vec<T> {
        entries.iter().map(|ruled| value(&ruled.effect)).collect()
    }
    let facts: Vec<String> = entries
        .iter()
        .map(|ruled| to_json(&ruled.effect.fact))
        .collect::<Result<_, _>>()?;
    let rules: Vec<&str> = entries.iter().map(|ruled| ruled.rule).collect();
    Ok(query
        .bind(all(entries, |entry| entry.recipient.to_string()))
        .bind(rules)
        .bind(all(entries, |entry| entry.event_id))
        .bind(all(entries, |entry| entry.order.0))
        .bind(all(entries, |entry| entry.offset))
        .bind(all(entries, |entry| entry.created_at))
        .bind(facts))
}

fn read(row: &PgRow) -> Result<Notification, sqlx::Error> {
    let facts: &str = row.try_get(7)?;
    Ok(Notification {
        number: row.try_get(0)?,
        created_at: row.try_get(2)?,
        event_id: row.try_get(3)?,
        order: OrderId(row.try_get(4)?),
        position: Position {
            partition: row.try_get::<i16, _>(5)? as u16,
            offset: row.try_get(1)?,
        },
        recipient: parse(row.try_get(6)?, "a recipient")?,
        // What a newer program says in a form of its own is no reason to show nothing else.
        fact: serde_json::from_str(facts).unwrap_or(Fact::Unknown),
    })
}

/// Up to `limit` notifications of a recipient after a number, oldest first.
///
/// # Errors
/// When the database does not answer.
pub(super) async fn read_after(
    pool: &PgPool,
    recipient: &Subject,
    after: i64,
    limit: usize,
) -> Result<Vec<Notification>, sqlx::Error> {
    of_recipient(AFTER, pool, recipient, after, limit).await
}

/// Up to `limit` notifications of a recipient before a number, newest first.
///
/// # Errors
/// When the database does not answer.
pub async fn page(
    pool: &PgPool,
    recipient: &Subject,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<Notification>, sqlx::Error> {
    of_recipient(BEFORE, pool, recipient, before.unwrap_or(i64::MAX), limit).await
}

async fn of_recipient(
    sql: &'static str,
    pool: &PgPool,
    recipient: &Subject,
    number: i64,
    limit: usize,
) -> Result<Vec<Notification>, sqlx::Error> {
    let rows = sqlx::query(sql)
        .bind(recipient.to_string())
        .bind(number)
        .bind(limit as i64)
        .fetch_all(pool);
    rows.await?.iter().map(read).collect()
}

/// The newest number of a recipient: how many notifications there are for them.
///
/// # Errors
/// When the database does not answer.
pub async fn newest(pool: &PgPool, recipient: &Subject) -> Result<i64, sqlx::Error> {
    let newest = sqlx::query_scalar("select newest from notification_recipients where recipient = $1")
        .bind(recipient.to_string())
        .fetch_optional(pool);
    Ok(newest.await?.unwrap_or(0))
}

/// The event that a recipient's notification follows from, where there is one of that number.
///
/// # Errors
/// When the database does not answer.
pub async fn at(pool: &PgPool, recipient: &Subject, number: i64) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar("select event_id from notifications where recipient = $1 and number = $2")
        .bind(recipient.to_string())
        .bind(number)
        .fetch_optional(pool)
        .await
}

/// How far the ledger reaches in each partition, at least.
pub(super) async fn reached(pool: &PgPool) -> Result<Vec<i64>, sqlx::Error> {
    let offsets =
        r#"select "offset" from checkpoints where projection = $1 and generation = 1 order by partition"#;
    sqlx::query_scalar(offsets)
        .bind(super::NAME)
        .fetch_all(pool)
        .await
}

/// Up to `limit` notifications of each partition after its offset, partition by partition.
pub(super) async fn tail(
    pool: &PgPool,
    after: &[i64],
    limit: usize,
) -> Result<Vec<Notification>, sqlx::Error> {
    let partitions: Vec<i16> = (0..).take(after.len()).collect();
    let rows = sqlx::query(TAIL)
        .bind(partitions)
        .bind(after)
        .bind(limit as i64)
        .fetch_all(pool);
    rows.await?.iter().map(read).collect()
}
