//! The same key again is answered, not done again; with another request it is refused.

use crate::desk::{Desk, code, customer, staff};
use docket::auth::Caller;
use docket_domain::Role;
use docket_event_store::{Store, limits};
use serde_json::json;
use sqlx::{AssertSqlSafe, Postgres, pool::PoolConnection};
use tokio::sync::{mpsc, watch};

const CREATE: &str = "mutation($input: CreateOrderInput!) { createOrder(input: $input) {
    order { id } version position { partition offset } userErrors { code } } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_gets_the_first_answer() {
    let desk = Desk::open().await;
    let input = json!({"channel": "web", "currency": "EUR", "locale": "de", "idempotencyKey": "once"});
    let first = desk.data(&staff(), CREATE, json!({"input": input})).await;
    for _ in 0..3 {
        assert_eq!(desk.data(&staff(), CREATE, json!({"input": input})).await, first);
    }
    // The same input written into the document, in another order and with a null, is the same request.
    let inline = "mutation { createOrder(input: {idempotencyKey: \"once\", locale: \"de\", currency: \"EUR\",
        channel: \"web\", name: null}) { order { id } version position { partition offset } userErrors { code } } }";
    assert_eq!(desk.data(&staff(), inline, json!({})).await, first);
    assert_eq!(desk.store.feed().heads().iter().sum::<i64>(), 1);
    // The key is the caller's: another caller's is another.
    let other = desk.data(&customer("c-9"), CREATE, json!({"input": input})).await;
    assert_ne!(other["createOrder"]["order"], first["createOrder"]["order"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_not_used_for_two_requests() {
    let desk = Desk::open().await;
    let input = json!({"channel": "web", "currency": "EUR", "locale": "de", "idempotencyKey": "once"});
    let first = desk.data(&staff(), CREATE, json!({"input": input})).await;
    let other = json!({"channel": "phone", "currency": "EUR", "locale": "de", "idempotencyKey": "once"});
    let answer = desk.ask(&staff(), CREATE, json!({"input": other})).await;
    assert_eq!(code(&answer), "IDEMPOTENCY_KEY_REUSED");
    let order = &first["createOrder"]["order"]["id"];
    let cancel = "mutation($input: CancelOrderInput!) { cancelOrder(input: $input) { version } }";
    let answer = desk
        .ask(
            &staff(),
            cancel,
            json!({"input": {"order": order, "reason": "x", "idempotencyKey": "once"}}),
        )
        .await;
    assert_eq!(code(&answer), "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(desk.store.feed().heads().iter().sum::<i64>(), 1);
}

/// The shop's own program speaks for a carrier where it records tracking; its keys stay its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_a_service_names_one_command_also_where_it_speaks_for_a_carrier() {
    let desk = Desk::open().await;
    let shop = Caller::known(Role::Service, "shop");
    let order = desk.placed("c-1", "k").await;
    desk.authorized(&order, "MANUAL").await;
    desk.done("confirmOrder", json!({"order": order, "mode": "AUTOMATIC"}), "")
        .await;
    let allocated = desk
        .done("allocateFulfillment", json!({"order": order}), "shipmentId")
        .await;
    let shipment = &allocated["shipmentId"];
    let input = json!({"shipment": shipment, "location": "berlin", "idempotencyKey": "once"});
    desk.change(&shop, "createShipment", input, "").await;
    let label =
        json!({"shipment": shipment, "parcels": [{"tracking": {"carrier": "dhl", "trackingNumber": "T-1"}}]});
    desk.done("buyLabel", label, "").await;
    desk.done("dispatchShipment", json!({"shipment": shipment}), "")
        .await;

    let mut scan = json!({"shipment": shipment, "parcel": 1, "status": "DELIVERED", "carrierEventId": "e-1",
                          "at": chrono::Utc::now(), "idempotencyKey": "once"});
    let record = "mutation($input: RecordTrackingInput!) { recordTracking(input: $input) { version } }";
    let answer = desk.ask(&shop, record, json!({"input": scan})).await;
    assert_eq!(code(&answer), "IDEMPOTENCY_KEY_REUSED", "{answer}");
    scan["idempotencyKey"] = json!("another");
    desk.data(&shop, record, json!({"input": scan})).await;
    let kind = async |order: &str| {
        let kinds = format!(
            "select actor_kind from events where actor_id = 'shop' order by \"offset\" {order} limit 1"
        );
        let kind: String = sqlx::query_scalar(AssertSqlSafe(kinds))
            .fetch_one(desk.db.admin())
            .await
            .unwrap();
        kind
    };
    assert_eq!(
        (kind("asc").await, kind("desc").await),
        ("system".to_owned(), "carrier".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_stored_and_is_decided_again() {
    let desk = Desk::open().await;
    let input = json!({"channel": "web", "currency": "EUR", "locale": "de", "idempotencyKey": "c"});
    let order =
        desk.data(&staff(), CREATE, json!({"input": input})).await["createOrder"]["order"]["id"].take();
    let place = json!({"order": order, "idempotencyKey": "p"});
    let refused = desk.change(&staff(), "placeOrder", place.clone(), "").await;
    assert_eq!(refused["userErrors"][0]["code"], "EMPTY");
    let line = json!({"sku": "a", "name": "A", "quantity": 1, "requiresShipping": false, "unitPrice": crate::desk::eur(1)});
    desk.done("addLine", json!({"order": order, "line": line}), "")
        .await;
    let placed = desk.done("placeOrder", place.clone(), "").await;
    assert_eq!(placed["order"]["status"], "PLACED");
    assert_eq!(
        desk.done("placeOrder", place, "").await["version"],
        placed["version"]
    );
}

/// Takes every connection that readers share, as they come free, and holds them until the sender is dropped.
async fn take_all_connections(store: &Store) -> watch::Sender<()> {
    let (held, holding) = watch::channel(());
    let (tell, mut taken) = mpsc::unbounded_channel();
    for _ in 0..limits::POOL_CONNECTIONS {
        let (pool, mut holding, tell) = (store.pool().clone(), holding.clone(), tell.clone());
        tokio::spawn(async move {
            let mut connection: Option<PoolConnection<Postgres>> = None;
            loop {
                tokio::select! {
                    _ = holding.changed() => return drop(connection),
                    got = pool.acquire(), if connection.is_none() => {
                        connection = got.ok();
                        let _ = tell.send(connection.is_some());
                    }
                }
            }
        });
    }
    // Who is told that there is none has waited for one longer than anybody else will.
    while taken.recv().await == Some(true) {}
    held
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_and_cannot_be_read_says_that_it_was_done() {
    let desk = Desk::open().await;
    let order = desk.draft("c-1", "k").await;
    let add = "mutation($input: AddLineInput!) { addLine(input: $input) {
        order { id version createdAt } version position { partition offset } userErrors { code } } }";
    let line = json!({"sku": "b", "name": "B", "quantity": 1, "unitPrice": crate::desk::eur(100)});
    let input = json!({"input": {"order": order, "line": line, "idempotencyKey": "line"}});

    let held = take_all_connections(&desk.store).await;
    // The order is remembered and the lanes have connections of their own: it is done, and then nobody can look.
    let answer = desk.ask(&staff(), add, input.clone()).await;
    let payload = &answer["data"]["addLine"];
    assert_eq!(code(&answer), "STALE", "{answer}");
    assert_eq!(
        (&payload["order"], &payload["version"]),
        (&json!(null), &json!(3)),
        "{answer}"
    );
    let at = &payload["position"];
    let said = format!(
        "It was done, at position {}:{}; the order cannot be read now. To repeat it with the same key is safe.",
        at["partition"],
        at["offset"].as_str().unwrap()
    );
    assert_eq!(answer["errors"][0]["message"], said);
    // What the command left of the order is known without looking.
    let left = "mutation($input: AddLineInput!) { addLine(input: $input) {
        order { version status lines { sku } totals { grand { amountMinor } } } } }";
    let line = json!({"sku": "c", "name": "C", "quantity": 1, "unitPrice": crate::desk::eur(100)});
    let next = json!({"input": {"order": order, "line": line, "idempotencyKey": "next"}});
    let order = desk.data(&staff(), left, next).await["addLine"]["order"].take();
    assert_eq!(
        (&order["version"], &order["status"]),
        (&json!(4), &json!("DRAFT"))
    );
    assert_eq!(order["lines"].as_array().map(Vec::len), Some(3));
    assert_eq!(order["totals"]["grand"]["amountMinor"], "2200");
    drop(held);

    let again = desk.data(&staff(), add, input).await["addLine"].take();
    assert_eq!((&again["version"], &again["position"]), (&payload["version"], at));
    // What is repeated is answered with the order as it is now.
    assert_eq!(again["order"]["version"], 4);
}
