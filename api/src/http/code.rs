//! The codes of `errors[].extensions.code` that a transport gives by itself, and the HTTP status of each.
//!
//! Fields give more of them (NOT_FOUND, STALE, IDEMPOTENCY_KEY_REUSED and so on); those travel inside a result and
//! never become a status.

use axum::http::StatusCode;

/// No token, or one that does not hold.
pub const UNAUTHENTICATED: &str = "UNAUTHENTICATED";
/// The caller, host or origin may not do this.
pub const FORBIDDEN: &str = "FORBIDDEN";
/// The request cannot be understood as it is; repeating it changes nothing.
pub const BAD_USER_INPUT: &str = "BAD_USER_INPUT";
/// Too many at once, or a client that does not read; try again later.
pub const OVERLOADED: &str = "OVERLOADED";
/// The caller spends more than its rate.
pub const RATE_LIMITED: &str = "RATE_LIMITED";
/// Beside [`RATE_LIMITED`]: after how many seconds to try again, as in HTTP's `Retry-After`.
pub const RETRY_AFTER: &str = "retryAfter";
/// The operation costs more than one may.
pub const COST_LIMIT_EXCEEDED: &str = "COST_LIMIT_EXCEEDED";
/// Only documents of the manifest are run, and the request names none.
pub const PERSISTED_QUERY_ID_REQUIRED: &str = "PERSISTED_QUERY_ID_REQUIRED";
/// The manifest has no document of this id. With the message it is what Apollo Client and urql understand.
pub const PERSISTED_QUERY_NOT_FOUND: &str = "PERSISTED_QUERY_NOT_FOUND";
/// There is no manifest, so an id stands for nothing.
pub const PERSISTED_QUERY_NOT_SUPPORTED: &str = "PERSISTED_QUERY_NOT_SUPPORTED";
/// Nothing was done; try again.
pub const UNAVAILABLE: &str = "UNAVAILABLE";
/// It may have been done; repeat with the same idempotency key.
pub const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";
/// A fault of ours, with a trace id and nothing else.
pub const INTERNAL: &str = "INTERNAL";

/// All of these, so that each is counted from a server's beginning: the first of a kind is to be seen as one more.
pub const ALL: [&str; 12] = [
    UNAUTHENTICATED,
    FORBIDDEN,
    BAD_USER_INPUT,
    OVERLOADED,
    RATE_LIMITED,
    COST_LIMIT_EXCEEDED,
    PERSISTED_QUERY_ID_REQUIRED,
    PERSISTED_QUERY_NOT_FOUND,
    PERSISTED_QUERY_NOT_SUPPORTED,
    UNAVAILABLE,
    OUTCOME_UNKNOWN,
    INTERNAL,
];

/// Counts an error that is answered.
pub(super) fn count(code: &str) {
    metrics::counter!("docket_graphql_errors_total", "code" => code.to_owned()).increment(1);
}

/// The status of a request that failed as a whole with `code`.
pub(super) fn status(code: &str) -> StatusCode {
    match code {
        UNAUTHENTICATED => StatusCode::UNAUTHORIZED,
        FORBIDDEN => StatusCode::FORBIDDEN,
        RATE_LIMITED => StatusCode::TOO_MANY_REQUESTS,
        OVERLOADED | UNAVAILABLE => StatusCode::SERVICE_UNAVAILABLE,
        OUTCOME_UNKNOWN => StatusCode::GATEWAY_TIMEOUT,
        INTERNAL => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}
