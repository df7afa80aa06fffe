//! What the shop's programs notice: flags, which a customer never sees, and drafts that nobody works on any more.

use crate::desk::{Desk, code, customer, eur, staff};
use chrono::{DateTime, TimeDelta, Utc};
use docket::auth::Caller;
use docket_domain::{Actor, Command, Role};
use docket_event_store::{Origin, Request, RequestHash, command_id};
use serde_json::{Value, json};

fn program() -> Caller {
    Caller::known(Role::Service, "watch")
}

/// A draft of a former shop, brought in: begun then, and not touched since.
async fn drafted_at(desk: &Desk, at: DateTime<Utc>, key: &str) -> String {
    let order = uuid::Uuid::now_v7().to_string();
    let input = json!({"command": "createOrder", "order": order, "customer": "c-1", "channel": "web", "currency": "EUR",
                       "locale": "de"});
    let command: Command = serde_json::from_value(input.clone()).unwrap();
    let actor = Actor::new(Role::Operator, "import");
    let request = Request {
        command_id: command_id::derive(&actor, key),
        request_hash: RequestHash::of(command.name(), &command_id::canonical_json(&input)),
        command,
        actor,
        expected_version: None,
        occurred_at: Some(at),
        origin: Origin::Imported,
        causation_id: None,
        traceparent: None,
    };
    desk.store.execute(request).await.unwrap();
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_is_raised_once_and_is_none_of_its_customers_business() {
    let desk = Desk::open().await;
    let order = desk.placed("c-1", "k").await;
    let flag = |evidence: Value| json!({"order": order, "signal": "FRAUD_PATTERN", "evidence": evidence});
    let fields = "after: order { flags { signal evidence at } }";
    let raised = desk
        .change(&program(), "flagOrder", flag(json!(["p-2", "p-1"])), fields)
        .await;
    assert_eq!(raised["userErrors"], json!([]));
    let flags = &raised["after"]["flags"];
    assert_eq!(flags[0]["signal"], "FRAUD_PATTERN");
    assert_eq!(flags[0]["evidence"], json!(["p-1", "p-2"]));
    assert_ne!(flags[0]["at"], Value::Null);
    let again = desk
        .change(&program(), "flagOrder", flag(json!(["p-1", "p-2"])), fields)
        .await;
    assert_eq!(again["version"], raised["version"]);
    let many: Vec<_> = (0..11).map(|n| n.to_string()).collect();
    let refused = desk
        .refusal(
            "flagOrder",
            flag(json!(many)),
            "... on LimitExceeded { what limit requested }",
        )
        .await;
    let expected = json!({"code": "LIMIT_EXCEEDED", "field": ["input", "evidence"], "what": "evidence", "limit": "10",
                          "requested": "11"});
    assert_eq!(refused, expected);

    let read = desk.read(&order, "flags { signal evidence }").await;
    assert_eq!(read["flags"].as_array().unwrap().len(), 1);
    let query = "query($id: ID!) { order(id: $id) { flags { signal } } }";
    let own = desk.ask(&customer("c-1"), query, json!({"id": order})).await;
    assert_eq!(code(&own), "FORBIDDEN");
    let query = "query($id: ID!) { order(id: $id) { flags { __typename } } }";
    let own = desk.data(&customer("c-1"), query, json!({"id": order})).await;
    assert_eq!(own["order"]["flags"], json!([]), "nor how many there are");
}

/// What the shop thinks of a customer is neither in their streams nor in their order; what it does is.
#[tokio::test(flavor = "multi_thread")]
async fn a_customer_does_not_hear_of_flags_and_holds() {
    let desk = Desk::open().await;
    let order = desk.placed("c-1", "k").await;
    let one =
        "subscription($id: ID!) { orderUpdated(id: $id) { cursor event { type } order { onHold holds } } }";
    let all = "subscription { ordersChanged { cursor event { type } order { holds } } }";
    let named = "subscription { ordersChanged(filter: {types: [\"order.flagged\", \"order.hold_placed\",
        \"order.address_corrected\"]}) { cursor event { type } } }";
    let mut streams = Vec::new();
    for query in [one, all, named] {
        for caller in [customer("c-1"), staff()] {
            let mut stream = desk.follow(&caller, query, json!({"id": order}));
            assert_eq!(stream.next().await["event"], Value::Null);
            streams.push(stream);
        }
    }
    let flag = json!({"order": order, "signal": "FRAUD_PATTERN", "evidence": ["p-1"]});
    desk.change(&program(), "flagOrder", flag, "").await;
    desk.done("placeHold", json!({"order": order, "reason": "FRAUD"}), "")
        .await;
    let address = json!({"name": "Ada", "street": ["2 Side Street"], "postalCode": "20095", "city": "Hamburg",
                         "country": "DE"});
    let address = json!({"order": order, "which": "SHIPPING", "address": address});
    desk.done("correctAddress", address, "").await;
    for (at, stream) in streams.iter_mut().enumerate() {
        let is_customers = at % 2 == 0;
        let heard: &[&str] = match is_customers {
            true => &["order.address_corrected"],
            false => &["order.flagged", "order.hold_placed", "order.address_corrected"],
        };
        for name in heard {
            let message = stream.next().await;
            assert_eq!(message["event"]["type"], *name, "{at}");
            if *name == "order.address_corrected" && message["order"].is_object() {
                let holds = if is_customers { json!([]) } else { json!(["FRAUD"]) };
                assert_eq!(message["order"]["holds"], holds);
            }
        }
    }
}

/// A gateway says how much it holds. However much it says, no other order suffers.
#[tokio::test(flavor = "multi_thread")]
async fn no_amount_that_a_gateway_names_stops_a_partition() {
    let desk = Desk::open().await;
    let order = desk.placed("c-1", "k").await;
    let most = docket_domain::limits::AMOUNT;
    for attempt in 0..3 {
        let input = json!({"order": order, "amount": eur(2_500), "captureMethod": "MANUAL", "gateway": "manual",
                           "method": {"type": "transfer"}, "idempotencyKey": attempt.to_string()});
        let payment = desk.done("initiatePayment", input, "payment { id }").await["payment"]["id"].take();
        let held = json!({"payment": payment, "reference": attempt.to_string(), "at": Utc::now()});
        desk.done("recordAuthorization", held, "").await;
        let adjust = |amount: i64| json!({"payment": payment, "amount": eur(amount)});
        let gateway = Caller::known(Role::Gateway, "manual");
        let query = "mutation($input: AdjustAuthorizationInput!) { adjustAuthorization(input: $input) {
            payment { authorized { amountMinor } } userErrors { code } } }";
        for amount in [i64::MAX, most + 1, most] {
            let answer = desk.data(&gateway, query, json!({"input": adjust(amount)})).await;
            let errors = match amount > most {
                true => json!([{"code": "AMOUNT_TOO_LARGE"}]),
                false => json!([]),
            };
            assert_eq!(answer["adjustAuthorization"]["userErrors"], errors, "{answer}");
        }
    }
    desk.caught_up().await;
    let read = desk
        .read(&order, "paymentStatus payments { authorized { amountMinor } }")
        .await;
    assert_eq!(read["paymentStatus"], "AUTHORIZED");
    let held = json!({"authorized": {"amountMinor": most.to_string()}});
    assert_eq!(read["payments"], json!([held, held, held]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_draft_is_reminded_and_one_that_is_worked_on_is_not() {
    let desk = Desk::open().await;
    let begun = Utc::now() - TimeDelta::minutes(61);
    let order = drafted_at(&desk, begun, "idle").await;
    // A process that did not see it begin folds it from the log.
    let other = desk.another().await;
    let fresh = desk.draft("c-1", "fresh").await;
    let remind = |order: &str| json!({ "order": order });
    let query = "mutation($input: RemindAbandonedInput!) { remindAbandoned(input: $input) {
        version userErrors { code ... on NotDue { at } } } }";
    let early = desk
        .data(&program(), query, json!({"input": remind(&fresh)}))
        .await;
    let early = &early["remindAbandoned"]["userErrors"][0];
    assert_eq!(early["code"], "NOT_DUE");
    let due: DateTime<Utc> = early["at"].as_str().unwrap().parse().unwrap();
    assert!(due > Utc::now() + TimeDelta::minutes(58) && due <= Utc::now() + TimeDelta::minutes(60));

    let reminded = other
        .change(&program(), "remindAbandoned", remind(&order), "")
        .await;
    assert_eq!(
        (&reminded["version"], &reminded["userErrors"]),
        (&json!(2), &json!([]))
    );
    // The second is due a day after the first, in every process.
    for desk in [&desk, &other] {
        let again = desk
            .data(&program(), query, json!({"input": remind(&order)}))
            .await;
        let again = &again["remindAbandoned"]["userErrors"][0];
        assert_eq!(again["code"], "NOT_DUE");
        let due: DateTime<Utc> = again["at"].as_str().unwrap().parse().unwrap();
        assert!(due > Utc::now() + TimeDelta::hours(23));
    }
    let by_hand = desk.ask(&staff(), query, json!({"input": remind(&order)})).await;
    assert_eq!(code(&by_hand), "FORBIDDEN");
}
