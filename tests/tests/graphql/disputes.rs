//! Disputes: reported by gateways, kept out of refunds, and shown beside what was captured.

use crate::{
    delivery::ago,
    desk::{Desk, code, eur, staff},
};
use docket::auth::Caller;
use docket_domain::Role;
use serde_json::{Value, json};

fn dispute(payment: &str, amount: i64) -> Value {
    json!({"payment": payment, "dispute": "dp_1", "amount": eur(amount), "reason": "fraudulent", "at": ago(15),
           "respondBy": "2099-01-01T00:00:00Z"})
}

fn outcome(payment: &str, outcome: &str, seconds: i64) -> Value {
    json!({"payment": payment, "dispute": "dp_1", "outcome": outcome, "at": ago(seconds)})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_is_opened_and_lost_and_what_was_paid_stays_paid() {
    let desk = Desk::open().await;
    let (order, payment) = desk.delivered().await;
    let money =
        "payment { status disputed { amount } lost { amount } refundable { amount } captured { amount }
        disputes { dispute status reason respondBy closedAt amount { amount } } }";
    let opened = desk.done("recordDispute", dispute(&payment, 2_000), money).await["payment"].take();
    assert_eq!(opened["status"], "CAPTURED", "a side axis");
    assert_eq!(opened["disputed"]["amount"], "20.00");
    assert_eq!(opened["refundable"]["amount"], "5.00");
    assert_eq!(opened["disputes"][0]["status"], "OPEN");
    assert_eq!(opened["disputes"][0]["respondBy"], "2099-01-01T00:00:00+00:00");
    let numbers = "... on RefundExceedsCaptured { captured refunded pending disputed requested }";
    let input =
        json!({"payment": payment, "amount": eur(501), "reason": "kindness", "idempotencyKey": "too much"});
    let refused = desk.refusal("refundPayment", input, numbers).await;
    let expected = json!({"code": "REFUND_EXCEEDS_CAPTURED", "field": ["input", "amount"], "captured": "2500",
                          "refunded": "0", "pending": "0", "disputed": "2000", "requested": "501"});
    assert_eq!(refused, expected);
    let open = desk
        .refusal(
            "completeOrder",
            json!({"order": order}),
            "... on NotSettled { pending }",
        )
        .await;
    assert_eq!(
        open,
        json!({"code": "NOT_SETTLED", "field": null, "pending": "2000"})
    );

    let lost = desk
        .done("recordDisputeOutcome", outcome(&payment, "LOST", 10), money)
        .await["payment"]
        .take();
    assert_eq!(
        (&lost["lost"]["amount"], &lost["disputed"]["amount"]),
        (&json!("20.00"), &json!("0.00"))
    );
    assert_eq!(lost["disputes"][0]["status"], "LOST");
    // An older word, and the same again, are nothing.
    let version = desk
        .done("recordDisputeOutcome", outcome(&payment, "WON", 12), "")
        .await["version"]
        .take();
    let again = desk
        .done("recordDisputeOutcome", outcome(&payment, "LOST", 5), "")
        .await;
    assert_eq!(again["version"], version);
    desk.done("completeOrder", json!({"order": order}), "").await;
    let read = desk
        .read(
            &order,
            "status paymentStatus paid { amount } lost { amount } disputed { amount }",
        )
        .await;
    let expected = json!({"status": "COMPLETED", "paymentStatus": "PAID", "paid": {"amount": "25.00"},
                          "lost": {"amount": "20.00"}, "disputed": {"amount": "0.00"}});
    assert_eq!(read, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_disputed_than_is_left_of_what_was_captured() {
    let desk = Desk::open().await;
    let (_, payment) = desk.delivered().await;
    let input = json!({"payment": payment, "amount": eur(1_000), "reason": "late", "idempotencyKey": "r"});
    desk.refunded(input).await;
    let numbers = "... on DisputeExceedsCaptured { captured refunded pending disputed requested }";
    let refused = desk
        .refusal("recordDispute", dispute(&payment, 1_501), numbers)
        .await;
    let expected = json!({"code": "DISPUTE_EXCEEDS_CAPTURED", "field": null, "captured": "2500", "refunded": "1000",
                          "pending": "0", "disputed": "0", "requested": "1501"});
    assert_eq!(refused, expected);
    desk.done("recordDispute", dispute(&payment, 1_500), "").await;
    // What is won is free again.
    desk.done("recordDisputeOutcome", outcome(&payment, "WITHDRAWN", 10), "")
        .await;
    let input = json!({"payment": payment, "amount": eur(1_500), "reason": "late", "idempotencyKey": "rest"});
    desk.refunded(input).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_reports_disputes_of_its_own_payments_and_nobody_does_for_it() {
    let desk = Desk::open().await;
    let order = desk.placed("c-1", "k").await;
    let input = json!({"order": order, "amount": eur(2_500), "captureMethod": "AUTOMATIC", "gateway": "acme",
                       "method": {"type": "card"}, "idempotencyKey": "p"});
    let payment = desk.done("initiatePayment", input, "payment { id }").await["payment"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (acme, other) = (
        Caller::known(Role::Gateway, "acme"),
        Caller::known(Role::Gateway, "umbrella"),
    );
    for (mutation, input) in [
        (
            "recordAuthorization",
            json!({"payment": payment, "reference": "a", "at": ago(40)}),
        ),
        (
            "recordCapture",
            json!({"payment": payment, "capture": 1, "reference": "c", "at": ago(30)}),
        ),
        ("recordDispute", dispute(&payment, 2_500)),
    ] {
        let name = format!("{}{}", mutation[..1].to_uppercase(), &mutation[1..]);
        let query = format!(
            "mutation($input: {name}Input!) {{ {mutation}(input: $input) {{ version userErrors {{ code }} }} }}"
        );
        let input = json!({ "input": input });
        assert_eq!(code(&desk.ask(&other, &query, input.clone()).await), "NOT_FOUND");
        assert_eq!(
            code(&desk.ask(&staff(), &query, input.clone()).await),
            "FORBIDDEN"
        );
        let answer = desk.data(&acme, &query, input).await;
        assert_eq!(answer[mutation]["userErrors"], json!([]), "{mutation}");
    }
}
