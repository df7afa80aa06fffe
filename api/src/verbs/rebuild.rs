//! `docket rebuild` and what goes with it: `rollback`, `pause`, `resume`, `cancel`.
//!
//! A rebuild shows a bar for each partition on a terminal, and a line of JSON twice a second otherwise. It may be broken off:
//! the same line goes on where it stood. One that a server does is followed as if it were done here.

use super::{
    side::{self, SideArgs},
    terminal::plain,
};
use crate::{app::Database, config::Config};
use clap::Args;
use docket_event_store::Store;
use docket_projections::{
    limits::REBUILD_PARALLEL,
    rebuild::{
        self, Comparison, Held, Outcome, Progress, Purpose, RebuildError, RebuildOptions, Rebuilt, Sizes,
        Step, Wish, usual_parallel,
    },
};
use indicatif::{HumanCount, HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::{
    error::Error,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// `docket rebuild`.
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// The read model.
    name: String,
    /// Build it and compare it with the one that is served, and drop it again.
    #[arg(long)]
    verify_only: bool,
    /// Prove the new rows by the log alone, where those that are served are known to be wrong. It takes longer.
    #[arg(long)]
    against_log: bool,
    #[command(flatten)]
    side: SideArgs,
    /// Partitions that are filled at once, each over a connection of its own [default: half of the processors].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(REBUILD_PARALLEL)))]
    parallel: Option<u16>,
}

/// What is done with one read model.
#[derive(Debug, Args)]
pub struct ReadModelArgs {
    /// The read model.
    name: String,
}

/// How often a bar is drawn.
const DRAW: Duration = Duration::from_millis(200);
/// How often a line is printed.
const LINE: Duration = Duration::from_millis(500);

pub(crate) async fn run(config: &Config, args: &RebuildArgs, json: bool) -> Result<ExitCode, Box<dyn Error>> {
    if args.side.drop_side {
        return side::drop(config, &args.name, json).await;
    }
    let database = Database::open(config).await?;
    let store = database.store(config).await?;
    let options = RebuildOptions {
        parallel: args.parallel.unwrap_or_else(usual_parallel),
        purpose: match args.side.purpose() {
            Some(aside) => aside,
            None if args.verify_only => Purpose::VerifyOnly,
            None => Purpose::Swap,
        },
        against_log: args.against_log,
        sizes: Sizes::USUAL,
    };
    let rebuilt = shown(&store, &args.name, options, json).await;
    store.close().await;
    database.close().await?;
    match rebuilt {
        Ok(rebuilt) => {
            print(&mut io::stdout().lock(), &args.name, &rebuilt, json)?;
            Ok(match rebuilt.outcome {
                Outcome::Swapped | Outcome::Verified | Outcome::Proved | Outcome::Aside => ExitCode::SUCCESS,
                Outcome::Cancelled => ExitCode::FAILURE,
            })
        }
        Err(RebuildError::Differs(comparison)) => {
            refused(&mut io::stdout().lock(), &args.name, &comparison, json)?;
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error.into()),
    }
}

/// Rebuilds while somebody watches; an interrupt leaves it where it stands.
async fn shown(
    store: &Store,
    name: &str,
    options: RebuildOptions,
    json: bool,
) -> Result<Rebuilt, RebuildError> {
    let progress = Progress::new(store.partitions().count());
    let done = CancellationToken::new();
    let watch = {
        let (progress, done, name) = (progress.clone(), done.clone(), name.to_owned());
        let as_bars = !json && io::stderr().is_terminal();
        tokio::spawn(async move {
            match as_bars {
                true => bars(&progress, &done).await,
                false => lines(&name, &progress, &done).await,
            }
        })
    };
    let interrupt = {
        let progress = progress.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                progress.stop();
            }
        })
    };
    let rebuilt = rebuild::rebuild_or_follow(store, name, options, &progress).await;
    interrupt.abort();
    done.cancel();
    if let Err(error) = watch.await {
        tracing::warn!(%error, "the progress could not be shown to its end");
    }
    rebuilt
}

fn held(progress: &Progress) -> &'static str {
    match progress.held() {
        Held::No => "",
        Held::Paused => "paused",
        Held::Yields => "makes way for live read models",
    }
}

/// One line of JSON at a time, for a program.
async fn lines(name: &str, progress: &Progress, done: &CancellationToken) {
    let started = Instant::now();
    let mut out = io::stdout();
    loop {
        let over = done.run_until_cancelled(tokio::time::sleep(LINE)).await.is_none();
        let (mut partitions, mut folded, mut target) = (Vec::new(), 0, 0);
        for at in progress.partitions() {
            folded += at.folded;
            target += at.target;
            partitions.push(json!({
                "partition": at.partition, "folded": at.folded, "written": at.written, "target": at.target,
            }));
        }
        let line = json!({
            "projection": name, "step": progress.step().as_str(), "folded": folded, "target": target,
            "seconds": started.elapsed().as_secs_f64(), "held": held(progress), "partitions": partitions,
        });
        if over || writeln!(out, "{line}").is_err() {
            return;
        }
    }
}

/// A bar for each partition, and one for the whole.
async fn bars(progress: &Progress, done: &CancellationToken) {
    let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
    let style = |template: &str| {
        let style = ProgressStyle::with_template(template);
        style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ")
    };
    let style = style("{prefix:>12} [{bar:30}] {human_pos:>11} / {human_len:<11} {msg}");
    let mut bars: Vec<(ProgressBar, Pace)> = Vec::new();
    let total = all.add(
        ProgressBar::new(0)
            .with_style(style.clone())
            .with_prefix("rebuild"),
    );
    let mut pace = Pace::default();
    loop {
        let over = done.run_until_cancelled(tokio::time::sleep(DRAW)).await.is_none();
        let (mut folded, mut target) = (0, 0);
        for at in progress.partitions() {
            let place = usize::from(at.partition);
            if bars.len() <= place {
                let bar = ProgressBar::new(0).with_style(style.clone());
                let bar = bar.with_prefix(format!("partition {}", at.partition));
                bars.push((all.insert_before(&total, bar), Pace::default()));
            }
            if let Some((bar, pace)) = bars.get_mut(place) {
                bar.set_length(at.target.unsigned_abs());
                bar.set_position(at.folded.unsigned_abs());
                bar.set_message(pace.told(at.folded, at.target));
            }
            folded += at.folded;
            target += at.target;
        }
        let told = pace.told(folded, target);
        total.set_length(target.unsigned_abs());
        total.set_position(folded.unsigned_abs());
        let what = match progress.step() {
            Step::Create => "makes tables".to_owned(),
            Step::Load => told,
            Step::Index => "builds indexes".to_owned(),
            Step::Verify => "compares with what is served".to_owned(),
            Step::Swap => "swaps".to_owned(),
        };
        let held = held(progress);
        total.set_message(match held.is_empty() {
            true => what,
            false => format!("{what}: {held}"),
        });
        if over {
            bars.iter().for_each(|(bar, _)| bar.finish_and_clear());
            total.finish_and_clear();
            return;
        }
    }
}

/// How fast something goes, from when it began to move.
#[derive(Default)]
struct Pace {
    /// When that was, and where.
    began: Option<(Instant, i64)>,
    /// Where it was a moment ago.
    last: i64,
    per_second: f64,
}

impl Pace {
    /// The rate, and how long it takes from here to there at that rate.
    fn told(&mut self, at: i64, target: i64) -> String {
        let began = *self.began.get_or_insert_with(|| (Instant::now(), at));
        if at == began.1 {
            // It has not moved yet, or begins again.
            self.began = Some((Instant::now(), at));
        } else if at != self.last {
            self.per_second = (at - began.1) as f64 / began.0.elapsed().as_secs_f64().max(1e-3);
        }
        self.last = at;
        if self.per_second <= 0.0 {
            return String::new();
        }
        let rate = HumanCount(self.per_second as u64);
        match target - at {
            left if left > 0 => {
                let left = HumanDuration(Duration::from_secs_f64(left as f64 / self.per_second));
                format!("{rate} events/s, {left:#} left")
            }
            _ => format!("{rate} events/s"),
        }
    }
}

/// Why it was not swapped.
fn refused(out: &mut impl io::Write, name: &str, comparison: &Comparison, json: bool) -> io::Result<()> {
    let Comparison { rows, differ, named } = comparison;
    let named: Vec<String> = named.iter().map(ToString::to_string).collect();
    if json {
        let line =
            json!({"projection": name, "outcome": "differs", "rows": rows, "differ": differ, "first": named});
        return writeln!(out, "{line}");
    }
    writeln!(
        out,
        "Not swapped: {differ} of {rows} rows of {name} differ from those that are served. The first:"
    )?;
    named
        .iter()
        .try_for_each(|difference| writeln!(out, "  {}", plain(difference)))?;
    writeln!(
        out,
        "It stands where it is: `docket cancel {name}` drops it, `docket rebuild {name}` compares again."
    )
}

fn print(out: &mut impl io::Write, name: &str, rebuilt: &Rebuilt, json: bool) -> io::Result<()> {
    let Rebuilt {
        from,
        generation,
        rows,
        is_compared,
        differences,
        outcome,
        took,
    } = rebuilt;
    if json {
        let took: serde_json::Map<_, _> = took
            .iter()
            .map(|(step, took)| (step.as_str().to_owned(), took.as_secs_f64().into()))
            .collect();
        let mut line = json!({
            "projection": name, "outcome": outcome.as_str(), "from": from.0, "generation": generation.0, "rows": rows,
            "compared": is_compared,
            "seconds": took,
        });
        if *outcome == Outcome::Aside {
            line["tables"] = side::tables(differences).into();
        }
        return writeln!(out, "{line}");
    }
    match outcome {
        Outcome::Swapped => writeln!(
            out,
            "{name}: generation {generation} is served; its {rows} rows are {}. Generation {from} is kept: \
             `docket rollback {name}` serves it again.",
            match is_compared {
                true => format!("those of generation {from}"),
                false => "proved".to_owned(),
            }
        ),
        Outcome::Verified => {
            writeln!(
                out,
                "{name}: {rows} rows were built anew, and none differs from what is served."
            )
        }
        Outcome::Proved => writeln!(
            out,
            "{name}: {rows} rows were built anew, and they are the fold of the log. What is served was not compared with \
             them: see `docket verify`."
        ),
        Outcome::Aside => out.write_all(side::told(name, rebuilt).as_bytes()),
        Outcome::Cancelled => {
            writeln!(
                out,
                "{name}: the rebuild was called off; generation {from} is served as before."
            )
        }
    }
}

pub(crate) async fn rollback(
    config: &Config,
    args: &ReadModelArgs,
    json: bool,
) -> Result<(), Box<dyn Error>> {
    let database = Database::open(config).await?;
    let store = database.store(config).await?;
    let back = rebuild::rollback(&store, &args.name).await;
    store.close().await;
    database.close().await?;
    let generation = back?;
    let (mut out, name) = (io::stdout().lock(), &args.name);
    match json {
        true => writeln!(out, "{}", json!({"projection": name, "generation": generation.0}))?,
        false => writeln!(out, "{name}: generation {generation} is served again.")?,
    }
    Ok(())
}

pub(crate) async fn wish(
    config: &Config,
    args: &ReadModelArgs,
    wish: Wish,
    json: bool,
) -> Result<(), Box<dyn Error>> {
    let database = Database::open(config).await?;
    let store = database.store(config).await?;
    let wished = rebuild::wish(&store, &args.name, wish).await;
    store.close().await;
    database.close().await?;
    let operation = wished?;
    let (mut out, name, step) = (io::stdout().lock(), &args.name, operation.step);
    if json {
        let line = json!({"projection": name, "step": step.as_str(), "owner": operation.owner});
        writeln!(out, "{line}")?;
        return Ok(());
    }
    match (wish, operation.owner.is_some()) {
        (Wish::Pause, true) => writeln!(out, "{name}: the rebuild waits from now on, at step {step}."),
        (Wish::Pause, false) => writeln!(out, "{name}: nobody does the rebuild now; it waits as it is."),
        (Wish::Run, true) => writeln!(out, "{name}: the rebuild goes on, at step {step}."),
        (Wish::Run, false) => writeln!(
            out,
            "{name}: nobody does the rebuild now; a server goes on with it where one runs, and `docket rebuild {name}` does."
        ),
        (Wish::Cancel, true) => writeln!(out, "{name}: the rebuild is called off."),
        (Wish::Cancel, false) => writeln!(out, "{name}: what stood there of a rebuild is gone."),
    }?;
    Ok(())
}
