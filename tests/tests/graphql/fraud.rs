//! Signs of fraud, as the desk asks for them.

use crate::desk::{Desk, code, customer, eur, staff};
use chrono::{DateTime, TimeDelta, Utc};
use docket::auth::Caller;
use docket_domain::Role;
use serde_json::{Value, json};

const SIGNALS: &str = "query($from: DateTime!, $to: DateTime!, $kind: FraudSignalKind, $customer: String, $first: Int,
                             $after: String, $at: [PositionInput!]) {
    fraudSignals(from: $from, to: $to, kind: $kind, customer: $customer, first: $first, after: $after, minPosition: $at) {
        edges { cursor node { kind at orderId customer amount { amount currency } order { id number grand: totals { grand { amount } } }
                              failedPayments { paymentId orderId at amount { amount } code retryable } } }
        nodes { kind }
        totalCount { count precision }
        pageInfo { hasNextPage endCursor } } }";

impl Desk {
    /// A payment of a new order of somebody is refused; the order's id.
    async fn declined(&self, buyer: &str, key: &str) -> String {
        let order = self.placed(buyer, key).await;
        let input = json!({"order": order, "amount": eur(2_500), "captureMethod": "MANUAL", "gateway": "manual",
                           "method": {"type": "card"}, "idempotencyKey": format!("{key}-pay")});
        let payment = self.done("initiatePayment", input, "payment { id }").await["payment"]["id"].take();
        let failure = json!({"code": "insufficient_funds", "retryable": true});
        let input = json!({"payment": payment, "failure": failure, "at": Utc::now()});
        self.done("recordAuthorizationFailure", input, "").await;
        order
    }

    /// An order of 1,205.00; its id.
    async fn dear(&self, buyer: &str, key: &str) -> String {
        let order = self.draft(buyer, key).await;
        let line = json!({"sku": "gold", "name": "Gold", "quantity": 1, "unitPrice": eur(118_000)});
        self.done("addLine", json!({"order": order, "line": line}), "")
            .await;
        let address = json!({"name": "Ada", "street": ["1 Main Street"], "postalCode": "10115", "city": "Berlin",
                             "country": "DE"});
        let method = json!({"code": "parcel", "price": eur(500)});
        let details = json!({"order": order, "shippingAddress": address, "shippingMethod": method});
        self.done("setDetails", details, "").await;
        let place = json!({"order": order, "idempotencyKey": format!("{key}-place")});
        self.done("placeOrder", place, "").await;
        order
    }

    /// Everything of about now.
    fn lately(&self, more: Value) -> Value {
        let (now, hour) = (Utc::now(), TimeDelta::hours(1));
        let mut asked = json!({"from": now - hour, "to": now + hour, "at": self.now()});
        let more = more.as_object().unwrap().clone();
        asked.as_object_mut().unwrap().extend(more);
        asked
    }

    async fn signals(&self, more: Value) -> Value {
        let asked = self.lately(more);
        self.data(&staff(), SIGNALS, asked).await["fraudSignals"].take()
    }
}

/// Less than that: what a page of a hundred may ask for.
const PLACES: &str = "query($from: DateTime!, $to: DateTime!, $first: Int, $after: String, $at: [PositionInput!]) {
    fraudSignals(from: $from, to: $to, first: $first, after: $after, minPosition: $at) { edges { cursor } } }";

fn kinds(signals: &Value) -> Vec<&str> {
    let nodes = signals["nodes"].as_array().unwrap();
    nodes.iter().map(|node| node["kind"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_desk_reads_what_looked_like_fraud_and_why() {
    let desk = Desk::open().await;
    let mut orders = Vec::new();
    for key in ["k1", "k2", "k3"] {
        orders.push(desk.declined("c-1", key).await);
    }
    desk.declined("c-2", "k4").await;
    let dear = desk.dear("c-2", "k5").await;

    let all = desk.signals(json!({})).await;
    assert_eq!(kinds(&all), ["HIGH_VALUE", "FAILED_PAYMENTS"]);
    assert_eq!(all["totalCount"], json!({"count": 2, "precision": "EXACT"}));
    let (high, failed) = (&all["edges"][0]["node"], &all["edges"][1]["node"]);
    assert_eq!(
        (&high["orderId"], &high["customer"], &high["failedPayments"]),
        (&json!(dear), &json!("c-2"), &json!([]))
    );
    assert_eq!(high["amount"], json!({"amount": "1205.00", "currency": "EUR"}));
    assert_eq!(high["order"]["grand"]["grand"]["amount"], "1205.00");
    assert_eq!(
        (&failed["orderId"], &failed["customer"]),
        (&json!(orders[2]), &json!("c-1"))
    );
    assert_eq!(failed["amount"]["amount"], "25.00");
    assert_eq!(failed["order"]["id"], orders[2].as_str());
    let payments = failed["failedPayments"].as_array().unwrap();
    for (payment, order) in payments.iter().zip(&orders) {
        assert_eq!(payment["orderId"], order.as_str());
        assert_eq!(payment["paymentId"], format!("{order}-p1"));
        assert_eq!(payment["amount"]["amount"], "25.00");
        assert_eq!(payment["code"], "insufficient_funds");
        assert_eq!(payment["retryable"], true);
    }
    assert_eq!(payments.len(), 3);
    assert_eq!(payments[2]["at"], failed["at"]);
    assert!(!all.to_string().contains("Ada"), "nothing personal: {all}");

    for (asked, expected) in [
        (json!({"kind": "HIGH_VALUE"}), vec!["HIGH_VALUE"]),
        (json!({"kind": "FAILED_PAYMENTS"}), vec!["FAILED_PAYMENTS"]),
        (json!({"customer": "c-2"}), vec!["HIGH_VALUE"]),
        (json!({"customer": "c-1"}), vec!["FAILED_PAYMENTS"]),
        (json!({"customer": "c-1", "kind": "HIGH_VALUE"}), vec![]),
        // Nobody, and whom nobody can be.
        (json!({"customer": "c-3"}), vec![]),
        (json!({"customer": ""}), vec![]),
        (json!({"customer": "a\u{0}"}), vec![]),
        (json!({"customer": "a".repeat(10_000)}), vec![]),
    ] {
        let found = desk.signals(asked.clone()).await;
        assert_eq!(kinds(&found), expected, "{asked:.80}");
        assert_eq!(found["totalCount"]["count"], expected.len());
    }

    let first = desk.signals(json!({"first": 1})).await;
    assert_eq!(kinds(&first), ["HIGH_VALUE"]);
    assert_eq!(first["pageInfo"]["hasNextPage"], true);
    assert_eq!(first["totalCount"]["count"], 2, "of the whole list");
    let after = &first["pageInfo"]["endCursor"];
    let second = desk.signals(json!({"first": 1, "after": after})).await;
    assert_eq!(second["edges"], json!([all["edges"][1]]));
    assert_eq!(second["pageInfo"]["hasNextPage"], false);
}

/// What the shop thinks of a customer is nobody's business but the desk's.
#[tokio::test(flavor = "multi_thread")]
async fn signals_are_for_the_desk_alone() {
    let desk = Desk::open().await;
    let asked = desk.lately(json!({}));
    for role in [Role::Staff, Role::Operator] {
        desk.data(&Caller::known(role, "x"), SIGNALS, asked.clone()).await;
    }
    for role in [Role::Customer, Role::Service, Role::Gateway] {
        let refused = desk.ask(&Caller::known(role, "x"), SIGNALS, asked.clone()).await;
        assert_eq!(code(&refused), "FORBIDDEN", "{role}");
    }
    let own = desk.lately(json!({"customer": "c-1"}));
    assert_eq!(code(&desk.ask(&customer("c-1"), SIGNALS, own).await), "FORBIDDEN");
    let nobody = desk.ask(&Caller::Anonymous, SIGNALS, asked).await;
    assert_eq!(code(&nobody), "UNAUTHENTICATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_refused() {
    let desk = Desk::open_waiting(std::time::Duration::from_millis(200)).await;
    desk.authorized(&desk.placed("c-1", "k").await, "MANUAL").await;
    desk.caught_up().await;
    let payments = "{ payments { pageInfo { endCursor } } }";
    let foreign = desk.data(&staff(), payments, json!({})).await["payments"]["pageInfo"]["endCursor"].take();
    assert!(foreign.is_string());
    let now: DateTime<Utc> = Utc::now();
    let day = TimeDelta::days(1);
    for wrong in [
        json!({"from": now, "to": now}),
        json!({"from": now, "to": now - day}),
        json!({"from": now - day * 7 - TimeDelta::microseconds(1), "to": now}),
        json!({"from": "0000-12-31T00:00:00Z", "to": "0001-01-01T00:00:00Z"}),
        json!({"from": "+10000-01-01T00:00:00Z", "to": "+10000-01-02T00:00:00Z"}),
        json!({"first": 101}),
        json!({"first": -1}),
        json!({"after": "x"}),
        json!({"after": ""}),
        json!({"after": foreign}),
        json!({"at": [{"partition": 99, "offset": "1"}]}),
    ] {
        let refused = desk.ask(&staff(), PLACES, desk.lately(wrong.clone())).await;
        assert_eq!(code(&refused), "BAD_USER_INPUT", "{wrong}");
        assert_eq!(refused["data"]["fraudSignals"], Value::Null);
    }
    desk.data(&staff(), PLACES, json!({"from": now - day * 7, "to": now}))
        .await;
    let first = json!({"from": "0001-01-01T00:00:00Z", "to": "0001-01-02T00:00:00Z"});
    let earliest = desk.data(&staff(), PLACES, first).await;
    assert_eq!(earliest["fraudSignals"]["edges"], json!([]));
    let ahead = desk.lately(json!({"at": [{"partition": 0, "offset": "1000000"}]}));
    assert_eq!(code(&desk.ask(&staff(), PLACES, ahead).await), "STALE");
}
