//! What this process knows of every partition of every read model: one watched cell each.
//!
//! Owners publish here as they commit; what other processes own is read from their checkpoints. Waits, lag and status
//! read here only, so a thousand waiters cost the database no more than one.

use crate::{
    checkpoint::{Checkpoint, Stopped},
    generation::Generation,
};
use chrono::{DateTime, Utc};
use std::sync::{
    Arc, Mutex, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

/// How far a partition has come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    pub(crate) offset: i64,
    pub(crate) owner: Option<Uuid>,
    pub(crate) stopped: Option<Arc<Stopped>>,
    /// Orders that have dead letters.
    pub(crate) parked: usize,
}

/// One partition of one read model.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) progress: watch::Sender<Progress>,
    /// Tells a stopped owner to try again.
    pub(crate) retry: Notify,
    /// Tells an idle owner that dead letters are to be tried again.
    pub(crate) wished: Notify,
    has_wish: AtomicBool,
    /// When the oldest event that is not in the rows was recorded.
    behind_since: Mutex<Option<DateTime<Utc>>>,
}

impl Cell {
    fn new() -> Self {
        Self {
            progress: watch::Sender::default(),
            retry: Notify::new(),
            wished: Notify::new(),
            has_wish: AtomicBool::new(false),
            behind_since: Mutex::new(None),
        }
    }

    /// The owner's rows reach `offset`.
    pub(crate) fn reached(&self, offset: i64) {
        self.progress.send_modify(|progress| {
            progress.offset = progress.offset.max(offset);
            progress.stopped = None;
        });
    }

    /// Its owner tries again: who waits may hope. The table keeps the reason until the checkpoint moves.
    pub(crate) fn hopeful(&self) {
        self.progress.send_modify(|progress| progress.stopped = None);
    }

    /// So many orders have dead letters.
    pub(crate) fn waits(&self, orders: usize) {
        self.progress.send_if_modified(|progress| {
            let before = std::mem::replace(&mut progress.parked, orders);
            before != orders
        });
    }

    /// Dead letters are to be tried again, whatever its owner is doing.
    pub(crate) fn wish(&self) {
        self.has_wish.store(true, Ordering::Release);
        self.wished.notify_one();
        if self.progress.borrow().stopped.is_some() {
            self.retry.notify_one();
        }
    }

    /// Whether dead letters are to be tried again; it is answered once.
    pub(crate) fn takes_wish(&self) -> bool {
        self.has_wish.swap(false, Ordering::AcqRel)
    }

    /// The owner cannot go on.
    pub(crate) fn stopped(&self, stopped: Stopped) {
        self.progress
            .send_modify(|progress| progress.stopped = Some(Arc::new(stopped)));
    }

    pub(crate) fn set_behind_since(&self, since: Option<DateTime<Utc>>) {
        *self.behind_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    pub(crate) fn behind_since(&self) -> Option<DateTime<Utc>> {
        *self.behind_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cells of one generation of a read model.
pub(crate) struct Line {
    pub(crate) projection: &'static str,
    pub(crate) generation: Generation,
    pub(crate) cells: Vec<Arc<Cell>>,
}

/// All cells, of every generation that is fed.
pub(crate) struct Board {
    partitions: u16,
    lines: RwLock<Vec<Arc<Line>>>,
}

impl Board {
    pub(crate) fn new(partitions: u16) -> Self {
        Self {
            partitions,
            lines: RwLock::default(),
        }
    }

    /// Has cells for these generations and no others.
    pub(crate) fn show(&self, wanted: impl Iterator<Item = (&'static str, Generation)>) {
        let known = self.lines();
        let line = |(projection, generation): (&'static str, Generation)| {
            let is_it = |line: &&Arc<Line>| line.projection == projection && line.generation == generation;
            known.iter().find(is_it).map_or_else(
                || {
                    let cells = (0..self.partitions).map(|_| Arc::new(Cell::new())).collect();
                    Arc::new(Line {
                        projection,
                        generation,
                        cells,
                    })
                },
                Arc::clone,
            )
        };
        let lines = wanted.map(line).collect();
        *self.lines.write().unwrap_or_else(PoisonError::into_inner) = lines;
    }

    pub(crate) fn lines(&self) -> Vec<Arc<Line>> {
        self.lines.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn line(&self, projection: &str, generation: Generation) -> Option<Arc<Line>> {
        let lines = self.lines.read().unwrap_or_else(PoisonError::into_inner);
        let is_it = |line: &&Arc<Line>| line.projection == projection && line.generation == generation;
        lines.iter().find(is_it).cloned()
    }

    pub(crate) fn cell(&self, projection: &str, generation: Generation, partition: u16) -> Option<Arc<Cell>> {
        let line = self.line(projection, generation)?;
        line.cells.get(usize::from(partition)).cloned()
    }

    /// Takes what the checkpoints say. Of what this process feeds itself the cell knows more, except that an operator let
    /// a stopped partition go on.
    pub(crate) fn take(&self, checkpoints: Vec<Checkpoint>, process: Uuid) {
        for checkpoint in checkpoints {
            let Checkpoint {
                projection,
                generation,
                partition,
                ..
            } = &checkpoint;
            let Some(cell) = self.cell(projection, *generation, *partition) else {
                continue;
            };
            let ours = checkpoint.owner == Some(process);
            let stopped = checkpoint.stopped.map(Arc::new);
            let mut retry = false;
            cell.progress.send_if_modified(|known| {
                let owner = checkpoint.owner.filter(|_| checkpoint.leased);
                retry = ours && known.stopped.is_some() && stopped.is_none();
                let changed = known.owner != owner
                    || known.offset < checkpoint.offset
                    || (!ours && (known.stopped != stopped || known.parked != checkpoint.parked));
                known.owner = owner;
                // What waits is told with the offset that passes it, whoever tells it first.
                if !ours || known.offset < checkpoint.offset {
                    known.parked = checkpoint.parked;
                }
                known.offset = known.offset.max(checkpoint.offset);
                if !ours {
                    known.stopped = stopped;
                }
                changed
            });
            if retry {
                cell.retry.notify_one();
            }
        }
    }
}
