//! The same key again is answered, not done again; with another request it is refused.

use crate::desk::{Desk, code, customer, staff};
use serde_json::json;

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
