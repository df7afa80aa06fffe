//! Somebody who watches read models being written: traces are made of it, and nothing depends on it.

use docket_event_store::RecordedEvent;
use std::{
    fmt::Debug,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Hears of each batch once it is committed, on the task that wrote it: it must not block.
pub trait Observer: Debug + Send + Sync {
    /// The rows of these events, in their order, are there. `began` and `took` span the fold and the write.
    fn written(
        &self,
        projection: &'static str,
        events: &[Arc<RecordedEvent>],
        began: SystemTime,
        took: Duration,
    );
}
