//! `graphql`: `placeOrder` over HTTP, each with its idempotency key, on drafts with two lines and an address that the same
//! server was given before the clock started.

use super::{
    BenchError,
    database::BenchDatabase,
    http::{Client, ServerProcess, body},
    measure::{Measured, closed_loop},
};
use docket_domain::Role;
use serde_json::{Map, Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Mutex, task::JoinSet};
use uuid::Uuid;

/// Orders a second that the warm-up is prepared for: more than were ever placed in one on four cores.
const FIRST_GUESS: f64 = 12_000.0;
/// Drafts for a round, as a multiple of what the fastest one before it placed.
const SPARE: f64 = 2.0;
const WARM_UP: Duration = Duration::from_millis(500);

const DRAFT: &str = "mutation Draft($create: CreateOrderInput!, $tea: AddLineInput!, $pot: AddLineInput!, $details: SetDetailsInput!) {
  createOrder(input: $create) { userErrors { message } }
  tea: addLine(input: $tea) { userErrors { message } }
  pot: addLine(input: $pot) { userErrors { message } }
  setDetails(input: $details) { userErrors { message } } }";
const PLACE: &str = "mutation Place($input: PlaceOrderInput!) { placeOrder(input: $input) {
  order { id number status totals { grand { amountMinor currency } } }
  version position { partition offset } userErrors { message code } } }";

pub(super) struct PlaceOrderBench {
    server: ServerProcess,
    clients: Vec<Arc<Mutex<Client>>>,
    fastest: f64,
    placed: u64,
}

impl PlaceOrderBench {
    pub(super) async fn open(database: &BenchDatabase, concurrency: u32) -> Result<Self, BenchError> {
        let server = ServerProcess::start(database).await?;
        let mut clients = Vec::new();
        for number in 0..concurrency {
            let client = server.client(Role::Service, &format!("shop-{number}")).await?;
            clients.push(Arc::new(Mutex::new(client)));
        }
        let mut bench = Self {
            server,
            clients,
            fastest: FIRST_GUESS / SPARE,
            placed: 0,
        };
        // Connections, statements and caches are there before the clock starts.
        bench.fastest = bench.round(WARM_UP).await?.per_second();
        Ok(bench)
    }

    pub(super) async fn round(&mut self, length: Duration) -> Result<Measured, BenchError> {
        let drafts = (self.fastest * SPARE * length.as_secs_f64()).ceil() as usize;
        let drafts = Arc::new(self.draft(drafts).await?);
        let next = Arc::new(AtomicU64::new(0));
        let worker = |client: &Arc<Mutex<Client>>| {
            let (client, drafts, next) = (Arc::clone(client), Arc::clone(&drafts), Arc::clone(&next));
            move || {
                let (client, drafts) = (Arc::clone(&client), Arc::clone(&drafts));
                let turn = next.fetch_add(1, Ordering::Relaxed);
                async move { place(&mut *client.lock().await, &drafts, turn).await }
            }
        };
        let (measured, _) = closed_loop(self.clients.iter().map(worker).collect(), length).await?;
        self.fastest = self.fastest.max(measured.per_second());
        self.placed += measured.events;
        Ok(measured)
    }

    /// Makes so many drafts through the server.
    async fn draft(&self, number: usize) -> Result<Vec<Uuid>, BenchError> {
        let mut running = JoinSet::new();
        for client in &self.clients {
            let (client, share) = (Arc::clone(client), number.div_ceil(self.clients.len()));
            running.spawn(async move {
                let mut client = client.lock().await;
                let mut drafts = Vec::with_capacity(share);
                for _ in 0..share {
                    let order = Uuid::now_v7();
                    let answer = client.ask(body(DRAFT, &draft_of(order))).await?;
                    expect_no_refusal(&answer)?;
                    drafts.push(order);
                }
                Ok::<_, BenchError>(drafts)
            });
        }
        let mut drafts = Vec::with_capacity(number);
        while let Some(made) = running.join_next().await {
            drafts.extend(made.map_err(|error| BenchError::Worker(error.to_string()))??);
        }
        Ok(drafts)
    }

    pub(super) async fn finish(self) -> Result<Map<String, Value>, BenchError> {
        let in_the_log: i64 =
            sqlx::query_scalar("select count(*) from events where event_type = 'order.placed'")
                .fetch_one(self.server.pool())
                .await?;
        let (acknowledged, found) = (self.placed, in_the_log.unsigned_abs());
        if acknowledged != found {
            return Err(BenchError::Lost { acknowledged, found });
        }
        let mut more = Map::new();
        more.insert(
            "server_rss_mb".into(),
            (self.server.resident_bytes().await? >> 20).into(),
        );
        self.server.stop().await?;
        Ok(more)
    }
}

async fn place(client: &mut Client, drafts: &[Uuid], turn: u64) -> Result<u64, BenchError> {
    let draft = usize::try_from(turn).ok().and_then(|turn| drafts.get(turn));
    let Some(draft) = draft else {
        return Err(BenchError::Worker(
            "the drafts ran out; fewer --seconds or a bug".into(),
        ));
    };
    let input = json!({"input": {"order": draft, "idempotencyKey": format!("place-{draft}")}});
    let answer = client.ask(body(PLACE, &input)).await?;
    expect_no_refusal(&answer)?;
    Ok(1)
}

fn expect_no_refusal(answer: &[u8]) -> Result<(), BenchError> {
    const REFUSAL: &[u8] = br#""userErrors":[{"#;
    if answer.windows(REFUSAL.len()).any(|part| part == REFUSAL) {
        return Err(BenchError::Worker(String::from_utf8_lossy(answer).into_owned()));
    }
    Ok(())
}

fn draft_of(order: Uuid) -> Value {
    let line = |sku: &str, name: &str, quantity: u32, minor: &str| {
        json!({"order": order, "line": {"sku": sku, "name": name, "quantity": quantity, "taxRateBp": 700,
               "unitPrice": {"amountMinor": minor, "currency": "EUR"}}})
    };
    json!({
        "create": {"order": order, "customer": format!("c-{}", order.as_u128() % 50_000), "name": "Ada Lovelace",
                   "email": "ada@example.org", "channel": "web", "currency": "EUR", "locale": "en-GB",
                   "idempotencyKey": format!("create-{order}")},
        "tea": line("TEA-500", "Assam, whole leaf, 500 g", 2, "1999"),
        "pot": line("POT-1", "Teapot, cast iron", 1, "2450"),
        "details": {"order": order,
                    "shippingAddress": {"name": "Ada Lovelace", "street": ["12 St James's Square"],
                                        "postalCode": "SW1Y 4JH", "city": "London", "country": "GB"},
                    "shippingMethod": {"code": "standard", "name": "Standard",
                                       "price": {"amountMinor": "490", "currency": "EUR"}}},
    })
}
