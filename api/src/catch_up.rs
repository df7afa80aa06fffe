//! Feeding the read models to the end of the log: for a one-off verb, beside or without a server, and for the demo.

use docket_event_store::Store;
use docket_projections::{Projections, ProjectionsConfig, StartError, WaitError};
use std::time::{Duration, Instant};

/// How long the read models may take to reach the log's heads: a log of some 10 million events.
const MAX_CATCH_UP: Duration = Duration::from_secs(600);

/// Why the read models are not where the log ends.
#[derive(Debug, thiserror::Error)]
pub enum CatchUpError {
    /// They are not this log's, or not this program's.
    #[error(transparent)]
    Start(#[from] StartError),
    /// One stands still, or is too slow.
    #[error("the read models did not reach the end of the log")]
    Behind(#[source] WaitError),
}

/// Feeds every read model until it is where the log ends now. Partitions that a server feeds are waited for.
///
/// # Errors
/// When a read model does not belong to this log, stands still, or takes longer than ten minutes.
pub(crate) async fn catch_up(store: &Store) -> Result<(), CatchUpError> {
    let projections = Projections::start(store.clone(), ProjectionsConfig::default()).await?;
    let reached = reach_heads(&projections).await;
    projections.stop().await;
    reached
}

/// Waits until every read model is where the log ends now: as long as a dead process's leases hold, and as a long log
/// takes.
///
/// # Errors
/// When a read model stands still, or takes longer than ten minutes.
pub(crate) async fn reach_heads(projections: &Projections) -> Result<(), CatchUpError> {
    let deadline = Instant::now() + MAX_CATCH_UP;
    loop {
        match projections.caught_up().await {
            Ok(()) => return Ok(()),
            Err(error @ WaitError::Stale { stopped: None, .. }) if Instant::now() < deadline => drop(error),
            Err(error) => return Err(CatchUpError::Behind(error)),
        }
    }
}
