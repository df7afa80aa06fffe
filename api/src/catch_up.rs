//! Feeding the read models to the end of the log: for a one-off verb, beside or without a server, and for the demo.

use crate::config::Config;
use docket_event_store::Store;
use docket_projections::{Projections, StartError, WaitError};
use std::time::{Duration, Instant};

/// How long the read models may stand still on their way to the log's heads: several times what a dead process's leases
/// hold. However long the log is, whoever moves gets there.
pub(crate) const MAX_STILL: Duration = Duration::from_secs(120);

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
/// When a read model does not belong to this log, or stands still.
pub(crate) async fn catch_up(store: &Store, config: &Config) -> Result<(), CatchUpError> {
    let projections = Projections::start(store.clone(), config.settings.projections.config()).await?;
    let reached = reach_heads(&projections).await;
    projections.stop().await;
    reached
}

/// Waits until every read model is where the log ends now: as long as a dead process's leases hold, and as a long log
/// takes.
///
/// # Errors
/// When a read model stands still.
pub(crate) async fn reach_heads(projections: &Projections) -> Result<(), CatchUpError> {
    let (mut last, mut since) = (None, Instant::now());
    loop {
        let error = match projections.caught_up().await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let now = match &error {
            WaitError::Stale {
                projection,
                partition,
                reached,
                stopped: None,
                ..
            } => Some((*projection, *partition, *reached)),
            _ => return Err(CatchUpError::Behind(error)),
        };
        if now != last {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() > MAX_STILL {
            return Err(CatchUpError::Behind(error));
        }
    }
}
