//! GraphQL values as JSON text.
//!
//! Part of a value may be JSON already: it stands there as [`Value::Binary`], which no scalar of the schema is.

use async_graphql::Value;
use serde::Serialize;

/// In a request's data: whoever takes its answer writes it with [`write`], so that parts of it may be JSON already.
#[derive(Debug, Clone, Copy)]
pub struct TakesJson;

/// Adds a value's text.
///
/// # Errors
/// None for what the engine makes; serde's where a number is none.
pub fn write(value: &Value, text: &mut Vec<u8>) -> serde_json::Result<()> {
    match value {
        Value::Binary(json) => text.extend_from_slice(json),
        Value::List(items) => {
            text.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    text.push(b',');
                }
                write(item, text)?;
            }
            text.push(b']');
        }
        Value::Object(fields) => {
            text.push(b'{');
            for (place, (key, value)) in fields.iter().enumerate() {
                if place > 0 {
                    text.push(b',');
                }
                write_key(key, text);
                write(value, text)?;
            }
            text.push(b'}');
        }
        Value::Null | Value::Boolean(_) | Value::Number(_) | Value::String(_) | Value::Enum(_) => {
            value.serialize(&mut serde_json::Serializer::new(text))?;
        }
    }
    Ok(())
}

/// How many bytes of a value are JSON already: about what its text takes.
pub(crate) fn written_bytes(value: &Value) -> usize {
    match value {
        Value::Binary(json) => json.len(),
        Value::List(items) => items.iter().map(written_bytes).sum(),
        Value::Object(fields) => fields.values().map(written_bytes).sum(),
        Value::Null | Value::Boolean(_) | Value::Number(_) | Value::String(_) | Value::Enum(_) => 0,
    }
}

/// Adds a name and its colon. Names have nothing in them that a text would escape.
pub(crate) fn write_key(key: &str, text: &mut Vec<u8>) {
    text.push(b'"');
    text.extend_from_slice(key.as_bytes());
    text.extend_from_slice(b"\":");
}
