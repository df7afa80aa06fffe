//! One line of an import file.

use chrono::{DateTime, Utc};
use docket_domain::{Actor, Command, CommandId, Version};
use docket_event_store::{RequestHash, command_id};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::str;

/// A command to import, with what its key makes of it.
pub(super) struct Line {
    /// From the key.
    pub(super) id: CommandId,
    /// Of the whole line, so that its key cannot be used for another.
    pub(super) request_hash: RequestHash,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) expected_version: Option<Version>,
    pub(super) command: Command,
}

/// Why a line is not a command.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error("the line is longer than 1 MiB")]
    TooLong,
    #[error("the line is not UTF-8")]
    NotUtf8,
    #[error("the line is not a JSON object: {0}")]
    NotJson(#[source] serde_json::Error),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{field}: {error}")]
    Field {
        field: &'static str,
        #[source]
        error: serde_json::Error,
    },
    #[error("the key has {0} bytes; 1 to {max} are allowed", max = command_id::MAX_KEY_BYTES)]
    Key(usize),
    #[error("{0}")]
    Command(#[source] serde_json::Error),
}

impl Line {
    /// Reads a line; an empty one is nothing. An order that its creation does not name gets its id here, so that every
    /// line of it goes the same way.
    pub(super) fn parse(bytes: &[u8], actor: &Actor) -> Result<Option<Self>, LineError> {
        let text = str::from_utf8(bytes).map_err(|_| LineError::NotUtf8)?.trim();
        // Some editors begin a file with a mark of its byte order.
        let text = text.trim_start_matches('\u{feff}');
        if text.is_empty() {
            return Ok(None);
        }
        let fields: Map<String, Value> = serde_json::from_str(text).map_err(LineError::NotJson)?;
        let whole = Value::Object(fields);
        let request_hash = RequestHash::of("import", &command_id::canonical_json(&whole));
        let Value::Object(mut fields) = whole else {
            // It was made an object a line above.
            return Ok(None);
        };
        let key: String = required(&mut fields, "key")?;
        let occurred_at = required(&mut fields, "occurredAt")?;
        let expected_version = optional(&mut fields, "expectedVersion")?;
        if !(1..=command_id::MAX_KEY_BYTES).contains(&key.len()) {
            return Err(LineError::Key(key.len()));
        }
        let command: Command = serde_json::from_value(fields.into()).map_err(LineError::Command)?;
        let id = command_id::derive(actor, &key);
        Ok(Some(Self {
            id,
            request_hash,
            occurred_at,
            expected_version,
            command: command.with_order(command_id::order_of(actor, id)),
        }))
    }
}

/// Takes a field that every line has.
fn required<T: DeserializeOwned>(
    fields: &mut Map<String, Value>,
    field: &'static str,
) -> Result<T, LineError> {
    optional(fields, field)?.ok_or(LineError::Missing(field))
}

/// Takes a field that a line may have; `null` is none.
fn optional<T: DeserializeOwned>(
    fields: &mut Map<String, Value>,
    field: &'static str,
) -> Result<Option<T>, LineError> {
    let value = fields.remove(field).unwrap_or_default();
    serde_json::from_value(value).map_err(|error| LineError::Field { field, error })
}

#[cfg(test)]
mod tests {
    use super::{Line, LineError};
    use docket_domain::{Actor, Role};

    fn parse(text: &str) -> Result<Option<Line>, LineError> {
        Line::parse(text.as_bytes(), &Actor::new(Role::Operator, "import"))
    }

    #[test]
    fn a_line_is_a_command_with_a_key_and_a_time() {
        let line = parse(
            r#"{"key":"a","occurredAt":"1996-07-04T00:00:00Z","command":"createOrder","channel":"web","currency":"USD","locale":"en-US"}"#,
        );
        let line = line.unwrap().unwrap();
        assert_eq!(line.command.name(), "createOrder");
        assert_eq!(line.occurred_at.to_rfc3339(), "1996-07-04T00:00:00+00:00");
        let actor = Actor::new(Role::Operator, "import");
        assert_eq!(line.id, docket_event_store::command_id::derive(&actor, "a"));
        assert_ne!(line.command.order(), docket_domain::OrderId::NIL);
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        for (text, said) in [
            ("nonsense", "not a JSON object"),
            (r#"{"key":"a"}"#, "occurredAt is missing"),
            (r#"{"key":7}"#, "key: invalid type"),
            (r#"{"key":"a","occurredAt":"yesterday"}"#, "occurredAt: "),
            (
                r#"{"key":"a","occurredAt":"1996-07-04T00:00:00Z","expectedVersion":"x"}"#,
                "expectedVersion: ",
            ),
            (
                r#"{"key":"","occurredAt":"1996-07-04T00:00:00Z","command":"x"}"#,
                "0 bytes",
            ),
            (
                r#"{"key":"a","occurredAt":"1996-07-04T00:00:00Z","command":"explode"}"#,
                "explode",
            ),
            (
                r#"{"key":"a","occurredAt":"1996-07-04T00:00:00Z","command":"placeOrder","order":"x"}"#,
                "order's id",
            ),
        ] {
            let error = parse(text).err().unwrap().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert!(parse("  \n").unwrap().is_none());
    }
}
