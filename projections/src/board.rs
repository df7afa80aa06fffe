//! What this process knows of every partition of every read model: one watched cell each.
//!
//! Owners publish here as they commit; what other processes own is read from their checkpoints. Waits, lag and status
//! read here only, so a thousand waiters cost the database no more than one.

use crate::checkpoint::{Checkpoint, Stopped};
use chrono::{DateTime, Utc};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

/// How far a partition has come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    pub(crate) offset: i64,
    pub(crate) owner: Option<Uuid>,
    pub(crate) stopped: Option<Arc<Stopped>>,
}

/// One partition of one read model.
pub(crate) struct Cell {
    pub(crate) progress: watch::Sender<Progress>,
    /// Tells a stopped owner to try again.
    pub(crate) retry: Notify,
    /// When the oldest event that is not in the rows was recorded.
    behind_since: Mutex<Option<DateTime<Utc>>>,
}

impl Cell {
    fn new() -> Self {
        Self {
            progress: watch::Sender::default(),
            retry: Notify::new(),
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

/// All cells.
pub(crate) struct Board {
    rows: Vec<(&'static str, Vec<Cell>)>,
}

impl Board {
    pub(crate) fn new(projections: &[&'static str], partitions: u16) -> Self {
        let cells = || (0..partitions).map(|_| Cell::new()).collect();
        Self {
            rows: projections.iter().map(|name| (*name, cells())).collect(),
        }
    }

    pub(crate) fn partitions(&self, projection: &str) -> Option<&[Cell]> {
        self.rows
            .iter()
            .find(|(name, _)| *name == projection)
            .map(|(_, cells)| cells.as_slice())
    }

    pub(crate) fn cell(&self, projection: &str, partition: u16) -> Option<&Cell> {
        self.partitions(projection)?.get(usize::from(partition))
    }

    /// Every cell with its read model and partition.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (&'static str, u16, &Cell)> {
        self.rows.iter().flat_map(|(name, cells)| {
            (0..)
                .zip(cells)
                .map(move |(partition, cell)| (*name, partition, cell))
        })
    }

    /// Takes what the checkpoints say. Of what this process feeds itself the cell knows more, except that an operator let
    /// a stopped partition go on.
    pub(crate) fn take(&self, checkpoints: Vec<Checkpoint>, process: Uuid) {
        for checkpoint in checkpoints {
            let Some(cell) = self.cell(&checkpoint.projection, checkpoint.partition) else {
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
                    || (!ours && known.stopped != stopped);
                known.owner = owner;
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
