//! `docket projections`: how every read model, every other generation of it and every reactor fares, and why one does not
//! move.

use super::terminal::plain;
use crate::{app::Database, config::Config};
use clap::Args;
use docket_event_store::Store;
use docket_projections::{
    overview::{Line, overview, summaries},
    shown_name,
};
use serde_json::json;
use std::{
    error::Error,
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

/// `docket projections`.
#[derive(Debug, Args)]
pub struct ProjectionsArgs {
    /// Show it again and again, until interrupted.
    #[arg(long)]
    watch: bool,
    /// Every partition of this one.
    #[arg(long, value_name = "NAME")]
    of: Option<String>,
}

/// How long it is looked at for a rate.
const LOOK: Duration = Duration::from_secs(1);
/// Where the terminal's screen begins, and everything below is wiped out.
const HOME: &str = "\x1b[H\x1b[J";

pub(crate) async fn run(config: &Config, args: &ProjectionsArgs, json: bool) -> Result<(), Box<dyn Error>> {
    let database = Database::open(config).await?;
    let store = database.store(config).await?;
    let shown = show(&store, args, json).await;
    store.close().await;
    database.close().await?;
    shown
}

async fn show(store: &Store, args: &ProjectionsArgs, json: bool) -> Result<(), Box<dyn Error>> {
    loop {
        let Some(lines) = until_interrupted(overview(store.pool(), LOOK)).await else {
            return Ok(());
        };
        let mut lines = lines?;
        if let Some(name) = &args.of {
            lines.retain(|line| line.projection == *name);
            if lines.is_empty() {
                return Err(format!("there is no read model {:?}", shown_name(name)).into());
            }
        }
        let mut out = io::stdout().lock();
        if args.watch && !json && out.is_terminal() {
            write!(out, "{HOME}")?;
        }
        match (json, args.of.is_some()) {
            (true, _) => lines.iter().try_for_each(|line| writeln!(out, "{}", of(line)))?,
            (false, true) => partitions(&mut out, &lines)?,
            (false, false) => summary(&mut out, &lines)?,
        }
        out.flush()?;
        if !args.watch {
            return Ok(());
        }
    }
}

async fn until_interrupted<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        _ = tokio::signal::ctrl_c() => None,
    }
}

/// A line of JSON.
fn of(line: &Line) -> serde_json::Value {
    let reason = line.standing.to_string();
    json!({
        "projection": line.projection, "generation": line.generation.0, "role": line.role.as_str(),
        "version": line.version, "partition": line.partition, "offset": line.offset, "head": line.head,
        "lagEvents": line.lag_events, "lagSeconds": line.lag_seconds, "perSecond": line.per_second.round(),
        "owner": line.owner, "standing": line.standing.as_str(), "reason": reason,
    })
}

/// A line for each generation.
fn summary(out: &mut impl io::Write, lines: &[Line]) -> io::Result<()> {
    writeln!(
        out,
        "{:<18} {:>3} {:<8} {:>12} {:>10} {:>9} {:>10}  state",
        "name", "gen", "role", "events", "behind", "seconds", "events/s"
    )?;
    for of in summaries(lines) {
        let first = of.first();
        writeln!(
            out,
            "{:<18} {:>3} {:<8} {:>12} {:>10} {:>9.1} {:>10.0}  {}",
            first.projection,
            first.generation.to_string(),
            first.role.as_str(),
            of.events(),
            of.lag_events(),
            of.lag_seconds(),
            of.per_second(),
            plain(&of.detail())
        )?;
    }
    Ok(())
}

/// A line for each partition.
fn partitions(out: &mut impl io::Write, lines: &[Line]) -> io::Result<()> {
    writeln!(
        out,
        "{:>3} {:<8} {:>9} {:>12} {:>12} {:>9} {:>9} {:>10}  state",
        "gen", "role", "partition", "offset", "head", "behind", "seconds", "events/s"
    )?;
    for line in lines {
        writeln!(
            out,
            "{:>3} {:<8} {:>9} {:>12} {:>12} {:>9} {:>9.1} {:>10.0}  {}",
            line.generation.to_string(),
            line.role.as_str(),
            line.partition,
            line.offset,
            line.head,
            line.lag_events,
            line.lag_seconds,
            line.per_second,
            plain(&line.standing.to_string())
        )?;
    }
    Ok(())
}
