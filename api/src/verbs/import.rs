//! `docket import`: history from elsewhere, through the same door as everything else.
//!
//! A line is a command in JSON with a `key`, which makes its id, and `occurredAt`; see `docs/importing.md`. Lines about
//! one order run in the order of the file, different orders run side by side. Running the same file again changes
//! nothing, because every command meets its stored answer; so an import that was interrupted is resumed by starting it
//! again.

mod line;
mod report;

use crate::{app::Database, config::Config};
use clap::Args;
use docket_domain::{Actor, Role};
use docket_event_store::{
    AppendError, ExecuteError, Origin, Request, RequestHash, Store, command_id, execute::Outcome,
};
use indicatif::{ProgressBar, ProgressStyle};
use line::{Line, LineError};
use report::Report;
use std::{
    error::Error,
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    fs::File,
    io::{self, AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    sync::{Mutex, mpsc},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// Commands that run at once; an order's are never two of them.
const WORKERS: usize = 64;
/// Lines that wait for one worker.
const QUEUED_LINES: usize = 64;
/// The longest line, in bytes.
const MAX_LINE_BYTES: u64 = 1024 * 1024;
/// How long a command is tried again while the log is not available.
const MAX_OUTAGE: Duration = Duration::from_secs(120);

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

/// A numbered line on its way to its worker.
struct Numbered {
    number: u64,
    line: Line,
}

pub(crate) async fn run(config: &Config, args: &ImportArgs, json: bool) -> Result<ExitCode, Box<dyn Error>> {
    let size = if args.file.as_os_str() == "-" {
        None
    } else {
        Some(tokio::fs::metadata(&args.file).await?.len())
    };
    let database = Database::open(config).await?;
    let store = database.store(config).await?;
    let bar = progress(size, json);
    let started = Instant::now();
    let imported = import(&store, args, &bar, json).await;
    bar.finish_and_clear();
    store.close().await;
    database.close().await?;
    let report = imported?;
    report.print(started.elapsed(), json);
    Ok(if report.refused == 0 {
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
    // The templates are constants; one that did not read would leave the default bar.
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

async fn import(store: &Store, args: &ImportArgs, bar: &ProgressBar, json: bool) -> io::Result<Report> {
    let import = Arc::new(Import {
        store: store.clone(),
        actor: Actor::new(Role::Operator, &args.actor),
        report: Mutex::new(Report::new(bar.clone(), json)),
        stop: CancellationToken::new(),
        strict: args.strict,
    });
    let (mut queues, mut workers) = (Vec::new(), JoinSet::new());
    for _ in 0..WORKERS {
        let (queue, lines) = mpsc::channel(QUEUED_LINES);
        queues.push(queue);
        workers.spawn(Arc::clone(&import).work(lines));
    }
    let read = if args.file.as_os_str() == "-" {
        import.read(BufReader::new(io::stdin()), &queues, bar).await
    } else {
        import
            .read(
                BufReader::with_capacity(1 << 20, File::open(&args.file).await?),
                &queues,
                bar,
            )
            .await
    };
    drop(queues);
    while workers.join_next().await.is_some() {}
    read?;
    Ok(import.report.lock().await.clone())
}

struct Import {
    store: Store,
    actor: Actor,
    report: Mutex<Report>,
    stop: CancellationToken,
    strict: bool,
}

impl Import {
    /// Reads lines and gives each to the worker of its order.
    async fn read(
        &self,
        mut input: impl AsyncBufRead + Unpin,
        queues: &[mpsc::Sender<Numbered>],
        bar: &ProgressBar,
    ) -> io::Result<()> {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let mut bytes = Vec::new();
        for number in 1.. {
            bytes.clear();
            // One byte more than the limit tells a line that is too long from one that just fits.
            let length = (&mut input)
                .take(MAX_LINE_BYTES + 1)
                .read_until(b'\n', &mut bytes)
                .await? as u64;
            if length == 0 || self.stop.is_cancelled() {
                break;
            }
            bar.inc(length);
            if length > MAX_LINE_BYTES && bytes.last() != Some(&b'\n') {
                self.refuse(number, &LineError::TooLong).await;
                bar.inc(skip_line(&mut input).await?);
                continue;
            }
            match Line::parse(&bytes, &self.actor) {
                Ok(None) => {}
                Ok(Some(line)) => {
                    let worker = hasher.hash_one(line.command.order().0) as usize % queues.len();
                    // A worker ends only when the import does.
                    if queues[worker].send(Numbered { number, line }).await.is_err() {
                        break;
                    }
                }
                Err(error) => self.refuse(number, &error).await,
            }
        }
        Ok(())
    }

    async fn work(self: Arc<Self>, mut lines: mpsc::Receiver<Numbered>) {
        while let Some(Numbered { number, line }) = lines.recv().await {
            if self.stop.is_cancelled() {
                continue;
            }
            match self.execute(line).await {
                Ok((outcome, repeated)) => self.report.lock().await.took(outcome, repeated),
                Err(error) => self.refuse(number, &error).await,
            }
        }
    }

    /// Runs one command; while the log is not available or does not say what became of it, the same again.
    async fn execute(&self, line: Line) -> Result<(Outcome, bool), ExecuteError> {
        let request = Request {
            command_id: command_id::derive(&self.actor, &line.key),
            request_hash: RequestHash::of("import", &line.canonical),
            command: line.command,
            actor: self.actor.clone(),
            expected_version: line.expected_version,
            occurred_at: Some(line.occurred_at),
            origin: Origin::Imported,
            causation_id: None,
            traceparent: None,
        };
        let deadline = Instant::now() + MAX_OUTAGE;
        loop {
            match self.store.execute(request.clone()).await {
                Ok(done) => return Ok((done.outcome, done.repeated)),
                Err(ExecuteError::Append(
                    AppendError::Overloaded | AppendError::Unavailable(_) | AppendError::OutcomeUnknown(_),
                )) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(error) => return Err(error),
            }
        }
    }

    async fn refuse(&self, number: u64, reason: &(dyn Error + Sync)) {
        self.report.lock().await.refuse(number, reason);
        if self.strict {
            self.stop.cancel();
        }
    }
}

/// Passes over the rest of a line that is too long; how many bytes that were.
async fn skip_line(input: &mut (impl AsyncBufRead + Unpin)) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = input.fill_buf().await?;
        if buffer.is_empty() {
            return Ok(skipped);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        input.consume(used);
        skipped += used as u64;
        if end.is_some() {
            return Ok(skipped);
        }
    }
}
