//! Why a rebuild does not come to its end.

use super::{Comparison, LoadError, Step};
use crate::{StartError, generation::Generation, verify::VerifyError};
use chrono::{DateTime, Utc};
use docket_event_store::PersonalError;
use std::{error::Error, sync::Arc};
use uuid::Uuid;

/// What the database says to a role that may not do what it asks for.
const NOT_GRANTED: &str = "42501";

/// Why a rebuild did not come to its end. It stands where it is, and whoever rebuilds the read model next goes on there.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The database did not answer, or refused.
    #[error("the database did not do what it was asked")]
    Database(#[from] sqlx::Error),
    /// The keys of personal values cannot be read.
    #[error("the keys of personal data cannot be read")]
    Keys(#[source] Arc<sqlx::Error>),
    /// There is none of this name.
    #[error("there is no read model {name:?}; there are {}", .known.join(", "))]
    NoSuchReadModel {
        /// What was asked for; of a long name its beginning.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// Another rebuild of it is under way.
    #[error(
        "{projection} is being rebuilt since {since} (step {step}{})",
        .owner.map_or_else(|| ", by nobody now".to_owned(), |owner| format!(", by process {owner}"))
    )]
    Running {
        /// The read model.
        projection: String,
        /// How far that has come.
        step: Step,
        /// Since when.
        since: DateTime<Utc>,
        /// By which process.
        owner: Option<Uuid>,
    },
    /// A rebuild stands still that another version of the program began.
    #[error(
        "a rebuild of {projection} by version {theirs} of its fold stands still and this program has version {ours}: go on \
         with the program that fits, or cancel it"
    )]
    OtherVersion {
        /// The read model.
        projection: String,
        /// Of the rebuild.
        theirs: i32,
        /// Of this program.
        ours: i32,
    },
    /// A rebuild stands still that was to end otherwise.
    #[error("a rebuild of {0} that was to end otherwise stands still: go on with that one, or cancel it")]
    OtherPurpose(String),
    /// The database does not know the tables of this version.
    #[error(
        "the database has no template of version {version} of {projection}: run `docket migrate` with this program first"
    )]
    NoTemplate {
        /// The read model.
        projection: String,
        /// Of this program's fold.
        version: i32,
    },
    /// Nobody knows yet what will be recorded until then.
    #[error("{instant} has not come yet: by the clock of the database it is {now}")]
    Future {
        /// What was asked for.
        instant: DateTime<Utc>,
        /// The database's time.
        now: DateTime<Utc>,
    },
    /// What is served was not held at the same offsets for long enough.
    #[error(
        "{0} could not be held still for the moment that a comparison takes: try again when less comes in"
    )]
    NotHeld(String),
    /// Nothing is kept aside.
    #[error("nothing of {0} was built aside")]
    NothingAside(String),
    /// Nothing is under way.
    #[error("no rebuild of {0} is under way")]
    NotRunning(String),
    /// An operator calls it off, and it has not ended yet.
    #[error("the rebuild of {0} is being called off, and has not ended yet")]
    CalledOff(String),
    /// An operator lets it wait.
    #[error("it waits, as an operator wants")]
    Paused,
    /// Tables that are to go are being read.
    #[error(
        "tables of {0} that are to be dropped are being read, so nothing was dropped: try again when nobody reads them"
    )]
    InUse(String),
    /// There is no generation to go back to.
    #[error("{0} has no earlier generation to go back to")]
    NothingKept(String),
    /// Another process does it now, or somebody has called it off.
    #[error("another process has taken the rebuild over")]
    Lost,
    /// It was told to stop.
    #[error("it was interrupted")]
    Interrupted,
    /// A partition could not be filled.
    #[error(transparent)]
    Load(LoadError),
    /// The new rows are not the old ones.
    #[error("{} of {} rows differ; the first: {}", .0.differ, .0.rows, first(.0))]
    Differs(Comparison),
    /// The new rows are not the fold of the log.
    #[error("the rows are not the fold of the log")]
    NotTheFold(#[source] VerifyError),
    /// Somebody else has moved the pointer meanwhile.
    #[error(
        "{projection} is served from generation {served} now, not from {from}: somebody has swapped it meanwhile"
    )]
    Moved {
        /// The read model.
        projection: String,
        /// What was served before.
        from: Generation,
        /// What is served now.
        served: Generation,
    },
    /// The new generation lacks what the old one has.
    #[error(
        "generation {generation} of {projection} has parked events of {orders} orders that what is served has in its rows: \
         see `docket dead-letters list`, then go on"
    )]
    Parked {
        /// The read model.
        projection: String,
        /// The generation.
        generation: Generation,
        /// Of how many orders.
        orders: i64,
    },
    /// The generation that is to be served did not come to where the other one is.
    #[error(
        "generation {generation} of {projection} is {behind} events behind what is served and does not come nearer: is a \
         program running that feeds it?"
    )]
    NotThere {
        /// The read model.
        projection: String,
        /// The generation.
        generation: Generation,
        /// How far it is behind.
        behind: i64,
    },
    /// The new generation cannot be fed.
    #[error("the new generation cannot be fed")]
    Start(#[source] StartError),
    /// What was to work broke off.
    #[error("a part of the rebuild broke off: {0}")]
    Broken(String),
}

fn first(comparison: &Comparison) -> String {
    let first = comparison.named.first();
    first.map_or_else(|| "none could be read".to_owned(), ToString::to_string)
}

impl From<LoadError> for RebuildError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Database(error) => Self::Database(error),
            LoadError::Personal(PersonalError::Keys(error)) => Self::Keys(error),
            LoadError::Lost => Self::Lost,
            error => Self::Load(error),
        }
    }
}

impl RebuildError {
    /// The database's role may not do what it takes.
    pub fn is_not_granted(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let shared = || error.downcast_ref::<Arc<sqlx::Error>>().map(Arc::as_ref);
            let asked = error.downcast_ref().or_else(shared);
            let refusal = asked.and_then(sqlx::Error::as_database_error);
            if refusal.is_some_and(|refusal| refusal.code().as_deref() == Some(NOT_GRANTED)) {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// The same may go well a moment later.
    pub(super) fn is_passing(&self) -> bool {
        let error = match self {
            Self::Database(error) => error,
            Self::Keys(error) => error.as_ref(),
            Self::Paused | Self::InUse(_) => return true,
            _ => return false,
        };
        match error {
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default();
                // Connections, resources (a full disk among them), operators, deadlocks and serialization.
                // What a lost connection left running may still build the same index, and a snapshot ends with its session.
                ["08", "53", "57", "40", "55", "23505", "42P07", "22023"]
                    .iter()
                    .any(|class| code.starts_with(class))
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::WorkerCrashed => true,
            _ => false,
        }
    }
}
