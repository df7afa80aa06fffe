//! Running an import's lines: what is done already is passed over, what fails for a while is tried again, and what is
//! wrong with a line is told.

use super::{
    line::Line,
    report::Report,
    schedule::{Schedule, Task},
    source::Numbered,
};
use crate::verbs::patience::{self, Answer};
use docket_domain::Actor;
use docket_event_store::{ExecuteError, Origin, Request, Store, execute::Outcome};
use std::{
    error::Error,
    sync::{Arc, OnceLock},
};

/// Why no line can be taken: it is not the line's fault.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub(super) struct Fault(Arc<ExecuteError>);

/// What workers share.
pub(super) struct Import {
    store: Store,
    actor: Actor,
    report: Report,
    schedule: Arc<Schedule>,
    strict: bool,
    fault: OnceLock<(u64, Fault)>,
}

impl Import {
    pub(super) fn new(
        store: &Store,
        actor: Actor,
        report: &Report,
        schedule: Arc<Schedule>,
        strict: bool,
    ) -> Self {
        Self {
            store: store.clone(),
            actor,
            report: report.clone(),
            schedule,
            strict,
            fault: OnceLock::new(),
        }
    }

    /// What ended the import, if it was not a line, and the line that met it.
    pub(super) fn fault(&self) -> Option<(u64, Fault)> {
        self.fault.get().cloned()
    }

    /// Reports what is wrong with lines and what was done before; gives back what is to be run.
    pub(super) async fn screen(&self, chunk: Vec<Numbered>) -> Vec<Task> {
        let mut tasks = Vec::with_capacity(chunk.len());
        for Numbered { number, bytes, line } in chunk {
            match line {
                Ok(Some(line)) => tasks.push(Task { number, bytes, line }),
                Ok(None) => self.report.passed(bytes),
                Err(error) => self.refuse(number, bytes, &error),
            }
        }
        let asked: Vec<_> = tasks
            .iter()
            .map(|task| (task.line.id, task.line.request_hash))
            .collect();
        // A look-up that fails decides nothing: each command meets its stored answer by itself.
        let done = self.store.answered(&asked).await.unwrap_or_default();
        tasks.retain(|task| {
            let repeated = done.contains(&task.line.id);
            if repeated {
                self.report.took(task.bytes, Outcome::Done, true);
            }
            !repeated
        });
        tasks
    }

    /// Takes orders and runs their lines until none is left.
    pub(super) async fn work(self: Arc<Self>) {
        while let Some(order) = self.schedule.take().await {
            while let Some(Task { number, bytes, line }) = self.schedule.next(order) {
                if self.schedule.is_over(number) {
                    continue;
                }
                match self.execute(number, line).await {
                    Some(Ok((outcome, repeated))) => self.report.took(bytes, outcome, repeated),
                    Some(Err(error)) => self.refuse(number, bytes, &error),
                    None => {}
                }
            }
        }
    }

    /// Runs one command; while the log is not available or does not say what became of it, the same again. `None` when
    /// the import ended meanwhile.
    async fn execute(&self, number: u64, line: Line) -> Option<Result<(Outcome, bool), ExecuteError>> {
        let request = Request {
            command_id: line.id,
            request_hash: line.request_hash,
            command: line.command,
            actor: self.actor.clone(),
            expected_version: line.expected_version,
            occurred_at: Some(line.occurred_at),
            origin: Origin::Imported,
            causation_id: None,
            traceparent: None,
        };
        match patience::execute(&self.store, &request, || self.schedule.is_over(number)).await {
            Answer::Taken(done) => Some(Ok((done.outcome, done.repeated))),
            Answer::Refused(error) => Some(Err(error)),
            Answer::GivenUp => None,
            Answer::Stuck(error) => {
                // The first one tells; the others meet the same.
                let _ = self.fault.set((number, Fault(Arc::new(error))));
                self.schedule.stop_at(0);
                None
            }
        }
    }

    fn refuse(&self, number: u64, bytes: u64, reason: &dyn Error) {
        if self.schedule.is_over(number) {
            return;
        }
        self.report.refused(number, bytes, reason);
        if self.strict {
            self.schedule.stop_at(number);
        }
    }
}
