//! What operators do with read models.

use async_graphql::{Context, Object, Result};
use docket_projections::{
    rebuild::{self, Operation, RebuildError, Wish},
    shown_name,
};

use super::payloads::{
    CancelRebuildInput, CancelRebuildPayload, DropSideBuildInput, DropSideBuildPayload, PauseRebuildInput,
    PauseRebuildPayload, RebuildReadModelInput, RebuildReadModelPayload, ResumeRebuildInput,
    ResumeRebuildPayload, RollbackReadModelInput, RollbackReadModelPayload, answered,
};
use crate::graphql::{Services, actor, error::Refused, services};

/// Mutations of projections.
#[derive(Default)]
pub struct ProjectionMutations;

#[Object]
impl ProjectionMutations {
    /// Has a read model built anew from the log, beside the one that is served, and served in its place; or a rebuild that stands
    /// still gone on with. It answers at once, and a server does it.
    async fn rebuild_read_model(
        &self,
        ctx: &Context<'_>,
        input: RebuildReadModelInput,
    ) -> Result<Option<RebuildReadModelPayload>> {
        let services = noted(ctx, "rebuildReadModel", &input.name)?;
        let asked = rebuild::ask(&services.store, &input.name, input.options()?).await;
        wake(services);
        Ok(Some(RebuildReadModelPayload::of(&input.name, asked)?))
    }

    /// Serves the generation of a read model again that was served before. It takes 20 s at most.
    async fn rollback_read_model(
        &self,
        ctx: &Context<'_>,
        input: RollbackReadModelInput,
    ) -> Result<Option<RollbackReadModelPayload>> {
        let services = noted(ctx, "rollbackReadModel", &input.name)?;
        let (served, user_errors) =
            answered(&input.name, rebuild::rollback(&services.store, &input.name).await)?;
        Ok(Some(RollbackReadModelPayload {
            generation: served.map(|generation| generation.0),
            user_errors,
        }))
    }

    /// Lets a rebuild wait where it is.
    async fn pause_rebuild(
        &self,
        ctx: &Context<'_>,
        input: PauseRebuildInput,
    ) -> Result<Option<PauseRebuildPayload>> {
        let services = noted(ctx, "pauseRebuild", &input.name)?;
        let said = say(services, &input.name, Wish::Pause).await;
        Ok(Some(PauseRebuildPayload::of(&input.name, said)?))
    }

    /// Lets a rebuild go on that waits or stands still; a server does it where nobody does.
    async fn resume_rebuild(
        &self,
        ctx: &Context<'_>,
        input: ResumeRebuildInput,
    ) -> Result<Option<ResumeRebuildPayload>> {
        let services = noted(ctx, "resumeRebuild", &input.name)?;
        let said = say(services, &input.name, Wish::Run).await;
        Ok(Some(ResumeRebuildPayload::of(&input.name, said)?))
    }

    /// Calls a rebuild off; nothing of it is left. It takes 15 s at most.
    async fn cancel_rebuild(
        &self,
        ctx: &Context<'_>,
        input: CancelRebuildInput,
    ) -> Result<Option<CancelRebuildPayload>> {
        let services = noted(ctx, "cancelRebuild", &input.name)?;
        let said = say(services, &input.name, Wish::Cancel).await;
        Ok(Some(CancelRebuildPayload::of(&input.name, said)?))
    }

    /// Drops what was built aside of a read model.
    async fn drop_side_build(
        &self,
        ctx: &Context<'_>,
        input: DropSideBuildInput,
    ) -> Result<Option<DropSideBuildPayload>> {
        let services = noted(ctx, "dropSideBuild", &input.name)?;
        let (dropped, user_errors) = answered(
            &input.name,
            rebuild::drop_side(&services.store, &input.name).await,
        )?;
        Ok(Some(DropSideBuildPayload {
            dropped: dropped.is_some(),
            user_errors,
        }))
    }
}

/// Who does what goes to the log of the process: these are no events.
pub(in crate::graphql) fn noted<'a>(
    ctx: &Context<'a>,
    what: &str,
    name: &str,
) -> Result<&'a Services, Refused> {
    let actor = actor(ctx)?;
    tracing::info!(role = %actor.role, actor = %actor.id, what, read_model = shown_name(name), "an operator");
    services(ctx)
}

async fn say(services: &Services, name: &str, wish: Wish) -> Result<Operation, RebuildError> {
    let said = rebuild::wish(&services.store, name, wish).await;
    wake(services);
    said
}

/// This process goes on with it at once where it may; else another one does within seconds.
fn wake(services: &Services) {
    if let Some(rebuilds) = &services.rebuilds {
        rebuilds.wake();
    }
}
