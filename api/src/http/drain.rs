//! Stopping: how the long-lived connections learn of it, and how the process learns that they are gone.
//!
//! The serving loop waits for requests, but a WebSocket is no request any more once it is upgraded. Without this the
//! process would exit before the close frames are written. Order: cancel the token, let the requests end, then
//! `drained().await`, which [`CLOSE_GRACE`](super::limits::CLOSE_GRACE) and
//! [`WRITE_TIMEOUT`](super::limits::WRITE_TIMEOUT) bound.

use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// The shutdown signal together with the connections that still have to hear it.
#[derive(Clone, Debug)]
pub struct Drain {
    signal: CancellationToken,
    connections: TaskTracker,
}

impl Drain {
    /// Connections end when `signal` is cancelled.
    pub fn new(signal: CancellationToken) -> Drain {
        Drain {
            signal,
            connections: TaskTracker::new(),
        }
    }

    /// Resolves when the signal was given and every WebSocket and event stream has ended.
    pub async fn drained(&self) {
        self.signal.cancelled().await;
        self.connections.close();
        self.connections.wait().await;
    }

    /// How many WebSockets and event streams are open.
    pub fn open(&self) -> usize {
        self.connections.len()
    }

    pub(super) fn signal(&self) -> &CancellationToken {
        &self.signal
    }

    pub(super) fn enter(&self) -> TaskTrackerToken {
        self.connections.token()
    }
}
