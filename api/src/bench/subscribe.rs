//! `subscribe`: many subscriptions on one process, each a connection of its own that follows its own order. What one costs
//! in memory, how late a change comes, and what is left when all have gone and come again.

use super::{
    BenchError,
    database::BenchDatabase,
    http::{Client, ServerProcess, body},
    measure::Measured,
};
use docket_domain::Role;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinHandle, JoinSet},
    time,
};
use uuid::Uuid;

/// Changes a second, over all orders.
const CHANGES_PER_S: u32 = 200;
/// Connections that are opened at once: the server answers each with the order's cursor.
const OPENING: usize = 64;
/// How long a change may take to come before the bench fails.
const MAX_DELAY: Duration = Duration::from_secs(10);
/// What the process may give back after its connections are gone, before its memory is read.
const SETTLE: Duration = Duration::from_secs(3);
/// Customers' tokens: each follows this many of their orders, below what one caller may follow at once.
const ORDERS_PER_CUSTOMER: usize = 10;

const CREATE: &str =
    "mutation Create($input: CreateOrderInput!) { createOrder(input: $input) { userErrors { message } } }";
const NOTE: &str =
    "mutation Note($input: SetDetailsInput!) { setDetails(input: $input) { userErrors { message } } }";
const FOLLOW: &str =
    "subscription Follow($id: ID!) { orderUpdated(id: $id) { cursor position { partition offset }
  event { type } order { id status version } } }";

/// An order, whose it is, and the stream that follows it.
struct Followed {
    order: Uuid,
    reader: JoinHandle<()>,
}

type Arrivals = mpsc::UnboundedReceiver<(Uuid, Instant)>;

pub(super) struct SubscribeBench {
    server: ServerProcess,
    desk: Client,
    tokens: Vec<String>,
    orders: Vec<Uuid>,
    followed: Vec<Followed>,
    arrivals: Arrivals,
    arrived: mpsc::UnboundedSender<(Uuid, Instant)>,
    changes: u64,
    more: Map<String, Value>,
}

impl SubscribeBench {
    pub(super) async fn open(database: &BenchDatabase, number: u32) -> Result<Self, BenchError> {
        let server = ServerProcess::start(database).await?;
        let mut desk = server.client(Role::Service, "desk").await?;
        let mut tokens = Vec::new();
        for customer in 0..(number as usize).div_ceil(ORDERS_PER_CUSTOMER) {
            tokens.push(server.token(Role::Customer, &format!("c-{customer}")).await?);
        }
        let mut orders = Vec::new();
        for place in 0..number as usize {
            let order = Uuid::now_v7();
            let input = json!({"input": {"order": order, "customer": format!("c-{}", place / ORDERS_PER_CUSTOMER),
                "channel": "web", "currency": "EUR", "locale": "en-GB", "idempotencyKey": order}});
            desk.ask(body(CREATE, &input)).await?;
            orders.push(order);
        }
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let mut bench = Self {
            server,
            desk,
            tokens,
            orders,
            followed: Vec::new(),
            arrivals,
            arrived,
            changes: 0,
            more: Map::new(),
        };
        let before = bench.server.resident_bytes().await?;
        let took = Instant::now();
        bench.connect().await?;
        let after = bench.server.resident_bytes().await?;
        let each = after.saturating_sub(before) / u64::from(number.max(1));
        bench.more.insert("bytes_per_subscription".into(), each.into());
        bench
            .more
            .insert("connect_s".into(), took.elapsed().as_secs_f64().into());
        bench.more.insert("rss_mb_connected".into(), (after >> 20).into());
        Ok(bench)
    }

    /// Opens a connection and a subscription for every order; each has given its first cursor when this returns.
    async fn connect(&mut self) -> Result<(), BenchError> {
        let turns = Arc::new(Semaphore::new(OPENING));
        let mut opening = JoinSet::new();
        for (place, order) in self.orders.iter().copied().enumerate() {
            let token = self
                .tokens
                .get(place / ORDERS_PER_CUSTOMER)
                .cloned()
                .unwrap_or_default();
            let (address, turns, arrived) = (self.server.address, Arc::clone(&turns), self.arrived.clone());
            opening.spawn(async move {
                // Never closed.
                let _turn = turns.acquire_owned().await;
                let mut client = Client::connect(address, token).await?;
                let mut stream = client.follow(body(FOLLOW, &json!({"id": order}))).await?;
                next_message(&mut stream).await?;
                let reader = tokio::spawn(async move {
                    // The connection lives as long as its client does.
                    let _client = client;
                    while let Ok(message) = next_message(&mut stream).await {
                        let told = message.contains(r#""type":"order."#)
                            && arrived.send((order, Instant::now())).is_ok();
                        if !told && arrived.is_closed() {
                            break;
                        }
                    }
                });
                Ok::<_, BenchError>(Followed { order, reader })
            });
        }
        while let Some(followed) = opening.join_next().await {
            self.followed
                .push(followed.map_err(|error| BenchError::Worker(error.to_string()))??);
        }
        Ok(())
    }

    /// Changes orders at a steady rate; each change's time is from its acknowledgement to its subscriber.
    pub(super) async fn round(&mut self, length: Duration) -> Result<Measured, BenchError> {
        let started = Instant::now();
        let mut ticks = time::interval(Duration::from_secs(1) / CHANGES_PER_S);
        let mut acknowledged = HashMap::new();
        while started.elapsed() < length {
            ticks.tick().await;
            let turn = self.changes.wrapping_mul(0x9E37_79B9_7F4A_7C15) as usize % self.followed.len().max(1);
            let order = self
                .followed
                .get(turn)
                .map_or(Uuid::nil(), |followed| followed.order);
            if acknowledged.contains_key(&order) {
                self.changes += 1;
                continue;
            }
            let input = json!({"input": {"order": order, "note": format!("change {}", self.changes)}});
            self.desk.ask(body(NOTE, &input)).await?;
            acknowledged.insert(order, Instant::now());
            self.changes += 1;
        }
        let elapsed = started.elapsed();
        let mut delays = Vec::new();
        while delays.len() < acknowledged.len() {
            let arrival = time::timeout(MAX_DELAY, self.arrivals.recv())
                .await
                .ok()
                .flatten();
            let Some((order, at)) = arrival else {
                let missing = acknowledged.len() - delays.len();
                return Err(BenchError::Worker(format!("{missing} changes did not come")));
            };
            if let Some(acknowledged) = acknowledged.get(&order) {
                // A message may overtake its acknowledgement.
                delays.push(at.saturating_duration_since(*acknowledged));
            }
        }
        Ok(Measured::new(delays.len() as u64, elapsed, delays))
    }

    pub(super) async fn finish(mut self) -> Result<Map<String, Value>, BenchError> {
        self.more
            .insert("subscriptions".into(), self.followed.len().into());
        self.more.insert("changes_per_s".into(), CHANGES_PER_S.into());
        for name in ["rss_mb_left", "rss_mb_reconnected", "rss_mb_left_again"] {
            if name == "rss_mb_reconnected" {
                self.connect().await?;
            } else {
                for followed in self.followed.drain(..) {
                    followed.reader.abort();
                }
                time::sleep(SETTLE).await;
            }
            self.more
                .insert(name.into(), (self.server.resident_bytes().await? >> 20).into());
        }
        self.server.stop().await?;
        Ok(self.more)
    }
}

/// The next event of a stream; comments that keep it alive are passed over.
async fn next_message(stream: &mut Incoming) -> Result<String, BenchError> {
    loop {
        let frame = stream.frame().await;
        let ended = || BenchError::Worker("a subscription ended".into());
        let frame = frame
            .ok_or_else(ended)?
            .map_err(|error| BenchError::Worker(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        let text = String::from_utf8_lossy(&data);
        if text.contains("event: next") || text.contains("event:next") {
            return Ok(text.into_owned());
        }
        if text.contains("complete") {
            return Err(BenchError::Worker(text.into_owned()));
        }
    }
}
