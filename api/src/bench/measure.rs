//! Counting and timing.

use super::BenchError;
use std::{
    future::Future,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// What one round did.
#[derive(Debug, Clone, Default)]
pub(super) struct Measured {
    /// Events that were acknowledged.
    pub(super) events: u64,
    /// Wall-clock time.
    pub(super) elapsed: Duration,
    /// Each operation's time, sorted.
    latencies: Vec<Duration>,
}

impl Measured {
    pub(super) fn new(events: u64, elapsed: Duration, mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self {
            events,
            elapsed,
            latencies,
        }
    }

    pub(super) fn per_second(&self) -> f64 {
        self.events as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// A quantile of the operations' times, in milliseconds; 0 where there were none.
    pub(super) fn quantile_ms(&self, q: f64) -> f64 {
        (quantile(&self.latencies, q).as_secs_f64() * 1e6).round() / 1e3
    }
}

/// A quantile of what is sorted; the default where there is nothing.
pub(super) fn quantile<T: Copy + Default>(sorted: &[T], q: f64) -> T {
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * q).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

/// The round whose figure stands in the middle.
pub(super) fn median_by(mut rounds: Vec<Measured>, figure: impl Fn(&Measured) -> f64) -> Measured {
    rounds.sort_by(|a, b| figure(a).total_cmp(&figure(b)));
    let middle = rounds.len() / 2;
    rounds.into_iter().nth(middle).unwrap_or_default()
}

/// Runs workers until the time is over; each says how many events one of its operations wrote.
pub(super) async fn closed_loop<W, F>(
    workers: Vec<W>,
    length: Duration,
) -> Result<(Measured, Vec<W>), BenchError>
where
    W: FnMut() -> F + Send + 'static,
    F: Future<Output = Result<u64, BenchError>> + Send,
{
    let started = Instant::now();
    let mut running = JoinSet::new();
    for mut worker in workers {
        running.spawn(async move {
            let mut events = 0;
            let mut latencies = Vec::new();
            while started.elapsed() < length {
                let asked = Instant::now();
                events += worker().await?;
                latencies.push(asked.elapsed());
            }
            Ok::<_, BenchError>((worker, events, latencies))
        });
    }
    let (mut events, mut latencies, mut workers) = (0, Vec::new(), Vec::new());
    while let Some(done) = running.join_next().await {
        let (worker, wrote, took) = done.map_err(|error| BenchError::Worker(error.to_string()))??;
        workers.push(worker);
        events += wrote;
        latencies.extend(took);
    }
    Ok((Measured::new(events, started.elapsed(), latencies), workers))
}
