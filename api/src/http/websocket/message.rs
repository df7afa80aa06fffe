//! The messages of graphql-transport-ws.

use async_graphql::ServerError;
use axum::extract::ws::Utf8Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    super::{
        answer::{Answer, to_json},
        request::Params,
    },
    close::Close,
};

/// What a client says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum FromClient {
    /// May carry the token.
    ConnectionInit {
        #[serde(default)]
        payload: Option<Map<String, Value>>,
    },
    /// Wants a pong with the same payload.
    Ping {
        #[serde(default)]
        payload: Option<Map<String, Value>>,
    },
    /// Shows life, nothing more.
    Pong {
        #[serde(default, rename = "payload")]
        _payload: Option<Map<String, Value>>,
    },
    /// Starts an operation.
    Subscribe { id: String, payload: Box<Params> },
    /// Ends an operation.
    Complete { id: String },
}

impl FromClient {
    /// Reads a text message, or says with which close code to answer it.
    pub(super) fn parse(text: &str) -> Result<FromClient, Close> {
        // The deserializer would take an array for an object with its fields in order.
        if !text.trim_start().starts_with('{') {
            return Err(Close::bad_message("expected a JSON object"));
        }
        let message = serde_json::from_str(text).map_err(Close::bad_message)?;
        match &message {
            FromClient::Subscribe { id, .. } | FromClient::Complete { id } if id.is_empty() => {
                Err(Close::bad_message("the id is empty"))
            }
            _ => Ok(message),
        }
    }
}

/// What the server says.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum FromServer<'a> {
    /// The connection may be used.
    ConnectionAck,
    /// Answers a ping.
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<Map<String, Value>>,
    },
    /// A result.
    #[serde(skip)]
    Next { id: &'a str, payload: &'a Answer },
    /// The operation failed and is over.
    Error { id: &'a str, payload: &'a [ServerError] },
    /// The operation is over.
    Complete { id: &'a str },
}

impl FromServer<'_> {
    /// The text of the message.
    pub(super) fn text(&self) -> Utf8Bytes {
        match self {
            // An answer writes itself.
            FromServer::Next { id, payload } => format!(
                r#"{{"type":"next","id":{},"payload":{}}}"#,
                to_json(id),
                payload.json()
            )
            .into(),
            other => to_json(other).into(),
        }
    }
}
