//! Metrics in Prometheus' text form, on a listener of their own: they are for the operator's network, not for callers.
//!
//! What happens is counted where it happens; what *is* (queues, pools) is looked at when somebody asks. [`METRICS`] names
//! all of them, and a test holds a busy server to it.

use crate::http::code;
use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use docket_event_store::Store;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
pub use metrics_exporter_prometheus::PrometheusHandle;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};

/// Bounds of the buckets of everything that is measured in seconds: a commit takes one millisecond, a request is cut off
/// at thirty seconds.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];

/// Bounds of the buckets of the commands of a batch: 1 to [`docket_event_store::limits::MAX_BATCH_COMMANDS`], doubling.
const COMMANDS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// How often histograms are summed up; what they gather meanwhile takes memory, whether or not anybody asks.
const UPKEEP: std::time::Duration = std::time::Duration::from_secs(5);

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Times or sizes, in buckets.
    Histogram,
}

/// Every metric: its name, what it is, and what it says, with its labels.
pub const METRICS: &[(&str, Kind, &str)] = &[
    ("docket_connections", Kind::Gauge, "Connections that are open."),
    (
        "docket_connections_refused_total",
        Kind::Counter,
        "Connections that were turned away, by what.",
    ),
    (
        "docket_tls_handshakes_total",
        Kind::Counter,
        "TLS handshakes, by outcome.",
    ),
    (
        "docket_tls_reloads_total",
        Kind::Counter,
        "Certificates that were read anew, by outcome.",
    ),
    (
        "docket_append_events_total",
        Kind::Counter,
        "Events that were committed to the log.",
    ),
    (
        "docket_append_batch_commands",
        Kind::Histogram,
        "Commands that were committed together.",
    ),
    (
        "docket_append_batch_seconds",
        Kind::Histogram,
        "From sending a batch to its answer.",
    ),
    (
        "docket_append_queue_commands",
        Kind::Gauge,
        "Commands that wait for a lane.",
    ),
    (
        "docket_append_conflicts_total",
        Kind::Counter,
        "Commands decided on an old version, by who saw it (seen_by).",
    ),
    (
        "docket_state_cache_total",
        Kind::Counter,
        "Streams that a command asked for, by outcome: hit or miss.",
    ),
    (
        "docket_refusals_total",
        Kind::Counter,
        "Commands that a business rule refused, by rule.",
    ),
    (
        "docket_graphql_seconds",
        Kind::Histogram,
        "From a request to its response, by operation: its field of the root.",
    ),
    (
        "docket_graphql_errors_total",
        Kind::Counter,
        "Errors that were answered, by code.",
    ),
    (
        "docket_budget_crowded_total",
        Kind::Counter,
        "Callers that shared a bucket because there were too many.",
    ),
    (
        "docket_jwks_reads_total",
        Kind::Counter,
        "Times that the keys of tokens were read, by outcome.",
    ),
    (
        "docket_graphql_subscriptions",
        Kind::Gauge,
        "Subscriptions that are open.",
    ),
    (
        "docket_graphql_messages_total",
        Kind::Counter,
        "Messages that were sent to subscribers.",
    ),
    (
        "docket_projection_events_total",
        Kind::Counter,
        "Events that were folded, by projection.",
    ),
    (
        "docket_projection_batches_total",
        Kind::Counter,
        "Batches that were written, by projection.",
    ),
    (
        "docket_projection_batch_seconds",
        Kind::Histogram,
        "From folding a batch to its commit, by projection.",
    ),
    (
        "docket_projection_lag_events",
        Kind::Gauge,
        "Events that are not in the rows yet, by projection and partition.",
    ),
    (
        "docket_projection_lag_seconds",
        Kind::Gauge,
        "Age of the oldest of them, by projection and partition.",
    ),
    (
        "docket_projection_stopped",
        Kind::Gauge,
        "1 where an event stands in the way, by projection and partition.",
    ),
    (
        "docket_projection_parked_orders",
        Kind::Gauge,
        "Orders that wait among dead letters, by projection and partition.",
    ),
    (
        "docket_projection_failures_total",
        Kind::Counter,
        "Times that the read models' database did not answer.",
    ),
    (
        "docket_position_waiters",
        Kind::Gauge,
        "Requests that wait for a position.",
    ),
    (
        "docket_pool_connections",
        Kind::Gauge,
        "Database connections of the pool, by state: used or idle.",
    ),
];

/// The metrics could not be set up: there is a recorder in this process already.
#[derive(Debug, thiserror::Error)]
#[error("the metrics cannot be recorded")]
pub struct MetricsError(#[from] BuildError);

/// Records the metrics of this process from now on; once in a process, within its runtime.
///
/// # Errors
/// When it was done before.
pub fn install_metrics() -> Result<PrometheusHandle, MetricsError> {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    let commands = Matcher::Suffix("_batch_commands".to_owned());
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(seconds, &SECONDS)?
        .set_buckets_for_metric(commands, &COMMANDS)?
        .install_recorder()?;
    for (name, kind, says) in METRICS {
        match kind {
            Kind::Counter => describe_counter!(*name, *says),
            Kind::Gauge => describe_gauge!(*name, *says),
            Kind::Histogram if name.ends_with("_seconds") => describe_histogram!(*name, Unit::Seconds, *says),
            Kind::Histogram => describe_histogram!(*name, *says),
        }
    }
    for code in code::ALL {
        counter!("docket_graphql_errors_total", "code" => code).increment(0);
    }
    let gathered = metrics.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            gathered.run_upkeep();
        }
    });
    Ok(metrics)
}

/// What is looked at when somebody asks.
#[derive(Clone)]
pub struct Gauges {
    store: Store,
}

impl Gauges {
    /// Of this log's process.
    pub fn of(store: Store) -> Gauges {
        Gauges { store }
    }

    fn look(&self) {
        let pool = self.store.pool();
        // Both change while they are read.
        let idle = pool.num_idle();
        let used = (pool.size() as usize).saturating_sub(idle);
        gauge!("docket_pool_connections", "state" => "idle").set(idle as f64);
        gauge!("docket_pool_connections", "state" => "used").set(used as f64);
        gauge!("docket_append_queue_commands").set(self.store.queued() as f64);
    }
}

/// `/metrics`, for a listener of its own.
pub fn metrics_app(metrics: PrometheusHandle, gauges: Gauges) -> Router {
    Router::new()
        .route("/metrics", get(render))
        .with_state((metrics, gauges))
}

async fn render(State((metrics, gauges)): State<(PrometheusHandle, Gauges)>) -> impl IntoResponse {
    gauges.look();
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        metrics.render(),
    )
}
