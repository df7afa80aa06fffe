//! What operators' mutations take and answer.

use async_graphql::{InputObject, SimpleObject};
use chrono::{DateTime, Utc};
use docket_projections::{
    limits::REBUILD_PARALLEL,
    rebuild::{Operation, Purpose, RebuildError, RebuildOptions, Sizes, usual_parallel},
};

use super::types::Rebuild;
use crate::graphql::{
    error::Refused,
    order::queries::known_to_the_database,
    user_error::{self, UserError},
};

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
    /// Build it aside and tell how it differs from what is served, at the same events: nothing is swapped, and the tables stay in
    /// the schema `side`.
    #[graphql(default)]
    pub what_if: bool,
    /// The same with the events that were recorded until this instant.
    pub as_of: Option<DateTime<Utc>>,
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
        let purpose = match (self.verify_only, self.what_if, self.as_of) {
            (false, false, None) => Purpose::Swap,
            (true, false, None) => Purpose::VerifyOnly,
            (false, true, None) => Purpose::WhatIf,
            (false, false, Some(instant)) => Purpose::AsOf(instant),
            _ => {
                return Err(Refused::bad_input(
                    "Say one of `verifyOnly`, `whatIf` and `asOf`, or none.",
                ));
            }
        };
        if self.against_log && !matches!(purpose, Purpose::Swap | Purpose::VerifyOnly) {
            return Err(Refused::bad_input(
                "What is built aside is not proved: leave `againstLog` out.",
            ));
        }
        known_to_the_database(self.as_of)?;
        Ok(RebuildOptions {
            parallel,
            purpose,
            against_log: self.against_log,
            sizes: Sizes::USUAL,
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
    /// Of which read model that is dropped which was built aside.
    DropSideBuildInput;
}

/// What came of a mutation; nothing was done where `userErrors` is not empty.
#[derive(Debug, SimpleObject)]
pub struct RollbackReadModelPayload {
    /// The generation that is served now.
    pub generation: Option<i32>,
    /// The rule that refused, if one did.
    pub user_errors: Vec<UserError>,
}

/// What came of a mutation; nothing was done where `userErrors` is not empty.
#[derive(Debug, SimpleObject)]
pub struct DropSideBuildPayload {
    /// Whether something was dropped.
    pub dropped: bool,
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
            pub(super) fn of(
                name: &str,
                came_of_it: Result<Operation, RebuildError>,
            ) -> Result<Self, Refused> {
                let (operation, user_errors) = answered(name, came_of_it)?;
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

/// What came of it for a read model, or the rule that refused.
pub(super) fn answered<T>(
    name: &str,
    came_of_it: Result<T, RebuildError>,
) -> Result<(Option<T>, Vec<UserError>), Refused> {
    user_error::answered(came_of_it, |error| UserError::of_rebuild(name, error))
}
