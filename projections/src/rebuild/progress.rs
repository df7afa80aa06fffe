//! What is seen of a rebuild while it goes on, and what holds it back.

use super::{
    RebuildError,
    operation::{Operation, Step, Wish},
};
use crate::limits;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// How a rebuild fares; clones share everything.
#[derive(Clone)]
pub struct Progress(Arc<Inner>);

struct Inner {
    step: AtomicU8,
    partitions: Vec<Filled>,
    paused: AtomicBool,
    yields: AtomicBool,
    changed: Notify,
    stop: CancellationToken,
    hands_over: AtomicBool,
}

#[derive(Default)]
struct Filled {
    folded: AtomicI64,
    written: AtomicI64,
    target: AtomicI64,
}

/// How far a partition is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionProgress {
    /// Which.
    pub partition: u16,
    /// Events of it that are folded.
    pub folded: i64,
    /// Events of it whose effect is in the rows: where it would go on after a crash.
    pub written: i64,
    /// The event that it goes to.
    pub target: i64,
}

/// What holds a rebuild back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    No,
    /// An operator.
    Paused,
    /// Live read models that are behind: it makes way for them.
    Yields,
}

/// How often who is held back looks whether it still is.
const LOOK: Duration = Duration::from_millis(50);

impl Progress {
    /// Of a log with so many partitions.
    pub fn new(partitions: u16) -> Self {
        Self(Arc::new(Inner {
            step: AtomicU8::new(0),
            partitions: (0..partitions).map(|_| Filled::default()).collect(),
            paused: AtomicBool::new(false),
            yields: AtomicBool::new(false),
            changed: Notify::new(),
            stop: CancellationToken::new(),
            hands_over: AtomicBool::new(false),
        }))
    }

    /// How far it has come.
    pub fn step(&self) -> Step {
        let step = usize::from(self.0.step.load(Relaxed));
        Step::ALL.get(step).copied().unwrap_or(Step::Swap)
    }

    /// Every partition.
    pub fn partitions(&self) -> Vec<PartitionProgress> {
        let of = |(partition, filled): (u16, &Filled)| PartitionProgress {
            partition,
            folded: filled.folded.load(Relaxed),
            written: filled.written.load(Relaxed),
            target: filled.target.load(Relaxed),
        };
        (0..).zip(&self.0.partitions).map(of).collect()
    }

    /// What holds it back now.
    pub fn held(&self) -> Held {
        if self.0.paused.load(Relaxed) {
            Held::Paused
        } else if self.0.yields.load(Relaxed) {
            Held::Yields
        } else {
            Held::No
        }
    }

    pub(super) fn enter(&self, step: Step) {
        let place = Step::ALL.iter().position(|one| *one == step).unwrap_or(0);
        self.0.step.store(u8::try_from(place).unwrap_or(0), Relaxed);
    }

    pub(super) fn begin(&self, partition: u16, written: i64) {
        if let Some(filled) = self.0.partitions.get(usize::from(partition)) {
            filled.written.store(written, Relaxed);
            filled.folded.store(written, Relaxed);
        }
    }

    pub(super) fn aim(&self, partition: u16, target: i64) {
        if let Some(filled) = self.0.partitions.get(usize::from(partition)) {
            filled.target.fetch_max(target, Relaxed);
        }
    }

    pub(super) fn hold(&self, paused: bool, yields: bool) {
        self.0.paused.store(paused, Relaxed);
        self.0.yields.store(yields, Relaxed);
        self.0.changed.notify_waiters();
    }

    pub(super) fn yields(&self) -> bool {
        self.0.yields.load(Relaxed)
    }

    /// Shows what another process does, as the table has it.
    pub(super) fn show(&self, operation: &Operation) {
        self.enter(operation.step);
        self.hold(operation.wish == Wish::Pause, operation.yields);
        for at in &operation.partitions {
            self.reached(at.partition, at.written);
            self.folded(at.partition, at.folded);
            self.aim(at.partition, at.target);
        }
    }

    /// Tells it to stop where it is, until somebody says that it goes on.
    pub fn stop(&self) {
        self.0.stop.cancel();
    }

    /// Tells it to stop where it is, for another process to go on with at once.
    pub fn hand_over(&self) {
        self.0.hands_over.store(true, Relaxed);
        self.0.stop.cancel();
    }

    pub(super) fn hands_over(&self) -> bool {
        self.0.hands_over.load(Relaxed)
    }

    pub(crate) fn stopped(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Resolves when nobody lets it wait any more; `false` when it is to stop.
    pub(super) async fn unpaused(&self) -> bool {
        while self.held() == Held::Paused && !self.0.stop.is_cancelled() {
            let _ = timeout(LOOK, self.0.changed.notified()).await;
        }
        !self.0.stop.is_cancelled()
    }

    /// # Errors
    /// [`RebuildError::Interrupted`] when it is to stop.
    pub(super) fn goes_on(&self) -> Result<(), RebuildError> {
        match self.0.stop.is_cancelled() {
            true => Err(RebuildError::Interrupted),
            false => Ok(()),
        }
    }

    /// Resolves when the next page may be read; `false` when it is to stop. What is urgent makes way for nobody.
    pub(super) async fn pass(&self, is_urgent: bool) -> bool {
        if is_urgent {
            return !self.0.stop.is_cancelled();
        }
        self.make_way(limits::REBUILD_YIELD).await;
        self.unpaused().await
    }

    /// Resolves when live read models are not behind, or it has waited so long for them: it is to come to an end however busy
    /// the shop is.
    pub(crate) async fn make_way(&self, most: Duration) {
        let until = Instant::now() + most;
        while self.0.yields.load(Relaxed) && Instant::now() < until && !self.0.stop.is_cancelled() {
            let _ = timeout(LOOK, self.0.changed.notified()).await;
        }
    }

    /// The rows reach an offset.
    pub(super) fn reached(&self, partition: u16, offset: i64) {
        if let Some(filled) = self.0.partitions.get(usize::from(partition)) {
            filled.written.store(offset, Relaxed);
        }
    }

    /// Events up to an offset are folded.
    pub(super) fn folded(&self, partition: u16, offset: i64) {
        if let Some(filled) = self.0.partitions.get(usize::from(partition)) {
            filled.folded.store(offset, Relaxed);
        }
    }
}
