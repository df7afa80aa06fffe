//! One line of an import file.

use chrono::{DateTime, Utc};
use docket_domain::{Actor, Command, Version};
use docket_event_store::command_id;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::str;

/// A command to import, with its key and its time.
pub(super) struct Line {
    pub(super) key: String,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) expected_version: Option<Version>,
    pub(super) command: Command,
    /// The line as it was read, for the request hash.
    pub(super) canonical: Vec<u8>,
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
    #[error("{0}")]
    Envelope(#[source] serde_json::Error),
    #[error("the key has {0} bytes; 1 to {max} are allowed", max = command_id::MAX_KEY_BYTES)]
    Key(usize),
    #[error("{0}")]
    Command(#[source] serde_json::Error),
}

/// What a line holds besides its command.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    key: String,
    occurred_at: DateTime<Utc>,
    expected_version: Option<Version>,
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
        let mut fields: Map<String, Value> = serde_json::from_str(text).map_err(LineError::NotJson)?;
        let canonical = command_id::canonical_json(&Value::Object(fields.clone()));
        let mut around = Map::new();
        for name in ["key", "occurredAt", "expectedVersion"] {
            around.extend(fields.remove_entry(name));
        }
        let envelope: Envelope = serde_json::from_value(around.into()).map_err(LineError::Envelope)?;
        if !(1..=command_id::MAX_KEY_BYTES).contains(&envelope.key.len()) {
            return Err(LineError::Key(envelope.key.len()));
        }
        let command: Command = serde_json::from_value(fields.into()).map_err(LineError::Command)?;
        let id = command_id::derive(actor, &envelope.key);
        let command = command.with_order(command_id::order_of(actor, id));
        let Envelope {
            key,
            occurred_at,
            expected_version,
        } = envelope;
        Ok(Some(Self {
            key,
            occurred_at,
            expected_version,
            command,
            canonical,
        }))
    }
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
        assert_eq!((line.key.as_str(), line.command.name()), ("a", "createOrder"));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        for (text, said) in [
            ("nonsense", "not a JSON object"),
            (r#"{"key":"a"}"#, "occurredAt"),
            (r#"{"key":"a","occurredAt":"yesterday"}"#, "input"),
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
