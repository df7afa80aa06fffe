//! Where the log stood at an instant.
//!
//! The instant is of `recorded_at`, which never runs backwards within a partition: so what was recorded until then are the
//! events up to one offset, which is found by halving.

use super::RebuildError;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

/// Who appends holds the head and takes the time after that: once it is free, what commits later was recorded later than now.
const HEAD: &str = "select head from heads where partition = $1 for share";
const IS_UNTIL: &str = r#"select recorded_at <= $3 from events where partition = $1 and "offset" = $2"#;

/// Refuses an instant that has not come by the database's clock.
pub(super) async fn refuse_future(pool: &PgPool, instant: DateTime<Utc>) -> Result<(), RebuildError> {
    let now: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(pool)
        .await?;
    match instant > now {
        true => Err(RebuildError::Future { instant, now }),
        false => Ok(()),
    }
}

/// The offset of the last event of each partition that was recorded until an instant, which has come; 0 where there is none.
pub(super) async fn offsets(
    connection: &mut PgConnection,
    partitions: u16,
    instant: DateTime<Utc>,
) -> Result<Vec<i64>, sqlx::Error> {
    let mut offsets = Vec::new();
    for partition in 0..partitions {
        offsets.push(last(connection, partition as i16, instant).await?);
    }
    Ok(offsets)
}

async fn last(
    connection: &mut PgConnection,
    partition: i16,
    instant: DateTime<Utc>,
) -> Result<i64, sqlx::Error> {
    let head: i64 = sqlx::query_scalar(HEAD)
        .bind(partition)
        .fetch_one(&mut *connection)
        .await?;
    // Up to `low` everything was recorded until then, and nothing after `high`.
    let (mut low, mut high) = (0, head);
    while low < high {
        let middle = high - (high - low) / 2;
        let is_until: bool = sqlx::query_scalar(IS_UNTIL)
            .bind(partition)
            .bind(middle)
            .bind(instant)
            .fetch_one(&mut *connection)
            .await?;
        if is_until {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok(low)
}
