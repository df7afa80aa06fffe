//! The bounded cache of folded streams. It is filled only by what is committed, and may be stale where another process
//! writes: whoever refuses on its word asks the log first.

use docket_domain::{State, StreamId, Version};
use quick_cache::{Weighter, sync::Cache};
use std::sync::Arc;

/// A stream folded up to a version; version 0 with the default state is a stream that does not exist.
#[derive(Debug, Clone)]
pub struct Folded {
    /// The state.
    pub state: State,
    /// The version of the last event folded in.
    pub version: Version,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<StreamId, Arc<Folded>> for Bytes {
    fn weight(&self, _: &StreamId, folded: &Arc<Folded>) -> u64 {
        (folded.state.approximate_bytes() + size_of::<Folded>() + size_of::<StreamId>()) as u64
    }
}

pub(crate) struct StateCache(Cache<StreamId, Arc<Folded>, Bytes>);

impl StateCache {
    pub(crate) fn new(bytes: u64) -> Self {
        let estimated_items = usize::try_from(bytes / 1_024).unwrap_or(usize::MAX).max(1);
        Self(Cache::with_weighter(estimated_items, bytes, Bytes))
    }

    pub(crate) fn get(&self, stream: &StreamId) -> Option<Arc<Folded>> {
        self.0.get(stream)
    }

    /// Keeps the newer of two.
    pub(crate) fn put(&self, stream: StreamId, folded: Arc<Folded>) {
        let older = self
            .0
            .peek(&stream)
            .is_none_or(|known| known.version < folded.version);
        if older {
            self.0.insert(stream, folded);
        }
    }

    pub(crate) fn forget(&self, stream: &StreamId) {
        self.0.remove(stream);
    }

    pub(crate) fn clear(&self) {
        self.0.clear();
    }
}
