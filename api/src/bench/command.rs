//! `command`: whole commands, loaded, decided and appended, over orders that hold 20 events before the clock starts.
//!
//! Each command adds a line to a draft, so that an order grows while it is measured; there are enough orders that the
//! mean stays near 20, and the result says what it was.

use super::{
    BenchError,
    append::envelope,
    database::BenchDatabase,
    measure::{Measured, closed_loop},
};
use chrono::Utc;
use docket_domain::{
    Actor, Case, Command, CommandId, Context, Decision, OrderId, Role, StreamId, Version, decide,
};
use docket_event_store::{
    Append, AppendOutcome, CommandEnvelope, NewEvent, Origin, Request, RequestHash, Store, StreamWrite,
    command_id, limits,
};
use serde_json::{Map, Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;
use uuid::Uuid;

const EVENTS: usize = 20;
const ORDERS: usize = 20_000;
const SEEDERS: usize = 256;

pub(super) struct CommandBench {
    store: Store,
    writers: u32,
    cold: bool,
    orders: Arc<Vec<OrderId>>,
    next: Arc<AtomicUsize>,
    events: u64,
}

impl CommandBench {
    pub(super) async fn open(database: &BenchDatabase, writers: u32, cold: bool) -> Result<Self, BenchError> {
        let cache_bytes = if cold { 0 } else { 1024 * limits::CACHE_BYTES };
        let store = database.store(cache_bytes).await?;
        let orders: Arc<Vec<_>> = Arc::new((0..ORDERS).map(|_| OrderId(Uuid::now_v7())).collect());
        each(&orders, &store, |store, order| async move {
            seed(&store, order).await
        })
        .await?;
        if !cold {
            // One command each fills the cache.
            each(&orders, &store, |store, order| async move {
                let actor = Actor::new(Role::Staff, "bench");
                let done = store.execute(request(add_line(order), &actor)?).await;
                done.map(drop)
                    .map_err(|error| BenchError::Worker(format!("{error:?}")))
            })
            .await?;
        }
        Ok(Self {
            store,
            writers,
            cold,
            orders,
            next: Arc::default(),
            events: if cold { 0 } else { ORDERS as u64 },
        })
    }

    pub(super) async fn round(&mut self, length: Duration) -> Result<Measured, BenchError> {
        let actor = Arc::new(Actor::new(Role::Staff, "bench"));
        let worker = |_| {
            let (store, actor) = (self.store.clone(), Arc::clone(&actor));
            let (orders, next) = (Arc::clone(&self.orders), Arc::clone(&self.next));
            move || {
                let (store, actor, orders) = (store.clone(), Arc::clone(&actor), Arc::clone(&orders));
                let turn = next.fetch_add(1, Ordering::Relaxed);
                async move {
                    let done = store
                        .execute(request(add_line(orders[turn % ORDERS]), &actor)?)
                        .await;
                    done.map(|done| done.events.len() as u64)
                        .map_err(|error| BenchError::Worker(format!("{error:?}")))
                }
            }
        };
        let (measured, _) = closed_loop((0..self.writers).map(worker).collect(), length).await?;
        self.events += measured.events;
        Ok(measured)
    }

    pub(super) async fn finish(self) -> Result<Map<String, Value>, BenchError> {
        self.store.close().await;
        let mut more = Map::new();
        more.insert("cold".into(), self.cold.into());
        let mean = EVENTS as f64 + self.events as f64 / (2.0 * ORDERS as f64);
        more.insert("events_per_stream_mean".into(), mean.into());
        Ok(more)
    }
}

/// Does something with every order, many at a time.
async fn each<F>(
    orders: &[OrderId],
    store: &Store,
    work: impl Fn(Store, OrderId) -> F + Copy + Send + 'static,
) -> Result<(), BenchError>
where
    F: Future<Output = Result<(), BenchError>> + Send,
{
    let mut running = JoinSet::new();
    for part in orders.chunks(ORDERS.div_ceil(SEEDERS)) {
        let (store, part) = (store.clone(), part.to_vec());
        running.spawn(async move {
            for order in part {
                work(store.clone(), order).await?;
            }
            Ok::<_, BenchError>(())
        });
    }
    while let Some(done) = running.join_next().await {
        done.map_err(|error| BenchError::Worker(error.to_string()))??;
    }
    Ok(())
}

fn command(value: Value) -> Result<Command, BenchError> {
    serde_json::from_value(value).map_err(|error| BenchError::Worker(error.to_string()))
}

fn add_line(order: OrderId) -> Value {
    json!({
        "command": "addLine", "order": order,
        "line": {"sku": "TEA-500", "name": "Assam, whole leaf, 500 g", "quantity": 2,
                 "unitPrice": {"amountMinor": 1999, "currency": "EUR"}, "taxRateBp": 700, "weightG": 540},
    })
}

/// A request of its own for a command.
pub(super) fn request(said: Value, actor: &Actor) -> Result<Request, BenchError> {
    Ok(Request {
        command: command(said)?,
        command_id: command_id::fresh(actor),
        request_hash: RequestHash::of("bench", b"{}"),
        actor: actor.clone(),
        expected_version: None,
        occurred_at: None,
        origin: Origin::Live,
        causation_id: None,
        traceparent: None,
    })
}

/// Writes an order's first 20 events, decided like any, in one append.
async fn seed(store: &Store, order: OrderId) -> Result<(), BenchError> {
    let failed = |error: String| BenchError::Worker(error);
    let context = Context::try_new(Utc::now(), None, Actor::new(Role::Staff, "bench"), false)
        .map_err(|refusal| failed(refusal.to_string()))?;
    let create = command(json!({
        "command": "createOrder", "order": order, "customer": "c-100042", "channel": "web", "currency": "EUR",
        "locale": "de-DE",
    }))?;
    let mut case = Case::default();
    let mut events = Vec::with_capacity(EVENTS);
    while events.len() < EVENTS {
        let command = if events.is_empty() {
            create.clone()
        } else {
            command(add_line(order))?
        };
        let decision = decide(&case, &command, &context).map_err(|refusal| failed(refusal.to_string()))?;
        let Decision::Events(decided) = decision else {
            return Err(failed("a seeding command had nothing to do".to_owned()));
        };
        for event in decided {
            case = case.evolve(&event, context.now);
            let payload = event
                .event
                .payload()
                .map_err(|error| failed(error.to_string()))?
                .into_boxed_str();
            events.push(NewEvent {
                event_id: Uuid::now_v7(),
                event: event.event,
                payload,
            });
        }
    }
    let stream = StreamId::order(order);
    let append = Append {
        envelope: Arc::new(CommandEnvelope {
            command_id: CommandId(Uuid::now_v7()),
            ..envelope()
        }),
        request_hash: RequestHash::of("seed", b"{}"),
        writes: vec![StreamWrite {
            stream,
            expected: Version::NONE,
            events,
        }],
        reads: Vec::new(),
        target: stream,
    };
    match store.append(append).await {
        Ok(AppendOutcome::Appended { .. }) => Ok(()),
        other => Err(failed(format!("{other:?}"))),
    }
}
