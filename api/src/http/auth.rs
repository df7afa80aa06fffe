//! Who calls: the hook between the transports and whatever knows tokens.
//!
//! The transports find the bearer token (the `Authorization` header, or a WebSocket's `connection_init` payload) and
//! give what the hook answers to the resolvers as request data. No token is not a failure: the request runs as the
//! hook's anonymous caller and the guards of the fields answer. A token that does not hold is refused before
//! anything runs: 401 over HTTP, close code 4403 over WebSocket.
//!
//! A stream outlives the check at its start, so it is watched: [`watch`] resolves when the token expires or when the
//! hook, asked again every [`token_recheck`](super::HttpLimits::token_recheck), no longer accepts it.

use std::{error::Error, future::Future, panic::AssertUnwindSafe, time::Duration};

use axum::http::{HeaderMap, header};
use futures::FutureExt;
use serde_json::{Map, Value};

/// Tells callers by their bearer token.
pub trait Authenticate: Send + Sync + 'static {
    /// What is known of a caller; resolvers read it with `ctx.data::<Caller>()`.
    type Caller: Clone + Send + Sync + 'static;

    /// The caller behind a token, or the anonymous caller for none.
    fn authenticate(
        &self,
        bearer: Option<&str>,
    ) -> impl Future<Output = Result<Session<Self::Caller>, AuthError>> + Send;
}

/// An accepted caller and how long it stays accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session<C> {
    /// Handed to every resolver of the request or connection.
    pub caller: C,
    /// How long from now the token holds; `None` is without an end.
    pub valid_for: Option<Duration>,
}

/// Why a caller was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The token is unknown, malformed, expired or revoked. Which of them is not told: it would help to guess.
    #[error("the token is not valid")]
    Invalid,
    /// The token could not be checked; the caller may try again.
    #[error("the token could not be checked")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

/// The bearer token of the `Authorization` header. A header of another scheme or a second header is refused, not
/// ignored: the caller meant to be somebody.
pub(super) fn header_token(headers: &HeaderMap) -> Result<Option<String>, AuthError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .ok()
            .and_then(bearer)
            .map(Some)
            .ok_or(AuthError::Invalid),
        (Some(_), Some(_)) => Err(AuthError::Invalid),
    }
}

/// The token of a `connection_init` payload: `{"authorization": "Bearer ..."}` in either case, or `{"token": "..."}`.
pub(super) fn payload_token(payload: Option<&Map<String, Value>>) -> Result<Option<String>, AuthError> {
    let field = |name: &str| {
        payload
            .and_then(|payload| payload.get(name))
            .filter(|value| !value.is_null())
    };
    if let Some(value) = field("authorization").or_else(|| field("Authorization")) {
        return value
            .as_str()
            .and_then(bearer)
            .map(Some)
            .ok_or(AuthError::Invalid);
    }
    match field("token") {
        Some(Value::String(token)) if !token.is_empty() => Ok(Some(token.clone())),
        Some(_) => Err(AuthError::Invalid),
        None => Ok(None),
    }
}

fn bearer(value: &str) -> Option<String> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
}

/// Asks the hook within `limit`; a hook that panics or hangs is "could not be checked" and takes nothing down.
pub(super) async fn ask<A: Authenticate>(
    authenticator: &A,
    bearer: Option<&str>,
    limit: Duration,
) -> Result<Session<A::Caller>, AuthError> {
    let asked = AssertUnwindSafe(authenticator.authenticate(bearer)).catch_unwind();
    match tokio::time::timeout(limit, asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(AuthError::Unavailable("the check panicked".into())),
        Err(elapsed) => Err(AuthError::Unavailable(elapsed.into())),
    }
}

/// Resolves when the token no longer holds; never for an anonymous caller.
pub(super) async fn watch<A: Authenticate>(
    authenticator: &A,
    bearer: Option<&str>,
    mut valid_for: Option<Duration>,
    recheck: Duration,
    limit: Duration,
) {
    if bearer.is_none() {
        return std::future::pending().await;
    }
    let mut since = tokio::time::Instant::now();
    loop {
        let left = valid_for.map(|valid| valid.saturating_sub(since.elapsed()));
        tokio::time::sleep(left.map_or(recheck, |left| left.min(recheck))).await;
        if left.is_some_and(|left| left <= recheck) {
            return;
        }
        match ask(authenticator, bearer, limit).await {
            Ok(session) => (valid_for, since) = (session.valid_for, tokio::time::Instant::now()),
            Err(AuthError::Invalid) => return,
            // Not being able to ask is no reason to cut everybody off; the known end still holds.
            Err(AuthError::Unavailable(_)) => {}
        }
    }
}
