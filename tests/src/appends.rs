//! Appends made by hand, for what is below the domain: lanes, statements and the log itself.

use std::sync::Arc;

use chrono::{TimeZone, Utc};
use docket_domain::{ActorKind, CommandId, Event, OrderId, StreamId, Version};
use docket_event_store::{
    Append, AppendOutcome, CommandEnvelope, NewEvent, Origin, RecordedEvent, RequestHash, Store,
    StoredAnswer, StreamWrite,
};
use uuid::Uuid;

const PAYLOAD: &str =
    r#"{"subject":"customer:c-1","customer":"c-1","channel":"web","currency":"EUR","locale":"de-DE"}"#;

/// An event that any stream may hold as far as the log is concerned.
///
/// # Panics
/// Never: the payload is a constant that the domain reads.
pub fn event() -> NewEvent {
    event_with(PAYLOAD)
}

/// The same with this text as its payload, JSON or not.
///
/// # Panics
/// Never: the decoded fact is that of a constant.
pub fn event_with(payload: &str) -> NewEvent {
    NewEvent {
        event_id: Uuid::now_v7(),
        event: Event::from_payload("order.drafted", 1, PAYLOAD).expect("the payload reads"),
        payload: payload.into(),
    }
}

/// One event for an order's stream at a version.
pub fn append(order: OrderId, expected: i32) -> Append {
    let stream = StreamId::order(order);
    let write = StreamWrite {
        stream,
        expected: Version(expected),
        events: vec![event()],
    };
    Append {
        envelope: Arc::new(envelope(CommandId(Uuid::new_v4()))),
        request_hash: RequestHash::of("test", b"{}"),
        writes: vec![write],
        reads: Vec::new(),
        target: stream,
    }
}

/// The same with a stream that is only read: it takes the checking path.
pub fn checked(order: OrderId, expected: i32) -> Append {
    Append {
        reads: vec![(StreamId::payment(order, 1), Version::NONE)],
        ..append(order, expected)
    }
}

/// No events: nothing to do.
pub fn nothing(order: OrderId, expected: i32) -> Append {
    Append {
        writes: Vec::new(),
        reads: vec![(StreamId::order(order), Version(expected))],
        ..append(order, expected)
    }
}

/// The same under this id.
pub fn named(append: Append, id: CommandId) -> Append {
    Append {
        envelope: Arc::new(envelope(id)),
        ..append
    }
}

/// The same as another request.
pub fn asking(append: Append, what: &str) -> Append {
    Append {
        request_hash: RequestHash::of(what, b"{}"),
        ..append
    }
}

/// What a command's events share.
pub fn envelope(command_id: CommandId) -> CommandEnvelope {
    CommandEnvelope {
        command_id,
        origin: Origin::Live,
        // Whole microseconds: what PostgreSQL keeps.
        occurred_at: Utc
            .timestamp_micros(1_750_000_000_123_456)
            .earliest()
            .unwrap_or_default(),
        causation_id: None,
        actor_kind: ActorKind::Staff,
        actor_id: Arc::from("ann"),
        traceparent: None,
    }
}

/// Starts an append and lets it run.
pub fn start(
    store: &Store,
    append: Append,
) -> tokio::task::JoinHandle<Result<AppendOutcome, docket_event_store::AppendError>> {
    let store = store.clone();
    tokio::spawn(async move { store.append(append).await })
}

/// Appends what must go in.
///
/// # Panics
/// When it does not.
pub async fn appended(store: &Store, append: Append) -> (StoredAnswer, Vec<Arc<RecordedEvent>>) {
    match store.append(append).await {
        Ok(AppendOutcome::Appended { answer, events }) => (answer, events),
        other => panic!("not appended: {other:?}"),
    }
}
