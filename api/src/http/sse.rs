//! GraphQL over server-sent events, the distinct connections mode of graphql-sse: one request, one stream.
//!
//! A result is a `next` event, the end is a `complete` event; an operation that is refused is a `next` with its
//! errors and then `complete`, because a reader of events cannot see a status. A comment goes out at once and then
//! as a sign of life. A client leaves by closing the connection, which cancels the operation.
//!
//! Buffering is bounded by a short queue between the operation and the socket. A client that leaves it full for the
//! write timeout loses its subscription: what was queued still arrives when it reads on, then a `next` with code
//! OVERLOADED and `complete`. An ended token gives UNAUTHENTICATED in the same way. On shutdown the stream ends
//! *without* `complete`, which clients take for a lost connection and come back.

use std::{convert::Infallible, sync::Arc, time::Duration};

use async_graphql::{Executor, ServerError};
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::Response,
};
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::{
    sync::mpsc::{self, OwnedPermit, Sender},
    time::{MissedTickBehavior, interval_at},
};

use super::{
    Transport,
    answer::{Answer, Refusal, coded},
    auth::{self, Authenticate},
    code,
    execute::{self, Event},
    request::Operation,
    trace::Trace,
};

const COMPLETE: &str = "event: complete\ndata: \n\n";
const SIGN_OF_LIFE: &str = ":\n\n";

/// Answers with the events of an operation.
pub(super) fn stream<E: Executor, A: Authenticate>(
    transport: &Arc<Transport<E, A>>,
    operation: Operation,
    trace: Trace,
    bearer: Option<String>,
    valid_for: Option<Duration>,
) -> Result<Response, Refusal> {
    let live = transport
        .live
        .clone()
        .try_acquire_owned()
        .map_err(|_| Refusal::overloaded("Too many streams are open; try again."))?;
    let limits = &transport.limits;
    let events = execute::events(
        transport.executor.clone(),
        operation,
        trace,
        limits.request_timeout,
    );
    // Two more than the queue: the opening comment, and the place for the last word that is reserved from the start.
    let (queue, written) = mpsc::channel(limits.max_queued_messages + 2);
    let opened = queue.try_send(SIGN_OF_LIFE.to_owned());
    let last_word = queue.clone().try_reserve_owned();
    if let (Ok(()), Ok(last_word)) = (opened, last_word) {
        let (transport, tracked) = (transport.clone(), transport.drain.enter());
        tokio::spawn(async move {
            let (_live, _tracked) = (live, tracked);
            pump(&transport, events, queue, last_word, bearer, valid_for).await;
        });
    }
    let chunks = stream::unfold(written, |mut written| async move {
        let chunk = written.recv().await?;
        Some((Ok::<String, Infallible>(chunk), written))
    });
    Ok(event_stream(Body::from_stream(chunks)))
}

/// Answers with the events of an operation whose document is refused.
pub(super) fn refused(error: ServerError) -> Response {
    event_stream(Body::from(next_event(&Answer::refused(error)) + COMPLETE))
}

fn event_stream(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    // Common proxies collect an answer unless they are told not to.
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}

/// How a stream ends.
enum End {
    /// The operation is over, or the client is told why it must be.
    Complete(Option<ServerError>),
    /// Nobody is there to be told, or nobody should take it for the end.
    Silent,
}

async fn pump<E: Executor, A: Authenticate>(
    transport: &Transport<E, A>,
    events: BoxStream<'static, Event>,
    queue: Sender<String>,
    last_word: OwnedPermit<String>,
    bearer: Option<String>,
    valid_for: Option<Duration>,
) {
    let limits = &transport.limits;
    let (recheck, limit) = (limits.token_recheck, limits.request_timeout);
    let token_ends = auth::watch(
        &transport.authenticator,
        bearer.as_deref(),
        valid_for,
        recheck,
        limit,
    );
    let end = tokio::select! {
        () = transport.drain.signal().cancelled() => End::Silent,
        () = queue.closed() => End::Silent,
        () = token_ends => End::Complete(Some(coded(code::UNAUTHENTICATED, "The token no longer holds."))),
        end = forward(events, &queue, limits.write_timeout, limits.keep_alive) => end,
    };
    if let End::Complete(error) = end {
        let told = error
            .map(|error| next_event(&Answer::refused(error)))
            .unwrap_or_default();
        last_word.send(told + COMPLETE);
    }
}

async fn forward(
    mut events: BoxStream<'static, Event>,
    queue: &Sender<String>,
    write_timeout: Duration,
    keep_alive: Duration,
) -> End {
    let mut ticks = interval_at(tokio::time::Instant::now() + keep_alive, keep_alive);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let chunk = tokio::select! {
            event = events.next() => match event {
                Some(Event::Next(answer)) => next_event(&answer),
                Some(Event::Failed(errors)) => next_event(&Answer::failed(errors)),
                None => return End::Complete(None),
            },
            _ = ticks.tick() => SIGN_OF_LIFE.to_owned(),
        };
        match queue.send_timeout(chunk, write_timeout).await {
            Ok(()) => {}
            Err(mpsc::error::SendTimeoutError::Closed(_)) => return End::Silent,
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                let message =
                    format!("Nothing was read for {write_timeout:?}; subscribe again from the last cursor.");
                return End::Complete(Some(coded(code::OVERLOADED, message)));
            }
        }
    }
}

/// JSON text has no line breaks of its own, so one `data` line holds it.
fn next_event(answer: &Answer) -> String {
    format!("event: next\ndata: {}\n\n", answer.json())
}
