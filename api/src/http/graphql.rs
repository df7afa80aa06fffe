//! GraphQL over HTTP: one POST or GET, one result.
//!
//! Guarantees: GET never changes anything; a POST needs `application/json`, which a browser sends across origins
//! only after a preflight that is always refused; a body is bounded in bytes and time before it is looked at; every
//! refusal is a typed JSON error. Statuses are those of the GraphQL over HTTP specification. Three are ours where it
//! leaves the choice: an operation that gave no result because of us (a panic, the time limit) is 5xx for both media
//! types, so that proxies and monitors see it; a token that does not hold is 401, and a caller out of points 429 with
//! `Retry-After`.

use async_graphql::Executor;
use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use std::sync::Arc;

use super::{
    Peer, Transport,
    accept::{Format, negotiate},
    answer::{Answer, JSON, Refusal, json_response},
    auth::{self, AuthError, Authenticate, Session},
    code, execute,
    limits::HttpLimits,
    request::{Kind, Operation, Params},
    sse,
    trace::Trace,
    with_data,
};

const GRAPHQL_RESPONSE: &str = "application/graphql-response+json; charset=utf-8";

/// Answers a request that is not a WebSocket upgrade.
pub(super) async fn handle<E: Executor, A: Authenticate>(
    transport: Arc<Transport<E, A>>,
    request: Request,
    trace: Trace,
) -> Response {
    respond(transport, request, trace)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn respond<E: Executor, A: Authenticate>(
    transport: Arc<Transport<E, A>>,
    request: Request,
    trace: Trace,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    if parts.method != Method::GET && parts.method != Method::POST {
        let refusal = Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            code::BAD_USER_INPUT,
            "Use POST or GET.",
        );
        return Err(refusal.with(header::ALLOW, "GET, POST"));
    }
    let format = negotiate(&parts.headers).ok_or_else(|| {
        let offered = "application/graphql-response+json, application/json or text/event-stream";
        let message = format!("None of the accepted media types can be given; accept {offered}.");
        Refusal::new(StatusCode::NOT_ACCEPTABLE, code::BAD_USER_INPUT, message)
    })?;
    let params = params(&parts, body, &transport.limits).await?;
    // Not before the body is there: a few clients that send slowly would hold all the places.
    let _permit = transport
        .in_flight
        .try_acquire()
        .map_err(|_| Refusal::overloaded("Too many requests at once; try again."))?;
    let (session, bearer) = session(&transport, &parts.headers).await?;
    let Operation { request, kind } = match transport.prepare(params, &trace) {
        Ok(operation) => operation,
        Err(error) if format == Format::EventStream => return Ok(sse::refused(error)),
        Err(error) => return Ok(write(Answer::refused(error), format)),
    };
    if kind == Kind::Mutation && parts.method == Method::GET {
        let refusal = Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            code::BAD_USER_INPUT,
            "A mutation needs POST; GET only reads.",
        );
        return Err(refusal.with(header::ALLOW, "POST"));
    }
    let peer = Peer::of(&parts.extensions);
    let request = with_data(request, session.caller, peer, trace.clone());
    let operation = Operation { request, kind };
    if format == Format::EventStream {
        return sse::stream(&transport, operation, trace, bearer, session.valid_for);
    }
    if kind == Kind::Subscription {
        return Ok(write(Answer::refused(no_subscriptions()), format));
    }
    let answer = execute::run(
        &transport.executor,
        operation,
        &trace,
        transport.limits.request_timeout,
    )
    .await;
    Ok(write(answer, format))
}

fn no_subscriptions() -> async_graphql::ServerError {
    super::answer::coded(
        code::BAD_USER_INPUT,
        "A subscription is a stream: open a WebSocket (graphql-transport-ws) or accept text/event-stream.",
    )
}

async fn params(parts: &Parts, body: Body, limits: &HttpLimits) -> Result<Params, Refusal> {
    if parts.method == Method::GET {
        return Params::from_uri(&parts.uri);
    }
    if !is_json(&parts.headers) {
        let message = "A request body must be application/json in UTF-8, without content encoding.";
        return Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            code::BAD_USER_INPUT,
            message,
        ));
    }
    let reading = read_body(&parts.headers, body, limits);
    let body = tokio::time::timeout(limits.body_timeout, reading)
        .await
        .unwrap_or_else(|_| {
            let message = format!("The body did not arrive within {:?}.", limits.body_timeout);
            let limit = limits.body_timeout.as_millis() as u64;
            let refusal = Refusal::new(StatusCode::REQUEST_TIMEOUT, code::BAD_USER_INPUT, message);
            Err(refusal.over("milliseconds for the body", limit, limit))
        })?;
    Params::from_json(&body)
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(Ok(value)), None) = (types.next().map(|value| value.to_str()), types.next()) else {
        return false;
    };
    let mut fields = value.split(';').map(str::trim);
    let media_type = fields
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case("application/json"));
    let utf8 = fields.all(|field| {
        let charset = field
            .split_once('=')
            .filter(|(name, _)| name.eq_ignore_ascii_case("charset"));
        charset.is_none_or(|(_, value)| value.trim_matches('"').eq_ignore_ascii_case("utf-8"))
    });
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    media_type && utf8 && encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The body, or the refusal of one that is too large. Such a body is read on and thrown away up to a bound, because
/// an answer before the client has finished writing is commonly lost in a reset; a client that asked first with
/// `Expect` has written nothing yet and is answered at once.
async fn read_body(headers: &HeaderMap, body: Body, limits: &HttpLimits) -> Result<Bytes, Refusal> {
    let too_large = |bytes: u64| {
        let message = format!("The body is larger than {} bytes.", limits.max_body_bytes);
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, code::BAD_USER_INPUT, message).over(
            "bytes of the body",
            limits.max_body_bytes as u64,
            bytes,
        )
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let announced_too_much = announced.is_some_and(|length| length > limits.max_body_bytes as u64);
    if let Some(announced) = announced.filter(|_| announced_too_much && headers.contains_key(header::EXPECT))
    {
        return Err(too_large(announced));
    }
    let (mut kept, mut seen) = (Vec::new(), 0_usize);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Refusal::bad_request("The body ended early."))?;
        seen = seen.saturating_add(chunk.len());
        if seen > limits.max_body_bytes || announced_too_much {
            kept = Vec::new();
            if seen > limits.max_discarded_bytes {
                break;
            }
            continue;
        }
        kept.extend_from_slice(&chunk);
    }
    if seen > limits.max_body_bytes {
        Err(too_large(announced.unwrap_or(0).max(seen as u64)))
    } else {
        Ok(kept.into())
    }
}

/// The caller of a request, with its token where it has one.
async fn session<E: Executor, A: Authenticate>(
    transport: &Transport<E, A>,
    headers: &HeaderMap,
) -> Result<(Session<A::Caller>, Option<String>), Refusal> {
    let bearer = auth::header_token(headers).map_err(unauthenticated)?;
    let asked = auth::ask(
        &transport.authenticator,
        bearer.as_deref(),
        transport.limits.request_timeout,
    );
    Ok((asked.await.map_err(unauthenticated)?, bearer))
}

fn unauthenticated(error: AuthError) -> Refusal {
    match error {
        AuthError::Invalid => {
            let message = "The token is not valid.";
            Refusal::new(StatusCode::UNAUTHORIZED, code::UNAUTHENTICATED, message)
                .with(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")
        }
        AuthError::Unavailable(source) => {
            tracing::error!(error = %source, "a token could not be checked");
            let message = "The token could not be checked; nothing was done.";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE, message)
                .with(header::RETRY_AFTER, "1")
        }
    }
}

fn write(answer: Answer, format: Format) -> Response {
    let status = answer.refusal_code().map_or(StatusCode::OK, code::status);
    let (status, media_type) = match format {
        Format::GraphqlResponse => (status, GRAPHQL_RESPONSE),
        // A request that was understood is 200 in this type, unless the failure is ours or the caller is to wait.
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => (status, JSON),
        _ => (StatusCode::OK, JSON),
    };
    let mut response = json_response(status, media_type, answer.json());
    if let Some(seconds) = answer.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response.headers_mut().extend(answer.headers);
    response
}
