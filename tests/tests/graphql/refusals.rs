//! Rules that refuse are data, with their numbers; bad input is an error that names the field; nothing is half done.

use crate::desk::{Desk, code, eur, staff};
use docket::auth::Caller;
use docket_domain::Role;
use serde_json::{Value, json};

async fn refused(desk: &Desk, mutation: &str, input: Value, fields: &str) -> Value {
    let more = format!("details: userErrors {{ {fields} }}");
    let payload = desk.change(&staff(), mutation, input, &more).await;
    assert_eq!(payload["order"], json!(null));
    assert_eq!(
        payload["userErrors"].as_array().map(Vec::len),
        Some(1),
        "{payload}"
    );
    payload
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_refuses_with_its_type_and_its_numbers() {
    let desk = Desk::open().await;
    let order = desk.placed("c-1", "k").await;

    let late = json!({"order": order, "line": {"sku": "a", "name": "A", "quantity": 1, "unitPrice": eur(1)}});
    let payload = refused(
        &desk,
        "addLine",
        late,
        "... on IllegalTransition { from allowed }",
    )
    .await;
    assert_eq!(payload["userErrors"][0]["code"], "ILLEGAL_TRANSITION");
    assert_eq!(
        payload["details"][0],
        json!({"from": "placed", "allowed": ["draft"]})
    );

    let named = json!({"order": order, "reason": "no", "expectedVersion": 99});
    let payload = refused(
        &desk,
        "cancelOrder",
        named,
        "... on VersionConflict { stream expected actual }",
    )
    .await;
    assert_eq!(
        payload["details"][0],
        json!({"stream": order, "expected": 99, "actual": 4})
    );
    assert_eq!(
        payload["userErrors"][0]["field"],
        json!(["input", "expectedVersion"])
    );

    let payload = refused(
        &desk,
        "confirmOrder",
        json!({"order": order, "mode": "AUTOMATIC"}),
        "... on NotCovered { authorized total }",
    )
    .await;
    assert_eq!(payload["details"][0], json!({"authorized": "0", "total": "2500"}));

    let payment = desk.authorized(&order, "MANUAL_MULTIPLE").await;
    let too_much = json!({"payment": payment, "amount": eur(2_501), "idempotencyKey": "c1"});
    let fields = "... on CaptureExceedsAuthorized { authorized captured pending requested }";
    let payload = refused(&desk, "capturePayment", too_much, fields).await;
    let numbers = json!({"authorized": "2500", "captured": "0", "pending": "0", "requested": "2501"});
    assert_eq!(payload["details"][0], numbers);

    let too_much = json!({"payment": payment, "amount": eur(1), "reason": "x", "idempotencyKey": "r1"});
    let payload = desk.change(&staff(), "refundPayment", too_much, "").await;
    assert_eq!(payload["userErrors"].as_array().map(Vec::len), Some(1));
    desk.done(
        "capturePayment",
        json!({"payment": payment, "amount": eur(1_000), "idempotencyKey": "c2"}),
        "",
    )
    .await;
    let at = chrono::Utc::now();
    desk.done(
        "recordCapture",
        json!({"payment": payment, "capture": 1, "reference": "x", "at": at}),
        "",
    )
    .await;
    let too_much = json!({"payment": payment, "amount": eur(1_001), "reason": "x", "idempotencyKey": "r2"});
    let fields = "... on RefundExceedsCaptured { captured refunded pending requested }";
    let payload = refused(&desk, "refundPayment", too_much, fields).await;
    let numbers = json!({"captured": "1000", "refunded": "0", "pending": "0", "requested": "1001"});
    assert_eq!(payload["details"][0], numbers);

    let dollars = json!({"amountMinor": "5", "currency": "USD"});
    let wrong = json!({"payment": payment, "amount": dollars, "idempotencyKey": "c3"});
    let fields = "... on InvalidAmount { expectedCurrency foundCurrency }";
    let payload = refused(&desk, "capturePayment", wrong, fields).await;
    assert_eq!(
        payload["details"][0],
        json!({"expectedCurrency": "EUR", "foundCurrency": "USD"})
    );
    for amount in [0, -5] {
        let input =
            json!({"payment": payment, "amount": eur(amount), "idempotencyKey": format!("c{amount}")});
        refused(
            &desk,
            "capturePayment",
            input,
            "... on InvalidAmount { amountMinor }",
        )
        .await;
    }

    let lines = json!([{"line": 1, "quantity": 3}]);
    desk.done("confirmOrder", json!({"order": order, "mode": "AUTOMATIC"}), "")
        .await;
    let fields = "... on QuantityExceedsOpen { line ordered cancelled allocated requested }";
    let payload = refused(
        &desk,
        "allocateFulfillment",
        json!({"order": order, "lines": lines}),
        fields,
    )
    .await;
    let numbers = json!({"line": 1, "ordered": 2, "cancelled": 0, "allocated": 0, "requested": 3});
    assert_eq!(payload["details"][0], numbers);
    let missing = json!({"shipment": format!("{order}-s7"), "location": "x", "idempotencyKey": "s"});
    let payload = refused(
        &desk,
        "createShipment",
        missing,
        "... on UnknownReference { reference }",
    )
    .await;
    assert_eq!(payload["details"][0]["reference"], format!("{order}-s7"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_an_error_that_names_its_field_and_changes_nothing() {
    let desk = Desk::open().await;
    let order = desk.draft("c-1", "k").await;
    let heads = desk.store.feed().heads();
    let create = "mutation($input: CreateOrderInput!) { createOrder(input: $input) { version } }";
    let line = "mutation($input: AddLineInput!) { addLine(input: $input) { version } }";
    let base = json!({"channel": "web", "currency": "EUR", "locale": "de", "idempotencyKey": "x"});
    let with = |name: &str, value: Value| {
        let mut input = base.clone();
        input[name] = value;
        json!({"input": input})
    };
    let of_line = |name: &str, value: Value| {
        let mut line = json!({"sku": "a", "name": "A", "quantity": 1, "unitPrice": eur(1)});
        line[name] = value;
        json!({"input": {"order": order, "line": line}})
    };
    for (query, variables) in [
        (create, with("currency", json!("EURO"))),
        (create, with("currency", json!("XAU"))),
        (create, with("order", json!("not-a-uuid"))),
        (create, with("channel", json!(""))),
        (create, with("channel", json!("a\u{0}b"))),
        (create, with("email", json!("x".repeat(300)))),
        (create, with("idempotencyKey", json!("k".repeat(256)))),
        (create, with("idempotencyKey", json!(""))),
        (create, with("idempotencyKey", json!(null))),
        (create, with("expectedVersion", json!(-1))),
        (create, with("unknown", json!(1))),
        (line, of_line("quantity", json!(0))),
        (line, of_line("quantity", json!(-1))),
        (line, of_line("quantity", json!(1_000_001))),
        (line, of_line("quantity", json!(5_000_000_000_i64))),
        (line, of_line("quantity", json!("one"))),
        (
            line,
            of_line(
                "unitPrice",
                json!({"amountMinor": "9223372036854775808", "currency": "EUR"}),
            ),
        ),
        (
            line,
            of_line("unitPrice", json!({"amountMinor": 1.5, "currency": "EUR"})),
        ),
        (line, of_line("weightG", json!(-1))),
        ("mutation { createOrder { version } }", json!({})),
        ("{ order(id: \"x\") { id } }", json!({})),
        ("{ order(id: 5) { id } }", json!({})),
        ("{ orders(first: 101) { edges { cursor } } }", json!({})),
        ("{ orders(first: -1) { edges { cursor } } }", json!({})),
        ("{ orders(first: 1, last: 1) { edges { cursor } } }", json!({})),
        (
            "{ orders(minPosition: [{partition: 99, offset: \"1\"}]) { edges { cursor } } }",
            json!({}),
        ),
        (
            "{ orders(minPosition: [{partition: 0, offset: \"-1\"}]) { edges { cursor } } }",
            json!({}),
        ),
        ("{ events(partition: 99) { endCursor } }", json!({})),
        ("{ events { endCursor } }", json!({})),
        ("{ nothing }", json!({})),
        ("{ order(id: ", json!({})),
    ] {
        let answer = desk.ask(&staff(), query, variables.clone()).await;
        let error = &answer["errors"][0];
        let code = error["extensions"]["code"].as_str();
        // The engine's own errors get their code from the transport.
        assert!(
            code.is_none_or(|code| code == "BAD_USER_INPUT"),
            "{variables} {answer}"
        );
        assert!(error["message"].is_string(), "{query} {variables} {answer}");
    }
    let answer = desk
        .ask(&staff(), line, of_line("sku", json!("x".repeat(65))))
        .await;
    assert_eq!(
        answer["errors"][0]["extensions"]["field"],
        json!(["input", "line", "sku"])
    );
    assert_eq!(desk.store.feed().heads(), heads);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_not_theirs_is_not_found() {
    let desk = Desk::open().await;
    let order = desk.placed("c-1", "k").await;
    let cancel = "mutation($input: CancelOrderInput!) { cancelOrder(input: $input) { version } }";
    let nowhere = json!({"input": {"order": uuid::Uuid::new_v4(), "reason": "x"}});
    assert_eq!(code(&desk.ask(&staff(), cancel, nowhere).await), "NOT_FOUND");
    let theirs = json!({"input": {"order": order, "reason": "x"}});
    let other = Caller::known(Role::Customer, "c-2");
    assert_eq!(code(&desk.ask(&other, cancel, theirs.clone()).await), "NOT_FOUND");
    let capture = "mutation($input: RecordCaptureInput!) { recordCapture(input: $input) { version } }";
    let payment = desk.authorized(&order, "MANUAL").await;
    let input = json!({"payment": payment, "capture": 1, "reference": "x", "at": chrono::Utc::now()});
    let gateway = Caller::known(Role::Gateway, "stripe");
    assert_eq!(
        code(&desk.ask(&gateway, capture, json!({"input": input})).await),
        "NOT_FOUND"
    );
    // A customer may call off what is placed, and may not once the shop has committed to it.
    desk.done("confirmOrder", json!({"order": order, "mode": "AUTOMATIC"}), "")
        .await;
    let own = Caller::known(Role::Customer, "c-1");
    assert_eq!(code(&desk.ask(&own, cancel, theirs).await), "FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_ours_tells_nothing_of_itself() {
    let desk = Desk::open().await;
    let order = desk.draft("c-1", "k").await;
    // Another process, which has unwrapped no key yet, finds them damaged.
    let other = desk.another().await;
    let damage = sqlx::query("update personal_keys set wrapped_key = '\\x00' where wrapped_key is not null");
    damage.execute(desk.db.admin()).await.unwrap();
    let at = desk.now();
    let read = "query($id: ID!, $at: [PositionInput!]) { order(id: $id, minPosition: $at) { name } }";
    let answer = other.ask(&staff(), read, json!({"id": order, "at": at})).await;
    assert_eq!(code(&answer), "INTERNAL");
    assert_eq!(
        answer["errors"][0]["message"],
        "Something went wrong on our side."
    );
    assert!(!answer.to_string().contains("key"), "{answer}");
    // Nothing is sealed with such a key either.
    let set = "mutation($input: SetDetailsInput!) { setDetails(input: $input) { version } }";
    let answer = other
        .ask(&staff(), set, json!({"input": {"order": order, "name": "Eve"}}))
        .await;
    assert_eq!(code(&answer), "INTERNAL");
}
