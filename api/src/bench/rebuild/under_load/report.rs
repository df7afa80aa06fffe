//! What came out: the same figures for the control, for the rebuild, and for each of its steps.

use super::{Model, Spread, load::Offered, log, process::Round, watch::Seen};
use crate::bench::{
    BenchArgs, Workload,
    measure::{Measured, quantile},
};
use docket_projections::limits;
use serde::Serialize;
use std::{
    fmt,
    time::{Duration, Instant},
};

/// Before the pointer moves, and after this process has gone over.
const AROUND: Duration = Duration::from_secs(1);

/// A time, from its start up to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    from: Instant,
    upto: Instant,
}

impl Window {
    /// From now on.
    pub(super) fn lasting(length: Duration) -> Self {
        let from = Instant::now();
        let upto = from + length;
        Self { from, upto }
    }

    /// Until now.
    pub(super) fn since(from: Instant) -> Self {
        let upto = Instant::now();
        Self { from, upto }
    }

    fn holds(&self, at: Instant) -> bool {
        (self.from..self.upto).contains(&at)
    }

    fn seconds(&self) -> f64 {
        self.upto.duration_since(self.from).as_secs_f64()
    }
}

/// What is told apart.
pub(super) struct Times(Vec<(&'static str, Window)>);

impl Times {
    /// The steps end with the swap, one after the other: each lasted as long as the rebuild says.
    pub(super) fn new(
        control: Window,
        during: Window,
        swapped: Instant,
        rebuilt: &Round,
        seen: &Seen,
    ) -> Self {
        let mut upto = swapped;
        let mut steps = Vec::new();
        for step in ["swap", "verify", "index", "load"] {
            let took = Duration::from_secs_f64(rebuilt.seconds(step));
            let from = upto.checked_sub(took).unwrap_or(upto);
            steps.push((step, Window { from, upto }));
            upto = from;
        }
        let before = seen.queries.first().map(|asked| asked.generation);
        let adopted = seen.queries.iter().find(|asked| Some(asked.generation) != before);
        let around = Window {
            from: swapped.checked_sub(AROUND).unwrap_or(swapped),
            upto: adopted.map_or(swapped, |asked| asked.at) + AROUND,
        };
        let mut all = vec![("control", control), ("during", during)];
        all.extend(steps.into_iter().rev());
        all.push(("around swap", around));
        Self(all)
    }
}

/// Some quantiles.
#[derive(Debug, Serialize)]
struct Spans<T> {
    p50: T,
    p99: T,
    max: T,
}

impl Spans<f64> {
    fn ms(times: Vec<Duration>) -> Self {
        let times = Measured::new(0, Duration::ZERO, times);
        Self {
            p50: times.quantile_ms(0.5),
            p99: times.quantile_ms(0.99),
            max: times.quantile_ms(1.0),
        }
    }
}

impl Spans<i64> {
    fn of(mut numbers: Vec<i64>) -> Self {
        numbers.sort_unstable();
        Self {
            p50: quantile(&numbers, 0.5),
            p99: quantile(&numbers, 0.99),
            max: quantile(&numbers, 1.0),
        }
    }
}

/// What was seen in one of the times.
#[derive(Debug, Serialize)]
struct Figures {
    time: &'static str,
    seconds: f64,
    /// Commands that were due.
    offered_per_s: f64,
    /// Those of them that were acknowledged within the time.
    achieved_per_s: f64,
    /// The latter by the former.
    ratio: f64,
    /// Commands that were due and never acknowledged.
    refused: usize,
    /// From when a command was due until it was acknowledged.
    command_ms: Spans<f64>,
    /// Of the partition that was furthest behind.
    lag_events: Spans<i64>,
    lag_ms: Spans<f64>,
    query_ms: Spans<f64>,
    queries: usize,
}

impl Figures {
    fn of(time: &'static str, window: &Window, seen: &Seen) -> Self {
        let seconds = window.seconds();
        let per_second = |number: usize| number as f64 / seconds.max(f64::EPSILON);
        let due: Vec<_> = seen.commands.iter().filter(|one| window.holds(one.due)).collect();
        // What is left over from before does not make up for what is left over at the end.
        let in_time = |one: &&&Offered| one.done.is_some_and(|at| window.holds(at));
        let done = due.iter().filter(in_time).count();
        let took = due.iter().filter_map(|one| Some(one.done? - one.due)).collect();
        let lags: Vec<_> = seen.lags.iter().filter(|lag| window.holds(lag.at)).collect();
        let asked: Vec<_> = seen.queries.iter().filter(|one| window.holds(one.at)).collect();
        Self {
            time,
            seconds,
            offered_per_s: per_second(due.len()).round(),
            achieved_per_s: per_second(done).round(),
            ratio: done as f64 / due.len().max(1) as f64,
            refused: due.iter().filter(|one| one.done.is_none()).count(),
            command_ms: Spans::ms(took),
            lag_events: Spans::of(lags.iter().map(|lag| lag.events).collect()),
            lag_ms: Spans::ms(lags.iter().map(|lag| lag.age).collect()),
            query_ms: Spans::ms(asked.iter().map(|one| one.took).collect()),
            queries: asked.len(),
        }
    }
}

/// What came out.
#[derive(Debug, Serialize)]
pub(in crate::bench) struct Report {
    workload: Workload,
    model: Model,
    spread: Spread,
    orders: u64,
    concurrency: u32,
    /// Partitions that the rebuild filled at once, where it was told; otherwise its default.
    parallel: Option<u16>,
    /// Commands that the log takes, read models or not.
    unbounded_per_s: f64,
    /// Commands that the read models take as well.
    maximum_per_s: f64,
    offered_per_s: f64,
    /// While the rebuild ran, what was achieved of what was offered.
    ratio: f64,
    rebuild_events_per_s: f64,
    rebuild_peak_rss_mb: f64,
    /// Of the time of the rebuild, the share in which it made way for live read models.
    made_way: f64,
    /// The longest query from 1 s before the pointer moved until 1 s after this process had gone over.
    query_around_swap_ms: f64,
    lock_timeout_ms: f64,
    times: Vec<Figures>,
}

impl Report {
    pub(super) fn new(
        args: &BenchArgs,
        (unbounded_per_s, maximum_per_s): (f64, f64),
        rebuilt: &Round,
        times: &Times,
        seen: &Seen,
    ) -> Self {
        let times = times.0.iter();
        let times: Vec<_> = times
            .map(|(name, window)| Figures::of(name, window, seen))
            .collect();
        let find = |name| times.iter().find(|figures| figures.time == name);
        Self {
            workload: args.workload,
            model: args.model,
            spread: args.spread,
            orders: args.orders,
            concurrency: args.concurrency,
            parallel: args.parallel,
            unbounded_per_s: unbounded_per_s.round(),
            maximum_per_s: maximum_per_s.round(),
            offered_per_s: (maximum_per_s / 2.0).round(),
            ratio: find("during").map_or(0.0, |during| during.ratio),
            rebuild_events_per_s: ((args.orders * log::EVENTS) as f64 / rebuilt.built()).round(),
            rebuild_peak_rss_mb: (rebuilt.peak_rss as f64 / 1_048_576.0).round(),
            made_way: rebuilt.made_way,
            query_around_swap_ms: find("around swap").map_or(0.0, |around| around.query_ms.max),
            lock_timeout_ms: limits::SWAP_LOCK.as_secs_f64() * 1e3,
            times,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} of {} orders: {:.0} events/s; it made way for {:.0} % of its time.\n\
             Commands a second: {:.0} at most, {:.0} with read models that keep up, {:.0} offered, {:.3} of them achieved.\n\
             The longest query around the swap: {:.1} ms (a lock is waited for {:.0} ms at most).\n",
            self.model.name(),
            self.orders,
            self.rebuild_events_per_s,
            self.made_way * 100.0,
            self.unbounded_per_s,
            self.maximum_per_s,
            self.offered_per_s,
            self.ratio,
            self.query_around_swap_ms,
            self.lock_timeout_ms,
        )?;
        writeln!(
            f,
            "{:>12} {:>8} {:>9} {:>6} {:>24} {:>20} {:>22} {:>20}",
            "",
            "s",
            "done/s",
            "ratio",
            "command p50/p99/max ms",
            "lag p50/p99/max",
            "lag p50/p99/max ms",
            "query p50/p99/max ms"
        )?;
        for figures in &self.times {
            writeln!(
                f,
                "{:>12} {:>8.2} {:>9.0} {:>6.3} {:>24} {:>20} {:>22} {:>20}",
                figures.time,
                figures.seconds,
                figures.achieved_per_s,
                figures.ratio,
                figures.command_ms.shown(1),
                figures.lag_events.shown(),
                figures.lag_ms.shown(0),
                figures.query_ms.shown(1),
            )?;
        }
        Ok(())
    }
}

impl Spans<f64> {
    fn shown(&self, digits: usize) -> String {
        let Self { p50, p99, max } = self;
        format!("{p50:.digits$} / {p99:.digits$} / {max:.digits$}")
    }
}

impl Spans<i64> {
    fn shown(&self) -> String {
        format!("{} / {} / {}", self.p50, self.p99, self.max)
    }
}
