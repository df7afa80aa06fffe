//! GraphQL over server-sent events, the distinct connections mode of graphql-sse: one request, one stream.
//!
//! A result is a `next` event, the end is a `complete` event; an operation that is refused is a `next` with its
//! errors and then `complete`, because a reader of events cannot see a status. A comment goes out at once and then
//! as a sign of life. A client leaves by closing the connection, which cancels the operation.
//!
//! Buffering is bounded by a short queue between the operation and the socket. A client that leaves it full for the
//! write timeout loses its subscription: what was queued is thrown away, because nobody knows whether the client will
//! ever read on; if it does, it finds a `next` with code OVERLOADED and `complete`, and goes on from its last cursor.
//! It counts as a connection until it is gone. An ended token gives UNAUTHENTICATED in the same way. On shutdown the stream ends
//! *without* `complete`, which clients take for a lost connection and come back.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use async_graphql::{Executor, ServerError};
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, header},
    response::Response,
};
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::{
    sync::mpsc::{self, OwnedPermit, Receiver, Sender},
    time::{MissedTickBehavior, interval_at, timeout},
};

use super::{
    Transport,
    answer::{Answer, Refusal, coded},
    auth::{self, Authenticate},
    code,
    execute::{self, Event},
    queue::{Bytes, Room},
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
    let bytes = Bytes::new(limits.max_queued_bytes);
    // Two more than the queue: the opening comment, and the place for the last word that is reserved from the start.
    let (queue, written) = mpsc::channel(limits.max_queued_messages + 2);
    let opened = queue.try_send(Queued::at_once(SIGN_OF_LIFE.to_owned()));
    let last_word = queue.clone().try_reserve_owned();
    let written = Arc::new(Mutex::new(written));
    if let (Ok(()), Ok(last_word)) = (opened, last_word) {
        let (transport, tracked) = (transport.clone(), transport.drain.enter());
        // Not kept alive from here: when the client leaves, the queue goes.
        let out = Out {
            queue,
            bytes,
            written: Arc::downgrade(&written),
        };
        tokio::spawn(async move {
            let _tracked = tracked;
            pump(&transport, events, out, last_word, bearer, valid_for).await;
        });
    }
    let chunks = stream::poll_fn(move |context| {
        let _counted = &live;
        let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
        let chunk = written.poll_recv(context);
        chunk.map(|chunk| Some(Ok::<String, Infallible>(chunk?.text)))
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

/// A piece of the stream that waits to be written.
struct Queued {
    text: String,
    _room: Room,
}

impl Queued {
    fn at_once(text: String) -> Queued {
        Queued {
            text,
            _room: Room::none(),
        }
    }
}

/// Where the operation puts what is to be written.
struct Out {
    queue: Sender<Queued>,
    bytes: Bytes,
    written: Weak<Mutex<Receiver<Queued>>>,
}

impl Out {
    /// Waits while the queue is full.
    async fn put(&self, text: String) -> Result<(), Closed> {
        let _room = tokio::select! {
            room = self.bytes.room(text.len()) => room,
            () = self.queue.closed() => return Err(Closed),
        };
        self.queue.send(Queued { text, _room }).await.map_err(|_| Closed)
    }

    /// Throws away what waits. Only the connection could have written it, and it may never.
    fn discard(&self) {
        if let Some(written) = self.written.upgrade() {
            let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
            while written.try_recv().is_ok() {}
        }
    }
}

/// The client has left.
struct Closed;

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
    out: Out,
    last_word: OwnedPermit<Queued>,
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
        () = out.queue.closed() => End::Silent,
        () = token_ends => End::Complete(Some(coded(code::UNAUTHENTICATED, "The token no longer holds."))),
        end = forward(events, &out, limits.write_timeout, limits.keep_alive) => end,
    };
    if let End::Complete(error) = end {
        let told = error
            .map(|error| next_event(&Answer::refused(error)))
            .unwrap_or_default();
        last_word.send(Queued::at_once(told + COMPLETE));
    }
}

async fn forward(
    mut events: BoxStream<'static, Event>,
    out: &Out,
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
        match timeout(write_timeout, out.put(chunk)).await {
            Ok(Ok(())) => {}
            Ok(Err(Closed)) => return End::Silent,
            Err(_) => {
                out.discard();
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
