//! What operators' mutations take and answer.

use async_graphql::{InputObject, SimpleObject};
use docket_projections::{
    limits::REBUILD_PARALLEL,
    rebuild::{Operation, Purpose, RebuildError, RebuildOptions, usual_parallel},
};

use super::types::Rebuild;
use crate::graphql::{error::Refused, user_error::UserError};

/// Which read model is rebuilt, and how.
#[derive(Debug, InputObject)]
pub struct RebuildReadModelInput {
    /// The read model.
    pub name: String,
    /// Build it, compare it with the one that is served, and drop it again.
    #[graphql(default)]
    pub verify_only: bool,
    /// Prove the new rows by the log alone, where those that are served are known to be wrong.
    #[graphql(default)]
    pub against_log: bool,
    /// Partitions that are filled at once, 1 to 8; half of the server's processors where nothing is said.
    pub parallel: Option<i32>,
}

impl RebuildReadModelInput {
    pub(super) fn options(&self) -> Result<RebuildOptions, Refused> {
        let parallel = match self.parallel {
            None => usual_parallel(),
            Some(parallel) => u16::try_from(parallel)
                .ok()
                .filter(|parallel| (1..=REBUILD_PARALLEL).contains(parallel))
                .ok_or_else(|| {
                    Refused::bad_input(format!(
                        "`parallel` is from 1 to {REBUILD_PARALLEL}, not {parallel}."
                    ))
                })?,
        };
        Ok(RebuildOptions {
            parallel,
            purpose: match self.verify_only {
                true => Purpose::VerifyOnly,
                false => Purpose::Swap,
            },
            against_log: self.against_log,
        })
    }
}

macro_rules! inputs {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, InputObject)]
        pub struct $name {
            /// The read model.
            pub name: String,
        }
    )+};
}

inputs! {
    /// Of which read model the generation is served again that was served before.
    RollbackReadModelInput;
    /// Of which read model the rebuild waits.
    PauseRebuildInput;
    /// Of which read model the rebuild goes on.
    ResumeRebuildInput;
    /// Of which read model the rebuild is called off.
    CancelRebuildInput;
}

/// What came of a mutation; nothing was done where `userErrors` is not empty.
#[derive(Debug, SimpleObject)]
pub struct RollbackReadModelPayload {
    /// The generation that is served now.
    pub generation: Option<i32>,
    /// The rule that refused, if one did.
    pub user_errors: Vec<UserError>,
}

macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident { $(#[$of_rebuild:meta])* })+) => {$(
        $(#[$doc])*
        #[derive(Debug, SimpleObject)]
        pub struct $name {
            $(#[$of_rebuild])*
            pub rebuild: Option<Rebuild>,
            /// The rule that refused, if one did.
            pub user_errors: Vec<UserError>,
        }

        impl $name {
            pub(super) fn of(came_of_it: Result<Operation, RebuildError>) -> Result<Self, Refused> {
                let (operation, user_errors) = answered(came_of_it)?;
                let rebuild = operation.as_ref().map(Rebuild::from);
                Ok(Self { rebuild, user_errors })
            }
        }
    )+};
}

payloads! {
    /// What came of a mutation; nothing was done where `userErrors` is not empty.
    RebuildReadModelPayload {
        /// The rebuild, which a server begins now. `projectionProgress` follows it.
    }
    /// What came of a mutation; nothing was done where `userErrors` is not empty.
    PauseRebuildPayload {
        /// The rebuild as it was when this was said.
    }
    /// What came of a mutation; nothing was done where `userErrors` is not empty.
    ResumeRebuildPayload {
        /// The rebuild as it was when this was said.
    }
    /// What came of a mutation; nothing was done where `userErrors` is not empty.
    CancelRebuildPayload {
        /// The rebuild as it was when this was said; it has ended.
    }
}

/// What came of it, or the rule that refused.
pub(super) fn answered<T>(
    came_of_it: Result<T, RebuildError>,
) -> Result<(Option<T>, Vec<UserError>), Refused> {
    match came_of_it {
        Ok(done) => Ok((Some(done), Vec::new())),
        Err(error) => {
            let refused = UserError::of_rebuild(error)?;
            metrics::counter!("docket_refusals_total", "rule" => refused.rule()).increment(1);
            Ok((None, vec![refused]))
        }
    }
}
