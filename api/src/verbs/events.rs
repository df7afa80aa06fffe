//! `docket events`: the log, as it is stored.

use crate::{app::Database, config::Config};
use clap::Args;
use docket_domain::{StreamId, Version};
use docket_event_store::{FeedError, RecordedEvent, Store, limits};
use serde_json::{json, value::RawValue};
use std::{
    error::Error,
    io::{self, Write as _},
};

/// `docket events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Only this partition.
    #[arg(long, conflicts_with = "stream")]
    partition: Option<u16>,
    /// Only this stream: an order's, a payment's or a shipment's id.
    #[arg(long, conflicts_with = "follow")]
    stream: Option<StreamId>,
    /// Only what comes after this offset (with --stream: this version).
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    after: i64,
    /// Go on with what is appended from now on, until interrupted.
    #[arg(long)]
    follow: bool,
}

pub(crate) async fn run(config: &Config, args: &EventsArgs, json: bool) -> Result<(), Box<dyn Error>> {
    let database = Database::open(config).await?;
    let store = database.store(config).await?;
    let printed = tokio::select! {
        printed = print(&store, args, json) => printed,
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(PrintError::Write),
    };
    store.close().await;
    database.close().await?;
    match printed {
        // A reader such as `head` that has seen enough is no failure.
        Err(PrintError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

#[derive(Debug, thiserror::Error)]
enum PrintError {
    #[error(transparent)]
    Read(#[from] FeedError),
    #[error("the events cannot be printed")]
    Write(#[from] io::Error),
}

async fn print(store: &Store, args: &EventsArgs, json: bool) -> Result<(), PrintError> {
    match args.stream {
        Some(stream) => print_stream(store, stream, args.after, json).await,
        None => print_partitions(store, args, json).await,
    }
}

async fn print_stream(store: &Store, stream: StreamId, after: i64, json: bool) -> Result<(), PrintError> {
    let mut after = Version(i32::try_from(after).unwrap_or(i32::MAX));
    loop {
        let events = store.read_stream(stream, after, limits::PAGE_EVENTS).await?;
        let Some(last) = events.last() else { return Ok(()) };
        after = last.version;
        for event in &events {
            line(event, json)?;
        }
    }
}

async fn print_partitions(store: &Store, args: &EventsArgs, json: bool) -> Result<(), PrintError> {
    let feed = store.feed();
    let mut moved = feed.moved();
    let partitions: Vec<u16> = match args.partition {
        Some(partition) if partition < feed.partitions() => vec![partition],
        Some(partition) => return Err(FeedError::NoSuchPartition(partition).into()),
        None => (0..feed.partitions()).collect(),
    };
    let mut cursors: Vec<(u16, i64)> = partitions
        .into_iter()
        .map(|partition| (partition, args.after))
        .collect();
    loop {
        moved.mark_unchanged();
        let mut idle = true;
        for (partition, after) in &mut cursors {
            let events = feed.read(*partition, *after, limits::PAGE_EVENTS).await?;
            for event in &events {
                *after = event.position.offset;
                idle = false;
                line(event, json)?;
            }
        }
        if idle && (!args.follow || moved.changed().await.is_err()) {
            return Ok(());
        }
    }
}

fn line(event: &RecordedEvent, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        // The payload goes out as it is stored, whether or not this binary can decode it.
        let payload: &RawValue = serde_json::from_str(&event.payload)?;
        let line = json!({
            "partition": event.position.partition,
            "offset": event.position.offset,
            "eventId": event.event_id,
            "stream": event.stream,
            "version": event.version,
            "type": event.event_type,
            "schemaVersion": event.schema_version,
            "origin": event.command.origin.as_str(),
            "occurredAt": event.command.occurred_at,
            "recordedAt": event.recorded_at,
            "commandId": event.command.command_id,
            "causationId": event.command.causation_id,
            "actor": {"kind": event.command.actor_kind, "id": &*event.command.actor_id},
            "payload": payload,
        });
        writeln!(out, "{line}")?;
    } else {
        writeln!(
            out,
            "{:>8}  {}  {:<32} {:<40} v{:<4} {}",
            event.position.to_string(),
            event.recorded_at.format("%Y-%m-%d %H:%M:%S%.3f"),
            event.event_type,
            event.stream.to_string(),
            event.version,
            event.command.actor_id,
        )?;
    }
    out.flush()
}
