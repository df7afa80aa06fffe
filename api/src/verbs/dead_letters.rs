//! `docket dead-letters`: what could not be applied to a read model, and what is done about it.

use crate::{app::Database, config::Config, verbs::terminal::plain};
use clap::{Args, Subcommand};
use docket_domain::OrderId;
use docket_event_store::{Position, Store};
use docket_projections::{
    dead_letter::{self, DeadLetterError, Discarded, Letter, Place, Sequence},
    limits::LETTERS_PAGE,
};
use serde_json::{Value, json, value::RawValue};
use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// `docket dead-letters`.
#[derive(Debug, Args)]
pub struct DeadLettersArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the orders that wait, and the events that were discarded.
    List {
        /// Only of this read model.
        name: Option<String>,
    },
    /// Show what waits of an order: the event, why it could not be applied, and what waits behind it.
    Show {
        /// The read model.
        name: String,
        /// The order.
        order: OrderId,
    },
    /// Try again what waits, in order.
    Retry {
        /// The read model.
        name: String,
        /// The order.
        #[arg(required_unless_present = "all")]
        order: Option<OrderId>,
        /// Everything that waits.
        #[arg(long, conflicts_with = "order")]
        all: bool,
    },
    /// Have a read model pass over an event for good, in every rebuild as well.
    Discard {
        /// The read model.
        name: String,
        /// The event, as `list` names it: PARTITION:OFFSET.
        position: Position,
        /// Why: it is kept with the event.
        #[arg(long)]
        reason: String,
        /// Who has decided so.
        #[arg(long, default_value = "operator")]
        by: String,
    },
}

/// How long it is waited for the owners of partitions to do what they were told.
const WAIT: Duration = Duration::from_secs(10);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(100);

pub(crate) async fn run(
    config: &Config,
    args: &DeadLettersArgs,
    json: bool,
) -> Result<ExitCode, Box<dyn Error>> {
    let database = Database::open(config).await?;
    let store = database.store(config).await?;
    let done = act(&store, &args.action, json).await;
    store.close().await;
    database.close().await?;
    done
}

async fn act(store: &Store, action: &Action, json: bool) -> Result<ExitCode, Box<dyn Error>> {
    match action {
        Action::List { name } => list(store, name.as_deref(), json).await?,
        Action::Show { name, order } => show(store, name, *order, json).await?,
        Action::Retry { name, order, .. } => {
            let sequences = dead_letter::retry(store.pool(), name, *order).await?;
            return await_retry(store, name, *order, sequences, json).await;
        }
        Action::Discard {
            name,
            position,
            reason,
            by,
        } => {
            dead_letter::discard(store.pool(), name, *position, reason, by).await?;
            let mut out = io::stdout().lock();
            if json {
                let done = json!({"projection": name, "position": position.to_string(), "discarded": true});
                writeln!(out, "{done}")?;
            } else {
                writeln!(
                    out,
                    "{name} passes over event {position} from now on; what waited behind it is tried."
                )?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(store: &Store, name: Option<&str>, json: bool) -> Result<(), Box<dyn Error>> {
    let discarded = dead_letter::discarded(store.pool(), name).await?;
    let more = match discarded.len() as i64 {
        LETTERS_PAGE => dead_letter::discarded_count(store.pool(), name).await? - LETTERS_PAGE,
        _ => 0,
    };
    let (mut last, mut count): (Option<Place>, u64) = (None, 0);
    loop {
        let page = dead_letter::list(store.pool(), name, last.as_ref(), LETTERS_PAGE).await?;
        let mut out = io::stdout().lock();
        for sequence in &page {
            if json {
                writeln!(out, "{}", of_sequence(sequence))?;
            } else {
                line(&mut out, sequence)?;
            }
        }
        count += page.len() as u64;
        last = page.last().map(Sequence::place);
        if last.is_none() {
            break;
        }
    }
    let mut out = io::stdout().lock();
    if !json && count == 0 {
        writeln!(out, "Nothing waits.")?;
    }
    for one in &discarded {
        if json {
            writeln!(out, "{}", of_discarded(one))?;
        } else {
            let Discarded {
                projection,
                position,
                order,
                reason,
                by,
                at,
                ..
            } = one;
            put(
                &mut out,
                &format!(
                    "{projection}, event {position} of order {order}: discarded by {by} at {at}: {reason}"
                ),
            )?;
        }
    }
    say_more(&mut out, more, json)?;
    Ok(())
}

/// The last line of a list that was cut.
fn say_more(out: &mut impl Write, more: i64, json: bool) -> io::Result<()> {
    match more {
        ..=0 => Ok(()),
        _ if json => writeln!(out, "{}", json!({"more": more})),
        _ => writeln!(out, "and {more} more"),
    }
}

fn line(out: &mut impl Write, sequence: &Sequence) -> io::Result<()> {
    let Sequence {
        projection,
        generation,
        order,
        position,
        event_type,
        failure,
        is_wanted,
        behind,
    } = sequence;
    let why = failure.as_ref().map_or_else(
        || "not tried yet".to_owned(),
        |failure| format!("{failure}; tried {} times", failure.attempts),
    );
    let again = if *is_wanted {
        ", about to be tried again"
    } else {
        ""
    };
    put(
        out,
        &format!(
            "{projection} g{generation}, order {order}: event {position} {event_type}{again}, {behind} behind it: {why}"
        ),
    )
}

/// Writes a line that holds what people or events say: control characters are shown, none reaches the terminal.
fn put(out: &mut impl Write, line: &str) -> io::Result<()> {
    writeln!(out, "{}", plain(line))
}

fn of_sequence(sequence: &Sequence) -> Value {
    let failure = sequence.failure.as_ref();
    json!({
        "projection": sequence.projection, "generation": sequence.generation.0, "order": sequence.order,
        "position": sequence.position.to_string(), "type": sequence.event_type, "behind": sequence.behind,
        "isWanted": sequence.is_wanted, "class": failure.map(|failure| failure.class.as_str()),
        "reason": failure.map(|failure| failure.reason.as_str()), "attempts": failure.map(|failure| failure.attempts),
        "failedAt": failure.map(|failure| failure.failed_at),
    })
}

fn of_discarded(discarded: &Discarded) -> Value {
    json!({
        "projection": discarded.projection, "position": discarded.position.to_string(), "order": discarded.order,
        "discarded": true, "reason": discarded.reason, "by": discarded.by, "at": discarded.at,
        "failure": discarded.failure,
    })
}

async fn show(store: &Store, name: &str, order: OrderId, json: bool) -> Result<(), Box<dyn Error>> {
    let letters = dead_letter::show(store.pool(), name, order).await?;
    let more = match letters.len() as i64 {
        LETTERS_PAGE => dead_letter::letter_count(store.pool(), name, order).await? - LETTERS_PAGE,
        _ => 0,
    };
    let mut out = io::stdout().lock();
    for letter in &letters {
        if json {
            writeln!(out, "{}", of_letter(letter)?)?;
            continue;
        }
        let Letter {
            generation,
            position,
            event_type,
            schema_version,
            recorded_at,
            payload,
            failure,
            ..
        } = letter;
        match failure {
            Some(failure) => {
                let (attempts, at) = (failure.attempts, failure.failed_at);
                put(
                    &mut out,
                    &format!(
                        "g{generation} event {position}, {event_type} v{schema_version}, recorded {recorded_at}"
                    ),
                )?;
                put(&mut out, &format!("  {failure}"))?;
                put(&mut out, &format!("  tried {attempts} times, last at {at}"))?;
                put(&mut out, &format!("  {payload}"))?;
            }
            None => put(
                &mut out,
                &format!("g{generation} behind it: {position}, {event_type} v{schema_version}"),
            )?,
        }
    }
    say_more(&mut out, more, json)?;
    Ok(())
}

fn of_letter(letter: &Letter) -> Result<Value, serde_json::Error> {
    let failure = letter.failure.as_ref();
    Ok(json!({
        "generation": letter.generation.0, "position": letter.position.to_string(), "eventId": letter.event_id,
        "type": letter.event_type, "schemaVersion": letter.schema_version, "recordedAt": letter.recorded_at,
        "payload": RawValue::from_string(letter.payload.clone())?,
        "class": failure.map(|failure| failure.class.as_str()),
        "reason": failure.map(|failure| failure.reason.as_str()), "attempts": failure.map(|failure| failure.attempts),
        "failedAt": failure.map(|failure| failure.failed_at),
    }))
}

/// Says what came of it: status 1 where something waits still.
async fn await_retry(
    store: &Store,
    name: &str,
    order: Option<OrderId>,
    sequences: i64,
    json: bool,
) -> Result<ExitCode, Box<dyn Error>> {
    let until = Instant::now() + WAIT;
    let left = loop {
        let left = waiting(store, name, order).await?;
        if left.iter().all(|sequence| !sequence.is_wanted) || Instant::now() > until {
            break left;
        }
        sleep(LOOK).await;
    };
    let untried = left.iter().filter(|sequence| sequence.is_wanted).count();
    let mut out = io::stdout().lock();
    if json {
        let left: Vec<Value> = left.iter().map(of_sequence).collect();
        let done = json!({"projection": name, "sequences": sequences, "untried": untried, "left": left});
        writeln!(out, "{done}")?;
    } else {
        let were = if sequences == 1 {
            "1 order was"
        } else {
            &format!("{sequences} orders were")
        };
        writeln!(out, "{were} to be tried again; {} wait still.", left.len())?;
        left.iter().try_for_each(|sequence| line(&mut out, sequence))?;
        if untried > 0 {
            writeln!(
                out,
                "{untried} were not tried within {} s: does a program run that feeds {name}?",
                WAIT.as_secs()
            )?;
        }
    }
    Ok(match left.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

async fn waiting(
    store: &Store,
    name: &str,
    order: Option<OrderId>,
) -> Result<Vec<Sequence>, DeadLetterError> {
    let (mut left, mut after) = (Vec::new(), None);
    loop {
        let page = dead_letter::list(store.pool(), Some(name), after.as_ref(), LETTERS_PAGE).await?;
        after = page.last().map(Sequence::place);
        if after.is_none() {
            return Ok(left);
        }
        left.extend(
            page.into_iter()
                .filter(|sequence| order.is_none_or(|order| sequence.order == order)),
        );
    }
}
