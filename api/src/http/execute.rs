//! One operation, run so that nothing it does can hurt its neighbours: bounded in time, panics caught.
//!
//! A panic in a resolver is a fault of ours like any other: INTERNAL with a trace id, the text in the log. It unwinds
//! through nothing that is shared, because a request owns what it runs on, so carrying on afterwards is sound.

use std::{any::Any, panic::AssertUnwindSafe, time::Duration};

use async_graphql::{Executor, Request, Response, ServerError, Value};
use futures::{FutureExt, StreamExt, stream, stream::BoxStream};

use super::{
    answer::{Answer, coded, internal, over},
    code,
    request::{Kind, Operation},
    trace::Trace,
};

/// One step of an operation on a streaming transport.
#[derive(Debug)]
pub(super) enum Event {
    /// A result; more may follow.
    Next(Answer),
    /// The operation could not begin or cannot go on; nothing follows.
    Failed(Vec<ServerError>),
}

/// Runs a query or mutation to its end, within `limit`.
pub(super) async fn run<E: Executor>(
    executor: &E,
    operation: Operation,
    trace: &Trace,
    limit: Duration,
) -> Answer {
    let Operation { request, kind } = operation;
    let running = AssertUnwindSafe(executor.execute(request)).catch_unwind();
    match tokio::time::timeout(limit, running).await {
        Ok(Ok(response)) => Answer::of(response, trace),
        Ok(Err(panic)) => Answer::refused(internal(trace, &panic_text(&*panic))),
        Err(_) => {
            tracing::warn!(
                trace.id = trace.id(),
                ?kind,
                limit_ms = limit.as_millis(),
                "an operation ran too long"
            );
            Answer::refused(too_long(kind, limit))
        }
    }
}

fn too_long(kind: Kind, limit: Duration) -> ServerError {
    let error = match kind {
        Kind::Mutation => coded(
            code::OUTCOME_UNKNOWN,
            format!(
                "No answer within {limit:?}; it may have happened. Repeat with the same idempotency key."
            ),
        ),
        Kind::Query | Kind::Subscription => coded(
            code::UNAVAILABLE,
            format!("No answer within {limit:?}; nothing was done."),
        ),
    };
    let limit = limit.as_millis() as u64;
    over(error, "milliseconds", limit, limit)
}

/// Runs any operation as a stream of events. Nothing happens until it is polled, and dropping it cancels.
pub(super) fn events<E: Executor>(
    executor: E,
    operation: Operation,
    trace: Trace,
    limit: Duration,
) -> BoxStream<'static, Event> {
    if operation.kind == Kind::Subscription {
        let source = Subscription::Unborn(executor, Box::new(operation.request));
        return stream::unfold((source, trace), |(mut source, trace)| async move {
            let event = source.next(&trace).await?;
            Some((event, (source, trace)))
        })
        .boxed();
    }
    let once = async move {
        let answer = run(&executor, operation, &trace, limit).await;
        match answer.data {
            Some(_) => Event::Next(answer),
            None => Event::Failed(answer.errors),
        }
    };
    stream::once(once).boxed()
}

enum Subscription<E> {
    Unborn(E, Box<Request>),
    Live(BoxStream<'static, Response>),
    /// The response that was read ahead, before the stream goes on.
    Ahead(Box<Response>, BoxStream<'static, Response>),
    Over,
}

impl<E: Executor> Subscription<E> {
    async fn next(&mut self, trace: &Trace) -> Option<Event> {
        match std::mem::replace(self, Subscription::Over) {
            Subscription::Unborn(executor, request) => {
                let opened =
                    AssertUnwindSafe(async move { executor.execute_stream(*request, None) }).catch_unwind();
                match opened.await {
                    Ok(stream) => self.first(stream, trace).await,
                    Err(panic) => Some(self.broken(&*panic, trace)),
                }
            }
            Subscription::Live(stream) => self.following(stream, trace).await,
            Subscription::Ahead(response, stream) => {
                *self = Subscription::Live(stream);
                Some(Event::Next(Answer::of(*response, trace)))
            }
            Subscription::Over => None,
        }
    }

    /// The first response tells whether the operation began at all. The engine reports a document that does not
    /// validate, and a field that refuses to subscribe, as a response without data after which its stream ends at
    /// once; a failing event looks the same, but its stream goes on.
    async fn first(&mut self, stream: BoxStream<'static, Response>, trace: &Trace) -> Option<Event> {
        let (response, mut stream) = match step(stream).await {
            Ok((Some(response), stream)) => (response, stream),
            Ok((None, _)) => return None,
            Err(panic) => return Some(self.broken(&*panic, trace)),
        };
        let failed = response.data == Value::Null && !response.errors.is_empty();
        if !failed {
            *self = Subscription::Live(stream);
            return Some(Event::Next(Answer::of(response, trace)));
        }
        let peeked = AssertUnwindSafe(async { stream.next().now_or_never() })
            .catch_unwind()
            .await;
        match peeked {
            Ok(Some(None)) => return Some(Event::Failed(Answer::of(response, trace).errors)),
            Ok(Some(Some(ahead))) => *self = Subscription::Ahead(Box::new(ahead), stream),
            Ok(None) => *self = Subscription::Live(stream),
            Err(panic) => return Some(self.broken(&*panic, trace)),
        }
        Some(Event::Next(Answer::of(response, trace)))
    }

    async fn following(&mut self, stream: BoxStream<'static, Response>, trace: &Trace) -> Option<Event> {
        match step(stream).await {
            Ok((response, stream)) => {
                let response = response?;
                *self = Subscription::Live(stream);
                Some(Event::Next(Answer::of(response, trace)))
            }
            Err(panic) => Some(self.broken(&*panic, trace)),
        }
    }

    fn broken(&mut self, panic: &(dyn Any + Send), trace: &Trace) -> Event {
        *self = Subscription::Over;
        Event::Failed(vec![internal(trace, &panic_text(panic))])
    }
}

type Stepped = (Option<Response>, BoxStream<'static, Response>);

/// One response; after a panic the stream is gone, because nobody knows what state it was left in.
async fn step(mut stream: BoxStream<'static, Response>) -> Result<Stepped, Box<dyn Any + Send>> {
    let next = AssertUnwindSafe(stream.next()).catch_unwind().await?;
    Ok((next, stream))
}

/// What a panic said, for the log.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.as_deref().unwrap_or("without a text"))
}
