//! What an import did.

use docket_event_store::execute::Outcome;
use indicatif::ProgressBar;
use serde_json::json;
use std::{error::Error, time::Duration};

/// The count of what became of the lines; tells of each refusal at once.
#[derive(Clone)]
pub(super) struct Report {
    pub(super) done: u64,
    pub(super) repeated: u64,
    pub(super) nothing_to_do: u64,
    pub(super) refused: u64,
    bar: ProgressBar,
    json: bool,
}

impl Report {
    pub(super) fn new(bar: ProgressBar, json: bool) -> Self {
        Self {
            done: 0,
            repeated: 0,
            nothing_to_do: 0,
            refused: 0,
            bar,
            json,
        }
    }

    pub(super) fn took(&mut self, outcome: Outcome, repeated: bool) {
        match (outcome, repeated) {
            (_, true) => self.repeated += 1,
            (Outcome::Done, false) => self.done += 1,
            (Outcome::NothingToDo, false) => self.nothing_to_do += 1,
        }
        let lines = self.done + self.repeated + self.nothing_to_do;
        if lines.is_multiple_of(100) {
            let rate = lines as f64 / self.bar.elapsed().as_secs_f64().max(0.001);
            self.bar.set_message(format!("{lines} commands, {rate:.0}/s"));
        }
    }

    pub(super) fn refuse(&mut self, line: u64, reason: &dyn Error) {
        self.refused += 1;
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
            println!("{}", json!({"line": line, "error": text}));
        } else {
            self.bar.suspend(|| eprintln!("line {line}: {text}"));
        }
    }

    pub(super) fn print(&self, elapsed: Duration, json: bool) {
        let Self {
            done,
            repeated,
            nothing_to_do,
            refused,
            ..
        } = self;
        let seconds = elapsed.as_secs_f64();
        let rate = (done + repeated + nothing_to_do + refused) as f64 / seconds.max(0.001);
        if json {
            println!(
                "{}",
                json!({"done": done, "repeated": repeated, "nothingToDo": nothing_to_do, "refused": refused,
                       "seconds": seconds, "linesPerSecond": rate})
            );
        } else {
            println!(
                "{done} done, {repeated} done before, {nothing_to_do} with nothing to do, {refused} refused \
                 in {seconds:.1} s ({rate:.0} lines/s)"
            );
        }
    }
}
