//! Dead letters: events that could not be applied to a read model, in sequence.
//!
//! An event that cannot be applied, however often it is tried, is parked in the transaction that moves the checkpoint past
//! it. Later events of its order wait behind it, as positions; orders are what waits, because whatever else a row holds does
//! not depend on the order in which orders' events come. Everything else of the partition goes on. So at any moment the rows
//! are the fold of the log without the dead letters and without what was discarded, which is what verification proves.
//!
//! The owner of the partition tries letters again, in their order, when somebody says so ([`retry`]); what can never be
//! applied may be passed over for good, with a reason ([`discard`]). Who waits for the position of an event that is parked
//! is told ([`WaitError::Parked`](crate::WaitError::Parked)).

mod discard;
mod parking;

use crate::{StopClass, checkpoint::Held, generation::Generation, limits, shown_name};
use chrono::{DateTime, Utc};
use docket_domain::{OrderId, TextError};
use docket_event_store::Position;
use sqlx::{PgExecutor, PgPool, Row, postgres::PgRow};
use std::fmt;
use uuid::Uuid;

pub use discard::discard;
pub(crate) use parking::{Discarded as PassedOver, Parking, failed, park, queue, remove, wanted};

/// Why nothing was done about dead letters.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// The database did not answer, or refused.
    #[error("the database did not do what it was asked")]
    Database(#[from] sqlx::Error),
    /// There is none of this name.
    #[error("there is no read model {name:?}; there are {}", .known.join(", "))]
    NoSuchReadModel {
        /// What was asked for; of a long name its beginning.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Nothing of the order waits.
    #[error("{projection} has no dead letters of order {order}")]
    NotParked {
        /// The read model.
        projection: String,
        /// The order.
        order: OrderId,
    },
    /// The event is not one that could not be applied.
    #[error(
        "event {position} is not one at which {projection} stands or the first that waits of its order: only such a one can be \
         discarded"
    )]
    NotFirst {
        /// The read model.
        projection: String,
        /// The event.
        position: Position,
    },
    /// Another generation has it in its rows.
    #[error(
        "generation {generation} of {projection} has event {position} in its rows: it can be applied, so serve that one, or \
         rebuild"
    )]
    Applied {
        /// The read model.
        projection: String,
        /// Which of its generations.
        generation: Generation,
        /// The event.
        position: Position,
    },
    /// A rebuild may have the event in its rows at any moment.
    #[error(
        "generation {generation} of {projection} is being filled: discard the event when the rebuild has ended or stands still"
    )]
    Rebuilding {
        /// The read model.
        projection: String,
        /// The generation that is filled.
        generation: Generation,
    },
    /// It is discarded already, for another reason.
    #[error(
        "event {position} was discarded already, by {by:?} at {at}, for another reason, which stands: {reason:?}"
    )]
    AlreadyDiscarded {
        /// The read model.
        projection: String,
        /// The event.
        position: Position,
        /// Why it was discarded.
        reason: String,
        /// By whom.
        by: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// A discarded event is never missed by accident.
    #[error(
        "a reason must be given, of at most {} bytes and without control characters: {_0}",
        limits::REASON_BYTES
    )]
    Reason(TextError),
    /// Somebody has decided it.
    #[error(
        "who discards it must be named, in at most {} bytes and without control characters: {_0}",
        limits::DISCARDED_BY_BYTES
    )]
    By(TextError),
}

/// An order whose events wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// The read model.
    pub projection: String,
    /// Which of its generations.
    pub generation: Generation,
    /// The order.
    pub order: OrderId,
    /// The first event that waits: the others wait for it.
    pub position: Position,
    /// Its type.
    pub event_type: String,
    /// Why it could not be applied; `None` where it has not been tried since those before it were.
    pub failure: Option<Failure>,
    /// It is about to be tried again.
    pub is_wanted: bool,
    /// Events that wait behind it.
    pub behind: i64,
}

impl Sequence {
    /// Where it is among those that wait.
    pub fn place(&self) -> Place {
        Place {
            projection: self.projection.clone(),
            generation: self.generation,
            position: self.position,
        }
    }
}

/// A place among the orders whose events wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The read model.
    pub projection: String,
    /// Which of its generations.
    pub generation: Generation,
    /// The first event that waits of the order.
    pub position: Position,
}

/// Why an event could not be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of trouble.
    pub class: StopClass,
    /// In words.
    pub reason: String,
    /// How often it was tried.
    pub attempts: i32,
    /// When it was tried last.
    pub failed_at: DateTime<Utc>,
}

/// One event that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Of this generation's rows.
    pub generation: Generation,
    /// Which event.
    pub position: Position,
    /// Its id.
    pub event_id: Uuid,
    /// Its type.
    pub event_type: String,
    /// The version of its payload's schema.
    pub schema_version: u16,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// As it is stored: personal values are sealed.
    pub payload: String,
    /// Why it could not be applied; `None` for what waits behind.
    pub failure: Option<Failure>,
}

/// An event that is passed over for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discarded {
    /// By this read model.
    pub projection: String,
    /// Which event.
    pub position: Position,
    /// Its order.
    pub order: OrderId,
    /// Why somebody has decided so.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Why it could not be applied.
    pub failure: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) {}", self.class, self.reason)
    }
}

const LIST: &str = r#"
select d.projection, d.generation, d.partition, d."offset", d.order_id, coalesce(e.event_type, '?'), d.is_wanted,
       (select count(*) from dead_letters b
         where b.projection = d.projection and b.generation = d.generation and b.partition = d.partition
           and b.order_id = d.order_id and b."offset" > d."offset"),
       d.class, d.reason, d.attempts, d.failed_at
  from dead_letters d
  left join events e on e.partition = d.partition and e."offset" = d."offset"
 where ($1::text is null or d.projection = $1)
   and not exists (select from dead_letters b
                    where b.projection = d.projection and b.generation = d.generation and b.partition = d.partition
                      and b.order_id = d.order_id and b."offset" < d."offset")
   and ($2::text is null or (d.projection, d.generation, d.partition, d."offset") > ($2, $3, $4, $5))
 order by d.projection, d.generation, d.partition, d."offset"
 limit $6"#;

const SHOW: &str = r#"
select d.generation, d.partition, d."offset", e.event_id, e.event_type, e.schema_version, e.recorded_at, e.payload::text,
       d.class, d.reason, d.attempts, d.failed_at
  from dead_letters d
  join events e on e.partition = d.partition and e."offset" = d."offset"
 where d.projection = $1 and d.order_id = $2
 order by d.generation, d."offset"
 limit $3"#;

const DISCARDED: &str = r#"
select projection, partition, "offset", order_id, reason, discarded_by, discarded_at, failure
  from discarded_events
 where $1::text is null or projection = $1
 order by discarded_at desc, projection, partition, "offset"
 limit $2"#;

const LETTER_COUNT: &str = "select count(*) from dead_letters where projection = $1 and order_id = $2";

const DISCARDED_COUNT: &str =
    "select count(*) from discarded_events where $1::text is null or projection = $1";

const ORDERS: &str = r#"
select order_id from dead_letters where projection = $1
 union
select d.order_id
  from discarded_events d join events e on e.partition = d.partition and e."offset" = d."offset"
 where d.projection = $1 and ($2::text is null or e.event_type = $2)"#;

const RETRY: &str = "
with wanted as (
  update dead_letters set is_wanted = true
   where projection = $1 and ($2::uuid is null or order_id = $2) and (class is not null or is_wanted)
  returning generation, order_id)
select count(*) from (select distinct generation, order_id from wanted) w";

const FIRST_PARKED: &str = r#"
select d.partition, d."offset"
  from unnest($3::smallint[], $4::bigint[]) w (partition, "offset")
  join dead_letters d on d.projection = $1 and d.generation = $2 and d.partition = w.partition and d."offset" = w."offset"
 limit 1"#;

const WISHES: &str = "select distinct projection, generation, partition from dead_letters where is_wanted";

fn failure(row: &PgRow, first: usize) -> Result<Option<Failure>, sqlx::Error> {
    let Some(class) = row.try_get::<Option<&str>, _>(first)? else {
        return Ok(None);
    };
    let class = class.parse();
    Ok(Some(Failure {
        class: class.map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        reason: row.try_get(first + 1)?,
        attempts: row.try_get(first + 2)?,
        failed_at: row.try_get(first + 3)?,
    }))
}

fn position(row: &PgRow, first: usize) -> Result<Position, sqlx::Error> {
    Ok(Position {
        partition: row.try_get::<i16, _>(first)? as u16,
        offset: row.try_get(first + 1)?,
    })
}

fn sequence(row: &PgRow) -> Result<Sequence, sqlx::Error> {
    Ok(Sequence {
        projection: row.try_get(0)?,
        generation: Generation(row.try_get(1)?),
        position: position(row, 2)?,
        order: OrderId(row.try_get(4)?),
        event_type: row.try_get(5)?,
        is_wanted: row.try_get(6)?,
        behind: row.try_get(7)?,
        failure: failure(row, 8)?,
    })
}

/// Orders whose events wait, of one read model or of all, behind a place; at most `limit`, and [`limits::LETTERS_PAGE`].
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    pool: &PgPool,
    projection: Option<&str>,
    after: Option<&Place>,
    limit: i64,
) -> Result<Vec<Sequence>, DeadLetterError> {
    if let Some(projection) = projection {
        refuse_unknown(pool, projection).await?;
    }
    let rows = sqlx::query(LIST)
        .bind(projection)
        .bind(after.map(|place| place.projection.as_str()))
        .bind(after.map(|place| place.generation.0))
        .bind(after.map(|place| place.position.partition as i16))
        .bind(after.map(|place| place.position.offset))
        .bind(limit.min(limits::LETTERS_PAGE))
        .fetch_all(pool)
        .await?;
    Ok(rows.iter().map(sequence).collect::<Result<_, _>>()?)
}

/// What waits of an order, in every generation: the event that could not be applied, and those behind it, at most
/// [`limits::LETTERS_PAGE`].
///
/// # Errors
/// When nothing does, or the database does not answer.
pub async fn show(pool: &PgPool, projection: &str, order: OrderId) -> Result<Vec<Letter>, DeadLetterError> {
    refuse_unknown(pool, projection).await?;
    let rows = sqlx::query(SHOW)
        .bind(projection)
        .bind(order.0)
        .bind(limits::LETTERS_PAGE)
        .fetch_all(pool)
        .await?;
    let letter = |row: &PgRow| {
        Ok::<_, sqlx::Error>(Letter {
            generation: Generation(row.try_get(0)?),
            position: position(row, 1)?,
            event_id: row.try_get(3)?,
            event_type: row.try_get(4)?,
            schema_version: row.try_get::<i16, _>(5)? as u16,
            recorded_at: row.try_get(6)?,
            payload: row.try_get(7)?,
            failure: failure(row, 8)?,
        })
    };
    let letters: Vec<Letter> = rows.iter().map(letter).collect::<Result<_, _>>()?;
    match letters.is_empty() {
        true => Err(not_parked(projection, order)),
        false => Ok(letters),
    }
}

/// How many events of an order wait, in every generation together: [`show`] may give fewer.
///
/// # Errors
/// When the database does not answer.
pub async fn letter_count(pool: &PgPool, projection: &str, order: OrderId) -> Result<i64, DeadLetterError> {
    refuse_unknown(pool, projection).await?;
    let count = sqlx::query_scalar(LETTER_COUNT).bind(projection).bind(order.0);
    Ok(count.fetch_one(pool).await?)
}

/// Orders of which rows lack something: their events wait, or were discarded, those of this type where one is named.
///
/// # Errors
/// When the database does not answer.
pub async fn orders(
    pool: &PgPool,
    projection: &str,
    discarded: Option<&str>,
) -> Result<Vec<OrderId>, sqlx::Error> {
    let orders = sqlx::query_scalar(ORDERS).bind(projection).bind(discarded);
    let orders: Vec<Uuid> = orders.fetch_all(pool).await?;
    Ok(orders.into_iter().map(OrderId).collect())
}

/// Events that are passed over, of one read model or of all, the last to be discarded first; at most [`limits::LETTERS_PAGE`].
///
/// # Errors
/// When the database does not answer.
pub async fn discarded(pool: &PgPool, projection: Option<&str>) -> Result<Vec<Discarded>, DeadLetterError> {
    if let Some(projection) = projection {
        refuse_unknown(pool, projection).await?;
    }
    let rows = sqlx::query(DISCARDED)
        .bind(projection)
        .bind(limits::LETTERS_PAGE)
        .fetch_all(pool)
        .await?;
    let discarded = |row: &PgRow| {
        Ok::<_, sqlx::Error>(Discarded {
            projection: row.try_get(0)?,
            position: position(row, 1)?,
            order: OrderId(row.try_get(3)?),
            reason: row.try_get(4)?,
            by: row.try_get(5)?,
            at: row.try_get(6)?,
            failure: row.try_get(7)?,
        })
    };
    Ok(rows.iter().map(discarded).collect::<Result<_, _>>()?)
}

/// How many events are passed over, of one read model or of all: [`discarded`] may give fewer.
///
/// # Errors
/// When the database does not answer.
pub async fn discarded_count(pool: &PgPool, projection: Option<&str>) -> Result<i64, DeadLetterError> {
    if let Some(projection) = projection {
        refuse_unknown(pool, projection).await?;
    }
    let count = sqlx::query_scalar(DISCARDED_COUNT).bind(projection);
    Ok(count.fetch_one(pool).await?)
}

/// Has the owners of partitions try again what waits, of one order or of all; how many sequences that are. They do so within
/// a second or two, where somebody feeds the read model.
///
/// # Errors
/// When nothing of the order waits, or the database does not answer.
pub async fn retry(pool: &PgPool, projection: &str, order: Option<OrderId>) -> Result<i64, DeadLetterError> {
    refuse_unknown(pool, projection).await?;
    let sequences: i64 = sqlx::query_scalar(RETRY)
        .bind(projection)
        .bind(order.map(|order| order.0))
        .fetch_one(pool)
        .await?;
    match order {
        Some(order) if sequences == 0 => Err(not_parked(projection, order)),
        _ => Ok(sequences),
    }
}

/// A partition of which dead letters are to be tried again.
pub(crate) struct Wish {
    projection: String,
    generation: Generation,
    partition: u16,
}

impl Wish {
    pub(crate) fn is(&self, held: &Held) -> bool {
        self.projection == held.projection
            && self.generation == held.generation
            && self.partition == held.partition
    }
}

/// Where dead letters are to be tried again.
pub(crate) async fn wishes(pool: &PgPool) -> Result<Vec<Wish>, sqlx::Error> {
    let rows = sqlx::query(WISHES).fetch_all(pool).await?;
    let wish = |row: &PgRow| {
        Ok(Wish {
            projection: row.try_get(0)?,
            generation: Generation(row.try_get(1)?),
            partition: row.try_get::<i16, _>(2)? as u16,
        })
    };
    rows.iter().map(wish).collect()
}

/// The first of some positions whose event waits.
pub(crate) async fn first_parked(
    executor: impl PgExecutor<'_>,
    projection: &str,
    generation: Generation,
    positions: &[Position],
) -> Result<Option<Position>, sqlx::Error> {
    let (partitions, offsets): (Vec<i16>, Vec<i64>) = positions
        .iter()
        .map(|position| (position.partition as i16, position.offset))
        .unzip();
    let found = sqlx::query(FIRST_PARKED)
        .bind(projection)
        .bind(generation.0)
        .bind(partitions)
        .bind(offsets)
        .fetch_optional(executor)
        .await?;
    found.map(|row| position(&row, 0)).transpose()
}

async fn refuse_unknown(pool: &PgPool, projection: &str) -> Result<(), DeadLetterError> {
    let known: Vec<String> =
        sqlx::query_scalar("select name from projections where kind = 'read_model' order by name")
            .fetch_all(pool)
            .await?;
    match known.iter().any(|name| name == projection) {
        true => Ok(()),
        false => Err(DeadLetterError::NoSuchReadModel {
            name: shown_name(projection),
            known,
        }),
    }
}

fn not_parked(projection: &str, order: OrderId) -> DeadLetterError {
    DeadLetterError::NotParked {
        projection: projection.to_owned(),
        order,
    }
}
