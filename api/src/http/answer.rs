//! What goes back: a GraphQL result, or the refusal to produce one.
//!
//! The engine's own response always has a `data` entry and leaves most of its errors without a code. Here a result
//! without execution has no `data` entry, every error has a code, and nothing internal leaves: an error that wraps a
//! foreign error and was given no code by whoever returned it is a fault of ours, so its text goes to the log under
//! a trace id and the caller sees INTERNAL. An error of the engine itself (syntax, validation, a value that does not
//! fit its type) wraps nothing; it is BAD_USER_INPUT and keeps its text.

use async_graphql::{
    ErrorExtensionValues, Name, PathSegment, Response as Executed, ServerError, Value, indexmap::IndexMap,
};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::collections::BTreeMap;

use super::{code, trace::Trace};
use crate::json;

/// The media type of a refusal, and of an answer to who asked for nothing else.
pub(super) const JSON: &str = "application/json; charset=utf-8";

/// What a caller sees of a fault of ours.
const INTERNAL_MESSAGE: &str = "Something went wrong on our side.";

/// One GraphQL result, ready to be written.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) errors: Vec<ServerError>,
    /// `None` when execution never began, which is another thing than `null`.
    pub(super) data: Option<Value>,
    extensions: BTreeMap<String, Value>,
    /// Headers that resolvers asked for.
    pub(super) headers: HeaderMap,
}

impl Answer {
    /// The engine's response with every error coded.
    pub(super) fn of(response: Executed, trace: &Trace) -> Answer {
        let has_begun = began(&response);
        let mut errors = response.errors;
        errors.iter_mut().for_each(|error| settle(error, trace));
        let mut data = response.data;
        errors.iter().for_each(|error| show_null(&mut data, &error.path));
        // The engine has nothing to show where everything was skipped.
        if errors.is_empty() && data == Value::Null {
            data = Value::Object(IndexMap::new());
        }
        Answer {
            errors,
            data: has_begun.then_some(data),
            extensions: response.extensions,
            headers: response.http_headers,
        }
    }

    /// An answer without execution.
    pub(super) fn refused(error: ServerError) -> Answer {
        Answer::failed(vec![error])
    }

    /// An answer without execution, for more reasons than one.
    pub(super) fn failed(errors: Vec<ServerError>) -> Answer {
        Answer {
            errors,
            data: None,
            extensions: BTreeMap::new(),
            headers: HeaderMap::new(),
        }
    }

    /// The code of the first error of an answer without execution.
    pub(super) fn refusal_code(&self) -> Option<&str> {
        let first = if self.data.is_none() {
            self.errors.first()
        } else {
            None
        };
        first.and_then(error_code)
    }

    /// After how many seconds a caller that is out of points is to try again.
    pub(super) fn retry_after(&self) -> Option<u64> {
        let first = self.errors.first().filter(|_| self.data.is_none())?;
        match first.extensions.as_ref()?.get(code::RETRY_AFTER)? {
            Value::Number(seconds) => seconds.as_u64(),
            _ => None,
        }
    }

    /// Compact JSON. Errors come first: a client that reads as it comes knows at once.
    pub(super) fn json(&self) -> String {
        self.write().unwrap_or_else(|error| unwritten(&error))
    }

    fn write(&self) -> Result<String, Box<dyn std::error::Error>> {
        let written = self.data.as_ref().map_or(0, json::written_bytes);
        let mut text = Vec::with_capacity(USUAL_ANSWER + written);
        let begin = |text: &mut Vec<u8>, name: &str| {
            text.push(if text.is_empty() { b'{' } else { b',' });
            json::write_key(name, text);
        };
        if !self.errors.is_empty() {
            begin(&mut text, "errors");
            serde_json::to_writer(&mut text, &self.errors)?;
        }
        if let Some(data) = &self.data {
            begin(&mut text, "data");
            json::write(data, &mut text)?;
        }
        if !self.extensions.is_empty() {
            begin(&mut text, "extensions");
            serde_json::to_writer(&mut text, &self.extensions)?;
        }
        if text.is_empty() {
            text.push(b'{');
        }
        text.push(b'}');
        Ok(String::from_utf8(text)?)
    }
}

/// Bytes of an answer that most are not longer than.
const USUAL_ANSWER: usize = 4096;

/// Compact JSON of a message.
pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| unwritten(&error))
}

/// Answers and messages are maps with text keys and GraphQL values, which always serialize; if that ever breaks, the
/// reader gets a coded error and not a dropped connection.
fn unwritten(error: &dyn std::fmt::Display) -> String {
    tracing::error!(%error, "an answer could not be serialized");
    code::count(code::INTERNAL);
    format!(r#"{{"errors":[{{"message":"{INTERNAL_MESSAGE}","extensions":{{"code":"INTERNAL"}}}}]}}"#)
}

/// An error with a code, to be answered: it is counted.
pub(super) fn coded(code: &str, message: impl Into<String>) -> ServerError {
    code::count(code);
    let mut error = ServerError::new(message, None);
    set_extension(&mut error, "code", code);
    error
}

/// The same error with what there is too much of: the limit, and how much there is.
pub(super) fn over(mut error: ServerError, what: &str, limit: u64, actual: u64) -> ServerError {
    set_extension(&mut error, "what", what);
    set_extension(&mut error, "limit", limit);
    set_extension(&mut error, "actual", actual);
    error
}

/// A fault of ours: `cause` goes to the log, the caller gets the trace id.
pub(super) fn internal(trace: &Trace, cause: &str) -> ServerError {
    tracing::error!(
        trace.id = trace.id(),
        cause,
        "a request failed for a fault of ours"
    );
    let mut error = coded(code::INTERNAL, INTERNAL_MESSAGE);
    set_extension(&mut error, "traceId", trace.id());
    error
}

/// Gives an error of the engine's or a resolver's its code, and counts it.
fn settle(error: &mut ServerError, trace: &Trace) {
    match error_code(error) {
        Some(code) => {
            code::count(code);
            if code == code::INTERNAL {
                set_extension(error, "traceId", trace.id());
            }
        }
        None if error.source.is_some() => {
            let hidden = internal(trace, &error.message);
            (error.message, error.extensions) = (hidden.message, hidden.extensions);
        }
        None => {
            code::count(code::BAD_USER_INPUT);
            set_extension(error, "code", code::BAD_USER_INPUT);
        }
    }
    // Whatever an error wraps has served its purpose and must not live as long as a slow client.
    error.source = None;
}

/// Whether execution began: an error from within has the path of its field.
pub(crate) fn began(response: &Executed) -> bool {
    let errors = &response.errors;
    response.data != Value::Null || errors.is_empty() || errors.iter().any(|error| !error.path.is_empty())
}

/// Puts `null` where a field failed: the engine leaves its key out, which a client cannot tell from a field that it
/// did not ask for.
pub(crate) fn show_null(data: &mut Value, path: &[PathSegment]) {
    let Some((last, way)) = path.split_last() else {
        return;
    };
    let mut at = data;
    for segment in way {
        let deeper = match (at, segment) {
            (Value::Object(fields), PathSegment::Field(name)) => fields.get_mut(name.as_str()),
            (Value::List(items), PathSegment::Index(index)) => items.get_mut(*index),
            _ => None,
        };
        match deeper {
            Some(value) => at = value,
            None => return,
        }
    }
    if let (Value::Object(fields), PathSegment::Field(name)) = (at, last) {
        fields.entry(Name::new(name)).or_insert(Value::Null);
    }
}

fn error_code(error: &ServerError) -> Option<&str> {
    match error.extensions.as_ref()?.get("code")? {
        Value::String(code) => Some(code),
        Value::Enum(code) => Some(code),
        _ => None,
    }
}

fn set_extension(error: &mut ServerError, name: &str, value: impl Into<Value>) {
    error
        .extensions
        .get_or_insert_with(ErrorExtensionValues::default)
        .set(name, value);
}

/// A request that was turned away before GraphQL: a status and a typed error.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    error: Box<ServerError>,
    header: Option<(HeaderName, &'static str)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Refusal {
        Refusal {
            status,
            error: Box::new(coded(code, message)),
            header: None,
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, code::BAD_USER_INPUT, message)
    }

    pub(super) fn internal(trace: &Trace, cause: &str) -> Refusal {
        let error = Box::new(internal(trace, cause));
        Refusal {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            error,
            header: None,
        }
    }

    pub(super) fn overloaded(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, code::OVERLOADED, message)
            .with(header::RETRY_AFTER, "1")
    }

    /// Says what there is too much of.
    pub(super) fn over(self, what: &str, limit: u64, actual: u64) -> Refusal {
        Refusal {
            error: Box::new(over(*self.error, what, limit, actual)),
            ..self
        }
    }

    pub(super) fn with(self, name: HeaderName, value: &'static str) -> Refusal {
        Refusal {
            header: Some((name, value)),
            ..self
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = json_response(self.status, JSON, Answer::refused(*self.error).json());
        if let Some((name, value)) = self.header {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// A response with a JSON text.
pub(super) fn json_response(status: StatusCode, media_type: &'static str, json: String) -> Response {
    let mut response = Response::new(Body::from(json));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
