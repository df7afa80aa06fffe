//! What each way in which something about dead letters is refused becomes.

use docket_projections::dead_letter::DeadLetterError;

use super::{
    AlreadyDiscarded, EventApplied, NoDeadLetters, NotFirstLetter, RebuildRefused, UnknownReadModel,
    UserError, UserErrorCode as Code,
};
use crate::graphql::error::{Refused, sentence};

impl UserError {
    /// A rule that refused an operator.
    ///
    /// # Errors
    /// For whatever else stood in the way.
    pub(in crate::graphql) fn of_dead_letter(error: DeadLetterError) -> Result<UserError, Refused> {
        let message = sentence(&error);
        let field = |name: &str| Some(vec!["input".to_owned(), name.to_owned()]);
        Ok(match error {
            DeadLetterError::NoSuchReadModel { name, known } => {
                UserError::UnknownReadModel(UnknownReadModel {
                    message,
                    code: Code::UnknownReadModel,
                    field: field("name"),
                    name,
                    known,
                })
            }
            DeadLetterError::NotParked { projection, order } => UserError::NoDeadLetters(NoDeadLetters {
                message,
                code: Code::NoDeadLetters,
                field: field("order"),
                name: projection,
                order: order.0,
            }),
            DeadLetterError::NotFirst { projection, position } => UserError::NotFirstLetter(NotFirstLetter {
                message,
                code: Code::NotFirstLetter,
                field: field("position"),
                name: projection,
                position: position.into(),
            }),
            DeadLetterError::Applied {
                projection,
                generation,
                position,
            } => UserError::EventApplied(EventApplied {
                message,
                code: Code::EventApplied,
                field: field("position"),
                name: projection,
                generation: generation.0,
                position: position.into(),
            }),
            DeadLetterError::Rebuilding { projection, .. } => UserError::RebuildRefused(RebuildRefused {
                message,
                code: Code::RebuildUnderWay,
                field: field("name"),
                name: projection,
            }),
            DeadLetterError::AlreadyDiscarded {
                projection,
                position,
                reason,
                by,
                at,
            } => UserError::AlreadyDiscarded(AlreadyDiscarded {
                message,
                code: Code::AlreadyDiscarded,
                field: field("position"),
                name: projection,
                position: position.into(),
                reason,
                by,
                at,
            }),
            DeadLetterError::Reason(_) | DeadLetterError::By(_) => return Err(Refused::bad_input(message)),
            DeadLetterError::Database(error) => return Err(error.into()),
        })
    }
}
