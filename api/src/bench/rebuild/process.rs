//! `docket rebuild` as a process of its own, as anybody runs it.

use crate::bench::{BenchError, database::BenchDatabase, http::docket};
use serde_json::Value;
use std::{path::PathBuf, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    time::sleep,
};

/// What its line says while it makes way for live read models.
const MAKES_WAY: &str = r#""held":"makes way"#;

/// How a rebuild went.
pub(super) struct Round {
    /// Seconds of each step.
    steps: Value,
    /// What was built.
    pub(super) generation: i64,
    /// The most memory that its process had, in bytes.
    pub(super) peak_rss: u64,
    /// Of the lines that it printed, twice a second, the share that said that it makes way.
    pub(super) made_way: f64,
}

impl Round {
    /// How long a step took.
    pub(super) fn seconds(&self, step: &str) -> f64 {
        self.steps.get(step).and_then(Value::as_f64).unwrap_or(0.0)
    }

    /// Until the rows, the indexes and the checkpoints are there.
    pub(super) fn built(&self) -> f64 {
        self.seconds("create") + self.seconds("load") + self.seconds("index")
    }
}

/// Rebuilds a read model, with the default throttle where no number of partitions is given; how that went.
pub(super) async fn rebuild(
    database: &BenchDatabase,
    name: &str,
    parallel: Option<u16>,
) -> Result<Round, BenchError> {
    let failed = |why: String| BenchError::Worker(format!("the rebuild failed: {why}"));
    let mut command = docket(database)?;
    command.args(["rebuild", name, "--json"]);
    if let Some(parallel) = parallel {
        command.args(["--parallel", &parallel.to_string()]);
    }
    let mut process = command
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
    let (mut last, mut lines_printed, mut made_way) = (None, 0_u32, 0_u32);
    if let Some(out) = process.stdout.take() {
        let mut lines = BufReader::new(out).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            lines_printed += 1;
            made_way += u32::from(line.contains(MAKES_WAY));
            last = Some(line);
        }
    }
    let ended = process.wait().await.map_err(|error| failed(error.to_string()))?;
    let last = last.and_then(|line| serde_json::from_str::<Value>(&line).ok());
    match last {
        Some(last) if ended.success() => Ok(Round {
            steps: last.get("seconds").cloned().unwrap_or_default(),
            generation: last.get("generation").and_then(Value::as_i64).unwrap_or(0),
            peak_rss: peak.await.unwrap_or(0),
            made_way: f64::from(made_way) / f64::from(lines_printed.max(1)),
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
