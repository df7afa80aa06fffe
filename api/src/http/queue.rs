//! What may wait to be written to one client: so many messages and so many bytes of them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes that may wait for one client.
#[derive(Clone)]
pub(super) struct Bytes {
    free: Arc<Semaphore>,
    limit: usize,
}

/// The room that a message takes up until it is dropped.
pub(super) struct Room {
    _bytes: Option<OwnedSemaphorePermit>,
}

impl Bytes {
    pub(super) fn new(limit: usize) -> Bytes {
        let limit = limit.clamp(1, u32::MAX as usize);
        Bytes {
            free: Arc::new(Semaphore::new(limit)),
            limit,
        }
    }

    /// Waits for room for so many bytes; what is larger than all the room waits until nothing else is there.
    pub(super) async fn room(&self, bytes: usize) -> Room {
        // Not above the limit, which fits.
        let wanted = bytes.clamp(1, self.limit) as u32;
        // The semaphore is never closed; if it were, nobody would have to wait.
        let bytes = Arc::clone(&self.free).acquire_many_owned(wanted).await.ok();
        Room { _bytes: bytes }
    }
}

impl Room {
    /// For the last word, which must not wait.
    pub(super) fn none() -> Room {
        Room { _bytes: None }
    }
}
