//! What listens: the API with its health on one address, the metrics on another.
//!
//! ```text
//! /graphql   GraphQL over HTTP, WebSocket and server-sent events   behind the host and origin checks
//! /readyz    whether it can do its work, and why not               behind them too
//! /          the page, and GraphiQL at /graphiql                    behind them too; only of a development server
//! /healthz   whether the process lives                             for whoever asks, by any name
//! /metrics   Prometheus, on a listener of its own
//! ```
//!
//! Stopping, in this order: cancel the token that [`Drain`] and [`listen`] were given (readiness turns false), let the
//! requests in flight end, `drained().await`, then stop the read models and close the store.

pub mod listen;
mod metrics;
mod readiness;

use axum::{Router, http::header, routing::get};
use docket_event_store::Store;
use docket_projections::{Projections, rebuild::Attendant};
use tokio_util::sync::CancellationToken;

pub use self::{
    metrics::{Gauges, METRICS, MetricsError, PrometheusHandle, install_metrics, metrics_app},
    readiness::{PartitionReadiness, Readiness, readiness},
};
use crate::{
    auth::{Callers, Jwks, Tokens},
    graphql::{Api, ApiOptions, Introspection, Rates},
    http::{self, Drain, HostPolicy, HttpLimits, Trusted, guarded},
    page,
    telemetry::traces::Traces,
};

/// What a server is made of.
pub struct Parts {
    /// The log.
    pub store: Store,
    /// Its read models.
    pub projections: Projections,
    /// What does rebuilds in this process, if it does any.
    pub rebuilds: Option<Attendant>,
    /// The keys of an identity provider, where there is one.
    pub jwks: Option<Jwks>,
    /// What the transports allow.
    pub limits: HttpLimits,
    /// What each caller may spend.
    pub rates: Rates,
    /// Which documents are run.
    pub trusted: Trusted,
    /// Which hosts and origins are ours.
    pub policy: HostPolicy,
    /// Whether the page and GraphiQL are served, and the schema to everybody: they are for developers.
    pub development: bool,
    /// Where traces go, if anywhere.
    pub traces: Option<Traces>,
    /// Cancelled when the server stops.
    pub stop: CancellationToken,
    /// Ends the long-lived connections; made over `stop`.
    pub drain: Drain,
}

/// Everything that the API's listener serves.
pub fn app(parts: Parts) -> Router {
    let Parts {
        store,
        projections,
        rebuilds,
        jwks,
        limits,
        rates,
        trusted,
        policy,
        development,
        traces,
        stop,
        drain,
    } = parts;
    let introspection = if development {
        Introspection::Everybody
    } else {
        Introspection::Desk
    };
    let options = ApiOptions {
        rates,
        introspection,
        traces,
        rebuilds,
    };
    let api = Api::with(store.clone(), projections.clone(), options);
    let callers = Callers::new(Tokens::new(store.pool().clone()), jwks);
    let ready = readiness::Watch::new(store, projections, stop);
    let readyz = Router::new()
        .route("/readyz", get(readiness::answer))
        .with_state(ready);
    // Text, uncached, and nothing in it that a page of somebody else's could use.
    let alive = || async { ([(header::CACHE_CONTROL, "no-store")], "ok\n") };
    let page = if development {
        page::router()
    } else {
        Router::new()
    };
    http::router(api, callers, limits, policy.clone(), trusted, drain)
        .merge(guarded(readyz.merge(page), policy))
        .merge(Router::new().route("/healthz", get(alive)))
}
