//! Metrics in Prometheus' text form, on a listener of their own: they are for the operator's network, not for callers.

use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
pub use metrics_exporter_prometheus::PrometheusHandle;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};

/// Bounds of the buckets of everything that is measured in seconds: a commit takes one millisecond, a request is cut off
/// at thirty seconds.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];

/// How often histograms are summed up; what they gather meanwhile takes memory, whether or not anybody asks.
const UPKEEP: std::time::Duration = std::time::Duration::from_secs(5);

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
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(seconds, &SECONDS)?
        .install_recorder()?;
    let gathered = metrics.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            gathered.run_upkeep();
        }
    });
    Ok(metrics)
}

/// `/metrics`, for a listener of its own.
pub fn metrics_app(metrics: PrometheusHandle) -> Router {
    Router::new().route("/metrics", get(render)).with_state(metrics)
}

async fn render(State(metrics): State<PrometheusHandle>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        metrics.render(),
    )
}
