//! Dead letters as the owner of a partition keeps them: which orders wait, which events are passed over, and what is tried
//! again. Every change is made in the transaction that writes the rows it goes with, and proved by its checkpoint.

use crate::{checkpoint::Held, checkpoint::Stopped, limits};
use docket_domain::OrderId;
use docket_event_store::RecordedEvent;
use sqlx::{PgConnection, Row};
use std::{borrow::Cow, collections::HashSet, sync::Arc, time::Duration};

const PARKED: &str = "
select distinct order_id from dead_letters where projection = $1 and generation = $2 and partition = $3";

const DISCARDED: &str = r#"
select "offset" from discarded_events where projection = $1 and version = $2 and partition = $3"#;

const LETTERS: &str = "
select letters from checkpoints where projection = $1 and generation = $2 and partition = $3";

const QUEUE: &str = r#"
insert into dead_letters (projection, generation, partition, "offset", order_id)
select $1, $2, $3, u."offset", u.order_id from unnest($4::bigint[], $5::uuid[]) u ("offset", order_id)"#;

const PARK: &str = r#"
with letter as (
  insert into dead_letters (projection, generation, partition, "offset", order_id, class, reason, attempts, failed_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp()))
update checkpoints set parked = parked + 1 where projection = $1 and generation = $2 and partition = $3"#;

const WANTED: &str = r#"
select d."offset" from dead_letters d
 where d.projection = $1 and d.generation = $2 and d.partition = $3
   and exists (select from dead_letters w where w.projection = $1 and w.generation = $2 and w.partition = $3
                  and w.order_id = d.order_id and w.is_wanted)
 order by d.order_id, d."offset" limit $4"#;

/// What comes next of an order is tried as well; without one the order waits no more.
const REMOVE: &str = r#"
with gone as (
  delete from dead_letters where projection = $1 and generation = $2 and partition = $3 and "offset" = any ($4)
  returning order_id),
first as (
  select n.order_id, min(n."offset") as "offset" from dead_letters n
   where n.projection = $1 and n.generation = $2 and n.partition = $3 and n.order_id in (select order_id from gone)
     and n."offset" <> all ($4)
   group by n.order_id),
next as (
  update dead_letters d set is_wanted = true from first
   where d.projection = $1 and d.generation = $2 and d.partition = $3 and d."offset" = first."offset"),
freed as (
  select distinct order_id from gone where order_id not in (select order_id from first)),
counted as (
  update checkpoints set parked = parked - (select count(*) from freed), letters = letters + 1,
                         lease_until = clock_timestamp() + make_interval(secs => $5)
   where projection = $1 and generation = $2 and partition = $3)
select (select count(*) from gone), (select coalesce(array_agg(order_id), '{}') from freed)"#;

/// Nothing of the order is wanted any more, unless something was done about it meanwhile.
const FAILED: &str = r#"
with ours as (
  select from checkpoints
   where projection = $1 and generation = $2 and partition = $3 and epoch + letters = $5 for update),
failed as (
  update dead_letters d
     set class = $6, reason = $7, attempts = d.attempts + 1, failed_at = clock_timestamp(), is_wanted = false
    from ours where d.projection = $1 and d.generation = $2 and d.partition = $3 and d."offset" = $4
  returning d.order_id)
update dead_letters d set is_wanted = false from failed f
 where d.projection = $1 and d.generation = $2 and d.partition = $3 and d.order_id = f.order_id and d."offset" <> $4
   and d.is_wanted"#;

/// Offsets of events that are passed over in one partition.
#[derive(Debug, Default)]
pub(crate) struct Discarded(HashSet<i64>);

impl Discarded {
    /// Those of a read model in a partition.
    pub(crate) async fn load(
        connection: &mut PgConnection,
        (projection, version): (&str, i32),
        partition: u16,
    ) -> Result<Self, sqlx::Error> {
        let offsets: Vec<i64> = sqlx::query_scalar(DISCARDED)
            .bind(projection)
            .bind(version)
            .bind(partition as i16)
            .fetch_all(connection)
            .await?;
        Ok(Self(offsets.into_iter().collect()))
    }

    /// It is passed over.
    pub(crate) fn holds(&self, event: &RecordedEvent) -> bool {
        self.0.contains(&event.position.offset)
    }

    /// The events that are not.
    pub(crate) fn due<'e>(&self, events: &'e [Arc<RecordedEvent>]) -> Cow<'e, [Arc<RecordedEvent>]> {
        if self.0.is_empty() {
            return Cow::Borrowed(events);
        }
        Cow::Owned(
            events
                .iter()
                .filter(|event| !self.holds(event))
                .cloned()
                .collect(),
        )
    }
}

/// What the owner of a partition must not apply.
#[derive(Debug, Default)]
pub(crate) struct Parking {
    /// What was done about dead letters before this was read.
    letters: i64,
    orders: HashSet<OrderId>,
    discarded: Discarded,
}

impl Parking {
    pub(crate) async fn load(
        connection: &mut PgConnection,
        held: &Held,
        version: i32,
    ) -> Result<Self, sqlx::Error> {
        // First: what changes after it is noticed.
        let letters: i64 = sqlx::query_scalar(LETTERS)
            .bind(held.projection)
            .bind(held.generation.0)
            .bind(held.partition as i16)
            .fetch_one(&mut *connection)
            .await?;
        let orders: Vec<uuid::Uuid> = sqlx::query_scalar(PARKED)
            .bind(held.projection)
            .bind(held.generation.0)
            .bind(held.partition as i16)
            .fetch_all(&mut *connection)
            .await?;
        Ok(Self {
            letters,
            orders: orders.into_iter().map(OrderId).collect(),
            discarded: Discarded::load(connection, (held.projection, version), held.partition).await?,
        })
    }

    /// What a write of the owner has to find in the checkpoint's row.
    pub(crate) fn fence(&self, held: &Held) -> i64 {
        held.epoch + self.letters
    }

    /// How many orders wait.
    pub(crate) fn orders(&self) -> usize {
        self.orders.len()
    }

    pub(crate) fn is_discarded(&self, event: &RecordedEvent) -> bool {
        self.discarded.holds(event)
    }

    /// The events that are to be applied.
    pub(crate) fn due<'e>(&self, events: &'e [Arc<RecordedEvent>]) -> Cow<'e, [Arc<RecordedEvent>]> {
        if self.orders.is_empty() {
            return self.discarded.due(events);
        }
        let is_due = |event: &&Arc<RecordedEvent>| {
            !self.orders.contains(&event.stream.order) && !self.discarded.holds(event)
        };
        Cow::Owned(events.iter().filter(is_due).cloned().collect())
    }

    /// The events that are to wait behind others of their orders.
    pub(crate) fn waiting<'e>(&self, events: &'e [Arc<RecordedEvent>]) -> Vec<&'e RecordedEvent> {
        if self.orders.is_empty() {
            return Vec::new();
        }
        let waits = |event: &&RecordedEvent| {
            self.orders.contains(&event.stream.order) && !self.discarded.holds(event)
        };
        events.iter().map(Arc::as_ref).filter(waits).collect()
    }

    /// What waits behind an event that is parked.
    pub(crate) fn parked(&mut self, order: OrderId) {
        self.orders.insert(order);
    }

    /// The owner took letters away, and nothing of these orders waits any more.
    pub(crate) fn removed(&mut self, freed: &[OrderId]) {
        self.letters += 1;
        freed.iter().for_each(|order| {
            self.orders.remove(order);
        });
    }
}

/// Lets events wait. In the caller's transaction.
pub(crate) async fn queue(
    transaction: &mut PgConnection,
    held: &Held,
    events: &[&RecordedEvent],
) -> Result<(), sqlx::Error> {
    let (offsets, orders): (Vec<i64>, Vec<uuid::Uuid>) = events
        .iter()
        .map(|event| (event.position.offset, event.stream.order.0))
        .unzip();
    sqlx::query(QUEUE)
        .bind(held.projection)
        .bind(held.generation.0)
        .bind(held.partition as i16)
        .bind(offsets)
        .bind(orders)
        .execute(transaction)
        .await?;
    Ok(())
}

/// Parks an event that cannot be applied. In the caller's transaction.
pub(crate) async fn park(
    transaction: &mut PgConnection,
    held: &Held,
    order: OrderId,
    failure: &Stopped,
    attempts: u32,
) -> Result<(), sqlx::Error> {
    sqlx::query(PARK)
        .bind(held.projection)
        .bind(held.generation.0)
        .bind(held.partition as i16)
        .bind(failure.position.offset)
        .bind(order.0)
        .bind(failure.class.as_str())
        .bind(&failure.reason)
        .bind(attempts as i32)
        .execute(transaction)
        .await?;
    Ok(())
}

/// The offsets of the next letters of orders that are to be tried again; at most [`limits::RETRY_LETTERS`].
pub(crate) async fn wanted(connection: &mut PgConnection, held: &Held) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(WANTED)
        .bind(held.projection)
        .bind(held.generation.0)
        .bind(held.partition as i16)
        .bind(limits::RETRY_LETTERS)
        .fetch_all(connection)
        .await
}

/// Takes letters away that were applied or are passed over, and renews the lease; the orders that wait no more. `None` where
/// not all of them were there. In the caller's transaction.
pub(crate) async fn remove(
    transaction: &mut PgConnection,
    held: &Held,
    offsets: &[i64],
    lease: Duration,
) -> Result<Option<Vec<OrderId>>, sqlx::Error> {
    let row = sqlx::query(REMOVE)
        .bind(held.projection)
        .bind(held.generation.0)
        .bind(held.partition as i16)
        .bind(offsets)
        .bind(lease.as_secs_f64())
        .fetch_one(transaction)
        .await?;
    let (gone, freed): (i64, Vec<uuid::Uuid>) = (row.try_get(0)?, row.try_get(1)?);
    let all = gone == offsets.len() as i64;
    Ok(all.then(|| freed.into_iter().map(OrderId).collect()))
}

/// A letter could not be applied this time either.
pub(crate) async fn failed(
    connection: &mut PgConnection,
    held: &Held,
    fence: i64,
    failure: &Stopped,
) -> Result<(), sqlx::Error> {
    sqlx::query(FAILED)
        .bind(held.projection)
        .bind(held.generation.0)
        .bind(held.partition as i16)
        .bind(failure.position.offset)
        .bind(fence)
        .bind(failure.class.as_str())
        .bind(&failure.reason)
        .execute(connection)
        .await?;
    Ok(())
}
