//! What a server does for rebuilds: it goes on with those that nobody does. One that was asked for, one whose process died or
//! stopped, one that waited for the database in vain. It looks every [`limits::REBUILD_LOOK`], and when it is woken.
//!
//! Not those that an operator lets wait or has interrupted, and not those that would come to the same again, because an event
//! cannot be folded or rows differ: these stand still until somebody says that they go on.

use super::{Begun, Progress, RebuildError, held, operation};
use crate::{fold::chain, limits, read_models};
use docket_event_store::Store;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Goes on with rebuilds of this program's read models, [`limits::REBUILDS_AT_ONCE`] at once; clones share it. It ends with
/// the last clone.
#[derive(Debug, Clone)]
pub struct Attendant(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    wake: Arc<Notify>,
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Attendant {
    /// Begins to look; it stops when it is told to, or with the token.
    pub fn start(store: &Store, stop: &CancellationToken) -> Self {
        let (wake, stop) = (Arc::new(Notify::new()), stop.child_token());
        let attend = |_| tokio::spawn(attend(store.clone(), Arc::clone(&wake), stop.clone()));
        let tasks = (0..limits::REBUILDS_AT_ONCE).map(attend).collect();
        Self(Arc::new(Inner {
            wake,
            stop,
            tasks: Mutex::new(tasks),
        }))
    }

    /// There is something to do.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Leaves what it does for another process, within [`limits::STOP`]. Every clone is stopped by it.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        let tasks = std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            if timeout(limits::STOP, task).await.is_err() {
                tracing::warn!("a rebuild did not stop in time; its lease runs out");
            }
        }
    }
}

async fn attend(store: Store, wake: Arc<Notify>, stop: CancellationToken) {
    let mut is_well = true;
    while !stop.is_cancelled() {
        match next(&store).await {
            Ok(Some(begun)) => {
                work(&store, begun, &stop).await;
                continue;
            }
            Ok(None) => is_well = true,
            Err(error) => {
                if std::mem::take(&mut is_well) {
                    tracing::warn!(
                        error = chain(&error),
                        "rebuilds cannot be looked for; trying again"
                    );
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = wake.notified() => {}
            () = sleep(limits::REBUILD_LOOK) => {}
        }
    }
}

/// One that is to be gone on with and that nobody else was faster to take.
async fn next(store: &Store) -> Result<Option<Begun>, RebuildError> {
    let due = operation::all(store.pool()).await?;
    let models = read_models::all(store);
    for operation in due.into_iter().filter(|operation| operation.is_due) {
        let found = models.iter().find(|model| model.name() == operation.projection);
        let Some(model) = found.filter(|model| model.version() == operation.version) else {
            continue;
        };
        let is_wanted = |now: &operation::Operation| now.is_due && now.version == model.version();
        let held = held::take_over(store.pool(), model.name(), Uuid::new_v4(), is_wanted).await?;
        if let Some(held) = held {
            return Ok(Some(Begun::of(store, Arc::clone(model), held)));
        }
    }
    Ok(None)
}

/// Works on one until it has ended, stands still, or is left because the process stops. A panic ends it alone.
async fn work(store: &Store, begun: Begun, stop: &CancellationToken) {
    let name = begun.projection();
    tracing::info!(read_model = name, "going on with a rebuild");
    let progress = Progress::new(store.partitions().count());
    let shown = progress.clone();
    let mut working = tokio::spawn(async move { begun.work(&shown).await });
    let done = tokio::select! {
        done = &mut working => done,
        () = stop.cancelled() => {
            progress.hand_over();
            (&mut working).await
        }
    };
    match done {
        Ok(Ok(rebuilt)) => {
            tracing::info!(
                read_model = name,
                outcome = rebuilt.outcome.as_str(),
                "a rebuild has ended"
            );
        }
        Ok(Err(error)) => tracing::warn!(read_model = name, error = chain(&error), "a rebuild stands still"),
        Err(error) => tracing::error!(read_model = name, %error, "a rebuild broke off"),
    }
}
