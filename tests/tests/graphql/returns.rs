//! What a customer sends back: announced by them, received by the shop, refunded up to what its pieces cost.

use crate::desk::{Desk, code, customer, eur};
use serde_json::{Value, json};

const BACK: &str =
    "return { number received lines { line quantity reason } receivedLines { line quantity condition }
    requestedAt receivedAt refundDue { amount } refunded { amount } refundPending { amount } }";

fn request(order: &str, quantity: u32, key: &str) -> Value {
    json!({"order": order, "lines": [{"line": 1, "quantity": quantity, "reason": "UNWANTED"}], "idempotencyKey": key})
}

fn receive(order: &str, number: i32, quantity: u32) -> Value {
    json!({"order": order, "return": number, "lines": [{"line": 1, "quantity": quantity, "condition": "SELLABLE"}]})
}

fn refund(payment: &str, amount: Value, key: &str) -> Value {
    json!({"payment": payment, "amount": amount, "reason": "sent back", "return": 1, "idempotencyKey": key})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_is_announced_by_its_customer_received_and_refunded() {
    let desk = Desk::open().await;
    let (order, payment) = desk.delivered().await;
    let asked = desk
        .change(&customer("c-1"), "requestReturn", request(&order, 1, "r"), BACK)
        .await;
    assert_eq!(asked["userErrors"], json!([]));
    assert_eq!(asked["return"]["number"], 1);
    assert_eq!(
        asked["return"]["lines"],
        json!([{"line": 1, "quantity": 1, "reason": "UNWANTED"}])
    );
    assert_eq!(asked["return"]["refundDue"]["amount"], "10.00");
    assert_ne!(asked["return"]["requestedAt"], Value::Null);
    // The same request once more is answered and not done again.
    let again = desk
        .change(&customer("c-1"), "requestReturn", request(&order, 1, "r"), BACK)
        .await;
    assert_eq!(again["return"]["number"], 1);
    assert_eq!(again["version"], asked["version"]);

    let came = desk.done("receiveReturn", receive(&order, 1, 1), BACK).await;
    assert_eq!(came["return"]["received"], true);
    assert_eq!(
        came["return"]["receivedLines"],
        json!([{"line": 1, "quantity": 1, "condition": "SELLABLE"}])
    );
    let twice = desk.done("receiveReturn", receive(&order, 1, 1), BACK).await;
    assert_eq!(
        (&twice["version"], &twice["return"]),
        (&came["version"], &Value::Null)
    );
    desk.refunded(refund(&payment, Value::Null, "back")).await;

    let fields = "fulfillmentStatus paymentStatus lines { delivered returned returnPending }
        returns { number refunded { amount } refundPending { amount } receivedAt }
        payments { refunds { return amount { amount } } }";
    let read = desk.read(&order, fields).await;
    assert_eq!(read["fulfillmentStatus"], "PARTIALLY_RETURNED");
    assert_eq!(read["paymentStatus"], "PARTIALLY_REFUNDED");
    assert_eq!(
        read["lines"][0],
        json!({"delivered": 2, "returned": 1, "returnPending": 0})
    );
    assert_eq!(read["returns"][0]["refunded"]["amount"], "10.00");
    assert_ne!(read["returns"][0]["receivedAt"], Value::Null);
    assert_eq!(
        read["payments"][0]["refunds"][0],
        json!({"return": 1, "amount": {"amount": "10.00"}})
    );
    // The rest comes back too.
    desk.done("requestReturn", request(&order, 1, "r-2"), "").await;
    assert_eq!(
        desk.read(&order, "lines { returnPending }").await["lines"][0]["returnPending"],
        1
    );
    desk.done("receiveReturn", receive(&order, 2, 1), "").await;
    let read = desk.read(&order, "fulfillmentStatus lines { returned }").await;
    assert_eq!(
        read,
        json!({"fulfillmentStatus": "RETURNED", "lines": [{"returned": 2}]})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_comes_back_than_was_delivered_and_the_refusal_has_its_numbers() {
    let desk = Desk::open().await;
    let (order, _) = desk.delivered().await;
    desk.done("requestReturn", request(&order, 1, "r"), "").await;
    let numbers = "... on ReturnExceedsDelivered { line delivered returned pending requested }";
    let refused = desk
        .refusal("requestReturn", request(&order, 2, "r-2"), numbers)
        .await;
    let expected = json!({"code": "RETURN_EXCEEDS_DELIVERED", "field": ["input", "lines"], "line": 1, "delivered": 2,
                          "returned": 0, "pending": 1, "requested": 2});
    assert_eq!(refused, expected);
    let numbers = "... on ReceivedExceedsRequested { return line requested received }";
    let refused = desk
        .refusal("receiveReturn", receive(&order, 1, 2), numbers)
        .await;
    let expected = json!({"code": "RECEIVED_EXCEEDS_REQUESTED", "field": ["input", "lines"], "return": 1, "line": 1,
                          "requested": 1, "received": 2});
    assert_eq!(refused, expected);
    let unknown = desk
        .refusal(
            "receiveReturn",
            receive(&order, 7, 1),
            "... on UnknownReference { reference }",
        )
        .await;
    assert_eq!(
        unknown,
        json!({"code": "UNKNOWN_RETURN", "field": ["input", "return"], "reference": "7"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_is_refunded_once_it_came_and_never_above_what_is_due() {
    let desk = Desk::open().await;
    let (order, payment) = desk.delivered().await;
    desk.done("requestReturn", request(&order, 2, "r"), "").await;
    let early = desk
        .refusal("refundPayment", refund(&payment, eur(1), "e"), "")
        .await;
    assert_eq!(early["code"], "RETURN_NOT_RECEIVED");
    // Fewer came than were announced: only those are worth anything.
    desk.done("receiveReturn", receive(&order, 1, 1), "").await;
    desk.refunded(refund(&payment, eur(400), "part")).await;
    let numbers = "... on RefundExceedsReturn { return refundDue refunded pending requested }";
    let refused = desk
        .refusal("refundPayment", refund(&payment, eur(601), "more"), numbers)
        .await;
    let expected = json!({"code": "REFUND_EXCEEDS_RETURN", "field": ["input", "amount"], "return": 1, "refundDue": "1000",
                          "refunded": "400", "pending": "0", "requested": "601"});
    assert_eq!(refused, expected);
    desk.refunded(refund(&payment, eur(600), "rest")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_sends_back_only_their_own_and_receives_nothing() {
    let desk = Desk::open().await;
    let (order, _) = desk.delivered().await;
    let mutation = "mutation($input: RequestReturnInput!) { requestReturn(input: $input) { version } }";
    let input = json!({"input": request(&order, 1, "r")});
    let stranger = desk.ask(&customer("c-2"), mutation, input).await;
    assert_eq!(code(&stranger), "NOT_FOUND");
    let mutation = "mutation($input: ReceiveReturnInput!) { receiveReturn(input: $input) { version } }";
    let input = json!({"input": receive(&order, 1, 1)});
    let own = desk.ask(&customer("c-1"), mutation, input).await;
    assert_eq!(code(&own), "FORBIDDEN");
}

/// Two requests at once for the last piece: the versions that a decision read are checked, so one of them sees the other.
#[tokio::test(flavor = "multi_thread")]
async fn two_returns_at_once_do_not_send_one_piece_back_twice() {
    let desk = Desk::open().await;
    let (order, _) = desk.delivered().await;
    let staff = crate::desk::staff();
    let asks =
        (0..8).map(|n| desk.change(&staff, "requestReturn", request(&order, 1, &format!("r-{n}")), ""));
    let answers = asks.collect::<Vec<_>>();
    let answers = futures::future::join_all(answers).await;
    let done = answers
        .iter()
        .filter(|answer| answer["userErrors"] == json!([]))
        .count();
    assert_eq!(done, 2, "{answers:#?}");
    let read = desk.read(&order, "lines { returnPending }").await;
    assert_eq!(read["lines"][0]["returnPending"], 2);
}
