//! What each way in which a rebuild is refused becomes.

use docket_projections::{rebuild::RebuildError, shown_name};

use super::{
    GenerationBehind, GenerationMoved, RebuildOfOtherVersion, RebuildRefused, RebuildUnderWay,
    UnknownReadModel, UserError, UserErrorCode as Code,
};
use crate::{
    cli::chain,
    graphql::{
        error::{Refused, sentence},
        scalars::BigInt,
    },
};

/// What it takes is the owner's of the tables; a server may run under a role with fewer rights.
const NOT_THIS_SERVERS: &str = "This server's role in the database may not do that: ask a server that may, or run `docket` as \
                                the owner of the tables.";

impl UserError {
    /// A rule that refused an operator who asked for something about a read model.
    ///
    /// # Errors
    /// For whatever else stood in the way.
    pub(in crate::graphql) fn of_rebuild(name: &str, error: RebuildError) -> Result<UserError, Refused> {
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
        if error.is_not_granted() {
            tracing::warn!(
                error = chain(&error),
                read_model = name,
                "the role in the database may not do it"
            );
            return Ok(UserError::RebuildRefused(RebuildRefused {
                message: NOT_THIS_SERVERS.to_owned(),
                code: Code::NotThisServers,
                field: None,
                name: shown_name(name),
            }));
        }
        Ok(match error {
            RebuildError::NoSuchReadModel { name, known } => UserError::UnknownReadModel(UnknownReadModel {
                message,
                code: Code::UnknownReadModel,
                field,
                name,
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
