//! Anything can be fetched by its id alone, and what a caller may not see is not there.

use crate::desk::{Desk, code, customer, eur, staff};
use docket::auth::Caller;
use docket_domain::Role;
use serde_json::{Value, json};

const NODES: &str = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id
    ... on Order { number name } ... on Payment { orderId gateway } ... on Shipment { orderId location } } }";

/// A placed order of a customer with a payment through `acme` and a shipment: the three ids.
async fn whole_order(desk: &Desk, customer: &str) -> [String; 3] {
    let order = desk.placed(customer, customer).await;
    let input = json!({"order": order, "amount": eur(2_500), "captureMethod": "MANUAL", "gateway": "acme",
                       "method": {"type": "card", "token": "tok"}, "idempotencyKey": format!("{customer}-pay")});
    desk.done("initiatePayment", input, "").await;
    let payment = format!("{order}-p1");
    let input = json!({"input": {"payment": payment, "reference": "a-1", "at": chrono::Utc::now()}});
    let authorize =
        "mutation($input: RecordAuthorizationInput!) { recordAuthorization(input: $input) { version } }";
    desk.data(&gateway("acme"), authorize, input).await;
    for (mutation, input) in [
        ("confirmOrder", json!({"order": order, "mode": "AUTOMATIC"})),
        ("allocateFulfillment", json!({"order": order})),
    ] {
        desk.done(mutation, input, "").await;
    }
    let shipment = format!("{order}-s1");
    let input =
        json!({"shipment": shipment, "location": "main", "idempotencyKey": format!("{customer}-ship")});
    desk.done("createShipment", input, "").await;
    wait_for(desk, &order).await;
    [order, payment, shipment]
}

/// Until the read models have all that there is.
async fn wait_for(desk: &Desk, order: &str) {
    let query = "query($id: ID!, $at: [PositionInput!]) { order(id: $id, minPosition: $at) { id } }";
    desk.data(&staff(), query, json!({"id": order, "at": desk.now()}))
        .await;
}

fn gateway(id: &str) -> Caller {
    Caller::known(Role::Gateway, id)
}

async fn seen(desk: &Desk, caller: &Caller, ids: &[String]) -> Vec<Value> {
    // Every role may ask for what every type has; what only an order has is the readers'.
    let everybody = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }";
    let nodes = desk.data(caller, everybody, json!({"ids": ids})).await["nodes"].take();
    let one = "query($id: ID!) { node(id: $id) { __typename id } }";
    for (id, node) in ids.iter().zip(nodes.as_array().unwrap()) {
        let alone = desk.data(caller, one, json!({"id": id})).await["node"].take();
        assert_eq!(&alone, node, "{id}");
    }
    nodes.as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_alone_finds_an_order_a_payment_and_a_shipment() {
    let desk = Desk::open().await;
    let [order, payment, shipment] = whole_order(&desk, "ada").await;
    let ids = json!([
        shipment,
        order,
        payment,
        order,
        uuid::Uuid::nil().to_string(),
        format!("{order}-p2")
    ]);
    let nodes = desk.data(&staff(), NODES, json!({"ids": ids})).await["nodes"].take();
    let found = json!({"__typename": "Order", "id": order, "number": nodes[1]["number"], "name": "Ada"});
    assert!(nodes[1]["number"].is_string());
    assert_eq!(
        nodes,
        json!([
            {"__typename": "Shipment", "id": shipment, "orderId": order, "location": "main"},
            found,
            {"__typename": "Payment", "id": payment, "orderId": order, "gateway": "acme"},
            found,
            null,
            null
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_another_customers_or_gateways_answers_as_what_does_not_exist() {
    let desk = Desk::open().await;
    let ids = whole_order(&desk, "ada").await;
    let missing = uuid::Uuid::new_v4();
    let missing = [
        missing.to_string(),
        format!("{missing}-p1"),
        format!("{missing}-s1"),
    ];
    let types = |nodes: Vec<Value>| {
        nodes
            .iter()
            .map(|node| node["__typename"].clone())
            .collect::<Vec<_>>()
    };
    let all = [json!("Order"), json!("Payment"), json!("Shipment")];
    let none = [Value::Null, Value::Null, Value::Null];
    for (caller, expected) in [
        (customer("ada"), all.clone()),
        (staff(), all.clone()),
        (Caller::known(Role::Operator, "o"), all.clone()),
        (Caller::known(Role::Service, "v"), all.clone()),
        (customer("bob"), none.clone()),
        (gateway("ada"), none.clone()),
        (gateway("acme"), [Value::Null, json!("Payment"), Value::Null]),
    ] {
        assert_eq!(types(seen(&desk, &caller, &ids).await), expected, "{caller:?}");
        assert_eq!(types(seen(&desk, &caller, &missing).await), none, "{caller:?}");
        // To the letter, cost included.
        if expected == none {
            let ask = async |id: &str| {
                let query = "query($id: ID!) { node(id: $id) { id } nodes(ids: [$id]) { id } }";
                let mut answer = desk.ask(&caller, query, json!({"id": id})).await;
                // What the caller has left to spend moves with time and with each request.
                let cost = answer["extensions"]["cost"].as_object_mut().unwrap();
                cost.remove("throttleStatus");
                answer
            };
            for (theirs, missing) in ids.iter().zip(&missing) {
                assert_eq!(ask(theirs).await, ask(missing).await);
            }
        }
    }
    // What a gateway may not ask of an order at all, it may not ask through here either.
    let query = "query($id: ID!) { node(id: $id) { ... on Order { name } } }";
    assert_eq!(
        code(&desk.ask(&gateway("acme"), query, json!({"id": ids[0]})).await),
        "FORBIDDEN"
    );
    let anonymous = desk
        .ask(&Caller::Anonymous, "{ node(id: \"x\") { id } }", json!({}))
        .await;
    assert_eq!(code(&anonymous), "UNAUTHENTICATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_no_form_and_too_many_ids_are_bad_input_and_each_id_costs() {
    let desk = Desk::open().await;
    for id in ["", "1", "x-p1", "00000000-0000-0000-0000-000000000000-q1"] {
        let answer = desk
            .ask(
                &staff(),
                "query($id: ID!) { node(id: $id) { id } }",
                json!({"id": id}),
            )
            .await;
        assert_eq!(code(&answer), "BAD_USER_INPUT", "{id}");
    }
    let ids: Vec<String> = (0..101).map(|_| uuid::Uuid::new_v4().to_string()).collect();
    let query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    assert_eq!(
        code(&desk.ask(&staff(), query, json!({"ids": ids})).await),
        "BAD_USER_INPUT"
    );
    let answer = desk.ask(&staff(), query, json!({"ids": ids[..100]})).await;
    assert_eq!(answer["data"]["nodes"].as_array().map(Vec::len), Some(100));
    assert_eq!(answer["extensions"]["cost"]["requested"], 101);
}
