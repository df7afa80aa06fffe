//! Writers, readers and a follower that go on through an outage, and what must be true of what they saw.

use docket_tests::eventually;
use docket_tests::server::{Client, mutation};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// The server gives every request thirty seconds.
const BOUND: Duration = Duration::from_secs(32);
const SENT_AGAIN_FOR: Duration = Duration::from_secs(60);

/// What happened to the requests of a load.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Keys of orders, and the position where it was told.
    pub(crate) orders: HashMap<Uuid, Option<Value>>,
    /// How often each code came.
    pub(crate) codes: BTreeMap<String, usize>,
    /// The longest that an answer took.
    pub(crate) longest: Duration,
}

pub(crate) struct Load {
    on: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    writers: Vec<JoinHandle<Seen>>,
}

pub(crate) fn create(order: Uuid, note: &str) -> docket_tests::server::Ask {
    mutation(
        "createOrder",
        json!({"order": order, "customer": "ada", "name": note, "channel": "web", "currency": "EUR",
                                   "locale": "de-DE", "idempotencyKey": order}),
    )
}

impl Load {
    /// Some writers, each of which creates one order after the other, and as many readers.
    pub(crate) fn start(client: &Client, writers: usize, note: &str) -> Load {
        let on = Arc::new(AtomicBool::new(true));
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let writer = |_| {
            let (client, on, note) = (client.clone(), Arc::clone(&on), note.to_owned());
            let acknowledged = Arc::clone(&acknowledged);
            tokio::spawn(async move { write(client, on, acknowledged, note).await })
        };
        let reader = |_| {
            let (client, on) = (client.clone(), Arc::clone(&on));
            tokio::spawn(async move { read(client, on).await })
        };
        let mut tasks: Vec<_> = (0..writers).map(writer).collect();
        tasks.extend((0..writers).map(reader));
        Load {
            on,
            acknowledged,
            writers: tasks,
        }
    }

    /// Waits until the writers have been told of one more order than now, which they began before or after.
    pub(crate) async fn goes_on(&self, within: Duration) {
        let now = self.acknowledged.load(Ordering::SeqCst);
        let more = async || (self.acknowledged.load(Ordering::SeqCst) > now).then_some(());
        eventually(within, more).await;
    }

    /// Ends the load; everything that it saw.
    pub(crate) async fn end(self) -> Seen {
        self.on.store(false, Ordering::SeqCst);
        let mut all = Seen::default();
        for writer in self.writers {
            let seen = writer.await.unwrap();
            all.orders.extend(seen.orders);
            for (code, count) in seen.codes {
                *all.codes.entry(code).or_default() += count;
            }
            all.longest = all.longest.max(seen.longest);
        }
        println!(
            "{} orders, {:?}, the slowest answer after {:?}",
            all.orders.len(),
            all.codes,
            all.longest
        );
        assert!(all.longest < BOUND, "an answer took {:?}", all.longest);
        all
    }
}

impl Seen {
    fn note(&mut self, code: String, started: Instant) {
        let known = ["none", "UNAVAILABLE", "OUTCOME_UNKNOWN", "OVERLOADED", "STALE"];
        assert!(known.contains(&code.as_str()), "an outage was answered {code}");
        self.longest = self.longest.max(started.elapsed());
        *self.codes.entry(code).or_default() += 1;
    }

    /// Sends again, under its key, what had no good answer, until it has one; then each order is there once.
    pub(crate) async fn settle(mut self, client: &Client) -> HashMap<Uuid, Value> {
        let started = Instant::now();
        for (order, position) in &mut self.orders {
            while position.is_none() {
                assert!(started.elapsed() < SENT_AGAIN_FOR, "{order} cannot be sent again");
                let reply = client.ask(create(*order, "again")).await;
                // The same key with another name in it would be refused, were it done already.
                if ["none", "IDEMPOTENCY_KEY_REUSED"].contains(&reply.code().as_str()) {
                    *position = Some(reply.json()["data"]["createOrder"]["position"].clone());
                }
            }
        }
        self.orders
            .into_iter()
            .map(|(order, position)| (order, position.unwrap_or_default()))
            .collect()
    }
}

async fn write(client: Client, on: Arc<AtomicBool>, acknowledged: Arc<AtomicUsize>, note: String) -> Seen {
    let mut seen = Seen::default();
    while on.load(Ordering::SeqCst) {
        let (order, started) = (Uuid::new_v4(), Instant::now());
        let reply = client.ask(create(order, &note)).await;
        let code = reply.code();
        acknowledged.fetch_add(usize::from(code == "none"), Ordering::SeqCst);
        seen.orders
            .insert(order, (code == "none").then(|| reply.data()["position"].clone()));
        seen.note(code, started);
    }
    seen
}

async fn read(client: Client, on: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    while on.load(Ordering::SeqCst) {
        let started = Instant::now();
        let reply = client
            .run("{orders(first:5){edges{node{id name status}}}}", Value::Null)
            .await;
        seen.note(reply.code(), started);
        // Readers are not what is measured; a pause keeps them from drowning the writers.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    seen
}

/// Follows all orders through the outage, resuming from its cursor whenever the stream ends; ends with everything that
/// it was shown, once it has seen `until`.
pub(crate) fn follow(
    client: Client,
    cursor: String,
    until: tokio::sync::watch::Receiver<Option<usize>>,
) -> JoinHandle<Vec<Value>> {
    tokio::spawn(async move {
        let (mut cursor, mut shown) = (Some(cursor), Vec::new());
        let query = "subscription($c: String) { ordersChanged(after: $c) { cursor position { partition offset } orderId event { id type } } }";
        loop {
            let mut stream = client.follow(query, json!({"c": cursor})).await;
            loop {
                if until.borrow().is_some_and(|count| shown.len() >= count) {
                    return shown;
                }
                let Some(message) = stream.next().await else { break };
                let payload = &message["data"]["ordersChanged"];
                if payload.is_null() {
                    let code = message["errors"][0]["extensions"]["code"].as_str();
                    assert!(matches!(code, Some("UNAVAILABLE" | "OVERLOADED")), "{message}");
                    break;
                }
                cursor = payload["cursor"].as_str().map(str::to_owned);
                if !payload["event"].is_null() {
                    shown.push(payload.clone());
                }
            }
            // Until the database is back every try ends at once.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
}

/// Where a stream that begins now begins.
pub(crate) async fn cursor(client: &Client) -> String {
    let mut stream = client
        .follow("subscription { ordersChanged { cursor } }", Value::Null)
        .await;
    let message = stream.next().await.unwrap();
    message["data"]["ordersChanged"]["cursor"]
        .as_str()
        .unwrap()
        .to_owned()
}
