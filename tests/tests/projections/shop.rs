//! A shop to test with: a log, its read models, and orders that go all the way.

use docket_domain::{Actor, OrderId, Role};
use docket_event_store::{
    Executed, MasterKey, Origin, Position, Request, RequestHash, Store, StoreConfig, command_id, migrate,
};
use docket_projections::{PartitionStatus, Projections, ProjectionsConfig};
use docket_tests::{TestDatabase, database, eventually};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// Every read model.
pub(crate) const ALL: [&str; 9] = [
    "order_summary",
    "order_detail",
    "order_search",
    "order_timeline",
    "shipment_board",
    "customer_orders",
    "payment_ledger",
    "sales_by_minute",
    "fraud_signals",
];
/// Their tables, with their keys.
pub(crate) const TABLES: [(&str, &str); 10] = [
    ("order_summary_g1", "order_id"),
    ("order_detail_g1", "order_id"),
    ("order_search_g1", "order_id"),
    ("order_timeline_g1", "partition, \"offset\""),
    ("shipment_board_g1", "order_id, number"),
    ("customer_orders_g1", "order_id"),
    ("payment_ledger_g1", "order_id, number"),
    ("payment_ledger_days_g1", "partition, day, currency"),
    ("sales_by_minute_g1", "partition, minute, currency, channel"),
    ("fraud_signals_g1", "order_id, number"),
];

/// Makes another word of one in each document.
pub(crate) const DAMAGE_DOCUMENTS: &str = "update order_detail_g1
    set document = decode(replace(encode(document, 'hex'), encode('tea', 'hex'), encode('tee', 'hex')), 'hex')";

/// A migrated database of its own.
pub(crate) async fn empty_database() -> TestDatabase {
    let db = database().await;
    migrate(&db.connect_options(), None).await.unwrap();
    db
}

/// Another process's view of the log.
pub(crate) async fn open(db: &TestDatabase) -> Store {
    let key = MasterKey::from_hex(&"5a".repeat(32)).unwrap();
    Store::open(StoreConfig::new(db.connect_options(), key))
        .await
        .unwrap()
}

/// Short times, so that a test sees leases run out.
pub(crate) fn quick() -> ProjectionsConfig {
    ProjectionsConfig {
        lease: Duration::from_millis(1_500),
        tick: Duration::from_millis(200),
        wait: Duration::from_secs(10),
        ..ProjectionsConfig::default()
    }
}

pub(crate) async fn start(store: &Store) -> Projections {
    Projections::start(store.clone(), quick()).await.unwrap()
}

/// Runs a command as a member of the staff.
pub(crate) async fn run(store: &Store, command: Value) -> Executed {
    let actor = Actor::new(Role::Staff, "s-1");
    let text = command.to_string();
    let request = Request {
        command: serde_json::from_value(command).unwrap_or_else(|error| panic!("{text}: {error}")),
        command_id: command_id::fresh(&actor),
        request_hash: RequestHash::of("test", text.as_bytes()),
        actor,
        expected_version: None,
        occurred_at: None,
        origin: Origin::Live,
        causation_id: None,
        traceparent: None,
    };
    store
        .execute(request)
        .await
        .unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

pub(crate) fn eur(amount: i64) -> Value {
    json!({"amountMinor": amount, "currency": "EUR"})
}

/// An order id in a partition.
pub(crate) fn order_in(store: &Store, partition: u16) -> OrderId {
    loop {
        let order = OrderId(Uuid::new_v4());
        if store.partition_of(order) == partition {
            return order;
        }
    }
}

/// Begins an order; where that stands in the log.
pub(crate) async fn draft(store: &Store, order: OrderId) -> Position {
    run(
        store,
        json!({"command": "createOrder", "order": order, "customer": "c-1", "email": "ada@example.org",
               "channel": "web", "currency": "EUR", "locale": "de-DE"}),
    )
    .await
    .position
}

/// Adds two pieces of something for 10.00 each.
pub(crate) async fn add_line(store: &Store, order: OrderId) -> Position {
    let line = json!({"sku": "tea", "name": "Tea", "quantity": 2, "unitPrice": eur(1_000), "weightG": 100});
    run(store, json!({"command": "addLine", "order": order, "line": line}))
        .await
        .position
}

/// Places an order of one line with 5.00 for shipping.
pub(crate) async fn place(store: &Store, order: OrderId) -> Position {
    draft(store, order).await;
    add_line(store, order).await;
    let address = json!({"name": "Ada", "street": ["1 Main Street"], "postalCode": "10115", "city": "Berlin",
                         "country": "DE"});
    let method = json!({"code": "parcel", "price": eur(500)});
    run(
        store,
        json!({"command": "setDetails", "order": order, "shippingAddress": address, "shippingMethod": method}),
    )
    .await;
    run(store, json!({"command": "placeOrder", "order": order}))
        .await
        .position
}

/// Pays, ships and delivers a placed order.
pub(crate) async fn fulfil(store: &Store, order: OrderId) -> Position {
    let (payment, shipment) = (format!("{order}-p1"), format!("{order}-s1"));
    let now = chrono::Utc::now();
    let tracking = json!({"carrier": "dhl", "tracking_number": "T-1"});
    let mut last = None;
    for command in [
        json!({"command": "initiatePayment", "order": order, "amount": eur(2_500), "captureMethod": "manual",
               "method": {"type": "transfer"}, "gateway": "manual"}),
        json!({"command": "recordAuthorization", "payment": payment, "reference": "a-1", "at": now}),
        json!({"command": "confirmOrder", "order": order, "mode": "automatic"}),
        json!({"command": "allocateFulfillment", "order": order}),
        json!({"command": "createShipment", "shipment": shipment, "location": "berlin"}),
        json!({"command": "buyLabel", "shipment": shipment, "parcels": [{"tracking": tracking}]}),
        json!({"command": "dispatchShipment", "shipment": shipment}),
        json!({"command": "capturePayment", "payment": payment, "shipment": 1}),
        json!({"command": "recordCapture", "payment": payment, "capture": 1, "reference": "c-1", "at": now}),
        json!({"command": "recordTracking", "shipment": shipment, "parcel": 1, "status": "delivered",
               "carrierEventId": "e-1", "at": now, "place": "Berlin"}),
    ] {
        last = Some(run(store, command).await.position);
    }
    last.unwrap()
}

/// The status of one partition of one read model.
pub(crate) fn status(projections: &Projections, projection: &str, partition: u16) -> PartitionStatus {
    let all = projections.status();
    all.into_iter()
        .find(|s| s.projection == projection && s.partition == partition)
        .unwrap()
}

/// Returns when the partition stands still.
pub(crate) async fn stopped(projections: &Projections, projection: &str, partition: u16) -> PartitionStatus {
    eventually(DEADLINE, async || {
        Some(status(projections, projection, partition)).filter(|status| status.stopped.is_some())
    })
    .await
}

/// All tables and all checkpoints as text.
pub(crate) async fn dump(db: &TestDatabase) -> Vec<String> {
    let mut all = Vec::new();
    let tables = TABLES.map(|(table, key)| format!("select t::text from {table} t order by {key}"));
    let checkpoints = r#"select (projection, partition, "offset", event_id)::text from checkpoints
                          order by projection, partition"#;
    for query in tables.into_iter().chain([checkpoints.to_owned()]) {
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query));
        let rows: Vec<String> = query.fetch_all(db.admin()).await.unwrap();
        assert!(!rows.is_empty());
        all.extend(rows);
    }
    all
}
