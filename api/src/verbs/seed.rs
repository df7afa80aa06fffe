//! `docket seed`: a made-up shop with a past, through the same door as everything else.
//!
//! Orders are told one by one ([`story`]), as many as wanted at a time are written side by side, and the commands of one
//! order in sequence ([`work`]). Nothing is written past the rules: what ends up in the log is what the domain decided.
//! Running it again changes nothing, because every command meets its stored answer; so what was interrupted is resumed
//! by starting it again. `docs/seeding.md` says what the shop is like.

mod catalogue;
mod dice;
mod market;
mod people;
mod rates;
mod report;
mod rhythm;
pub(crate) mod shop;
pub(crate) mod story;
mod work;

use crate::{app::Database, catch_up::catch_up, config::Config};
use chrono::{DateTime, NaiveTime, Utc};
use clap::Args;
use docket_event_store::Store;
use report::Report;
use shop::Shop;
use std::{error::Error, process::ExitCode, time::Instant};
pub(crate) use work::SeedError;

/// Orders that are written at once, where nothing is said: enough for full commits in every lane.
const CONCURRENCY: u16 = 1_024;
/// The most orders that are written at once: what the lanes' queues hold, one command each.
const MAX_CONCURRENCY: u16 = 8_192;
/// The most orders of a shop: more than any machine that this is for holds.
const MAX_ORDERS: u64 = 100_000_000;
/// The longest past, in days: ten years.
const MAX_DAYS: u16 = 3_650;

/// `docket seed`.
#[derive(Debug, Args)]
pub struct SeedArgs {
    /// How many orders the shop has.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=MAX_ORDERS))]
    orders: u64,
    /// Which shop: the same seed, orders, days and end are the same commands.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long it exists.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_DAYS)))]
    days: u16,
    /// The instant at which it stands, RFC 3339, not in the future [default: the last midnight, UTC].
    #[arg(long)]
    until: Option<DateTime<Utc>>,
    /// Orders that are written at once.
    #[arg(long, default_value_t = CONCURRENCY, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_CONCURRENCY)))]
    concurrency: u16,
}

/// Where a shop's past ends, if nothing is said: a repetition on the same day is the same shop.
pub(super) fn last_midnight(now: DateTime<Utc>) -> DateTime<Utc> {
    now.date_naive().and_time(NaiveTime::MIN).and_utc()
}

/// Writes a shop without a word.
///
/// # Errors
/// See [`SeedError`].
pub(super) async fn fill(store: &Store, shop: Shop) -> Result<(), SeedError> {
    work::write(store, shop, CONCURRENCY.into(), &Report::silent()).await
}

/// The end of a shop's past lies ahead.
#[derive(Debug, thiserror::Error)]
#[error("--until {0} is in the future")]
struct UntilError(DateTime<Utc>);

pub(crate) async fn run(config: &Config, args: &SeedArgs, json: bool) -> Result<ExitCode, Box<dyn Error>> {
    let now = Utc::now();
    let until = args.until.unwrap_or(last_midnight(now));
    if until > now {
        return Err(UntilError(until).into());
    }
    let shop = Shop::past(args.seed, args.orders, until, args.days);
    let database = Database::open(config).await?;
    let store = database.store(config).await?;
    let report = Report::new(args.orders, json);
    let written = work::write(&store, shop, args.concurrency.into(), &report).await;
    let refused = report.written(until, args.seed, args.days);
    // Whoever looks next sees the shop, also where no server runs.
    let started = Instant::now();
    let fed = catch_up(&store, config).await;
    if fed.is_ok() {
        report.caught_up(started.elapsed());
    }
    store.close().await;
    database.close().await?;
    written?;
    fed?;
    Ok(if refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
