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

mod parking;

use crate::{StopClass, checkpoint::Held, generation::Generation, limits};
use chrono::{DateTime, Utc};
use docket_domain::{OrderId, Text, TextError};
use docket_event_store::Position;
use sqlx::{PgConnection, PgExecutor, PgPool, Row, postgres::PgRow};
use std::{collections::BTreeMap, fmt};
use uuid::Uuid;

pub(crate) use parking::{Discarded as PassedOver, Parking, failed, park, queue, remove, wanted};

/// Why nothing was done about dead letters.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// The database did not answer, or refused.
    #[error("the database did not do what it was asked")]
    Database(#[from] sqlx::Error),
    /// There is none of this name.
    #[error("there is no read model {:?}; there are {}", crate::shown_name(.name), .known.join(", "))]
    NoSuchReadModel {
        /// What was asked for.
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

/// Until the transaction ends no checkpoint of the partition moves, and nobody tries a letter.
const LOCK: &str = "
select from checkpoints where projection = $1 and partition = $2 order by generation for update";

const FAILED: &str = r#"
select c.generation, g.version, coalesce(c.stretch_until, c."offset") >= $3 and c.stopped_offset is distinct from $3, g.state = 'live', d."offset" is not null,
       coalesce(d.reason, case when c.stopped_offset = $3 then c.stopped_reason end),
       exists (select from rebuilds r where r.projection = $1 and r.generation = c.generation
                  and g.state = 'building' and r.lease_until > clock_timestamp()),
       x.reason, x.discarded_by, x.discarded_at
  from checkpoints c
  join generations g on g.projection = c.projection and g.generation = c.generation
  left join dead_letters d on d.projection = c.projection and d.generation = c.generation and d.partition = c.partition
                          and d."offset" = $3
  left join discarded_events x on x.projection = c.projection and x.version = g.version and x.partition = c.partition
                              and x."offset" = $3
 where c.projection = $1 and c.partition = $2
 order by c.generation"#;

const DISCARD: &str = r#"
insert into discarded_events (projection, version, partition, "offset", event_id, order_id, reason, discarded_by, failure)
select $1, $7, e.partition, e."offset", e.event_id, e.order_id, $4, $5, $6
  from events e where e.partition = $2 and e."offset" = $3"#;

const WANT: &str = r#"
update dead_letters set is_wanted = true
 where projection = $1 and partition = $2 and "offset" = $3 and class is not null"#;

/// What owners know of discarded events is old now.
const TELL: &str = "
update checkpoints c set letters = letters + 1
  from generations g
 where c.projection = $1 and c.partition = $2 and $3::bigint is not null
   and g.projection = c.projection and g.generation = c.generation and g.state = 'live'";

const GO_ON: &str = "
update checkpoints set stopped_offset = null, stopped_class = null, stopped_reason = null
 where projection = $1 and partition = $2 and stopped_offset = $3";

/// Has a read model pass over an event for good, in every generation and every rebuild of the versions of its fold that could
/// not apply it. What waits behind it is tried then. What is discarded already, for the same reason, is left as it is.
///
/// # Errors
/// When it is not an event that could not be applied, one that another generation of that version has in its rows, one that
/// is discarded already for another reason, or a rebuild is under way that may have it already.
pub async fn discard(
    pool: &PgPool,
    projection: &str,
    position: Position,
    reason: &str,
    by: &str,
) -> Result<(), DeadLetterError> {
    refuse_unknown(pool, projection).await?;
    let reason = Text::<{ limits::REASON_BYTES }>::try_new(reason.trim()).map_err(DeadLetterError::Reason)?;
    let by = Text::<{ limits::DISCARDED_BY_BYTES }>::try_new(by.trim()).map_err(DeadLetterError::By)?;
    let mut transaction = pool.begin().await?;
    let found = found(&mut transaction, projection, position).await?;
    let failures = match to_discard(&found, projection, position)? {
        failures if failures.is_empty() => return stands(found, projection, position, reason.as_str()),
        failures => failures,
    };
    let Position { partition, offset } = position;
    for (version, failure) in failures {
        sqlx::query(DISCARD)
            .bind(projection)
            .bind(partition as i16)
            .bind(offset)
            .bind(reason.as_str())
            .bind(by.as_str())
            .bind(failure)
            .bind(version)
            .execute(&mut *transaction)
            .await?;
    }
    for statement in [WANT, TELL, GO_ON] {
        sqlx::query(statement)
            .bind(projection)
            .bind(partition as i16)
            .bind(offset)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    tracing::warn!(projection, %position, %reason, %by, "an event is passed over for good");
    Ok(())
}

/// What a generation made of an event.
struct Found {
    generation: Generation,
    version: i32,
    is_past: bool,
    is_live: bool,
    is_letter: bool,
    /// Why it could not be applied.
    failure: Option<String>,
    is_filled: bool,
    /// Its version passes over the event.
    discarded: Option<Decision>,
}

/// Why, by whom and when an event was discarded.
struct Decision {
    reason: String,
    by: String,
    at: DateTime<Utc>,
}

/// What each generation made of an event. Until the transaction ends no checkpoint of its partition moves.
async fn found(
    transaction: &mut PgConnection,
    projection: &str,
    Position { partition, offset }: Position,
) -> Result<Vec<Found>, sqlx::Error> {
    // In a statement of its own: what is read after it is what was there when the lock came.
    sqlx::query(LOCK)
        .bind(projection)
        .bind(partition as i16)
        .fetch_all(&mut *transaction)
        .await?;
    let rows = sqlx::query(FAILED)
        .bind(projection)
        .bind(partition as i16)
        .bind(offset)
        .fetch_all(transaction)
        .await?;
    let found = |row: &PgRow| {
        let discarded = match row.try_get::<Option<String>, _>(7)? {
            Some(reason) => Some(Decision {
                reason,
                by: row.try_get(8)?,
                at: row.try_get(9)?,
            }),
            None => None,
        };
        Ok(Found {
            generation: Generation(row.try_get(0)?),
            version: row.try_get(1)?,
            is_past: row.try_get(2)?,
            is_live: row.try_get(3)?,
            is_letter: row.try_get(4)?,
            failure: row.try_get(5)?,
            is_filled: row.try_get(6)?,
            discarded,
        })
    };
    rows.iter().map(found).collect()
}

/// The versions of the fold that could not apply an event and do not pass over it yet, and why.
fn to_discard(
    found: &[Found],
    projection: &str,
    position: Position,
) -> Result<BTreeMap<i32, String>, DeadLetterError> {
    let mut failures = BTreeMap::new();
    for one in found.iter().filter(|one| one.discarded.is_none()) {
        if let Some(failure) = &one.failure {
            failures.entry(one.version).or_insert_with(|| failure.clone());
        }
    }
    for one in found.iter().filter(|one| failures.contains_key(&one.version)) {
        if one.is_past && !one.is_letter {
            return Err(DeadLetterError::Applied {
                projection: projection.to_owned(),
                generation: one.generation,
                position,
            });
        }
        if one.is_filled && !one.is_live {
            return Err(DeadLetterError::Rebuilding {
                projection: projection.to_owned(),
                generation: one.generation,
            });
        }
    }
    Ok(failures)
}

/// Where there is nothing to discard: whether the event is discarded already, and for this reason.
fn stands(
    found: Vec<Found>,
    projection: &str,
    position: Position,
    reason: &str,
) -> Result<(), DeadLetterError> {
    let decisions: Vec<Decision> = found.into_iter().filter_map(|one| one.discarded).collect();
    if decisions.iter().any(|decision| decision.reason == reason) {
        return Ok(());
    }
    let projection = projection.to_owned();
    match decisions.into_iter().max_by_key(|decision| decision.at) {
        Some(Decision { reason, by, at }) => Err(DeadLetterError::AlreadyDiscarded {
            projection,
            position,
            reason,
            by,
            at,
        }),
        None => Err(DeadLetterError::NotFirst { projection, position }),
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
            name: projection.to_owned(),
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
