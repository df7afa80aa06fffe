//! What goes wrong beside the rules of the business: one code for each way, and nothing internal in any of them.
//!
//! A rule that refused is data ([`super::user_error`]). Everything else is an error of GraphQL with
//! `extensions.code`. Each kind of failure is mapped by one `match`, so that a new kind does not compile before somebody
//! has said what callers are told.

use std::{any::Any, fmt::Display, sync::Arc};

use async_graphql::{Error, ErrorExtensionValues, Pos, ServerError, Value};
use docket_domain::{InvalidError, Refusal, Role};
use docket_event_store::{
    AppendError, ExecuteError, FeedError, LoadError, PersonalError, Position, command_id::MAX_KEY_BYTES,
    gather::GatherError,
};
use docket_projections::NotServed;

use crate::http::code;

use super::user_error::UserError;

/// The thing that was named does not exist, or is none of the caller's business, which looks the same.
pub const NOT_FOUND: &str = "NOT_FOUND";
/// The idempotency key was used for another request.
pub const IDEMPOTENCY_KEY_REUSED: &str = "IDEMPOTENCY_KEY_REUSED";
/// A read model has not reached the positions that were named, within the time that a query waits; or what a mutation did
/// cannot be shown now.
pub const STALE: &str = "STALE";
/// A read model has set the order's events aside; they are shown in `/readyz`.
pub const PARKED: &str = "PARKED";

/// Why a fault of ours happened: for the log, never for callers.
#[derive(Clone, Debug)]
pub(super) struct Causes(pub(super) String);

/// An error with its code, as GraphQL will show it.
#[derive(Clone, Debug)]
pub struct Refused {
    code: &'static str,
    message: String,
    at: Option<Pos>,
    causes: Option<Causes>,
    extensions: Vec<(&'static str, Value)>,
}

impl Refused {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Refused {
        Refused {
            code,
            message: message.into(),
            at: None,
            causes: None,
            extensions: Vec::new(),
        }
    }

    pub(super) fn bad_input(message: impl Into<String>) -> Refused {
        Refused::new(code::BAD_USER_INPUT, message)
    }

    pub(super) fn not_found(what: impl Display) -> Refused {
        Refused::new(NOT_FOUND, format!("{what} does not exist."))
    }

    pub(super) fn unavailable() -> Refused {
        Refused::new(
            code::UNAVAILABLE,
            "The database does not answer; nothing was done. Try again.",
        )
    }

    fn too_many_queries() -> Refused {
        Refused::new(code::OVERLOADED, "Too many queries are waiting; try again later.")
    }

    pub(super) fn too_costly(cost: u64, limit: u64) -> Refused {
        let message = format!(
            "The operation costs {cost}; {limit} are allowed. Ask for fewer fields or smaller pages."
        );
        Refused::new(code::COST_LIMIT_EXCEEDED, message)
            .with("cost", cost)
            .over("cost", limit, cost)
    }

    /// Nobody, or somebody whose role does not have this field.
    pub(super) fn denied(role: Option<Role>, parent: &str, field: &str) -> Refused {
        match role {
            None => Refused::new(code::UNAUTHENTICATED, format!("{parent}.{field} needs a token.")),
            Some(role) => Refused::new(
                code::FORBIDDEN,
                format!("The role {role} may not use {parent}.{field}."),
            ),
        }
    }

    /// A fault of ours. Its causes travel beside the error to the door, which logs them under the request's trace id;
    /// callers are told that id and nothing else.
    pub(super) fn internal(error: &dyn std::error::Error) -> Refused {
        let mut causes = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            causes = format!("{causes}: {cause}");
            source = cause.source();
        }
        let refused = Refused::new(code::INTERNAL, "Something went wrong on our side.");
        Refused {
            causes: Some(Causes(causes)),
            ..refused
        }
    }

    /// As what a mutation answers whose command is done, at this position, and whose payload cannot be read.
    ///
    /// A fault of ours stays one. Everything else becomes `STALE`, the code for what is in the log and cannot be shown
    /// now: the other codes say that nothing was done, or leave it open.
    pub(super) fn although_done(self, position: Position) -> Refused {
        let Position { partition, offset } = position;
        let message = format!(
            "It was done, at position {partition}:{offset}; the order cannot be read now. \
             To repeat it with the same key is safe."
        );
        Refused {
            code: if self.code == code::INTERNAL {
                code::INTERNAL
            } else {
                STALE
            },
            message,
            ..self
        }
    }

    /// Where in the document.
    pub(super) fn at(self, at: Pos) -> Refused {
        Refused { at: Some(at), ..self }
    }

    /// Of what there is too much: the limit, and how much there is or, where counting stopped, one more than allowed.
    pub(super) fn over(self, what: &'static str, limit: u64, actual: u64) -> Refused {
        self.with("what", what)
            .with("limit", limit)
            .with("actual", actual)
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Refused {
        self.extensions.push((name, value.into()));
        self
    }

    fn values(&self) -> ErrorExtensionValues {
        let mut values = ErrorExtensionValues::default();
        values.set("code", self.code);
        for (name, value) in &self.extensions {
            values.set(name, value.clone());
        }
        values
    }

    /// As an answer to a request that did not begin.
    pub(super) fn into_server_error(self) -> ServerError {
        let extensions = Some(self.values());
        let mut error = ServerError::new(self.message, self.at);
        error.extensions = extensions;
        error
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Error {
        let extensions = Some(refused.values());
        let mut error = Error::new(refused.message);
        error.extensions = extensions;
        error.source = refused
            .causes
            .map(|causes| Arc::new(causes) as Arc<dyn Any + Send + Sync>);
        error
    }
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Refused {
        Refused::of_shared(&error)
    }
}

impl Refused {
    /// Of an error that several are answered with.
    pub(super) fn of_shared(error: &sqlx::Error) -> Refused {
        use sqlx::Error::{Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
        if let sqlx::Error::Configuration(why) = error
            && let Some(not_served) = why.downcast_ref::<NotServed>()
        {
            return not_served.clone().into();
        }
        let away = match error {
            Io(_) | Tls(_) | Protocol(_) | PoolTimedOut | PoolClosed | WorkerCrashed => true,
            // Connection exceptions, insufficient resources, operator intervention, system errors, read-only.
            sqlx::Error::Database(database) => database.code().is_some_and(|code| {
                ["08", "53", "57", "58"]
                    .iter()
                    .any(|class| code.starts_with(class))
                    || code == "25006"
            }),
            _ => false,
        };
        if !away {
            return Refused::internal(error);
        }
        tracing::warn!(%error, "the database did not answer");
        Refused::unavailable()
    }
}

impl From<NotServed> for Refused {
    fn from(error: NotServed) -> Refused {
        tracing::error!(%error, "a read model was asked for");
        let message = format!("The read model {} is being built; try again later.", error.0);
        Refused::new(code::UNAVAILABLE, message).with("readModel", error.0)
    }
}

impl From<FeedError> for Refused {
    fn from(error: FeedError) -> Refused {
        match error {
            FeedError::Read(error) => error.into(),
            FeedError::NoSuchPartition(_) => Refused::bad_input(error.to_string()),
            FeedError::HistoryLost(_) => {
                tracing::error!(%error, "the log went back");
                Refused::unavailable()
            }
        }
    }
}

impl From<LoadError> for Refused {
    fn from(error: LoadError) -> Refused {
        match error {
            LoadError::Read(error) => error.into(),
            LoadError::Decode { .. } => Refused::internal(&error),
        }
    }
}

impl From<GatherError> for Refused {
    fn from(error: GatherError) -> Refused {
        tracing::warn!(%error, "a read did not take place");
        match error {
            GatherError::Full => Refused::too_many_queries(),
            GatherError::Late => Refused::unavailable(),
            GatherError::Gone => Refused::internal(&error),
        }
    }
}

impl From<PersonalError> for Refused {
    fn from(error: PersonalError) -> Refused {
        match error {
            PersonalError::Keys(error) => Refused::of_shared(&error),
            PersonalError::Overloaded => Refused::too_many_queries(),
            PersonalError::WrongMasterKey | PersonalError::Cipher => Refused::internal(&error),
        }
    }
}

impl From<AppendError> for Refused {
    fn from(error: AppendError) -> Refused {
        match error {
            AppendError::Overloaded => {
                Refused::new(code::OVERLOADED, "Too many commands are waiting; nothing was done. Try again later.")
            }
            AppendError::Unavailable(reason) => {
                tracing::warn!(%reason, "the log did not take a command");
                Refused::unavailable()
            }
            AppendError::OutcomeUnknown(id) => Refused::new(
                code::OUTCOME_UNKNOWN,
                "No answer came from the database; it may have happened. Repeat with the same idempotency key.",
            )
            .with("commandId", id.to_string()),
            AppendError::TooLarge { .. } => Refused::bad_input(error.to_string()),
            AppendError::Malformed => Refused::internal(&error),
        }
    }
}

/// A rule's refusal is data; whatever else stood in the way of a command is an error.
pub(super) fn of_command(error: ExecuteError) -> Result<UserError, Refused> {
    Err(match error {
        ExecuteError::Refused(refusal) => return of_refusal(refusal),
        ExecuteError::VersionConflict {
            stream,
            expected,
            actual,
        } => {
            return Ok(UserError::version_conflict(stream, expected, actual));
        }
        ExecuteError::IdReused => Refused::new(
            IDEMPOTENCY_KEY_REUSED,
            "The idempotency key was used for another request; nothing was done.",
        ),
        ExecuteError::Append(error) => error.into(),
        ExecuteError::Load(error) => error.into(),
        ExecuteError::Personal(error) => error.into(),
        ExecuteError::Number(error) | ExecuteError::Settle(error) => error.into(),
        ExecuteError::Payload(error) => Refused::internal(&error),
        // It was done by an earlier try; only its answer could not be told.
        ExecuteError::Read(error) => {
            tracing::warn!(%error, "a stored answer could not be read");
            Refused::new(
                code::OUTCOME_UNKNOWN,
                "It was done before, but cannot be read now. Repeat with the same key.",
            )
        }
    })
}

fn of_refusal(refusal: Refusal) -> Result<UserError, Refused> {
    Err(match refusal {
        Refusal::Order(rule) => return Ok(rule.into()),
        Refusal::Payment(rule) => return Ok(rule.into()),
        Refusal::Shipment(rule) => return Ok(rule.into()),
        Refusal::Access(denied) => Refused::new(code::FORBIDDEN, sentence(&denied)),
        Refusal::NotFound { stream } => Refused::not_found(stream),
        Refusal::Invalid(invalid) => match invalid {
            InvalidError::OccurredInFuture { .. }
            | InvalidError::OccurredTooEarly { .. }
            | InvalidError::TimeOutOfRange { .. } => Refused::bad_input(sentence(&invalid)),
            // The nil UUID stands for none, and the executor fills none in: somebody named it.
            InvalidError::NoOrderId => Refused::bad_input("The nil UUID is no order's id."),
            InvalidError::NoOrderNumber => Refused::internal(&invalid),
        },
    })
}

/// An error's text as a sentence: a capital and a full stop. A name at its beginning stays as it is: read models' names
/// have underscores, and words have none.
pub(super) fn sentence(error: &impl Display) -> String {
    let text = error.to_string();
    if text.split(' ').next().is_some_and(|word| word.contains('_')) {
        return format!("{text}.");
    }
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    format!("{}{}.", first.collect::<String>(), letters.as_str())
}

/// Checks the length of an idempotency key.
pub(super) fn check_key(key: &str) -> Result<(), Refused> {
    if (1..=MAX_KEY_BYTES).contains(&key.len()) {
        return Ok(());
    }
    Err(Refused::bad_input(format!(
        "An idempotency key has 1 to {MAX_KEY_BYTES} bytes, not {}.",
        key.len()
    )))
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn a_sentence_begins_with_a_capital_or_with_a_name_as_it_is() {
        assert_eq!(sentence(&"it is too early"), "It is too early.");
        assert_eq!(sentence(&"élan is short"), "Élan is short.");
        assert_eq!(
            sentence(&"order_summary is being rebuilt"),
            "order_summary is being rebuilt."
        );
        assert_eq!(sentence(&""), ".");
    }
}
