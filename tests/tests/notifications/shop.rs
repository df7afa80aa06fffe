//! A shop whose customers are told things.

use docket_domain::{Actor, OrderId, Role, Subject};
use docket_event_store::{Origin, Position, Request, RequestHash, Store, command_id};
use docket_projections::{
    Projections, ProjectionsConfig,
    reactors::notifications::{self, Fact, Notification},
};
use docket_tests::{TestDatabase, orders::new_order};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Short times, so that a test sees leases run out.
pub(crate) fn quick() -> ProjectionsConfig {
    ProjectionsConfig {
        lease: Duration::from_millis(1_500),
        tick: Duration::from_millis(200),
        wait: Duration::from_secs(15),
        ..ProjectionsConfig::default()
    }
}

pub(crate) async fn start(store: &Store) -> Projections {
    Projections::start(store.clone(), quick()).await.unwrap()
}

pub(crate) fn eur(amount: i64) -> Value {
    json!({"amountMinor": amount, "currency": "EUR"})
}

/// Runs a command, live or as an import.
pub(crate) async fn run_as(store: &Store, origin: Origin, command: Value) -> Position {
    let actor = Actor::new(Role::Operator, "o-1");
    let text = command.to_string();
    let request = Request {
        command: serde_json::from_value(command).unwrap_or_else(|error| panic!("{text}: {error}")),
        command_id: command_id::fresh(&actor),
        request_hash: RequestHash::of("test", text.as_bytes()),
        actor,
        expected_version: None,
        occurred_at: None,
        origin,
        causation_id: None,
        traceparent: None,
    };
    let done = store.execute(request).await;
    done.unwrap_or_else(|error| panic!("{text}: {error:?}")).position
}

pub(crate) async fn run(store: &Store, command: Value) -> Position {
    run_as(store, Origin::Live, command).await
}

/// The commands up to a placed order of four pieces, 45.00 with shipping.
pub(crate) fn placing(order: OrderId, customer: Option<&str>) -> Vec<Value> {
    let line = json!({"sku": "tea", "name": "Tea", "quantity": 4, "unitPrice": eur(1_000), "weightG": 100});
    let address = json!({"name": "Ada Lovelace", "street": ["1 Main Street"], "postalCode": "10115",
                         "city": "Berlin", "country": "DE"});
    let method = json!({"code": "parcel", "price": eur(500)});
    let mut create = json!({"command": "createOrder", "order": order, "email": "ada@example.org", "channel": "web",
                            "currency": "EUR", "locale": "de-DE"});
    if let Some(customer) = customer {
        create["customer"] = json!(customer);
    }
    vec![
        create,
        json!({"command": "addLine", "order": order, "line": line}),
        json!({"command": "setDetails", "order": order, "shippingAddress": address, "shippingMethod": method}),
        json!({"command": "placeOrder", "order": order}),
    ]
}

/// The commands up to an authorized payment of a placed order, and its confirmation.
pub(crate) fn promising(order: OrderId) -> Vec<Value> {
    let payment = format!("{order}-p1");
    vec![
        json!({"command": "initiatePayment", "order": order, "amount": eur(4_500),
               "captureMethod": "manual_multiple", "method": {"type": "transfer"}, "gateway": "manual"}),
        json!({"command": "recordAuthorization", "payment": payment, "reference": "a-1", "at": chrono::Utc::now()}),
        json!({"command": "confirmOrder", "order": order, "mode": "automatic"}),
    ]
}

/// The commands that take money.
pub(crate) fn taking(order: OrderId, capture: u16, amount: i64) -> Vec<Value> {
    let payment = format!("{order}-p1");
    vec![
        json!({"command": "capturePayment", "payment": payment, "amount": eur(amount)}),
        json!({"command": "recordCapture", "payment": payment, "capture": capture, "reference": format!("c-{capture}"),
               "at": chrono::Utc::now()}),
    ]
}

/// The commands that send pieces of the order's one line.
pub(crate) fn sending(order: OrderId, shipment: u16, pieces: u32) -> Vec<Value> {
    let id = format!("{order}-s{shipment}");
    let tracking = json!({"carrier": "dhl", "tracking_number": "T-1"});
    vec![
        json!({"command": "allocateFulfillment", "order": order, "lines": [{"line": 1, "quantity": pieces}]}),
        json!({"command": "createShipment", "shipment": id, "location": "berlin"}),
        json!({"command": "buyLabel", "shipment": id, "parcels": [{"tracking": tracking}]}),
        json!({"command": "dispatchShipment", "shipment": id}),
    ]
}

/// Everything of an order that its customer is told of twice.
pub(crate) fn whole(order: OrderId, customer: Option<&str>) -> Vec<Value> {
    [
        placing(order, customer),
        promising(order),
        taking(order, 1, 4_500),
        sending(order, 1, 4),
    ]
    .concat()
}

pub(crate) async fn run_all(store: &Store, commands: Vec<Value>) -> Position {
    let mut last = None;
    for command in commands {
        last = Some(run(store, command).await);
    }
    last.unwrap()
}

/// An order that is paid and shipped; its id.
pub(crate) async fn sold(store: &Store, customer: &str) -> OrderId {
    let order = new_order();
    run_all(store, whole(order, Some(customer))).await;
    order
}

/// Waits until the rules were asked about everything so far.
pub(crate) async fn asked(projections: &Projections, store: &Store) {
    let heads = (0..).zip(store.feed().heads());
    let positions: Vec<Position> = heads
        .map(|(partition, offset)| Position { partition, offset })
        .collect();
    projections
        .wait_for(&[notifications::NAME], &positions)
        .await
        .unwrap();
}

pub(crate) fn customer(id: &str) -> Subject {
    format!("customer:{id}").parse().unwrap()
}

/// What somebody was told, the oldest first.
pub(crate) async fn told(store: &Store, recipient: &Subject) -> Vec<Notification> {
    let mut rows = notifications::page(store.pool(), recipient, None, 10_000)
        .await
        .unwrap();
    rows.reverse();
    rows
}

pub(crate) fn facts(rows: &[Notification]) -> Vec<&Fact> {
    rows.iter().map(|row| &row.fact).collect()
}

/// The ledger is whole: each recipient's numbers are 1 to the newest, and each event has an effect once.
pub(crate) async fn is_dense(db: &TestDatabase) -> i64 {
    let wrong: i64 = sqlx::query_scalar(
        "select count(*) from (select recipient, count(*) n, min(number) a, max(number) z from notifications group by 1) l
           full join notification_recipients r using (recipient)
          where l.n is distinct from r.newest or l.z <> l.n or l.a <> 1",
    )
    .fetch_one(db.admin())
    .await
    .unwrap();
    assert_eq!(wrong, 0, "recipients whose numbers have gaps");
    sqlx::query_scalar("select count(*) from notifications")
        .fetch_one(db.admin())
        .await
        .unwrap()
}
