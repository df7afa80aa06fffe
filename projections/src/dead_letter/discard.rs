//! Discarding an event: whether it may be, and what stands where it was.

use super::{DeadLetterError, refuse_unknown};
use crate::{generation::Generation, limits};
use chrono::{DateTime, Utc};
use docket_domain::Text;
use docket_event_store::Position;
use sqlx::{PgConnection, PgPool, Row, postgres::PgRow};
use std::collections::BTreeMap;

/// Until the transaction ends no checkpoint of the partition moves, and nobody tries a letter.
const LOCK: &str = "
select from checkpoints where projection = $1 and partition = $2 order by generation for update";

const FAILED: &str = r#"
select c.generation, g.version, coalesce(c.stretch_until, c."offset") >= $3 and c.stopped_offset is distinct from $3,
       g.state = 'live', d."offset" is not null,
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
