//! `docket bench`: what the log can do on this server, beside what bare PostgreSQL can do on it.
//!
//! Every figure is compared with yardsticks of the same run, because machines are shared and noisy: *single* writes the
//! rows of one command in one prepared, autocommitted statement through the same driver at the same concurrency, *bulk*
//! writes a thousand commands a transaction from four connections. Neither checks anything. Both write into tables with
//! the same columns and indexes. Rounds of each alternate, and the median round counts.
//!
//! To compare two commits run the same line on both, one after the other on the same server, and compare the ratios.

mod append;
mod command;
mod database;
mod existing;
mod http;
mod latency;
mod measure;
mod place_order;
mod reads;
mod rebuild;
mod subscribe;
mod yardstick;

use clap::{Args, ValueEnum};
use database::BenchDatabase;
use docket_event_store::limits;
use measure::{Measured, median_by};
use serde::Serialize;
use sqlx::postgres::PgConnectOptions;
use std::{
    io::{self, Write as _},
    time::Duration,
};
use yardstick::Yardstick;

/// Why a bench could not run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The server did not do what it was asked.
    #[error("the server refused")]
    Database(#[from] sqlx::Error),
    /// The bench's own database could not be made.
    #[error(transparent)]
    Migrate(#[from] docket_event_store::OpenError),
    /// The log could not be opened.
    #[error(transparent)]
    Store(#[from] docket_event_store::StoreError),
    /// The server admits fewer connections than the bench needs.
    #[error(
        "the server admits {available} connections and {needed} are needed; raise max_connections or lower --concurrency"
    )]
    Connections {
        /// What is free.
        available: i64,
        /// What is needed.
        needed: i64,
    },
    /// An acknowledged event is not in the log.
    #[error("{acknowledged} events were acknowledged and {found} are in the log")]
    Lost {
        /// Acknowledged.
        acknowledged: u64,
        /// Found.
        found: u64,
    },
    /// A worker did not get what it asked for.
    #[error("a worker failed: {0}")]
    Worker(String),
    /// The result could not be printed.
    #[error("the result cannot be printed")]
    Print(#[source] io::Error),
}

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Workload {
    /// A new order stream each, one event of about 300 bytes.
    Append,
    /// Writers that meet on 1,000 existing streams.
    Existing,
    /// Whole commands, decided over orders of 20 events.
    Command,
    /// From the acknowledgement to the read model's row and to a subscriber's message, at 100 commands a second.
    Latency,
    /// `placeOrder` over HTTP, on drafts that were prepared.
    Graphql,
    /// Pages of 20 orders with lines, payments and shipments over HTTP, in a shop of `--orders` orders.
    Page,
    /// One order by its id with everything over HTTP, in a shop of `--orders` orders.
    Detail,
    /// A whole read model built anew from a log of `--orders` orders of five events, beside one INSERT ... SELECT.
    Rebuild,
    /// As many subscriptions as `--concurrency` says, each its own order.
    Subscribe,
}

impl Workload {
    /// How many writers the yardstick has. What offers little load is compared with a lone one.
    fn writers(self, concurrency: u32) -> u32 {
        match self {
            Workload::Latency | Workload::Subscribe => 1,
            _ => concurrency,
        }
    }
}

/// `docket bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure.
    #[arg(value_enum)]
    workload: Workload,
    /// Writers, clients or subscribers at once.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    concurrency: u32,
    /// Seconds of each round.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=300))]
    seconds: u64,
    /// Rounds of each; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// Events that the log holds before the clock starts.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=50_000_000))]
    preload: u64,
    /// Append connections.
    #[arg(long, default_value_t = limits::DEFAULT_LANES, value_parser = clap::value_parser!(u16).range(1..=8))]
    lanes: u16,
    /// For `command`: read the streams for every command instead of keeping them in memory.
    #[arg(long)]
    cold: bool,
    /// For `page` and `detail`: orders of the shop. Its database is kept on the server for the next time, under the name
    /// docket_bench_shop_ORDERS.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..=10_000_000))]
    orders: u64,
    /// For `rebuild`: in which order the orders' events lie in the log.
    #[arg(long, value_enum, default_value_t = rebuild::Spread::Sequence)]
    spread: rebuild::Spread,
    /// For `rebuild`: partitions that are filled at once [default: 4; under load what `docket rebuild` takes].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=8))]
    parallel: Option<u16>,
    /// For `rebuild`: while live commands are offered at half of their maximum, read models are fed and queries asked.
    #[arg(long)]
    under_load: bool,
    /// For `rebuild --under-load`: what is rebuilt.
    #[arg(long, value_enum, default_value_t = rebuild::under_load::Model::OrderSummary)]
    model: rebuild::under_load::Model,
}

/// A bench's result.
#[derive(Debug, Serialize)]
struct Report {
    workload: Workload,
    concurrency: u32,
    events: u64,
    seconds: f64,
    events_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    single_per_s: f64,
    single_p50_ms: f64,
    bulk_per_s: f64,
    ratio_single: f64,
    ratio_bulk: f64,
    #[serde(flatten)]
    more: serde_json::Map<String, serde_json::Value>,
}

/// Runs one bench in databases of its own, which it drops.
///
/// # Errors
/// When the server refuses, or an acknowledged event is not in the log.
pub async fn run(server: &PgConnectOptions, args: &BenchArgs, json: bool) -> Result<(), BenchError> {
    if args.workload == Workload::Rebuild {
        if args.under_load {
            let report = rebuild::under_load::run(server, args).await?;
            return match json {
                true => print(&report, json).map_err(BenchError::Print),
                false => write!(io::stdout().lock(), "{report}").map_err(BenchError::Print),
            };
        }
        let report = rebuild::run(server, args).await?;
        return print(&report, json).map_err(BenchError::Print);
    }
    database::check_connections(server, i64::from(args.workload.writers(args.concurrency)) + 40).await?;
    let ours = match args.workload {
        Workload::Page | Workload::Detail => BenchDatabase::of_shop(server, args.lanes, args.orders).await?,
        _ => BenchDatabase::create(server, args.lanes).await?,
    };
    let bare = BenchDatabase::create(server, args.lanes).await?;
    let report = measure(&ours, &bare, args).await;
    // Both are dropped whatever came out.
    let dropped = (ours.drop().await, bare.drop().await);
    let report = report?;
    dropped.0.and(dropped.1)?;
    print(&report, json).map_err(BenchError::Print)
}

async fn measure(ours: &BenchDatabase, bare: &BenchDatabase, args: &BenchArgs) -> Result<Report, BenchError> {
    let length = Duration::from_secs(args.seconds);
    if args.preload > 0 {
        for database in [ours, bare] {
            yardstick::preload(database, args.preload).await?;
        }
    }
    let mut yardstick = Yardstick::connect(bare, args.workload.writers(args.concurrency)).await?;
    let mut subject = Subject::open(ours, args).await?;
    let (mut own, mut single, mut bulk) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        single.push(yardstick.single(length).await?);
        own.push(subject.round(length).await?);
        bulk.push(yardstick.bulk(length).await?);
    }
    let acknowledged: u64 = own.iter().map(|round| round.events).sum();
    let mut more = subject.finish().await?;
    ours.check_log().await?;
    more.insert("lanes".into(), args.lanes.into());
    more.insert("rounds".into(), args.rounds.into());
    more.insert("preload".into(), args.preload.into());
    more.insert("acknowledged".into(), acknowledged.into());

    let own = median_by(own, Measured::per_second);
    let single = median_by(single, Measured::per_second);
    let bulk = median_by(bulk, Measured::per_second);
    Ok(Report {
        workload: args.workload,
        concurrency: args.concurrency,
        events: own.events,
        seconds: own.elapsed.as_secs_f64(),
        events_per_s: own.per_second().round(),
        p50_ms: own.quantile_ms(0.5),
        p99_ms: own.quantile_ms(0.99),
        single_per_s: single.per_second().round(),
        single_p50_ms: single.quantile_ms(0.5),
        bulk_per_s: bulk.per_second().round(),
        ratio_single: own.per_second() / single.per_second(),
        ratio_bulk: own.per_second() / bulk.per_second(),
        more,
    })
}

/// What is measured.
enum Subject {
    Append(append::AppendBench),
    Existing(existing::ExistingBench),
    Command(command::CommandBench),
    Latency(Box<latency::LatencyBench>),
    PlaceOrder(place_order::PlaceOrderBench),
    Read(reads::ReadBench),
    Subscribe(Box<subscribe::SubscribeBench>),
}

impl Subject {
    async fn open(database: &BenchDatabase, args: &BenchArgs) -> Result<Self, BenchError> {
        let concurrency = args.concurrency;
        let read = |read| reads::ReadBench::open(database, concurrency, args.orders, read);
        Ok(match args.workload {
            Workload::Append => Self::Append(append::AppendBench::open(database, concurrency).await?),
            Workload::Existing => Self::Existing(existing::ExistingBench::open(database, concurrency).await?),
            Workload::Command => {
                Self::Command(command::CommandBench::open(database, concurrency, args.cold).await?)
            }
            Workload::Latency => Self::Latency(Box::new(latency::LatencyBench::open(database).await?)),
            Workload::Graphql => {
                Self::PlaceOrder(place_order::PlaceOrderBench::open(database, concurrency).await?)
            }
            Workload::Page => Self::Read(read(reads::Read::Page).await?),
            Workload::Detail => Self::Read(read(reads::Read::Detail).await?),
            Workload::Rebuild => return Err(BenchError::Worker("it has no rounds of this kind".into())),
            Workload::Subscribe => Self::Subscribe(Box::new(
                subscribe::SubscribeBench::open(database, concurrency).await?,
            )),
        })
    }

    async fn round(&mut self, length: Duration) -> Result<Measured, BenchError> {
        match self {
            Self::Append(bench) => bench.round(length).await,
            Self::Existing(bench) => bench.round(length).await,
            Self::Command(bench) => bench.round(length).await,
            Self::Latency(bench) => bench.round(length).await,
            Self::PlaceOrder(bench) => bench.round(length).await,
            Self::Read(bench) => bench.round(length).await,
            Self::Subscribe(bench) => bench.round(length).await,
        }
    }

    async fn finish(self) -> Result<serde_json::Map<String, serde_json::Value>, BenchError> {
        match self {
            Self::Append(bench) => bench.finish().await,
            Self::Existing(bench) => bench.finish().await,
            Self::Command(bench) => bench.finish().await,
            Self::Latency(bench) => bench.finish().await,
            Self::PlaceOrder(bench) => bench.finish().await,
            Self::Read(bench) => bench.finish().await,
            Self::Subscribe(bench) => bench.finish().await,
        }
    }
}

fn print(report: &impl Serialize, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        return writeln!(out, "{}", serde_json::to_string(report)?);
    }
    let value = serde_json::to_value(report)?;
    for (name, value) in value.as_object().into_iter().flatten() {
        writeln!(out, "{name:>24}  {value}")?;
    }
    Ok(())
}
