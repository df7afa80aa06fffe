//! Streams: the cursor first, then every change once, also across a break, also over all partitions while others write.

use crate::desk::{Desk, code, customer, eur, staff};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const CHANGED: &str = "subscription($after: String, $filter: OrderChangesFilter) {
    ordersChanged(after: $after, filter: $filter) {
        cursor position { partition offset } event { id type } orderId } }";
const UPDATED: &str = "subscription($id: ID!, $after: String) { orderUpdated(id: $id, after: $after) {
        cursor position { partition offset } event { type version } order { version status } } }";

#[tokio::test(flavor = "multi_thread")]
async fn an_orders_stream_shows_its_changes_with_the_order_as_new_as_each() {
    let desk = Desk::open().await;
    let (order, other) = (desk.draft("ada", "a").await, desk.draft("bob", "b").await);
    let mut stream = desk.follow(&customer("ada"), UPDATED, json!({"id": order}));
    let first = stream.next().await;
    assert!(first["cursor"].is_string());
    assert_eq!((&first["event"], &first["order"]), (&Value::Null, &Value::Null));
    assert!(stream.is_silent().await);
    let line = json!({"sku": "b", "name": "B", "quantity": 1, "unitPrice": eur(1)});
    desk.done("addLine", json!({"order": other, "line": line}), "")
        .await;
    desk.done("addLine", json!({"order": order, "line": line}), "")
        .await;
    let message = stream.next().await;
    assert_eq!(
        message["event"],
        json!({"type": "order.line_added", "version": 3})
    );
    assert_eq!(message["order"], json!({"version": 3, "status": "DRAFT"}));
    assert!(stream.is_silent().await);

    let mut stranger = desk.follow(&customer("bob"), UPDATED, json!({"id": order}));
    assert_eq!(code(&stranger.answer().await), "NOT_FOUND");
    assert!(stranger.is_over().await);
    let nobody = desk
        .follow(&staff(), UPDATED, json!({"id": uuid::Uuid::new_v4()}))
        .answer()
        .await;
    assert_eq!(code(&nobody), "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_filters_by_what_never_changes() {
    let desk = Desk::open().await;
    let start = desk.follow(&staff(), CHANGED, json!({})).next().await["cursor"].take();
    let own = desk.placed("ada", "a").await;
    desk.placed("bob", "b").await;
    for (caller, filter) in [
        (customer("ada"), json!({"types": ["order.placed"]})),
        (staff(), json!({"customer": "ada", "types": ["order.placed"]})),
        (
            staff(),
            json!({"customer": "ada", "channel": "web", "currency": "EUR", "types": ["order.placed"]}),
        ),
    ] {
        let mut stream = desk.follow(&caller, CHANGED, json!({"after": start, "filter": filter}));
        assert_eq!(stream.next().await["event"], Value::Null);
        let message = stream.next().await;
        assert_eq!(
            (&message["event"]["type"], &message["orderId"]),
            (&json!("order.placed"), &json!(own))
        );
        assert!(stream.is_silent().await, "{filter}");
    }
    for (caller, filter, expected) in [
        (customer("ada"), json!({"customer": "bob"}), "FORBIDDEN"),
        (staff(), json!({"types": ["order.exploded"]}), "BAD_USER_INPUT"),
        (staff(), json!({"channel": "x".repeat(100)}), "BAD_USER_INPUT"),
    ] {
        let answer = desk
            .follow(&caller, CHANGED, json!({"filter": filter}))
            .answer()
            .await;
        assert_eq!(code(&answer), expected);
    }
}

/// A stream is cut at arbitrary messages and resumed, while orders in all partitions change. What the pieces showed
/// together is every event of the log, once, in the order of its partition.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_resumed_misses_nothing_and_repeats_nothing() {
    const ORDERS: usize = 60;
    let desk = Desk::open().await;
    desk.draft("c-0", "before").await;
    let before: i64 = desk.store.feed().heads().iter().sum();
    let mut stream = desk.follow(&staff(), CHANGED, json!({}));
    let mut cursor = stream.next().await["cursor"].take();

    let write = async {
        let drafts = (0..ORDERS).map(|n| {
            let (desk, key) = (&desk, format!("k-{n}"));
            async move { desk.draft("c-1", &key).await }
        });
        futures::future::join_all(drafts).await
    };
    let read = async {
        let mut seen: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        let (mut until_break, mut breaks) = (1, 0);
        while ids.len() < 2 * ORDERS {
            let message = stream.next().await;
            cursor = message["cursor"].clone();
            let Some(partition) = message["position"]["partition"].as_u64() else {
                continue;
            };
            let offset = message["position"]["offset"].as_str().unwrap().parse().unwrap();
            assert!(
                ids.insert(message["event"]["id"].as_str().unwrap().to_owned()),
                "{message} came twice"
            );
            seen.entry(partition).or_default().push(offset);
            until_break -= 1;
            if until_break == 0 {
                breaks += 1;
                until_break = 1 + (breaks * 7) % 11;
                stream = desk.follow(&staff(), CHANGED, json!({"after": cursor}));
            }
        }
        assert!(stream.is_silent().await);
        (seen, breaks)
    };
    let (_, (seen, breaks)) = futures::join!(write, read);
    assert!(
        breaks > 10 && seen.len() > 8,
        "{breaks} breaks over {} partitions",
        seen.len()
    );
    for offsets in seen.values() {
        assert!(
            offsets.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "{offsets:?}"
        );
    }
    let heads: i64 = desk.store.feed().heads().iter().sum();
    assert_eq!(heads - before, 2 * ORDERS as i64);
}

const TRACKED: &str = "subscription($id: ID!, $after: String) { shipmentTracking(id: $id, after: $after) {
    cursor event { type } shipment { id status parcels { status } } } }";

/// A shipment is followed from before it begins, without what happens to the order and its other shipments.
#[tokio::test(flavor = "multi_thread")]
async fn a_shipment_is_followed_from_before_it_starts_until_it_arrives() {
    let desk = Desk::open().await;
    let order = desk.placed("ada", "k").await;
    let id = format!("{order}-s1");
    let mut stream = desk.follow(&customer("ada"), TRACKED, json!({"id": id}));
    assert_eq!(stream.next().await["event"], Value::Null);
    desk.authorized(&order, "MANUAL").await;
    let first = json!([{"line": 1, "quantity": 1}]);
    desk.done("confirmOrder", json!({"order": order, "mode": "AUTOMATIC"}), "")
        .await;
    assert_eq!(desk.shipped(&order, first.clone(), "a").await, id);
    desk.shipped(&order, first, "b").await;
    desk.arrived(&id).await;

    let mut seen = Vec::new();
    let mut middle = Value::Null;
    while seen.last() != Some(&json!("shipment.delivered")) {
        let message = stream.next().await;
        if message["event"].is_null() {
            continue;
        }
        assert_eq!(message["shipment"]["id"], json!(id), "{message}");
        seen.push(message["event"]["type"].clone());
        if seen.last() == Some(&json!("shipment.dispatched")) {
            middle = message["cursor"].clone();
        }
    }
    let dispatched = seen
        .iter()
        .position(|kind| kind == "shipment.dispatched")
        .unwrap();
    assert_eq!(seen[0], "shipment.created");
    assert!(stream.is_silent().await);

    let mut resumed = desk.follow(&staff(), TRACKED, json!({"id": id, "after": middle}));
    assert_eq!(resumed.next().await["event"], Value::Null);
    for kind in &seen[dispatched + 1..] {
        let message = resumed.next().await;
        assert_eq!(&message["event"]["type"], kind);
        assert_eq!(message["shipment"]["status"], "DELIVERED");
    }
    for (caller, id, expected) in [
        (customer("bob"), id.as_str(), "NOT_FOUND"),
        (staff(), &format!("{}-s1", uuid::Uuid::new_v4()), "NOT_FOUND"),
        (staff(), order.as_str(), "BAD_USER_INPUT"),
        (staff(), &format!("{order}-p1"), "BAD_USER_INPUT"),
    ] {
        let answer = desk.follow(&caller, TRACKED, json!({"id": id})).answer().await;
        assert_eq!(code(&answer), expected, "{id}");
    }
}
