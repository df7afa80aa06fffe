//! What read models beside the order answer: the timeline, the board of shipments, a customer's sums, the ledger.

use crate::desk::{DEADLINE, Desk, code, customer, eur, staff};
use docket::auth::Caller;
use docket_domain::Role;
use docket_tests::eventually;
use serde_json::{Value, json};

/// An order that is paid, sent and held on the way: its id.
async fn sent(desk: &Desk, buyer: &str, key: &str) -> String {
    let order = desk.placed(buyer, key).await;
    let payment = desk.authorized(&order, "MANUAL_MULTIPLE").await;
    let hold = json!({"order": order, "reason": "FRAUD"});
    desk.done("placeHold", hold.clone(), "").await;
    desk.done("releaseHold", hold, "").await;
    desk.done("confirmOrder", json!({"order": order, "mode": "AUTOMATIC"}), "")
        .await;
    desk.done("allocateFulfillment", json!({"order": order}), "")
        .await;
    let shipment = format!("{order}-s1");
    let input = json!({"shipment": shipment, "location": "berlin", "idempotencyKey": format!("{key}-ship")});
    desk.done("createShipment", input, "").await;
    let tracking = json!({"carrier": "dhl", "trackingNumber": format!("T-{key}")});
    desk.done(
        "buyLabel",
        json!({"shipment": shipment, "parcels": [{"tracking": tracking}]}),
        "",
    )
    .await;
    desk.done("dispatchShipment", json!({"shipment": shipment}), "")
        .await;
    let capture =
        json!({"payment": payment, "amount": eur(2_000), "idempotencyKey": format!("{key}-capture")});
    desk.done("capturePayment", capture, "").await;
    let result = json!({"payment": payment, "capture": 1, "reference": "c-1", "at": chrono::Utc::now()});
    desk.done("recordCapture", result, "").await;
    desk.done(
        "voidPayment",
        json!({"payment": payment, "reason": "looked odd", "idempotencyKey": format!("{key}-void")}),
        "",
    )
    .await;
    order
}

fn texts(timeline: &Value) -> Vec<&str> {
    let nodes = timeline["nodes"].as_array().unwrap();
    nodes.iter().map(|node| node["text"].as_str().unwrap()).collect()
}

const TIMELINE: &str = "query($id: ID!, $first: Int, $after: String, $at: [PositionInput!]) {
    order(id: $id, minPosition: $at) { timeline(first: $first, after: $after) {
        nodes { kind text internal actorKind actorId reason amount { amount } paymentId shipmentId at }
        pageInfo { hasNextPage hasPreviousPage endCursor } } } }";

/// Staff read everything in words; the customer reads the same order without what is internal, whoever did it and why.
#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_tells_each_what_is_meant_for_them() {
    let desk = Desk::open().await;
    let order = sent(&desk, "c-1", "k").await;
    let all = json!({"id": order, "first": 100, "at": desk.now()});
    let answer = desk.data(&staff(), TIMELINE, all.clone()).await;
    let timeline = &answer["order"]["timeline"];
    let told = texts(timeline);
    assert_eq!(told[0], "The order was begun through web.");
    for text in [
        "The order was put on hold (fraud).",
        "20.00 EUR was captured, reference c-1.",
        "The payment was voided; 5.00 EUR was let go: looked odd.",
        "The shipment was dispatched with dhl, tracking T-k.",
    ] {
        assert!(told.contains(&text), "{text} is not in {told:#?}");
    }
    let answer = desk.data(&customer("c-1"), TIMELINE, all).await;
    let shown = &answer["order"]["timeline"];
    let theirs = texts(shown);
    assert!(
        theirs.contains(&"The payment was voided; 5.00 EUR was let go."),
        "{theirs:#?}"
    );
    assert!(theirs.len() < told.len());
    for secret in ["hold", "fraud", "odd", "s-1", "requested"] {
        let clear = shown.to_string();
        assert!(!clear.contains(secret), "{secret} in {clear}");
    }
    assert!(!timeline.to_string().contains("Ada"), "{timeline}");

    // Page by page it is the same, and another customer has no such order.
    let (mut pages, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = desk
            .data(
                &staff(),
                TIMELINE,
                json!({"id": order, "first": 4, "after": after}),
            )
            .await;
        let page = &page["order"]["timeline"];
        pages.extend(texts(page).into_iter().map(ToOwned::to_owned));
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(pages, told);
    let foreign = desk.data(&customer("c-2"), TIMELINE, json!({"id": order})).await;
    assert_eq!(foreign["order"], Value::Null);
}

/// As it was: the timeline of an order at a version ends there.
#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_ends_with_the_order_that_is_shown() {
    let desk = Desk::open().await;
    let order = sent(&desk, "c-1", "k").await;
    let query = "query($id: ID!) { order(id: $id, atVersion: 2) { timeline { nodes { kind } } } }";
    let then = desk.data(&staff(), query, json!({"id": order})).await;
    assert_eq!(
        then["order"]["timeline"]["nodes"],
        json!([{"kind": "order.drafted"}, {"kind": "order.line_added"}])
    );
}

const BOARD: &str = "query($filter: ShipmentFilter, $sort: ShipmentSort, $first: Int, $after: String, $at: [PositionInput!]) {
    shipments(filter: $filter, sort: $sort, first: $first, after: $after, minPosition: $at) {
        edges { node { shipmentId status open failed late carrier location trackingNumbers pieces order { id number } } }
        nodes { shipmentId order { number } } totalCount { count precision }
        pageInfo { hasNextPage endCursor } } }";

fn ids(board: &Value) -> Vec<String> {
    let edges = board["shipments"]["edges"].as_array().unwrap();
    let id = |node: &Value| node["shipmentId"].as_str().unwrap().to_owned();
    let ids: Vec<String> = edges.iter().map(|edge| id(&edge["node"])).collect();
    let nodes = board["shipments"]["nodes"].as_array().unwrap();
    assert!(
        nodes.iter().all(|node| node["order"]["number"].is_string()),
        "{nodes:?}"
    );
    assert_eq!(nodes.iter().map(id).collect::<Vec<_>>(), ids);
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn the_board_finds_shipments_by_what_people_look_for() {
    let desk = Desk::open().await;
    let (one, other) = (sent(&desk, "c-1", "k1").await, sent(&desk, "c-2", "k2").await);
    let (one, other) = (format!("{one}-s1"), format!("{other}-s1"));
    let failed = json!({"shipment": other, "parcel": 1, "status": "FAILURE", "carrierEventId": "e-1",
                        "at": chrono::Utc::now(), "reason": "nobody at home"});
    desk.done("recordTracking", failed, "").await;
    let at = desk.now();
    let found = async |filter: Value| {
        let variables = json!({"filter": filter, "at": at});
        let board = desk.data(&staff(), BOARD, variables).await;
        let ids = ids(&board);
        let count = json!({"count": ids.len(), "precision": "EXACT"});
        assert_eq!(board["shipments"]["totalCount"], count);
        ids
    };
    assert_eq!(
        found(json!({"status": ["DISPATCHED"], "open": true})).await,
        [one.clone(), other.clone()]
    );
    assert_eq!(found(json!({"trackingNumber": "T-k2"})).await, [other.as_str()]);
    assert_eq!(
        found(json!({"failed": true, "location": "berlin"})).await,
        [other.as_str()]
    );
    assert_eq!(found(json!({"carrier": "ups"})).await, Vec::<String>::new());
    assert_eq!(found(json!({"late": true})).await, Vec::<String>::new());
    assert_eq!(found(json!({"late": false, "carrier": "dhl"})).await.len(), 2);
    assert_eq!(
        found(json!({"dispatchedFrom": "2100-01-01T00:00:00Z"})).await,
        Vec::<String>::new()
    );
    // Whether it is late is asked of the clock when it is read: here the row's due time is moved into the past.
    sqlx::query("update shipment_board_g1 set due_at = now() - interval '1 minute' where tracking_numbers @> '{T-k1}'")
        .execute(desk.db.admin())
        .await
        .unwrap();
    assert_eq!(found(json!({"late": true})).await, [one.as_str()]);

    let sort = json!({"field": "DISPATCHED_AT", "descending": true});
    let page = desk
        .data(&staff(), BOARD, json!({"sort": sort, "first": 1}))
        .await;
    assert_eq!(ids(&page), [other]);
    assert_eq!(page["shipments"]["totalCount"]["count"], 2, "of the whole list");
    assert_eq!(
        page["shipments"]["edges"][0]["node"]["order"]["number"]
            .as_str()
            .map(str::is_empty),
        Some(false)
    );
    let after = &page["shipments"]["pageInfo"]["endCursor"];
    let next = desk
        .data(&staff(), BOARD, json!({"sort": sort, "first": 1, "after": after}))
        .await;
    assert_eq!(ids(&next), [one]);
    let wrong = desk
        .ask(&staff(), BOARD, json!({"first": 1, "after": after}))
        .await;
    assert_eq!(code(&wrong), "BAD_USER_INPUT");
    let refused = desk.ask(&customer("c-1"), BOARD, json!({})).await;
    assert_eq!(code(&refused), "FORBIDDEN");
}

const CUSTOMER: &str = "query($id: ID!, $at: [PositionInput!]) { customer(id: $id, minPosition: $at) {
    id firstOrderAt lastOrderAt orders(first: 1, minPosition: $at) { nodes { id } totalCount { count } }
    totals { currency orders cancelledOrders ordered { amount } cancelled { amount } paid { amount } refunded { amount } } } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_what_they_bought_and_nobody_elses() {
    let desk = Desk::open().await;
    sent(&desk, "c-1", "k1").await;
    let cancelled = desk.placed("c-1", "k2").await;
    desk.done(
        "cancelOrder",
        json!({"order": cancelled, "reason": "no more"}),
        "",
    )
    .await;
    desk.draft("c-1", "k3").await;
    sent(&desk, "c-2", "k4").await;
    let asked = json!({"id": "c-1", "at": desk.now()});
    for caller in [staff(), customer("c-1")] {
        let answer = desk.data(&caller, CUSTOMER, asked.clone()).await;
        let shown = &answer["customer"];
        assert_eq!(
            shown["totals"],
            json!([{"currency": "EUR", "orders": 2, "cancelledOrders": 1, "ordered": {"amount": "50.00"},
                    "cancelled": {"amount": "25.00"}, "paid": {"amount": "20.00"}, "refunded": {"amount": "0.00"}}])
        );
        assert_eq!(shown["orders"]["totalCount"]["count"], 3);
        assert!(shown["firstOrderAt"].as_str() < shown["lastOrderAt"].as_str());
    }
    let nobody = desk
        .ask(&customer("c-2"), CUSTOMER, json!({"id": "nobody"}))
        .await;
    let other = desk.ask(&customer("c-2"), CUSTOMER, json!({"id": "c-1"})).await;
    assert_eq!(
        (&other["data"], &other["errors"]),
        (&nobody["data"], &nobody["errors"])
    );
    assert_eq!(other["data"]["customer"], Value::Null);
    let gateway = desk
        .ask(&Caller::known(Role::Gateway, "manual"), CUSTOMER, asked)
        .await;
    assert_eq!(code(&gateway), "FORBIDDEN");
}

const LEDGER: &str = "query($from: Date!, $to: Date!, $at: [PositionInput!]) {
    paymentLedger(from: $from, to: $to, minPosition: $at) {
        days { day movement { captured { amount } } }
        totals { currency authorized { amount } captured { amount } voided { amount } refunded { amount } failed disputes }
        drift { isZero unbalancedPayments difference { captured { amount } } } } }";

/// Payments and days agree whatever happened; a wrong row shows as drift.
#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_agrees_with_itself_and_says_where_it_does_not() {
    let desk = Desk::open().await;
    for key in ["k1", "k2", "k3"] {
        sent(&desk, "c-1", key).await;
    }
    let today = chrono::Utc::now().date_naive();
    let range = json!({"from": today.pred_opt(), "to": today.succ_opt(), "at": desk.now()});
    let answer = desk.data(&staff(), LEDGER, range.clone()).await;
    let ledger = &answer["paymentLedger"];
    assert_eq!(
        ledger["totals"],
        json!([{"currency": "EUR", "authorized": {"amount": "75.00"}, "captured": {"amount": "60.00"},
                "voided": {"amount": "15.00"}, "refunded": {"amount": "0.00"}, "failed": "0", "disputes": "0"}])
    );
    assert_eq!(
        ledger["drift"],
        json!([{"isZero": true, "unbalancedPayments": "0", "difference": {"captured": {"amount": "0.00"}}}])
    );
    let list = "query($filter: PaymentFilter, $sort: PaymentSort) { payments(filter: $filter, sort: $sort) {
        edges { node { paymentId status amount { amount } capturable { amount } order { id paymentStatus } } }
        nodes { paymentId } totalCount { count precision } } }";
    let pairs = "query($sort: PaymentSort) { payments(first: 2, sort: $sort) { nodes { paymentId } totalCount { count } } }";
    let captured = json!({"filter": {"status": ["CAPTURED"], "gateway": "manual", "capturable": false},
                          "sort": {"field": "AMOUNT"}});
    let payments = desk.data(&staff(), list, captured).await;
    assert_eq!(
        payments["payments"]["edges"].as_array().unwrap().len(),
        3,
        "{payments}"
    );
    let held = desk
        .data(&staff(), list, json!({"sort": {"field": "CAPTURE_BEFORE"}}))
        .await;
    assert_eq!(held["payments"]["edges"], json!([]));
    let pair = desk
        .data(&staff(), pairs, json!({"sort": {"field": "AMOUNT"}}))
        .await;
    assert_eq!(pair["payments"]["nodes"].as_array().map(Vec::len), Some(2));
    let all =
        sqlx::query_scalar::<_, i64>("select count(*) from payment_ledger_g1").fetch_one(desk.db.admin());
    assert_eq!(pair["payments"]["totalCount"]["count"], all.await.unwrap());
    let none = desk
        .data(&staff(), pairs, json!({"sort": {"field": "CAPTURE_BEFORE"}}))
        .await;
    assert_eq!(
        none["payments"]["totalCount"]["count"], 0,
        "of the list that is sorted so"
    );

    sqlx::query("update payment_ledger_g1 set captured = captured + 100 where ctid = (select min(ctid) from payment_ledger_g1)")
        .execute(desk.db.admin())
        .await
        .unwrap();
    let answer = desk.data(&staff(), LEDGER, range).await;
    assert_eq!(
        answer["paymentLedger"]["drift"],
        json!([{"isZero": false, "unbalancedPayments": "1", "difference": {"captured": {"amount": "1.00"}}}])
    );
    let long = json!({"from": "2020-01-01", "to": "2026-01-01"});
    assert_eq!(code(&desk.ask(&staff(), LEDGER, long).await), "BAD_USER_INPUT");
    let ahead = json!([{"partition": 0, "offset": "1000000"}]);
    let quick = Desk::open_waiting(std::time::Duration::from_millis(200)).await;
    let stale = json!({"from": "2026-01-01", "to": "2026-01-02", "at": ahead});
    assert_eq!(code(&quick.ask(&staff(), LEDGER, stale).await), "STALE");
}

const SALES: &str = "query($from: DateTime!, $to: DateTime!, $currency: Currency, $channel: String, $at: [PositionInput!]) {
    salesByMinute(from: $from, to: $to, currency: $currency, channel: $channel, minPosition: $at) {
        windows { minute sales { orders } }
        totals { currency channel orders total { amount } smallest { amount } largest { amount } mean standardDeviation } } }";

/// What was placed is counted in its minute, whatever partition the orders are in.
#[tokio::test(flavor = "multi_thread")]
async fn sales_are_added_up_over_all_partitions() {
    let desk = Desk::open().await;
    for key in ["k1", "k2", "k3"] {
        sent(&desk, "c-1", key).await;
    }
    let now = chrono::Utc::now();
    let hour = chrono::TimeDelta::hours(1);
    let range = |more: Value| {
        let mut range = json!({"from": now - hour, "to": now + hour, "at": desk.now()});
        range
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        range
    };
    let all = desk
        .data(&staff(), SALES, range(json!({"currency": "EUR"})))
        .await;
    let all = &all["salesByMinute"];
    assert_eq!(
        all["totals"],
        json!([{"currency": "EUR", "channel": "web", "orders": "3", "total": {"amount": "75.00"},
                "smallest": {"amount": "25.00"}, "largest": {"amount": "25.00"}, "mean": 2500.0,
                "standardDeviation": 0.0}])
    );
    let counted = all["windows"].as_array().unwrap().iter();
    let counted = counted.map(|window| {
        window["sales"]["orders"]
            .as_str()
            .unwrap()
            .parse::<u32>()
            .unwrap()
    });
    assert_eq!(counted.sum::<u32>(), 3);
    for nothing in [json!({"channel": "shop"}), json!({"currency": "JPY"})] {
        let none = desk.data(&staff(), SALES, range(nothing)).await;
        assert_eq!(none["salesByMinute"], json!({"windows": [], "totals": []}));
    }
    let long = json!({"from": now - hour * 30, "to": now});
    assert_eq!(code(&desk.ask(&staff(), SALES, long).await), "BAD_USER_INPUT");
    let backward = json!({"from": now, "to": now - hour});
    assert_eq!(code(&desk.ask(&staff(), SALES, backward).await), "BAD_USER_INPUT");
    assert_eq!(
        code(&desk.ask(&customer("c-1"), SALES, range(json!({}))).await),
        "FORBIDDEN"
    );
}

/// A connection that died is not kept: each list and sum answers again by itself after the database cut everybody off.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_does_not_keep_a_dead_connection() {
    const CUT: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                        where datname = current_database() and pid <> pg_backend_pid()";
    let desk = Desk::open().await;
    sent(&desk, "c-1", "k").await;
    desk.caught_up().await;
    for query in [
        "{ orders(first: 1) { nodes { number } } }",
        "{ customer(id: \"c-1\") { totals { orders } } }",
        "{ shipments(first: 1) { edges { cursor } } }",
        "{ payments(first: 1) { edges { cursor } } }",
        "{ paymentLedger(from: \"2026-01-01\", to: \"2026-01-02\") { days { day } } }",
        "{ paymentLedger(from: \"2026-01-01\", to: \"2026-01-02\") { drift { isZero } } }",
        "{ fraudSignals(from: \"2026-01-01T00:00:00Z\", to: \"2026-01-02T00:00:00Z\") { edges { cursor } } }",
    ] {
        // Once over a connection that is kept then, once after it was cut.
        for _ in 0..2 {
            eventually(DEADLINE, async || {
                let answer = desk.ask(&staff(), query, Value::Null).await;
                if let Some(errors) = answer.get("errors") {
                    assert_eq!(code(&answer), "UNAVAILABLE", "{query}: {errors}");
                    return None;
                }
                Some(())
            })
            .await;
            sqlx::query(CUT).execute(desk.db.admin()).await.unwrap();
        }
    }
}
