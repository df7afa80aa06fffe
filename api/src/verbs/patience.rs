//! Running a command from a list of them: what fails for a while is tried again, and what is wrong with a command is told
//! from what is wrong with the log.

use docket_event_store::{
    AppendError, ExecuteError, FeedError, LoadError, PersonalError, Request, Store, execute::Executed,
};
use std::time::{Duration, Instant};

/// How long a command is tried again while the log is not available: a restart of PostgreSQL with its recovery.
const MAX_OUTAGE: Duration = Duration::from_secs(120);
/// Between two tries.
const BACK_OFF: Duration = Duration::from_millis(100);

/// What became of a command.
pub(super) enum Answer {
    /// It is in the log, now or since an earlier try.
    Taken(Box<Executed>),
    /// This command is wrong; others may be right.
    Refused(ExecuteError),
    /// Nothing will work.
    Stuck(ExecuteError),
    /// The caller gave up while the log was not available.
    GivenUp,
}

/// Runs one command; while the log is not available or does not say what became of it, the same again, unless
/// `is_over`.
pub(super) async fn execute(store: &Store, request: &Request, is_over: impl Fn() -> bool) -> Answer {
    let deadline = Instant::now() + MAX_OUTAGE;
    loop {
        let error = match store.execute(request.clone()).await {
            Ok(executed) => return Answer::Taken(Box::new(executed)),
            Err(error) => error,
        };
        match verdict(&error) {
            Verdict::Command => return Answer::Refused(error),
            Verdict::Again if is_over() => return Answer::GivenUp,
            Verdict::Again if Instant::now() < deadline => tokio::time::sleep(BACK_OFF).await,
            Verdict::Again | Verdict::Stuck => return Answer::Stuck(error),
        }
    }
}

/// What an error says about going on.
enum Verdict {
    Command,
    /// The same again may work.
    Again,
    Stuck,
}

fn verdict(error: &ExecuteError) -> Verdict {
    match error {
        ExecuteError::Refused(_)
        | ExecuteError::VersionConflict { .. }
        | ExecuteError::IdReused
        | ExecuteError::Payload(_)
        | ExecuteError::Append(AppendError::TooLarge { .. } | AppendError::Malformed)
        | ExecuteError::Load(LoadError::Decode { .. }) => Verdict::Command,
        ExecuteError::Append(
            AppendError::Overloaded | AppendError::Unavailable(_) | AppendError::OutcomeUnknown(_),
        )
        | ExecuteError::Load(LoadError::Read(_))
        | ExecuteError::Personal(PersonalError::Keys(_) | PersonalError::Overloaded)
        | ExecuteError::Number(_)
        | ExecuteError::Settle(_)
        | ExecuteError::Read(FeedError::Read(_)) => Verdict::Again,
        ExecuteError::Personal(PersonalError::WrongMasterKey | PersonalError::Cipher)
        | ExecuteError::Read(FeedError::NoSuchPartition(_) | FeedError::HistoryLost(_)) => Verdict::Stuck,
    }
}
