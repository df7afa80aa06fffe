//! `rebuild`: order_summary, built anew by `docket rebuild` as anybody runs it, beside what one SQL statement takes for the
//! same table.

mod log;
mod process;
mod sql;
pub(super) mod under_load;

pub(super) use log::Spread;

use super::{BenchArgs, BenchError, database::BenchDatabase};
use docket_event_store::Store;
use docket_projections::read_models::order_summary::NAME;
use serde::Serialize;
use sqlx::postgres::PgConnectOptions;

/// Partitions that are filled at once where nothing else is said: as many as the yardstick has connections.
const PARALLEL: u16 = 4;

/// What came out.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    workload: super::Workload,
    spread: Spread,
    orders: u64,
    events: u64,
    parallel: u16,
    rounds: u32,
    events_per_s: f64,
    sql_per_s: f64,
    ratio_sql: f64,
    peak_rss_mb: f64,
    load_s: f64,
    index_s: f64,
    verify_s: f64,
    swap_s: f64,
    sql_s: f64,
}

pub(super) async fn run(server: &PgConnectOptions, args: &BenchArgs) -> Result<Report, BenchError> {
    let parallel = args.parallel.unwrap_or(PARALLEL);
    let database = BenchDatabase::of_log(server, args.orders, args.spread).await?;
    let events = args.orders * log::EVENTS;
    let store = database.store(docket_event_store::limits::CACHE_BYTES).await?;
    let found = events_in(&store).await?;
    if found == 0 {
        log::fill(&store, args.orders, args.spread).await?;
    }
    let found = events_in(&store).await?;
    if found != events {
        return Err(BenchError::Lost {
            acknowledged: events,
            found,
        });
    }
    let (mut rounds, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        plain.push(sql::build(&store).await?.as_secs_f64());
        rounds.push(process::rebuild(&database, NAME, Some(parallel)).await?);
    }
    sql::compare(&store).await?;
    store.close().await;
    plain.sort_by(f64::total_cmp);
    rounds.sort_by(|one, other| one.built().total_cmp(&other.built()));
    let peak = rounds.iter().map(|round| round.peak_rss).max().unwrap_or(0);
    let middle = rounds.len() / 2;
    let (Some(sql_s), Some(round)) = (plain.get(middle), rounds.get(middle)) else {
        return Err(BenchError::Worker("there were no rounds".into()));
    };
    let (events_per_s, sql_per_s) = (events as f64 / round.built(), events as f64 / sql_s);
    Ok(Report {
        workload: args.workload,
        spread: args.spread,
        orders: args.orders,
        events,
        parallel,
        rounds: args.rounds,
        events_per_s: events_per_s.round(),
        sql_per_s: sql_per_s.round(),
        ratio_sql: events_per_s / sql_per_s,
        peak_rss_mb: (peak as f64 / 1_048_576.0).round(),
        load_s: round.seconds("load"),
        index_s: round.seconds("index"),
        verify_s: round.seconds("verify"),
        swap_s: round.seconds("swap"),
        sql_s: *sql_s,
    })
}

async fn events_in(store: &Store) -> Result<u64, BenchError> {
    let heads: i64 = sqlx::query_scalar("select sum(head)::bigint from heads")
        .fetch_one(store.pool())
        .await?;
    Ok(heads.unsigned_abs())
}
