//! What a seeding did, while it does and afterwards.

use chrono::{DateTime, SecondsFormat, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::{
    io::{self, Write as _},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Between two lines of progress that a program reads.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Between two looks of the bar.
const TICK: Duration = Duration::from_millis(200);
/// A constant; one that did not read would leave the default bar.
const BAR: &str = "{wide_bar} {pos}/{len} orders  {msg}  {elapsed_precise}, {eta} to go";

/// Counts what becomes of the orders and shows it: a bar on a terminal, or JSON, a line every few seconds.
pub(super) struct Report {
    bar: ProgressBar,
    json: bool,
    started: Instant,
    last_line: Mutex<Instant>,
    orders: AtomicU64,
    /// Orders that were written before.
    repeated: AtomicU64,
    commands: AtomicU64,
    events: AtomicU64,
    refused: AtomicU64,
}

/// What was new of one order.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) commands: u64,
    pub(super) events: u64,
}

impl Report {
    /// For a terminal, or, as JSON, for a program.
    pub(super) fn new(orders: u64, json: bool) -> Self {
        if json {
            return Self::over(ProgressBar::hidden(), json);
        }
        let bar = ProgressBar::new(orders);
        bar.enable_steady_tick(TICK);
        Self::over(bar, json)
    }

    /// For nobody: only what is refused is told.
    pub(super) fn silent() -> Self {
        Self::over(ProgressBar::hidden(), false)
    }

    fn over(bar: ProgressBar, json: bool) -> Self {
        let style = ProgressStyle::with_template(BAR);
        let now = Instant::now();
        Self {
            bar: bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())),
            json,
            started: now,
            last_line: Mutex::new(now),
            orders: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            events: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// An order is in the log as far as it goes.
    pub(super) fn took(&self, tally: Tally) {
        if tally.commands == 0 {
            self.repeated.fetch_add(1, Relaxed);
        }
        self.orders.fetch_add(1, Relaxed);
        self.commands.fetch_add(tally.commands, Relaxed);
        self.events.fetch_add(tally.events, Relaxed);
        self.show();
    }

    /// An order was not taken, or not to its end.
    pub(super) fn refused(&self, order: u64, tally: Tally, reason: &str) {
        self.refused.fetch_add(1, Relaxed);
        self.commands.fetch_add(tally.commands, Relaxed);
        self.events.fetch_add(tally.events, Relaxed);
        if self.json {
            say(&json!({"order": order, "error": reason}).to_string());
        } else {
            self.bar.suspend(|| eprintln!("order {order}: {reason}"));
        }
        self.show();
    }

    fn show(&self) {
        self.bar.inc(1);
        if self.bar.position().is_multiple_of(100) {
            let seconds = self.started.elapsed().as_secs_f64().max(0.001);
            let rate = self.events.load(Relaxed) as f64 / seconds;
            self.bar.set_message(format!("{rate:.0} events/s"));
            let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
            if self.json && last.elapsed() >= LINE_INTERVAL {
                *last = Instant::now();
                say(&self.counts().to_string());
            }
        }
    }

    fn counts(&self) -> Value {
        json!({
            "orders": self.orders.load(Relaxed), "repeated": self.repeated.load(Relaxed),
            "refused": self.refused.load(Relaxed), "commands": self.commands.load(Relaxed),
            "events": self.events.load(Relaxed), "seconds": self.started.elapsed().as_secs_f64(),
        })
    }

    /// Every order is written: says what that came to, and how to do the same again. How many were refused.
    pub(super) fn written(&self, until: DateTime<Utc>, seed: u64, days: u16) -> u64 {
        self.bar.finish_and_clear();
        let (orders, repeated) = (self.orders.load(Relaxed), self.repeated.load(Relaxed));
        let (commands, events) = (self.commands.load(Relaxed), self.events.load(Relaxed));
        let refused = self.refused.load(Relaxed);
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let rate = |count: u64| count as f64 / seconds;
        let until = until.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        if self.json {
            let mut counts = self.counts();
            counts["until"] = until.into();
            counts["seed"] = seed.into();
            counts["days"] = days.into();
            counts["ordersPerSecond"] = rate(orders).into();
            counts["commandsPerSecond"] = rate(commands).into();
            counts["eventsPerSecond"] = rate(events).into();
            say(&counts.to_string());
        } else {
            say(&format!(
                "{orders} orders ({repeated} of them there before), {commands} commands, {events} events, {refused} \
                 refused in {seconds:.1} s ({:.0} orders/s, {:.0} commands/s, {:.0} events/s)\nThe same again: \
                 --seed {seed} --days {days} --until {until}",
                rate(orders - repeated),
                rate(commands),
                rate(events),
            ));
        }
        refused
    }

    /// The read models have it too.
    pub(super) fn caught_up(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        say(&if self.json {
            json!({"caughtUpSeconds": seconds}).to_string()
        } else {
            format!("The read models caught up in {seconds:.1} s.")
        });
    }
}

/// A line on standard output. That nobody reads it any more is no reason to leave a shop half done.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
