//! Which line runs when: an order's lines one after the other, as many orders side by side as there are workers.
//!
//! A worker takes an order, not a line, and stays with it until no line of it waits. So no worker is idle while an order
//! waits, however the lines of a file are mixed, and nothing is ordered by luck.

use super::line::Line;
use docket_domain::OrderId;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Lines that wait: enough for every worker to find an order where each has some thirty lines in a row.
const MAX_LINES: u32 = 8_192;
/// Bytes of lines that wait. A parsed line holds a small multiple of its text.
const MAX_BYTES: u32 = 32 * 1024 * 1024;

/// A line that is to be run.
pub(super) struct Task {
    pub(super) number: u64,
    pub(super) bytes: u64,
    pub(super) line: Line,
}

/// A task with the room that it takes.
struct Waiting {
    task: Task,
    _room: [OwnedSemaphorePermit; 2],
}

/// The lines that wait, by their order.
pub(super) struct Schedule {
    state: Mutex<State>,
    /// One permit an order that is ready; closed when no line comes any more.
    ready: Semaphore,
    lines: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    /// The first line that was not taken, where that ends the import; lines after it are passed over.
    stop_at: AtomicU64,
    stopped: CancellationToken,
}

#[derive(Default)]
struct State {
    /// Every order that waits or runs, with the lines that wait.
    orders: HashMap<OrderId, VecDeque<Waiting>>,
    /// Orders that no worker has.
    ready: VecDeque<OrderId>,
}

impl Schedule {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            ready: Semaphore::new(0),
            lines: Semaphore::new(MAX_LINES as usize).into(),
            bytes: Semaphore::new(MAX_BYTES as usize).into(),
            stop_at: AtomicU64::new(u64::MAX),
            stopped: CancellationToken::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here leaves it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line, as soon as there is room for it.
    pub(super) async fn add(&self, task: Task) {
        let bytes = u32::try_from(task.bytes).unwrap_or(MAX_BYTES).min(MAX_BYTES);
        let (Ok(line), Ok(bytes)) = (
            Arc::clone(&self.lines).acquire_owned().await,
            Arc::clone(&self.bytes).acquire_many_owned(bytes).await,
        ) else {
            // These two are never closed.
            return;
        };
        let order = task.line.command.order();
        let waiting = Waiting {
            task,
            _room: [line, bytes],
        };
        let mut state = self.state();
        if let Some(lines) = state.orders.get_mut(&order) {
            lines.push_back(waiting);
        } else {
            state.orders.insert(order, [waiting].into());
            state.ready.push_back(order);
            self.ready.add_permits(1);
        }
    }

    /// No line comes any more.
    pub(super) fn close(&self) {
        self.ready.close();
    }

    /// An order whose lines the caller runs from now on; `None` when there is nothing left to do.
    pub(super) async fn take(&self) -> Option<OrderId> {
        if let Ok(permit) = self.ready.acquire().await {
            permit.forget();
        }
        // A closed semaphore lets everybody through: what is left is taken without permits.
        self.state().ready.pop_front()
    }

    /// The next line of an order that the caller has; with `None` the caller has it no longer.
    pub(super) fn next(&self, order: OrderId) -> Option<Task> {
        let mut state = self.state();
        let waiting = state.orders.get_mut(&order).and_then(VecDeque::pop_front);
        if waiting.is_none() {
            state.orders.remove(&order);
        }
        waiting.map(|waiting| waiting.task)
    }

    /// Ends the import at a line: those in front of it still run.
    pub(super) fn stop_at(&self, number: u64) {
        self.stop_at.fetch_min(number, Ordering::SeqCst);
        self.stopped.cancel();
    }

    /// Whether a line comes after the end.
    pub(super) fn is_over(&self, number: u64) -> bool {
        number > self.stop_at.load(Ordering::SeqCst)
    }

    /// Resolves when the import ends before its file.
    pub(super) async fn stopped(&self) {
        self.stopped.cancelled().await;
    }
}
