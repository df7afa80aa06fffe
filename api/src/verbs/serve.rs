//! `docket serve`: starts everything in order, and stops it in the opposite one.

use super::{
    demo,
    simulate::{Rate, Simulation},
    trusted,
};
use crate::{
    app::Database,
    auth,
    catch_up::reach_heads,
    config::{Config, Mode, Settings},
    http::{Drain, HostPolicy, HttpLimits, Trusted},
    server::{
        self, Gauges,
        listen::{listen, tls::Tls},
    },
    telemetry::traces::Traces,
};
use clap::Args;
use docket_domain::Role;
use docket_event_store::Store;
use docket_projections::{
    Observer, Projections, ProjectionsConfig,
    rebuild::{self, Attendant},
};
use serde_json::json;
use std::{
    error::Error,
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// How long requests in flight may take once the process was told to stop.
const MAX_STOP: Duration = Duration::from_secs(10);
/// How long the demo's token holds.
const DEMO_TOKEN: Duration = Duration::from_secs(24 * 3600);

/// `docket serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where GraphQL is served [default: 127.0.0.1:8080].
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Where /metrics is served [default: 127.0.0.1:9464].
    #[arg(long)]
    metrics_listen: Option<SocketAddr>,
    /// Show strangers nothing: no page at /, no GraphiQL, no introspection [default: on a loopback address they are shown].
    #[arg(long)]
    production: bool,
    /// Run documents of the manifest alone.
    #[arg(long)]
    persisted_only: bool,
    /// A manifest of trusted documents, as the Relay compiler or Apollo's generator writes it.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Begin with a few orders, let more come, and print a token and a first query.
    #[arg(long)]
    demo: bool,
    /// Let a made-up shop live: so many orders a second, 0.01 to 50 [default: 0, none; with --demo 0.5].
    #[arg(long, value_name = "RATE")]
    simulate: Option<Rate>,
}

impl ServeArgs {
    /// How many orders come by themselves.
    fn rate(&self) -> Rate {
        let unsaid = if self.demo { Rate::GENTLE } else { Rate::NONE };
        self.simulate.unwrap_or(unsaid)
    }

    /// The settings with what the command line says of them.
    fn over(&self, all: &mut Settings) {
        let documents = &mut all.documents;
        documents.only |= self.persisted_only;
        if let Some(manifest) = &self.manifest {
            documents.manifest.clone_from(manifest);
        }
        let settings = &mut all.server;
        settings.listen = self.listen.unwrap_or(settings.listen);
        settings.metrics_listen = self.metrics_listen.unwrap_or(settings.metrics_listen);
        if self.production {
            settings.mode = Mode::Production;
        }
    }
}

pub(crate) async fn run(mut config: Config, args: ServeArgs, json: bool) -> Result<(), Box<dyn Error>> {
    args.over(&mut config.settings);
    config.settings.documents.check()?;
    // Asked for first: a signal that comes while things start still stops them in order.
    let stop = stop_on_signal()?;
    let settings = &config.settings.server;
    let listener = bind(settings.listen).await?;
    let metrics_listener = bind(settings.metrics_listen).await?;
    let metrics = server::install_metrics()?;
    tracing::info!(address = %metrics_listener.local_addr()?, "metrics are served");
    let tls = settings.tls.files().map(Tls::open).transpose()?;
    if tls.is_none() && !settings.listen.ip().is_loopback() {
        tracing::warn!(
            listen = %settings.listen,
            "tokens and personal data go over the network in clear text: set server.tls, or put a proxy in front that speaks TLS"
        );
    }
    let trusted = trusted::open(&config.settings.documents)?;
    let door = Door {
        listener,
        tls,
        trusted,
    };

    let database = Database::open(&config).await?;
    // A server that does not answer may keep this waiting for long.
    let served = match stop.run_until_cancelled(database.store(&config)).await {
        Some(Ok(store)) => {
            if database.is_private() && config.settings.projections.rebuilds {
                bring_up(&store).await;
            }
            let gauges = Gauges::of(store.clone());
            let served = serve(&config, &store, door, args, json, &stop, async move {
                axum::serve(metrics_listener, server::metrics_app(metrics, gauges)).await
            });
            let served = served.await;
            store.close().await;
            served
        }
        Some(Err(error)) => Err(error.into()),
        None => Ok(()),
    };
    database.close().await?;
    served
}

async fn serve(
    config: &Config,
    store: &Store,
    door: Door,
    args: ServeArgs,
    json: bool,
    stop: &CancellationToken,
    metrics: impl Future<Output = io::Result<()>> + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    let jwks = match config.settings.auth.identity_provider() {
        Some((source, rules)) => Some(auth::Jwks::start(source, rules, auth::JwksLimits::default()).await?),
        None => None,
    };
    let traces = Traces::start(&config.settings.traces)?;
    let projections = ProjectionsConfig {
        observer: traces.clone().map(|traces| Arc::new(traces) as Arc<dyn Observer>),
        ..config.settings.projections.config()
    };
    let projections = Projections::start(store.clone(), projections).await?;
    let rebuilds = config.settings.projections.rebuilds;
    let rebuilds = rebuilds.then(|| Attendant::start(store, stop));
    let Door {
        listener,
        tls,
        trusted,
    } = door;
    let base = base_url(listener.local_addr()?, tls.is_some());
    let drain = Drain::new(stop.clone());
    let settings = &config.settings.server;
    let app = server::app(server::Parts {
        store: store.clone(),
        projections: projections.clone(),
        rebuilds: rebuilds.clone(),
        jwks,
        limits: HttpLimits::default(),
        trusted: trusted.clone(),
        rates: config.settings.limits.rates.clone(),
        policy: HostPolicy {
            hosts: settings.hosts.clone(),
            origins: settings.origins.clone(),
        },
        development: settings.is_development(),
        traces: traces.clone(),
        stop: stop.clone(),
        drain: drain.clone(),
    });
    let metrics = tokio::spawn(metrics);
    if let Some(tls) = tls.clone() {
        let mut told = signal(SignalKind::hangup())?;
        let watching = tls.watch(async move || {
            told.recv().await;
        });
        tokio::spawn(stop.clone().run_until_cancelled_owned(watching));
    }
    if let Some(file) = config.settings.documents.file() {
        let told = signal(SignalKind::hangup())?;
        let watching = trusted::watch(trusted, file.to_owned(), told);
        tokio::spawn(stop.clone().run_until_cancelled_owned(watching));
    }
    let limits = config.settings.limits.listen(&settings.proxies);
    let server = tokio::spawn(listen(listener, app, tls, limits, stop.clone()));

    let greeted = if args.demo {
        let greeting = greet_demo(store, &projections, &base, settings.is_development());
        stop.run_until_cancelled(greeting).await.unwrap_or(Ok(()))
    } else {
        greet(&base, json)
    };
    if greeted.is_err() {
        stop.cancel();
    }
    let simulation = Simulation::start(store, args.rate(), stop);
    stop.cancelled().await;
    tracing::info!("stopping: answering what is in flight");
    if let Some(simulation) = simulation {
        // Within a bound of its own.
        simulation.stop().await;
    }
    if timeout(MAX_STOP, server).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
    // Within a bound of its own.
    drain.drained().await;
    metrics.abort();
    if let Some(rebuilds) = rebuilds {
        rebuilds.stop().await;
    }
    projections.stop().await;
    if let Some(traces) = traces {
        // It waits for the collector, within a bound, on a thread that may.
        task::spawn_blocking(|| traces.stop()).await?;
    }
    greeted
}

/// A private database is upgraded with the program, its read models too: nobody else is there to do it.
async fn bring_up(store: &Store) {
    match rebuild::ask_for_missing(store).await {
        Ok(names) => names.into_iter().for_each(|name| {
            tracing::info!(
                read_model = name,
                "its rows are of another version and are built anew"
            );
        }),
        Err(error) => tracing::warn!(%error, "read models of another version are not rebuilt"),
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, io::Error> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| io::Error::new(error.kind(), format!("{address} cannot be listened on: {error}")))
}

fn stop_on_signal() -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stopping.cancel();
    });
    Ok(stop)
}

/// What listens, and how it speaks.
struct Door {
    listener: TcpListener,
    tls: Option<Tls>,
    trusted: Trusted,
}

fn base_url(address: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{address}")
}

fn greet(base: &str, json: bool) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    let url = format!("{base}/graphql");
    if json {
        writeln!(out, "{}", json!({"url": url}))?;
    } else {
        writeln!(out, "Docket is at {url}")?;
    }
    Ok(out.flush()?)
}

/// Writes the demo's orders and prints what a newcomer needs to begin.
async fn greet_demo(
    store: &Store,
    projections: &Projections,
    base: &str,
    with_page: bool,
) -> Result<(), Box<dyn Error>> {
    demo::seed(store).await?;
    reach_heads(projections).await?;
    let token = auth::create_token(store.pool(), Role::Staff, "demo", "demo", DEMO_TOKEN)
        .await?
        .text;
    let curl =
        format!("curl {base}/graphql -H 'Content-Type: application/json' -H 'Authorization: Bearer {token}'");
    let mut out = io::stdout().lock();
    writeln!(out)?;
    if with_page {
        // In the fragment, which a browser keeps to itself: the token reaches no log.
        writeln!(out, "See orders move: {base}/#token={token}\n")?;
    }
    writeln!(out, "Docket is at {base}/graphql")?;
    writeln!(out, "Token (staff, for a day): {token}\n")?;
    writeln!(out, "The orders, and what is paid and shipped of them:\n")?;
    writeln!(
        out,
        "  {curl} -d '{{\"query\":\"{{ orders(first: 5) {{ nodes {{ id number status paymentStatus fulfillmentStatus }} }} }}\"}}'\n"
    )?;
    writeln!(out, "Watch what happens, live, in another terminal:\n")?;
    writeln!(
        out,
        "  {curl} -N -H 'Accept: text/event-stream' -d '{{\"query\":\"subscription {{ ordersChanged \
         {{ cursor event {{ type }} order {{ id number status }} }} }}\"}}'\n"
    )?;
    writeln!(out, "Ctrl-C stops it; the orders are there again the next time.")?;
    Ok(out.flush()?)
}
