//! What each way in which a rebuild is refused becomes.

use docket_projections::{rebuild::RebuildError, shown_name};

use super::{
    GenerationBehind, GenerationMoved, RebuildOfOtherVersion, RebuildRefused, RebuildUnderWay,
    UnknownReadModel, UserError, UserErrorCode as Code,
};
use crate::graphql::{
    error::{Refused, sentence},
    scalars::BigInt,
};

impl UserError {
    /// A rule that refused an operator.
    ///
    /// # Errors
    /// For whatever else stood in the way.
    pub(in crate::graphql) fn of_rebuild(error: RebuildError) -> Result<UserError, Refused> {
        let (message, field) = (
            sentence(&error),
            Some(vec!["input".to_owned(), "name".to_owned()]),
        );
        let without_facts = |code, name| {
            UserError::RebuildRefused(RebuildRefused {
                message: message.clone(),
                code,
                field: field.clone(),
                name,
            })
        };
        Ok(match error {
            RebuildError::NoSuchReadModel { name, known } => UserError::UnknownReadModel(UnknownReadModel {
                message,
                code: Code::UnknownReadModel,
                field,
                name: shown_name(&name),
                known: known.into_iter().map(str::to_owned).collect(),
            }),
            RebuildError::Running {
                projection,
                step,
                since,
                owner,
            } => UserError::RebuildUnderWay(RebuildUnderWay {
                message,
                code: Code::RebuildUnderWay,
                field,
                name: projection,
                step: step.into(),
                since,
                owner,
            }),
            RebuildError::OtherVersion {
                projection,
                theirs,
                ours,
            } => UserError::RebuildOfOtherVersion(RebuildOfOtherVersion {
                message,
                code: Code::RebuildOfOtherVersion,
                field,
                name: projection,
                theirs,
                ours,
            }),
            RebuildError::OtherPurpose(name) => without_facts(Code::RebuildOfOtherPurpose, name),
            RebuildError::NoTemplate { projection, .. } => without_facts(Code::NotMigrated, projection),
            RebuildError::NothingAside(name) => without_facts(Code::NoSideBuild, name),
            RebuildError::Future { .. } => return Err(Refused::bad_input(message)),
            RebuildError::NotRunning(name) => without_facts(Code::NoRebuild, name),
            RebuildError::CalledOff(name) => without_facts(Code::RebuildCalledOff, name),
            RebuildError::InUse(name) => without_facts(Code::TablesInUse, name),
            RebuildError::NothingKept(name) => without_facts(Code::NoEarlierGeneration, name),
            RebuildError::Moved {
                projection,
                from,
                served,
            } => UserError::GenerationMoved(GenerationMoved {
                message,
                code: Code::GenerationMoved,
                field,
                name: projection,
                before: from.0,
                served: served.0,
            }),
            RebuildError::NotThere {
                projection,
                generation,
                behind,
            } => UserError::GenerationBehind(GenerationBehind {
                message,
                code: Code::GenerationBehind,
                field,
                name: projection,
                generation: generation.0,
                behind: BigInt(behind),
            }),
            RebuildError::Database(error) => return Err(error.into()),
            RebuildError::Keys(error) => return Err(Refused::of_shared(&error)),
            // What ends a rebuild that somebody works on; nobody does so while a caller waits.
            RebuildError::Lost
            | RebuildError::Interrupted
            | RebuildError::Paused
            | RebuildError::Load(_)
            | RebuildError::Differs(_)
            | RebuildError::NotTheFold(_)
            | RebuildError::Parked { .. }
            | RebuildError::NotHeld(_)
            | RebuildError::Start(_)
            | RebuildError::Broken(_) => return Err(Refused::internal(&error)),
        })
    }
}
