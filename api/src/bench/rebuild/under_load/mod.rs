//! `rebuild --under-load`: what a rebuild does to a shop that is open.
//!
//! It isolates what is added by the rebuild: everything else is there before it begins and stays. One process does what a
//! server does, without HTTP: it takes commands and feeds every read model. In one run, on one database:
//!
//! 1. A log of `--orders` orders is made, as `rebuild` makes it, and every read model is brought to its end.
//! 2. The maximum of live commands is measured, twice: `unbounded_per_s`, which the log takes from `--concurrency` who give one
//!    after the other, and `maximum_per_s`, which the read models take as well. For the latter nobody gives a command while a
//!    partition of a read model is more than [`BEHIND`] events behind, and the clock stops when all of them have everything.
//! 3. Half of that maximum is offered by the clock (`load.rs`), `--seconds` long as a control.
//! 4. `docket rebuild` runs as a process of its own, with its default throttle, until it has swapped. Meanwhile the same load
//!    goes on, lag is looked at, and a reader asks for orders of that read model by id (`watch.rs`).
//!
//! The load generator, the server's part, the rebuild and the database share the machine. An order of the load is made,
//! filled, placed and paid by four commands, five events; orders of the log are not touched, so what a command on an order of
//! last year costs is not in it.

mod load;
mod report;
mod watch;

use super::{Spread, log, process};
use crate::{
    bench::{
        BenchArgs, BenchError,
        database::{BenchDatabase, check_connections},
        measure::closed_loop,
    },
    catch_up::reach_heads,
};
use docket_event_store::Store;
use docket_projections::{
    Projections, ProjectionsConfig,
    read_models::{order_detail, order_summary},
};
use load::{Desk, offer};
pub(in crate::bench) use report::Report;
use report::{Times, Window};
use sqlx::postgres::PgConnectOptions;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use watch::{Gate, Seen, watch};

/// Events that a partition of a read model may be behind while the maximum is measured: half of a full batch.
const BEHIND: i64 = 256;
/// However far they are behind.
const UNBOUNDED: i64 = i64::MAX;
/// Before the control begins.
const WARM_UP: Duration = Duration::from_secs(3);
/// After the rebuild has ended, for whoever waits for the swap. A process learns of it within a second.
const AFTER: Duration = Duration::from_secs(3);
/// How long a rebuild may take.
const MOST: Duration = Duration::from_secs(3_600);
/// Connections: the lanes, the pools of both processes, the reader's and the bench's own.
const CONNECTIONS: i64 = 60;

/// What is rebuilt: of these a row is found by its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(in crate::bench) enum Model {
    /// Narrow rows with ten indexes.
    OrderSummary,
    /// The largest: a document of each order.
    OrderDetail,
}

impl Model {
    fn name(self) -> &'static str {
        match self {
            Self::OrderSummary => order_summary::NAME,
            Self::OrderDetail => order_detail::NAME,
        }
    }
}

fn failed(why: &impl ToString) -> BenchError {
    BenchError::Worker(why.to_string())
}

pub(in crate::bench) async fn run(server: &PgConnectOptions, args: &BenchArgs) -> Result<Report, BenchError> {
    check_connections(server, CONNECTIONS).await?;
    let database = BenchDatabase::create(server, args.lanes).await?;
    let report = measure(&database, args).await;
    // It is dropped whatever came out.
    let dropped = database.drop().await;
    let report = report?;
    dropped?;
    Ok(report)
}

async fn measure(database: &BenchDatabase, args: &BenchArgs) -> Result<Report, BenchError> {
    let store = database.store(docket_event_store::limits::CACHE_BYTES).await?;
    log::fill(&store, args.orders, args.spread).await?;
    let projections = Projections::start(store.clone(), ProjectionsConfig::default()).await;
    let projections = projections.map_err(|error| failed(&error))?;
    let shop = Shop {
        store: store.clone(),
        projections: projections.clone(),
        desk: Arc::new(Desk::default()),
    };
    let report = shop.measure(database, args).await;
    projections.stop().await;
    store.close().await;
    let report = report?;
    database.check_log().await?;
    Ok(report)
}

/// What a server has, and what is asked of it.
struct Shop {
    store: Store,
    projections: Projections,
    desk: Arc<Desk>,
}

impl Shop {
    async fn measure(&self, database: &BenchDatabase, args: &BenchArgs) -> Result<Report, BenchError> {
        self.caught_up().await?;
        database.settle().await?;
        let length = Duration::from_secs(args.seconds);
        let unbounded_per_s = self.maximum(args.concurrency, length, UNBOUNDED).await?;
        let maximum_per_s = self.maximum(args.concurrency, length, BEHIND).await?;
        let offered_per_s = maximum_per_s / 2.0;

        let ends = CancellationToken::new();
        let offered = tokio::spawn(offer(
            self.store.clone(),
            Arc::clone(&self.desk),
            offered_per_s,
            ends.clone(),
        ));
        let (store, projections) = (self.store.clone(), self.projections.clone());
        let watched = tokio::spawn(watch(store, projections, args.model, args.orders, ends.clone()));
        sleep(WARM_UP).await;
        let control = Window::lasting(length);
        sleep(length).await;
        let began = Instant::now();
        let rebuilt = process::rebuild(database, args.model.name(), args.parallel);
        let rebuilt = timeout(MOST, rebuilt).await;
        let during = Window::since(began);
        sleep(AFTER).await;
        ends.cancel();
        let commands = offered.await.map_err(|error| failed(&error))??;
        let watched = watched.await.map_err(|error| failed(&error))??;
        let rebuilt =
            rebuilt.map_err(|_| BenchError::Worker(format!("the rebuild took over {MOST:?}")))??;
        let swapped = self.swapped(args.model, rebuilt.generation).await?;
        let seen = Seen { commands, ..watched };
        let times = Times::new(control, during, swapped, &rebuilt, &seen);
        Ok(Report::new(
            args,
            (unbounded_per_s, maximum_per_s),
            &rebuilt,
            &times,
            &seen,
        ))
    }

    async fn caught_up(&self) -> Result<(), BenchError> {
        let reached = reach_heads(&self.projections).await;
        reached.map_err(|error| failed(&error))
    }

    /// Commands a second from so many who give one after the other. Where read models are not to be further behind than
    /// `behind` events, whoever finds them there waits, and the time lasts until they have everything.
    async fn maximum(&self, givers: u32, length: Duration, behind: i64) -> Result<f64, BenchError> {
        let gate = Gate::watch(self.projections.clone(), behind);
        let giver = |_| {
            let (store, desk, gate) = (self.store.clone(), Arc::clone(&self.desk), gate.clone());
            move || {
                let (store, desk, gate) = (store.clone(), Arc::clone(&desk), gate.clone());
                async move {
                    gate.pass().await;
                    desk.give(&store).await?.map_err(|why| failed(&why)).map(|()| 1)
                }
            }
        };
        let started = Instant::now();
        let (given, _) = closed_loop((0..givers).map(giver).collect(), length).await?;
        self.caught_up().await?;
        Ok(match behind {
            UNBOUNDED => given.per_second(),
            _ => given.events as f64 / started.elapsed().as_secs_f64(),
        })
    }

    /// When the pointer was moved to a generation.
    async fn swapped(&self, model: Model, generation: i64) -> Result<Instant, BenchError> {
        let ago: f64 = sqlx::query_scalar(
            "select extract(epoch from clock_timestamp() - served_at)::float8 from generations
              where projection = $1 and generation = $2",
        )
        .bind(model.name())
        .bind(i32::try_from(generation).unwrap_or(0))
        .fetch_one(self.store.pool())
        .await?;
        let now = Instant::now();
        Ok(now
            .checked_sub(Duration::from_secs_f64(ago.max(0.0)))
            .unwrap_or(now))
    }
}
