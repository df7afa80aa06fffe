//! Following a rebuild that another process does, as if it were done here.

use super::{
    Progress, RebuildError, RebuildOptions, Rebuilt, find,
    operation::{self, Operation, Wish, running},
    rebuild,
};
use crate::{limits, read_models::ReadModel};
use docket_event_store::Store;
use tokio::time::sleep;

/// Rebuilds a read model. Where another process does just that, it is followed to its end, and gone on with where it stands
/// still before; to stop following does not stop it.
///
/// # Errors
/// As [`rebuild`]. What is under way and is another rebuild, or not at its end when following stops, is
/// [`RebuildError::Running`].
pub async fn rebuild_or_follow(
    store: &Store,
    name: &str,
    options: RebuildOptions,
    progress: &Progress,
) -> Result<Rebuilt, RebuildError> {
    loop {
        match rebuild(store, name, options, progress).await {
            Err(RebuildError::Running { .. }) => {}
            done => return done,
        }
        let model = find(store, name)?;
        if let Some(rebuilt) = follow(store, &*model, options, progress).await? {
            return Ok(rebuilt);
        }
    }
}

/// What it came to; `None` where nobody does it any more.
async fn follow(
    store: &Store,
    model: &dyn ReadModel,
    options: RebuildOptions,
    progress: &Progress,
) -> Result<Option<Rebuilt>, RebuildError> {
    let mut followed = None;
    loop {
        let all = operation::all(store.pool()).await?;
        let now = all.into_iter().find(|one| one.projection == model.name());
        let Some(now) = now else { return Ok(None) };
        let is_same = now.version == model.version()
            && (now.purpose, now.against_log) == (options.purpose.kept(), options.against_log)
            && *followed.get_or_insert(now.generation) == now.generation;
        if !is_same {
            return Err(running(now));
        }
        progress.show(&now);
        if now.ended_at.is_some() {
            return rebuilt(&now).map(Some);
        }
        if progress.stopped().is_cancelled() {
            return Err(running(now));
        }
        if now.owner.is_none() && now.wish != Wish::Pause {
            return Ok(None);
        }
        tokio::select! {
            () = progress.stopped().cancelled() => {}
            () = sleep(limits::REBUILD_TICK) => {}
        }
    }
}

/// How one that has ended did so.
fn rebuilt(ended: &Operation) -> Result<Rebuilt, RebuildError> {
    let outcome = ended.outcome.as_deref().and_then(|outcome| outcome.parse().ok());
    Ok(Rebuilt {
        from: ended.from,
        generation: ended.generation,
        rows: ended.rows.unwrap_or(0).unsigned_abs(),
        is_compared: false,
        // A newer program has other words.
        outcome: outcome.ok_or(RebuildError::Lost)?,
        differences: ended.differences.clone(),
        took: Vec::new(),
    })
}
