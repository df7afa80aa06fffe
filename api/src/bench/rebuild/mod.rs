//! `rebuild`: order_summary, built anew by `docket rebuild` as anybody runs it, beside what one SQL statement takes for the
//! same table.

mod log;
mod sql;

pub(super) use log::Spread;

use super::{BenchArgs, BenchError, database::BenchDatabase, http::docket};
use docket_event_store::Store;
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use std::{path::PathBuf, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    time::sleep,
};

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

struct Round {
    steps: Value,
    peak_rss: u64,
}

impl Round {
    fn seconds(&self, step: &str) -> f64 {
        self.steps.get(step).and_then(Value::as_f64).unwrap_or(0.0)
    }

    /// Until the rows, the indexes and the checkpoints are there.
    fn built(&self) -> f64 {
        self.seconds("create") + self.seconds("load") + self.seconds("index")
    }
}

pub(super) async fn run(server: &PgConnectOptions, args: &BenchArgs) -> Result<Report, BenchError> {
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
        rounds.push(rebuild(&database, args.parallel).await?);
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
        parallel: args.parallel,
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

/// `docket rebuild order_summary` as a process; how long its steps took, and the most memory that it had.
async fn rebuild(database: &BenchDatabase, parallel: u16) -> Result<Round, BenchError> {
    let failed = |why: String| BenchError::Worker(format!("the rebuild failed: {why}"));
    let mut process = docket(database)?
        .args([
            "rebuild",
            "order_summary",
            "--json",
            "--parallel",
            &parallel.to_string(),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let status = process.id().map(|id| PathBuf::from(format!("/proc/{id}/status")));
    let peak = tokio::spawn(async move {
        let mut peak = 0;
        while let Some(now) = status.as_ref().and_then(|path| peak_rss(path)) {
            peak = now;
            sleep(Duration::from_millis(20)).await;
        }
        peak
    });
    let mut last = None;
    if let Some(out) = process.stdout.take() {
        let mut lines = BufReader::new(out).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            last = Some(line);
        }
    }
    let ended = process.wait().await.map_err(|error| failed(error.to_string()))?;
    let last = last.and_then(|line| serde_json::from_str::<Value>(&line).ok());
    match last {
        Some(last) if ended.success() => Ok(Round {
            steps: last.get("seconds").cloned().unwrap_or_default(),
            peak_rss: peak.await.unwrap_or(0),
        }),
        last => Err(failed(format!("{ended}: {last:?}"))),
    }
}

/// The most memory that a process has had, in bytes; `None` where it is gone.
fn peak_rss(status: &std::path::Path) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}
