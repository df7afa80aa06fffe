//! What an import did.

use docket_event_store::execute::Outcome;
use indicatif::ProgressBar;
use serde_json::json;
use std::{
    error::Error,
    io::{self, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What became of the lines, by the number of lines.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Summary {
    pub(super) done: u64,
    pub(super) repeated: u64,
    pub(super) nothing_to_do: u64,
    pub(super) refused: u64,
}

/// Counts what becomes of the lines, and tells of each refusal at once; clones share everything.
#[derive(Clone)]
pub(super) struct Report {
    summary: Arc<Mutex<Summary>>,
    bar: ProgressBar,
    json: bool,
}

impl Report {
    pub(super) fn new(bar: ProgressBar, json: bool) -> Self {
        Self {
            summary: Arc::default(),
            bar,
            json,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Summary> {
        // Counters are never half changed.
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn summary(&self) -> Summary {
        *self.lock()
    }

    /// An empty line.
    pub(super) fn passed(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// A line whose command is in the log.
    pub(super) fn took(&self, bytes: u64, outcome: Outcome, repeated: bool) {
        self.bar.inc(bytes);
        let mut summary = self.lock();
        match (outcome, repeated) {
            (_, true) => summary.repeated += 1,
            (Outcome::Done, false) => summary.done += 1,
            (Outcome::NothingToDo, false) => summary.nothing_to_do += 1,
        }
        let lines = summary.lines();
        drop(summary);
        if lines.is_multiple_of(100) {
            let rate = lines as f64 / self.bar.elapsed().as_secs_f64().max(0.001);
            self.bar.set_message(format!("{lines} lines, {rate:.0}/s"));
        }
    }

    /// A line that was not taken.
    pub(super) fn refused(&self, line: u64, bytes: u64, reason: &dyn Error) {
        self.bar.inc(bytes);
        self.lock().refused += 1;
        let mut text = reason.to_string();
        let mut cause = reason.source();
        while let Some(error) = cause {
            let said = error.to_string();
            if !text.contains(&said) {
                text = format!("{text}: {said}");
            }
            cause = error.source();
        }
        if self.json {
            say(&json!({"line": line, "error": text}).to_string());
        } else {
            self.bar.suspend(|| eprintln!("line {line}: {text}"));
        }
    }
}

impl Summary {
    fn lines(&self) -> u64 {
        self.done + self.repeated + self.nothing_to_do + self.refused
    }

    pub(super) fn print(&self, elapsed: Duration, json: bool) {
        let Self {
            done,
            repeated,
            nothing_to_do,
            refused,
        } = self;
        let seconds = elapsed.as_secs_f64();
        let rate = self.lines() as f64 / seconds.max(0.001);
        say(&if json {
            json!({"done": done, "repeated": repeated, "nothingToDo": nothing_to_do, "refused": refused,
                   "seconds": seconds, "linesPerSecond": rate})
            .to_string()
        } else {
            format!(
                "{done} done, {repeated} done before, {nothing_to_do} with nothing to do, {refused} refused \
                 in {seconds:.1} s ({rate:.0} lines/s)"
            )
        });
    }
}

/// A line on standard output. That nobody reads it any more is no reason to leave an import half done.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
