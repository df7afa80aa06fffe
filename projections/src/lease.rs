//! Leases: which process feeds which partition of which read model.
//!
//! A lease lies in its checkpoint's row, so that one compare-and-set on (offset, epoch) proves both. The epoch fences:
//! each new owner raises it, and whatever an old one still sends hits no row. Time only decides who may *try*: it is the
//! database's clock, so that processes need not agree on theirs.
//!
//! Who holds what is read from the table at each tick, not remembered: a lease that was lost while the database was away
//! is not counted as held, and one whose claim or farewell was never answered is given up and claimed anew.
//!
//! A batch renews its own lease as it commits. Renewals pass over rows that a batch holds, so no batch that waits for a
//! lock can make the other leases of its process run out.

use crate::{checkpoint::Held, projector::Generation};
use docket_event_store::Position;
use sqlx::{PgPool, Row};
use std::time::Duration;
use uuid::Uuid;

const BEAT: &str = "
insert into projection_processes (process, alive_until) values ($1, clock_timestamp() + make_interval(secs => $2))
    on conflict (process) do update set alive_until = excluded.alive_until";

const BURY: &str =
    "delete from projection_processes where alive_until < clock_timestamp() - interval '1 minute'";

const COUNT: &str = "select count(*) from projection_processes where alive_until > clock_timestamp()";

const RENEW: &str = "
with mine as (
  select projection, generation, partition from checkpoints where owner = $1 for update skip locked)
update checkpoints c set lease_until = clock_timestamp() + make_interval(secs => $2)
  from mine m
 where c.projection = m.projection and c.generation = m.generation and c.partition = m.partition and c.owner = $1";

const HELD: &str = "
select projection, generation, partition, epoch, stopped_class is not distinct from 'history'
  from checkpoints where owner = $1";

const CLAIM: &str = r#"
with free as (
  select projection, generation, partition from checkpoints
   where projection = $1 and generation = $2 and (owner is null or lease_until < clock_timestamp())
   order by partition limit $3 for update skip locked)
update checkpoints c
   set owner = $4, epoch = c.epoch + 1, lease_until = clock_timestamp() + make_interval(secs => $5)
  from free f
 where c.projection = f.projection and c.generation = f.generation and c.partition = f.partition
returning c.partition, c."offset", c.epoch, c."offset" = 0 or exists (
    select from events e where e.partition = c.partition and e."offset" = c."offset" and e.event_id = c.event_id), c.parked"#;

const RELEASE: &str = "
update checkpoints set owner = null, lease_until = null
 where projection = $1 and generation = $2 and partition = $3 and owner = $4 and epoch = $5";

const LEAVE: &str = "
with gone as (delete from projection_processes where process = $1)
update checkpoints set owner = null, lease_until = null where owner = $1";

/// A partition that was just claimed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) position: Position,
    pub(crate) epoch: i64,
    /// The log holds the checkpoint's event at its offset.
    pub(crate) proved: bool,
    /// Orders that have dead letters.
    pub(crate) parked: usize,
}

/// Shows that this process lives, renews its leases, and says how many processes share the work.
pub(crate) async fn beat(pool: &PgPool, process: Uuid, lease: Duration) -> Result<usize, sqlx::Error> {
    let seconds = lease.as_secs_f64();
    sqlx::query(BEAT)
        .bind(process)
        .bind(seconds)
        .execute(pool)
        .await?;
    renew(pool, process, lease).await?;
    sqlx::query(BURY).execute(pool).await?;
    let alive: i64 = sqlx::query_scalar(COUNT).fetch_one(pool).await?;
    Ok(usize::try_from(alive).unwrap_or(1).max(1))
}

/// Renews the leases of a process.
pub(crate) async fn renew(pool: &PgPool, process: Uuid, lease: Duration) -> Result<(), sqlx::Error> {
    sqlx::query(RENEW)
        .bind(process)
        .bind(lease.as_secs_f64())
        .execute(pool)
        .await?;
    Ok(())
}

/// A lease as the table has it.
#[derive(Debug)]
pub(crate) struct Lease {
    projection: String,
    generation: Generation,
    partition: u16,
    epoch: i64,
    /// The partition stands still because its rows are of another history: its lease is held without an owner.
    pub(crate) refused: bool,
}

impl Lease {
    /// It is this one.
    pub(crate) fn is(&self, held: &Held) -> bool {
        self.projection == held.projection
            && self.generation == held.generation
            && self.partition == held.partition
            && self.epoch == held.epoch
    }
}

/// Every lease that this process holds. Rows that a batch or another claim has locked are read as they were before.
pub(crate) async fn held(pool: &PgPool, process: Uuid) -> Result<Vec<Lease>, sqlx::Error> {
    let rows = sqlx::query(HELD).bind(process).fetch_all(pool).await?;
    let lease = |row: &sqlx::postgres::PgRow| {
        Ok(Lease {
            projection: row.try_get(0)?,
            generation: Generation(row.try_get(1)?),
            partition: row.try_get::<i16, _>(2)? as u16,
            epoch: row.try_get(3)?,
            refused: row.try_get(4)?,
        })
    };
    rows.iter().map(lease).collect()
}

/// Takes up to `most` partitions that nobody holds, or whose owner's lease ran out.
pub(crate) async fn claim(
    pool: &PgPool,
    projection: &str,
    generation: Generation,
    most: usize,
    process: Uuid,
    lease: Duration,
) -> Result<Vec<Claim>, sqlx::Error> {
    let rows = sqlx::query(CLAIM)
        .bind(projection)
        .bind(generation.0)
        .bind(most as i64)
        .bind(process)
        .bind(lease.as_secs_f64())
        .fetch_all(pool)
        .await?;
    let claim = |row: &sqlx::postgres::PgRow| {
        let position = Position {
            partition: row.try_get::<i16, _>(0)? as u16,
            offset: row.try_get(1)?,
        };
        Ok(Claim {
            position,
            epoch: row.try_get(2)?,
            proved: row.try_get(3)?,
            parked: row.try_get::<i32, _>(4)? as usize,
        })
    };
    rows.iter().map(claim).collect()
}

/// Gives one partition up.
pub(crate) async fn release(pool: &PgPool, held: &Held, process: Uuid) -> Result<(), sqlx::Error> {
    let lease = Lease {
        projection: held.projection.into(),
        generation: held.generation,
        partition: held.partition,
        epoch: held.epoch,
        refused: false,
    };
    give_up(pool, &lease, process).await
}

/// Gives a lease up, whose it was in this process or nobody's.
pub(crate) async fn give_up(pool: &PgPool, lease: &Lease, process: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(RELEASE)
        .bind(&lease.projection)
        .bind(lease.generation.0)
        .bind(lease.partition as i16)
        .bind(process)
        .bind(lease.epoch)
        .execute(pool)
        .await?;
    Ok(())
}

/// Gives everything up.
pub(crate) async fn leave(pool: &PgPool, process: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(LEAVE).bind(process).execute(pool).await?;
    Ok(())
}

/// How many of `partitions` one of `processes` takes: rounded up, so that all are taken.
pub(crate) fn fair_share(partitions: u16, processes: usize) -> usize {
    usize::from(partitions).div_ceil(processes.max(1))
}

#[cfg(test)]
mod tests {
    use super::fair_share;

    #[test]
    fn shares_cover_all_partitions_and_differ_by_less_than_one_share() {
        for partitions in [1_u16, 2, 15, 16, 1024] {
            for processes in 1..40 {
                let share = fair_share(partitions, processes);
                assert!(share * processes >= usize::from(partitions));
                assert!((share - 1) * processes < usize::from(partitions));
            }
        }
    }
}
