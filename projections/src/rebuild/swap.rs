//! Moving the pointer: to a new generation, or back.
//!
//! The owners of the generation that is left are held where they are for a moment, until the other one is at or past each of
//! them; then one transaction moves the pointer. So whoever was told that a position is in the rows finds it there after the
//! swap. Nobody waits for a lock: who is held looks again a moment later, and a hold that was forgotten ends by itself.

use super::{
    Outcome, RebuildError,
    held::Held,
    operation,
    tables::{is_lock_timeout, set_lock_timeout},
};
use crate::{generation::Generation, limits};
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often it is looked how far the new generation is.
const LOOK: Duration = Duration::from_millis(5);

const OFFSETS: &str =
    r#"select "offset" from checkpoints where projection = $1 and generation = $2 order by partition"#;
const IS_FED: &str = "
select exists (select from checkpoints where projection = $1 and generation = $2 and lease_until > clock_timestamp())";
const LOCKED: &str = r#"select "offset" from checkpoints where projection = $1 and generation = $2 order by partition for update"#;
/// In the order in which everybody locks them.
const HOLD: &str = r#"
with all_of_it as (
  select partition from checkpoints where projection = $1 and generation = $2 order by partition for update),
held as (
  update checkpoints c set held_until = clock_timestamp() + make_interval(secs => $3)
    from all_of_it a where c.projection = $1 and c.generation = $2 and c.partition = a.partition
  returning c.partition, c."offset")
select "offset" from held order by partition"#;
/// Orders of which the new generation has parked what the old one has not.
const MISSED: &str = r#"
select count(distinct n.order_id)
  from dead_letters n
  join checkpoints c on c.projection = $1 and c.generation = $2 and c.partition = n.partition
 where n.projection = $1 and n.generation = $3 and n."offset" <= c."offset"
   and not exists (select from dead_letters o
                    where o.projection = $1 and o.generation = $2 and o.partition = n.partition and o."offset" = n."offset")"#;
const RELEASE: &str = "update checkpoints set held_until = null where projection = $1 and generation = $2 and held_until is not null";

/// How far each partition of a generation has come.
pub(super) async fn offsets(
    connection: &mut PgConnection,
    projection: &str,
    generation: Generation,
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(OFFSETS)
        .bind(projection)
        .bind(generation.0)
        .fetch_all(connection)
        .await
}

/// Whether anybody feeds a generation.
pub(super) async fn is_fed(
    connection: &mut PgConnection,
    projection: &str,
    generation: Generation,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(IS_FED)
        .bind(projection)
        .bind(generation.0)
        .fetch_one(connection)
        .await
}

/// How far each partition of a generation has come, and its owners stay where they are for [`limits::SWAP_HOLD`], or until [`release`].
pub(super) async fn hold(
    connection: &mut PgConnection,
    projection: &str,
    generation: Generation,
) -> Result<Vec<i64>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    set_lock_timeout(&mut transaction, limits::HOLD_LOCK).await?;
    let held = sqlx::query_scalar(HOLD)
        .bind(projection)
        .bind(generation.0)
        .bind(limits::SWAP_HOLD.as_secs_f64())
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(held)
}

/// The owners go on.
pub(super) async fn release(
    connection: &mut PgConnection,
    projection: &str,
    generation: Generation,
) -> Result<(), sqlx::Error> {
    sqlx::query(RELEASE)
        .bind(projection)
        .bind(generation.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Orders that a generation has parked.
pub(super) async fn parked(
    connection: &mut PgConnection,
    projection: &str,
    generation: Generation,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "select coalesce(sum(parked), 0)::bigint from checkpoints where projection = $1 and generation = $2",
    )
    .bind(projection)
    .bind(generation.0)
    .fetch_one(connection)
    .await
}

/// How far one is behind the other, in all partitions together.
pub(super) fn behind(one: &[i64], other: &[i64]) -> i64 {
    one.iter()
        .zip(other)
        .map(|(one, other)| (other - one).max(0))
        .sum()
}

/// Moves the pointer from one generation to another one that live owners feed: for a rebuild, which ends with it, or, without
/// one, for an operator who goes back.
pub(super) async fn swap(
    connection: &mut PgConnection,
    projection: &str,
    pointers: (Generation, Generation),
    rebuild: Option<&Held>,
) -> Result<(), RebuildError> {
    let (from, to) = pointers;
    let patience = match rebuild {
        Some(_) => limits::SWAP_PATIENCE,
        None => limits::ROLLBACK_PATIENCE,
    };
    let until = Instant::now() + patience;
    loop {
        let near = behind(
            &offsets(connection, projection, to).await?,
            &offsets(connection, projection, from).await?,
        );
        if near <= limits::SWAP_NEAR {
            let swapped = try_swap(connection, projection, pointers, rebuild).await;
            let released = release(connection, projection, from).await;
            match swapped {
                Ok(true) => return Ok(()),
                Ok(false) => released?,
                Err(RebuildError::Database(error)) if is_lock_timeout(&error) => released?,
                Err(error) => return Err(error),
            }
        }
        if Instant::now() > until {
            return Err(RebuildError::NotThere {
                projection: projection.to_owned(),
                generation: to,
                behind: near,
            });
        }
        sleep(limits::SWAP_AGAIN).await;
    }
}

async fn try_swap(
    connection: &mut PgConnection,
    projection: &str,
    (from, to): (Generation, Generation),
    rebuild: Option<&Held>,
) -> Result<bool, RebuildError> {
    let wanted = hold(connection, projection, from).await?;
    let until = Instant::now() + limits::SWAP_HOLD;
    while behind(&offsets(connection, projection, to).await?, &wanted) > 0 {
        if Instant::now() > until {
            return Ok(false);
        }
        sleep(LOOK).await;
    }
    let mut transaction = connection.begin().await?;
    set_lock_timeout(&mut transaction, limits::HOLD_LOCK).await?;
    // Swaps of one read model come one after the other, and each moves the pointer that it has seen.
    let served = operation::pointer(&mut transaction, projection).await?;
    match rebuild {
        Some(rebuild) => rebuild.end(&mut transaction, Outcome::Swapped).await?,
        None => operation::refuse_if_running(&mut transaction, projection).await?,
    }
    if served != from {
        return Err(RebuildError::Moved {
            projection: projection.to_owned(),
            from,
            served,
        });
    }
    // The hold may have run out meanwhile: what counts is what stands there now, and stays until the pointer has moved.
    let wanted: Vec<i64> = sqlx::query_scalar(LOCKED)
        .bind(projection)
        .bind(from.0)
        .fetch_all(&mut *transaction)
        .await?;
    let there = offsets(&mut transaction, projection, to).await?;
    if there.len() != wanted.len() || behind(&there, &wanted) > 0 {
        transaction.rollback().await?;
        return Ok(false);
    }
    // Nobody is to miss after a rebuild what was there before it.
    let parked: i64 = sqlx::query_scalar(MISSED)
        .bind(projection)
        .bind(from.0)
        .bind(to.0)
        .fetch_one(&mut *transaction)
        .await?;
    if rebuild.is_some() && parked > 0 {
        return Err(RebuildError::Parked {
            projection: projection.to_owned(),
            generation: to,
            orders: parked,
        });
    }
    let moved = sqlx::query(
        "update projections p set generation = g.generation, version = g.version from generations g
          where p.name = $1 and g.projection = $1 and g.generation = $2 and g.state = 'live'",
    )
    .bind(projection)
    .bind(to.0)
    .execute(&mut *transaction)
    .await?;
    if moved.rows_affected() != 1 {
        return Err(RebuildError::NothingKept(projection.to_owned()));
    }
    sqlx::query(
        "update generations set served_at = case when generation = $3 then clock_timestamp() else served_at end,
                                left_at = case when generation = $2 then clock_timestamp() else left_at end
          where projection = $1 and generation in ($2, $3)",
    )
    .bind(projection)
    .bind(from.0)
    .bind(to.0)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(true)
}
