//! `append`: a new order stream each, one event of about 300 bytes, straight into the lanes.

use super::{
    BenchError,
    database::BenchDatabase,
    measure::{Measured, closed_loop},
};
use chrono::Utc;
use docket_domain::{ActorKind, CommandId, Event, OrderId, StreamId, Version};
use docket_event_store::{
    Append, AppendOutcome, CommandEnvelope, NewEvent, Origin, RequestHash, Store, StreamWrite,
};
use serde_json::{Map, Value};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use uuid::Uuid;

/// An `order.drafted` of about 300 bytes with two sealed values, as an event and as its payload.
pub(super) fn sample() -> &'static (Event, &'static str) {
    static SAMPLE: OnceLock<(Event, &'static str)> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let sealed = "AVfVd1jwdkz6nCzIgkqRvcNqTBMNQeQaxJrlTOqfPSVMw4bmRkW5eaUKYpsEHmQmxRc1jNrJxwqOeF3d";
        let payload = format!(
            r#"{{"subject":"customer:c-100042","customer":"c-100042","name":"{sealed}","email":"{sealed}","channel":"web","currency":"EUR","locale":"de-DE"}}"#
        );
        #[expect(clippy::expect_used, reason = "the payload is a constant, and the tests of this module read it")]
        let event = Event::from_payload("order.drafted", 1, &payload).expect("the sample payload reads");
        (event, Box::leak(payload.into_boxed_str()))
    })
}

/// One event for a stream at a version.
pub(super) fn append_to(order: OrderId, expected: Version, envelope: &CommandEnvelope) -> Append {
    let (event, payload) = sample();
    let stream = StreamId::order(order);
    let command_id = CommandId(Uuid::new_v4());
    let new = NewEvent {
        event_id: Uuid::now_v7(),
        event: event.clone(),
        payload: (*payload).into(),
    };
    Append {
        envelope: Arc::new(CommandEnvelope {
            command_id,
            occurred_at: Utc::now(),
            ..envelope.clone()
        }),
        request_hash: RequestHash::of("bench", b"{}"),
        writes: vec![StreamWrite {
            stream,
            expected,
            events: vec![new],
        }],
        reads: Vec::new(),
        target: stream,
    }
}

/// What the bench's events share.
pub(super) fn envelope() -> CommandEnvelope {
    CommandEnvelope {
        command_id: CommandId(Uuid::nil()),
        origin: Origin::Live,
        occurred_at: Utc::now(),
        causation_id: None,
        actor_kind: ActorKind::Staff,
        actor_id: Arc::from("bench"),
        traceparent: None,
    }
}

pub(super) struct AppendBench {
    store: Store,
    writers: u32,
}

impl AppendBench {
    pub(super) async fn open(database: &BenchDatabase, writers: u32) -> Result<Self, BenchError> {
        Ok(Self {
            store: database.store(docket_event_store::limits::CACHE_BYTES).await?,
            writers,
        })
    }

    pub(super) async fn round(&mut self, length: Duration) -> Result<Measured, BenchError> {
        let shared = Arc::new(envelope());
        let worker = |_| {
            let (store, shared) = (self.store.clone(), Arc::clone(&shared));
            move || {
                let (store, shared) = (store.clone(), Arc::clone(&shared));
                async move {
                    let append = append_to(OrderId(Uuid::now_v7()), Version::NONE, &shared);
                    match store.append(append).await {
                        Ok(AppendOutcome::Appended { events, .. }) => Ok(events.len() as u64),
                        other => Err(BenchError::Worker(format!("{other:?}"))),
                    }
                }
            }
        };
        let (measured, _) = closed_loop((0..self.writers).map(worker).collect(), length).await?;
        Ok(measured)
    }

    pub(super) async fn finish(self) -> Result<Map<String, Value>, BenchError> {
        self.store.close().await;
        Ok(Map::new())
    }
}

#[cfg(test)]
mod tests {
    use super::sample;

    #[test]
    fn the_sample_is_about_300_bytes_and_writes_what_it_was_read_from() {
        let (event, payload) = sample();
        assert_eq!(event.payload().unwrap(), *payload);
        assert!((280..=320).contains(&payload.len()), "{}", payload.len());
    }
}
