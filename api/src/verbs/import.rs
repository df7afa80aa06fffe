//! `docket import`: history from elsewhere, through the same door as everything else.
//!
//! A line is a command in JSON with a `key`, which makes its id, and `occurredAt`; see `docs/importing.md`. Lines about
//! one order run in the order of the file, different orders run side by side. Running the same file again changes
//! nothing, because every command meets its stored answer; so an import that was interrupted is resumed by starting it
//! again.
//!
//! A line goes through three stages: a thread reads and parses it ([`source`]), what is done already is passed over
//! by the hundred ([`feed`]), and workers run the rest ([`schedule`], [`work`]). Memory is bounded by what the stages
//! hold, not by the file.

mod line;
mod report;
mod schedule;
mod source;
mod work;

use crate::{app::Database, catch_up::catch_up, config::Config};
use clap::Args;
use docket_domain::{Actor, Role};
use docket_event_store::Store;
use indicatif::{ProgressBar, ProgressStyle};
use report::Report;
use schedule::Schedule;
use source::Source;
use std::{
    error::Error,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::{JoinError, JoinSet};
use work::{Fault, Import};

/// Orders that are worked on at once. More of them in flight make larger commits; the store's own bounded queues hold
/// many times as many commands.
const WORKERS: usize = 256;

/// `docket import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file; `-` is standard input.
    file: PathBuf,
    /// Stop at the first line that is not taken.
    #[arg(long)]
    strict: bool,
    /// Whom the events name. Keys belong to this name: use the same to resume.
    #[arg(long, default_value = "import")]
    actor: String,
}

/// Why an import ended before its file did.
#[derive(Debug, thiserror::Error)]
enum ImportError {
    /// The input broke off.
    #[error("the input cannot be read")]
    Read(#[source] std::io::Error),
    /// The log does not take anything.
    #[error("the import cannot go on at line {line}; start it again to resume")]
    Stuck {
        /// The line that was tried.
        line: u64,
        /// What came of it.
        #[source]
        fault: Fault,
    },
    /// A part of this program panicked.
    #[error("the import broke")]
    Broken(#[from] JoinError),
}

pub(crate) async fn run(config: &Config, args: &ImportArgs, json: bool) -> Result<ExitCode, Box<dyn Error>> {
    let source = Source::open(&args.file)?;
    let database = Database::open(config).await?;
    let store = database.store(config).await?;
    let bar = progress(source.size(), json);
    let started = Instant::now();
    let report = Report::new(bar.clone(), json);
    let imported = import(&store, args, source, &report).await;
    bar.finish_and_clear();
    let summary = report.summary();
    summary.print(started.elapsed(), json);
    // Whoever looks next sees what was imported, also where no server runs.
    let fed = catch_up(&store, config).await;
    store.close().await;
    database.close().await?;
    imported?;
    fed?;
    Ok(if summary.refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn progress(size: Option<u64>, json: bool) -> ProgressBar {
    if json {
        return ProgressBar::hidden();
    }
    let (bar, template) = match size {
        Some(size) => (
            ProgressBar::new(size),
            "{wide_bar} {bytes}/{total_bytes}  {msg}  {elapsed_precise}, {eta} to go",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {bytes}  {msg}  {elapsed_precise}",
        ),
    };
    bar.enable_steady_tick(Duration::from_millis(200));
    // The templates are constants; one that did not read would leave the default bar.
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Runs the stages until the file or the import is at its end.
async fn import(
    store: &Store,
    args: &ImportArgs,
    source: Source,
    report: &Report,
) -> Result<(), ImportError> {
    let actor = Actor::new(Role::Operator, &args.actor);
    let mut lines = source.start(&actor);
    let schedule = Arc::new(Schedule::new());
    let import = Arc::new(Import::new(
        store,
        actor,
        report,
        Arc::clone(&schedule),
        args.strict,
    ));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        workers.spawn(Arc::clone(&import).work());
    }
    let fed = feed(&import, &schedule, &mut lines, &mut workers).await;
    schedule.close();
    while let Some(worker) = workers.join_next().await {
        worker?;
    }
    fed?;
    match import.fault() {
        Some((line, fault)) => Err(ImportError::Stuck { line, fault }),
        None => Ok(()),
    }
}

/// Takes parsed lines as they come, passes over those that are done and schedules the rest.
async fn feed(
    import: &Import,
    schedule: &Schedule,
    lines: &mut source::Lines,
    workers: &mut JoinSet<()>,
) -> Result<(), ImportError> {
    loop {
        let chunk = tokio::select! {
            // Standard input may never end; an import that has stopped does not wait for it.
            () = schedule.stopped() => return Ok(()),
            Some(worker) = workers.join_next() => return Ok(worker?),
            chunk = lines.recv() => chunk,
        };
        match chunk {
            None => return Ok(()),
            Some(Err(error)) => return Err(ImportError::Read(error)),
            Some(Ok(chunk)) => {
                for line in import.screen(chunk).await {
                    schedule.add(line).await;
                }
            }
        }
    }
}
