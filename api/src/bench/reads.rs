//! `page` and `detail`: what staff look at all day, over HTTP, on a shop of many orders. A page is 20 orders with their
//! lines, payments and shipments, from any place of the list; a detail is one order by its id with everything.

use super::{
    BenchError,
    database::BenchDatabase,
    http::{Client, ServerProcess, body, seed},
    measure::{Measured, closed_loop},
};
use chrono::{DateTime, TimeDelta, Utc};
use docket_domain::Role;
use serde_json::{Map, Value, json};
use sqlx::Row as _;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Mutex;
use uuid::Uuid;

/// Orders whose ids are drawn from the table before the clock starts.
const SAMPLE: i64 = 20_000;
/// Members of staff that take turns on one connection: none of them asks for more than the limits leave to a caller.
const DESKS: u32 = 8;
const WARM_UP: Duration = Duration::from_secs(1);

/// What every row of a staff member's list shows of an order, and what is in it.
macro_rules! order_fields {
    () => {
        "id number status paymentStatus fulfillmentStatus onHold customer name email currency createdAt placedAt
         totals { grand { amountMinor currency } } paid { amountMinor }
         lines { line sku name quantity unitPrice { amountMinor } total { amountMinor } cancelled allocated shipped delivered returned }
         payments { id status gateway authorized { amountMinor } captured { amountMinor } refunded { amountMinor }
                    captures { amount { amountMinor } status } refunds { amount { amountMinor } status } }
         shipments { id status location dispatchedAt deliveredAt lines { line quantity } parcels { status tracking { carrier trackingNumber } } }"
    };
}
const PAGE: &str = concat!(
    "query Page($before: DateTime) { orders(first: 20, filter: { createdBefore: $before }) { nodes { ",
    order_fields!(),
    " } pageInfo { hasNextPage endCursor } } }"
);
const DETAIL: &str = concat!(
    "query Detail($id: ID!) { order(id: $id) { ",
    order_fields!(),
    " version position { partition offset } updatedAt confirmedAt completedAt locale channel phone note
      shippingAddress { name street postalCode city country } billingAddress { name street postalCode city country }
      shippingMethod { code name price { amountMinor } } holds allocations { shipmentId released lines { line quantity } } } }"
);

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    Page,
    Detail,
}

/// What the reads are drawn from.
struct Shop {
    orders: Vec<Uuid>,
    first: DateTime<Utc>,
    span: TimeDelta,
}

pub(super) struct ReadBench {
    read: Read,
    server: ServerProcess,
    clients: Vec<Arc<Mutex<Client>>>,
    shop: Arc<Shop>,
    next: Arc<AtomicU64>,
    orders: i64,
    bytes: Arc<AtomicU64>,
    answers: u64,
}

impl ReadBench {
    /// Over a shop of so many orders, whose read models are where its log ends.
    pub(super) async fn open(
        database: &BenchDatabase,
        concurrency: u32,
        orders: u64,
        read: Read,
    ) -> Result<Self, BenchError> {
        seed(database, orders).await?;
        let server = ServerProcess::start(database).await?;
        server.caught_up().await?;
        let mut clients = Vec::new();
        for number in 0..concurrency {
            let mut client = server.client(Role::Staff, &format!("desk-{number}")).await?;
            for place in 1..DESKS {
                let name = format!("desk-{number}-{place}");
                client.share(&server.token(Role::Staff, &name).await?);
            }
            clients.push(Arc::new(Mutex::new(client)));
        }
        let row = sqlx::query("select count(*), min(created_at), max(created_at) from order_summary_g1")
            .fetch_one(server.pool())
            .await?;
        let (first, last): (DateTime<Utc>, DateTime<Utc>) = (row.try_get(1)?, row.try_get(2)?);
        let orders = sqlx::query_scalar("select order_id from order_summary_g1 order by random() limit $1")
            .bind(SAMPLE)
            .fetch_all(server.pool())
            .await?;
        let shop = Shop {
            orders,
            first,
            span: last - first,
        };
        let mut bench = Self {
            read,
            server,
            clients,
            shop: Arc::new(shop),
            next: Arc::default(),
            orders: row.try_get(0)?,
            bytes: Arc::default(),
            answers: 0,
        };
        bench.round(WARM_UP).await?;
        Ok(bench)
    }

    pub(super) async fn round(&mut self, length: Duration) -> Result<Measured, BenchError> {
        let read = self.read;
        let worker = |client: &Arc<Mutex<Client>>| {
            let (client, shop) = (Arc::clone(client), Arc::clone(&self.shop));
            let (next, bytes) = (Arc::clone(&self.next), Arc::clone(&self.bytes));
            move || {
                let (client, bytes) = (Arc::clone(&client), Arc::clone(&bytes));
                let asked = shop.ask(read, next.fetch_add(1, Ordering::Relaxed));
                async move {
                    let answer = client.lock().await.ask(asked).await?;
                    bytes.fetch_add(answer.len() as u64, Ordering::Relaxed);
                    Ok(1)
                }
            }
        };
        let (measured, _) = closed_loop(self.clients.iter().map(worker).collect(), length).await?;
        self.answers += measured.events;
        Ok(measured)
    }

    pub(super) async fn finish(self) -> Result<Map<String, Value>, BenchError> {
        let mut more = Map::new();
        let bytes = self.bytes.load(Ordering::Relaxed) / self.answers.max(1);
        more.insert("orders".into(), self.orders.into());
        more.insert("bytes_per_answer".into(), bytes.into());
        more.insert(
            "server_rss_mb".into(),
            (self.server.resident_bytes().await? >> 20).into(),
        );
        self.server.stop().await?;
        Ok(more)
    }
}

impl Shop {
    /// The request of this turn: another order, another place of the list. Multiplying by an odd number of its own spreads
    /// the turns over all places, the same in every run.
    fn ask(&self, read: Read, turn: u64) -> String {
        let spread = turn.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        match read {
            Read::Detail => {
                let id = self.orders.get(spread as usize % self.orders.len().max(1));
                body(DETAIL, &json!({"id": id}))
            }
            Read::Page => {
                // Not from the oldest tenth: a page has 20 orders.
                let part = 0.1 + 0.9 * (spread >> 11) as f64 / (1u64 << 53) as f64;
                let micros = self.span.num_microseconds().unwrap_or(0) as f64 * part;
                let before = self.first + TimeDelta::microseconds(micros as i64);
                body(PAGE, &json!({"before": before}))
            }
        }
    }
}
