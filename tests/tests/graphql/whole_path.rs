//! One order through everything that goes well and badly, with its money conserved to the cent.
//!
//! 10 teas for 12.99 with a tenth off and 7 % tax (125.09), 3 pots for 19.95 with 19 % tax (71.22), shipping for 4.90:
//! 201.21 in all.

use crate::{
    delivery::ago,
    desk::{Desk, eur, staff},
    sequence::text,
    walk::Schema,
};
use async_graphql::{Executor as _, Request};
use docket::json::TakesJson;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const MONEY: &str = "authorized { amountMinor } capturable { amountMinor } captured { amountMinor }
    refunded { amountMinor } refundPending { amountMinor } voided { amountMinor } expired { amountMinor }
    disputed { amountMinor } lost { amountMinor } refundable { amountMinor }";

/// An order's money as its read model tells it: what is paid, lost and disputed, and the sums of its payments, each of
/// which accounts for every cent.
async fn money(desk: &Desk, order: &str) -> [i64; 5] {
    let fields = format!(
        "paid {{ amountMinor }} lost {{ amountMinor }} disputed {{ amountMinor }} payments {{ {MONEY} }}"
    );
    let read = desk.read(order, &fields).await;
    let cents = |of: &Value, name: &str| -> i64 {
        of[name]["amountMinor"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("{name} in {of}"))
    };
    let (mut captured, mut refunded, mut lost, mut disputed, mut refundable) = (0, 0, 0, 0, 0);
    for payment in read["payments"].as_array().unwrap() {
        let of = |name| cents(payment, name);
        assert_eq!(
            of("authorized"),
            of("capturable") + of("captured") + of("voided") + of("expired"),
            "{payment}"
        );
        assert_eq!(
            of("captured"),
            of("refunded") + of("refundPending") + of("disputed") + of("lost") + of("refundable"),
            "{payment}"
        );
        captured += of("captured");
        refunded += of("refunded");
        lost += of("lost");
        disputed += of("disputed");
        refundable += of("refundable");
    }
    assert_eq!(cents(&read, "paid"), captured);
    assert_eq!(cents(&read, "lost"), lost);
    assert_eq!(cents(&read, "disputed"), disputed);
    [captured, refunded, lost, disputed, refundable]
}

async fn place(desk: &Desk) -> String {
    let input = json!({"customer": "c-1", "channel": "web", "currency": "EUR", "locale": "de-DE",
                       "idempotencyKey": "create"});
    let order = desk.done("createOrder", input, "").await["order"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let lines = [
        json!({"sku": "tea", "name": "Tea", "quantity": 10, "unitPrice": eur(1_299), "discountBp": 1_000,
               "taxRateBp": 700}),
        json!({"sku": "pot", "name": "Pot", "quantity": 3, "unitPrice": eur(1_995), "taxRateBp": 1_900}),
    ];
    for line in lines {
        desk.done("addLine", json!({"order": order, "line": line}), "")
            .await;
    }
    let address = json!({"name": "Ada", "street": ["1 Main Street"], "city": "Berlin", "country": "DE"});
    let method = json!({"code": "parcel", "price": eur(490)});
    let details = json!({"order": order, "shippingAddress": address, "shippingMethod": method});
    desk.done("setDetails", details, "").await;
    let total = "placed: order { totals { grand { amount } } }";
    let placed = desk
        .done(
            "placeOrder",
            json!({"order": order, "idempotencyKey": "place"}),
            total,
        )
        .await;
    assert_eq!(placed["placed"]["totals"]["grand"]["amount"], "201.21");
    order
}

/// The first payment is declined, the second holds the money; its id.
async fn pay(desk: &Desk, order: &str) -> String {
    let initiate = |key: &str| {
        json!({"order": order, "amount": eur(20_121), "captureMethod": "MANUAL_MULTIPLE", "gateway": "manual",
               "method": {"type": "card"}, "idempotencyKey": key})
    };
    let first = desk
        .done("initiatePayment", initiate("p-1"), "payment { id }")
        .await;
    let failure = json!({"code": "do_not_honor", "retryable": false});
    let declined = json!({"payment": first["payment"]["id"], "failure": failure, "at": ago(60)});
    desk.done("recordAuthorizationFailure", declined, "").await;
    let confirm = json!({"order": order, "mode": "AUTOMATIC"});
    let uncovered = desk
        .refusal(
            "confirmOrder",
            confirm.clone(),
            "... on NotCovered { authorized total }",
        )
        .await;
    assert_eq!(
        uncovered,
        json!({"code": "NOT_AUTHORIZED", "field": null, "authorized": "0", "total": "20121"})
    );
    let second = desk
        .done("initiatePayment", initiate("p-2"), "payment { id }")
        .await;
    let payment = second["payment"]["id"].as_str().unwrap().to_owned();
    let held = json!({"payment": payment, "reference": "a-2", "at": ago(55)});
    desk.done("recordAuthorization", held, "").await;
    desk.done("confirmOrder", confirm, "").await;
    payment
}

/// Two shipments; a pot is sold out. The first capture fails and is asked for again, the last lets the rest go.
async fn ship(desk: &Desk, order: &str, payment: &str) {
    let first = desk
        .shipped(order, json!([{"line": 1, "quantity": 6}]), "s-1")
        .await;
    let input = json!({"payment": payment, "amount": eur(7_995), "shipment": 1, "idempotencyKey": "c-1"});
    desk.done("capturePayment", input, "").await;
    let failure = json!({"code": "processing_error", "retryable": true});
    let failed = json!({"payment": payment, "capture": 1, "failure": failure, "at": ago(50)});
    desk.done("recordCaptureFailure", failed, "").await;
    desk.captured(payment, 7_995, false).await;

    let cancel = json!({"order": order, "lines": [{"line": 2, "quantity": 1}], "reason": "sold out"});
    let cancelled = desk
        .done(
            "cancelLines",
            cancel,
            "after: order { cancelledValue { amount } }",
        )
        .await;
    assert_eq!(cancelled["after"]["cancelledValue"]["amount"], "23.74");
    let rest = json!([{"line": 1, "quantity": 4}, {"line": 2, "quantity": 2}]);
    let second = desk.shipped(order, rest, "s-2").await;
    let too_much =
        json!({"payment": payment, "amount": eur(12_127), "final": true, "idempotencyKey": "too much"});
    let refused = desk.refusal("capturePayment", too_much, "").await;
    assert_eq!(refused["code"], "CAPTURE_EXCEEDS_AUTHORIZED");
    desk.captured(payment, 9_752, true).await;
    assert_eq!(money(desk, order).await, [17_747, 0, 0, 0, 17_747]);
    let complete = json!({"order": order});
    let early = desk.refusal("completeOrder", complete, "").await;
    assert_eq!(early["code"], "NOT_DELIVERED");
    for shipment in [first, second] {
        desk.arrived(&shipment).await;
    }
}

/// Two teas and a pot are announced; the teas come back and are refunded.
async fn send_back(desk: &Desk, order: &str, payment: &str) {
    let lines = json!([{"line": 1, "quantity": 2, "reason": "NOT_AS_DESCRIBED"},
                       {"line": 2, "quantity": 1, "reason": "UNWANTED"}]);
    let request = json!({"order": order, "lines": lines, "idempotencyKey": "back-1"});
    let due = "return { refundDue { amount } }";
    let asked = desk.done("requestReturn", request, due).await;
    assert_eq!(asked["return"]["refundDue"]["amount"], "48.76");
    let lines = json!([{"line": 1, "quantity": 1, "condition": "SELLABLE"},
                       {"line": 1, "quantity": 1, "condition": "DAMAGED"}]);
    let receive = json!({"order": order, "return": 1, "lines": lines});
    let came = desk.done("receiveReturn", receive, due).await;
    assert_eq!(came["return"]["refundDue"]["amount"], "25.02");
    let refund =
        json!({"payment": payment, "reason": "sent back", "return": 1, "idempotencyKey": "refund-back-1"});
    desk.refunded(refund).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_through_everything_and_every_cent_is_accounted_for() {
    let desk = Desk::open().await;
    let order = place(&desk).await;
    let payment = pay(&desk, &order).await;
    ship(&desk, &order, &payment).await;
    let refund = json!({"payment": payment, "amount": eur(500), "reason": "late", "idempotencyKey": "late"});
    desk.refunded(refund).await;
    assert_eq!(money(&desk, &order).await, [17_747, 500, 0, 0, 17_247]);
    send_back(&desk, &order, &payment).await;
    assert_eq!(money(&desk, &order).await, [17_747, 3_002, 0, 0, 14_745]);

    // The payer's bank asks for the second capture back, and gets it.
    let dispute = json!({"payment": payment, "dispute": "dp_1", "amount": eur(9_752), "at": ago(15)});
    desk.done("recordDispute", dispute, "").await;
    assert_eq!(money(&desk, &order).await, [17_747, 3_002, 0, 9_752, 4_993]);
    let complete = json!({"order": order});
    let open = desk.refusal("completeOrder", complete.clone(), "").await;
    assert_eq!(open["code"], "NOT_SETTLED");
    let lost = json!({"payment": payment, "dispute": "dp_1", "outcome": "LOST", "at": ago(10)});
    desk.done("recordDisputeOutcome", lost, "").await;
    assert_eq!(money(&desk, &order).await, [17_747, 3_002, 9_752, 0, 4_993]);
    desk.done("completeOrder", complete, "").await;

    // A completed order still takes a return: the pot that did not come the first time.
    let lines = json!([{"line": 2, "quantity": 1, "reason": "UNWANTED"}]);
    let request = json!({"order": order, "lines": lines, "idempotencyKey": "back-2"});
    desk.done("requestReturn", request, "").await;
    let lines = json!([{"line": 2, "quantity": 1, "condition": "SELLABLE"}]);
    desk.done(
        "receiveReturn",
        json!({"order": order, "return": 2, "lines": lines}),
        "",
    )
    .await;
    let refund =
        json!({"payment": payment, "reason": "sent back", "return": 2, "idempotencyKey": "refund-back-2"});
    desk.refunded(refund).await;
    assert_eq!(money(&desk, &order).await, [17_747, 5_376, 9_752, 0, 2_619]);

    let fields = "status paymentStatus fulfillmentStatus cancelledValue { amount }
        payments { status } lines { line cancelled delivered returned returnPending } returns { refunded { amount } }";
    let read = desk.read(&order, fields).await;
    let expected = json!({
        "status": "COMPLETED", "paymentStatus": "PARTIALLY_REFUNDED", "fulfillmentStatus": "PARTIALLY_RETURNED",
        "cancelledValue": {"amount": "23.74"},
        "payments": [{"status": "FAILED"}, {"status": "PARTIALLY_REFUNDED"}],
        "lines": [{"line": 1, "cancelled": 0, "delivered": 10, "returned": 2, "returnPending": 0},
                  {"line": 2, "cancelled": 1, "delivered": 2, "returned": 1, "returnPending": 0}],
        "returns": [{"refunded": {"amount": "25.02"}}, {"refunded": {"amount": "23.74"}}],
    });
    assert_eq!(read, expected);
    // The list says the same as the document.
    let query = "query($at: [PositionInput!]) { orders(first: 2, minPosition: $at) { edges { node {
        paid { amount } status paymentStatus fulfillmentStatus } } } }";
    let list = desk.data(&staff(), query, json!({"at": desk.now()})).await;
    let row = json!({"paid": {"amount": "177.47"}, "status": "COMPLETED", "paymentStatus": "PARTIALLY_REFUNDED",
                     "fulfillmentStatus": "PARTIALLY_RETURNED"});
    assert_eq!(list["orders"]["edges"], json!([{"node": row}]));
    every_field_is_written_as_the_engine_writes_it(&desk, &order).await;
}

/// What is shown of an object is text at once, and the engine's values otherwise: all of it, each field of a list alone, and
/// what only fragments and other names ask for.
async fn every_field_is_written_as_the_engine_writes_it(desk: &Desk, order: &str) {
    let schema = Schema::of(desk).await;
    let ask = |fields: String| async move {
        for place in [
            "order(id: $id)",
            "orders(first: 2) { nodes",
            "orders(first: 2) { edges { node",
        ] {
            let ends = " }".repeat(place.matches('{').count());
            let query = format!("query($id: ID!) {{ node(id: $id) {{ id }} {place} {{ {fields} }}{ends} }}");
            let told = text(desk, &query, json!({"id": order})).await;
            assert!(told.contains(r#""__typename":"Order""#), "{told} {query}");
        }
    };
    for field in schema
        .fields("Order")
        .into_iter()
        .filter(|field| *field != "timeline")
    {
        ask(format!(
            "{field}{} __typename",
            schema.selected("Order", field, 3, &mut BTreeSet::new())
        ))
        .await;
    }
    let aside = "shipments { parcels { tracking { url carrier } here: status status } id __typename }
        payments { ... on Payment { captured { amount ...M } } captures { n: number status amount { currency } } id }
        number lines { b: total { amountMinor } a: total { amount } sku ...L } status
        fragment L on OrderLine { unitPrice { ...M } quantity } fragment M on Money { amountMinor __typename }";
    let (fields, fragments) = aside.split_once("fragment").unwrap();
    let query = format!("{{ orders {{ nodes {{ {fields} }} }} }} fragment {fragments}");
    let told = text(desk, &query, json!({})).await;
    assert!(told.contains(r#""__typename":"Money""#), "{told}");
    // All of that is shown, so a page of it never was values.
    let request = Request::new(query).data(staff()).data(TakesJson);
    let json = desk.api.execute(request).await.data;
    let async_graphql::Value::Object(data) = &json else {
        panic!("{json:?}")
    };
    let async_graphql::Value::Object(orders) = &data["orders"] else {
        panic!("{json:?}")
    };
    assert!(
        matches!(&orders["nodes"], async_graphql::Value::Binary(_)),
        "{json:?}"
    );
}
