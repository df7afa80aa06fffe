//! Amounts, quantities, texts and times that no order can have.

use crate::shop::{Shop, create, details, eur, key, line, with};
use docket_domain::Role;
use docket_tests::server::Ask;
use serde_json::{Value, json};

const MAX: i64 = i64::MAX;
/// The most that one amount of a command may be.
const AMOUNT: i64 = docket_domain::limits::AMOUNT;

#[tokio::test]
async fn amounts_and_quantities_that_cannot_be_are_refused() {
    let shop = Shop::open().await;
    let order = shop.draft("c-1").await;
    let before = shop.written().await;
    let money = |minor: Value, currency: &str| json!({"amountMinor": minor, "currency": currency});
    for (path, value, code) in [
        (&["quantity"][..], json!(0), "BAD_USER_INPUT"),
        (&["quantity"], json!(-1), "BAD_USER_INPUT"),
        (&["quantity"], json!(i32::MAX), "BAD_USER_INPUT"),
        (&["quantity"], json!(MAX), "BAD_USER_INPUT"),
        (&["quantity"], json!("2"), "BAD_USER_INPUT"),
        (&["quantity"], json!(1.5), "BAD_USER_INPUT"),
        (&["quantity"], json!(null), "BAD_USER_INPUT"),
        (&["unitPrice"], money(json!("0"), "EUR"), "AMOUNT_NOT_POSITIVE"),
        (&["unitPrice"], money(json!("-1"), "EUR"), "AMOUNT_NEGATIVE"),
        (
            &["unitPrice"],
            money(json!(i64::MIN.to_string()), "EUR"),
            "AMOUNT_NEGATIVE",
        ),
        (
            &["unitPrice"],
            money(json!(MAX.to_string()), "EUR"),
            "AMOUNT_TOO_LARGE",
        ),
        (
            &["unitPrice"],
            money(json!("9223372036854775808"), "EUR"),
            "BAD_USER_INPUT",
        ),
        (&["unitPrice"], money(json!("1e3"), "EUR"), "BAD_USER_INPUT"),
        (&["unitPrice"], money(json!(1.5), "EUR"), "BAD_USER_INPUT"),
        (&["unitPrice"], money(json!("1"), "USD"), "CURRENCY_MISMATCH"),
        (&["unitPrice"], money(json!("1"), "XXQ"), "BAD_USER_INPUT"),
        (&["unitPrice"], money(json!("1"), "eur"), "BAD_USER_INPUT"),
        (&["unitPrice"], money(json!("1"), "XAU"), "BAD_USER_INPUT"),
        (&["discount"], eur(2_001), "DISCOUNT_EXCEEDS_LINE"),
        (&["discount"], eur(-1), "AMOUNT_NEGATIVE"),
        (&["discountBp"], json!(10_001), "LIMIT_EXCEEDED"),
        (&["discountBp"], json!(-1), "BAD_USER_INPUT"),
        (&["tax"], eur(MAX), "AMOUNT_TOO_LARGE"),
        (&["taxRateBp"], json!(i32::MAX), "LIMIT_EXCEEDED"),
        (&["weightG"], json!(-1), "BAD_USER_INPUT"),
        (&["weightG"], json!(i32::MAX), "LIMIT_EXCEEDED"),
        (&["nonsense"], json!(1), "BAD_USER_INPUT"),
    ] {
        let line = with(line(), path, value.clone());
        let reply = shop
            .staff
            .mutate("addLine", json!({"order": order, "line": line}))
            .await;
        Shop::refused(&reply, code, &format!("{path:?} = {value}"));
    }
    shop.unharmed(before).await;
}

/// Each part fits, their sum does not.
#[tokio::test]
async fn totals_that_overflow_are_refused() {
    let shop = Shop::open().await;
    let order = shop.draft("c-1").await;
    let priced = |price: i64, quantity: i64| {
        with(
            with(line(), &["unitPrice"], eur(price)),
            &["quantity"],
            json!(quantity),
        )
    };
    // Together all that fits.
    let huge = priced(AMOUNT, MAX / AMOUNT);
    for line in [&huge, &priced(MAX % AMOUNT, 1)] {
        shop.staff
            .mutate("addLine", json!({"order": order, "line": line}))
            .await
            .data();
    }
    let before = shop.written().await;
    for (name, input) in [
        ("addLine", json!({"order": order, "line": line()})),
        ("addLine", json!({"order": order, "line": huge})),
        (
            "setLineQuantity",
            json!({"order": order, "line": 1, "quantity": MAX / AMOUNT + 1}),
        ),
        ("addLine", json!({"order": order, "line": priced(AMOUNT + 1, 1)})),
        ("setDetails", details(&order)),
    ] {
        let reply = shop.staff.mutate(name, input).await;
        Shop::refused(&reply, "AMOUNT_TOO_LARGE", name);
    }
    let amounts = "query($id: ID!) { order(id: $id) { totals { grand { amountMinor amount } } } }";
    let shown = shop.staff.run(amounts, json!({"id": order})).await.data();
    let grand = json!({"amountMinor": "9223372036854775807", "amount": "92233720368547758.07"});
    assert_eq!(shown["totals"]["grand"], grand);
    shop.unharmed(before).await;
}

#[tokio::test]
async fn payments_of_more_than_there_is_are_refused() {
    let shop = Shop::open().await;
    let order = shop.paid("c-1").await;
    let (payment, at) = (format!("{order}-p1"), chrono::Utc::now());
    let before = shop.written().await;
    for (name, amount, code) in [
        ("capturePayment", eur(0), "AMOUNT_NOT_POSITIVE"),
        ("capturePayment", eur(-2_500), "AMOUNT_NEGATIVE"),
        ("capturePayment", eur(2_501), "CAPTURE_EXCEEDS_AUTHORIZED"),
        ("capturePayment", eur(AMOUNT), "CAPTURE_EXCEEDS_AUTHORIZED"),
        ("capturePayment", eur(MAX), "AMOUNT_TOO_LARGE"),
        (
            "capturePayment",
            json!({"amountMinor": "1", "currency": "JPY"}),
            "CURRENCY_MISMATCH",
        ),
        ("refundPayment", eur(1), "ILLEGAL_TRANSITION"),
    ] {
        let mut input = json!({"payment": payment, "amount": amount, "idempotencyKey": key()});
        if name == "refundPayment" {
            input["reason"] = json!("why");
        }
        let reply = shop.staff.mutate(name, input).await;
        Shop::refused(&reply, code, &format!("{name} {amount}"));
    }
    // A result for an operation that is unknown changes nothing and is no error: gateways repeat themselves.
    for capture in [-1, 65_536, i32::MAX] {
        let input = json!({"payment": payment, "capture": capture, "reference": "c", "at": at});
        let reply = shop.staff.mutate("recordCapture", input).await;
        Shop::refused(&reply, "BAD_USER_INPUT", &format!("capture {capture}"));
    }
    shop.unharmed(before).await;
}

/// Texts that PostgreSQL cannot store, that JSON cannot hold, and that only look odd.
#[tokio::test]
async fn odd_text_is_refused_or_kept_as_it_is_in_every_field() {
    let shop = Shop::open().await;
    let order = shop.placed("c-1").await;
    let draft = shop.draft("c-1").await;
    let before = shop.written().await;
    let address = details(&draft)["shippingAddress"].clone();
    let address = |field: &str, text: &str| {
        let value = if field == "street" {
            json!([text])
        } else {
            json!(text)
        };
        json!({"order": draft, "shippingAddress": with(address.clone(), &[field], value)})
    };
    let texts = |text: &str| {
        let create = |field: &str| ("createOrder", with(create("c-1"), &[field], json!(text)));
        let set = |field: &str| ("setDetails", json!({"order": draft, field: text}));
        let at = |field: &str| ("setDetails", address(field, text));
        let mut all = vec![
            ("cancelOrder", json!({"order": order, "reason": text})),
            (
                "addLine",
                json!({"order": draft, "line": with(line(), &["sku"], json!(text))}),
            ),
            (
                "addLine",
                json!({"order": draft, "line": with(line(), &["name"], json!(text))}),
            ),
            (
                "initiatePayment",
                json!({"order": order, "amount": eur(1), "captureMethod": "MANUAL",
                "method": {"type": text}, "gateway": "manual", "idempotencyKey": key()}),
            ),
            (
                "initiatePayment",
                json!({"order": order, "amount": eur(1), "captureMethod": "MANUAL",
                "method": {"type": "card"}, "gateway": text, "idempotencyKey": key()}),
            ),
        ];
        all.extend(["customer", "name", "email", "phone", "channel", "locale"].map(create));
        all.extend(["name", "email", "phone", "note"].map(set));
        all.extend(
            [
                "name",
                "company",
                "street",
                "postalCode",
                "city",
                "region",
                "country",
            ]
            .map(at),
        );
        all
    };
    for odd in [
        "a\0b",
        "\u{1b}[31mred",
        "\u{7f}",
        "\u{85}",
        "",
        " \u{2003}",
        &"ä".repeat(3_000),
    ] {
        for (name, input) in texts(odd) {
            let reply = shop.staff.mutate(name, input.clone()).await;
            Shop::refused(&reply, "BAD_USER_INPUT", &format!("{name} {input:.400}"));
        }
    }
    // Half a surrogate pair is no character; the pair is one.
    let body = |text: &str| {
        let query = "query($c: String!) { orders(filter: {customer: $c}) { edges { node { id } } } }";
        format!(r#"{{"query": "{query}", "variables": {{"c": "{text}"}}}}"#)
    };
    for half in [r"\ud83d", r"a\udc4db", r"\udc4d\ud83d"] {
        Shop::refused(
            &shop.staff.ask(Ask::post(body(half))).await,
            "BAD_USER_INPUT",
            half,
        );
    }
    assert_eq!(
        shop.staff.ask(Ask::post(body(r"\ud83d\udc4d"))).await.code(),
        "none"
    );
    let kept = "\u{202e}שלום e\u{301} 👩‍👩‍👧‍👦 \u{10FFFF}";
    let mut kept_before = before;
    for field in ["name", "note"] {
        let input = json!({"order": draft, field: kept});
        shop.staff.mutate("setDetails", input).await.data();
        let shown = format!(
            "query($id: ID!, $p: [PositionInput!]) {{ order(id: $id, minPosition: $p) {{ {field} }} }}"
        );
        let position = shop
            .staff
            .mutate("setDetails", json!({"order": draft, field: kept}))
            .await
            .data()["position"]
            .clone();
        let shown = shop
            .staff
            .run(&shown, json!({"id": draft, "p": [position]}))
            .await
            .data();
        assert_eq!(shown[field], kept);
        kept_before = shop.written().await;
    }
    shop.unharmed(kept_before).await;
}

#[tokio::test]
async fn times_far_off_are_refused_or_harmless() {
    let shop = Shop::open().await;
    let order = shop.paid("c-1").await;
    let payment = format!("{order}-p1");
    shop.staff
        .mutate(
            "capturePayment",
            json!({"payment": payment, "idempotencyKey": key()}),
        )
        .await
        .data();
    let before = shop.written().await;
    for at in [
        "yesterday",
        "2026-13-01T00:00:00Z",
        "+999999-01-01T00:00:00Z",
        "",
        "2026-01-01",
    ] {
        let input = json!({"payment": payment, "capture": 1, "reference": "c", "at": at});
        Shop::refused(
            &shop.staff.mutate("recordCapture", input).await,
            "BAD_USER_INPUT",
            at,
        );
    }
    let looked = "query($at: DateTime, $id: ID!) { order(id: $id, asOf: $at) { id } }";
    let listed = "query($at: DateTime) { orders(filter: {createdFrom: $at, createdBefore: $at, placedFrom: $at, placedBefore: $at}) { edges { cursor } } }";
    for at in [
        "+262142-12-31T23:59:59Z",
        "-262143-01-01T00:00:01Z",
        "-4713-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:60Z",
    ] {
        for query in [looked, listed] {
            let reply = shop.staff.run(query, json!({"at": at, "id": order})).await;
            let code = reply.code();
            assert!(
                ["none", "BAD_USER_INPUT"].contains(&code.as_str()),
                "{at}: {reply:?}"
            );
        }
    }
    // Nobody can say over GraphQL when something happened in the business.
    let dated = with(create("c-1"), &["occurredAt"], json!("1996-07-04T00:00:00Z"));
    Shop::refused(
        &shop.staff.mutate("createOrder", dated).await,
        "BAD_USER_INPUT",
        "occurredAt",
    );
    shop.unharmed(before).await;
}

/// A gateway's clock may be wrong, and its word is stored: it must be readable afterwards.
#[tokio::test]
async fn a_gateways_time_far_off_is_refused_or_read_back() {
    let shop = Shop::open().await;
    let operator = shop.client(Role::Operator, "o-1").await;
    for at in [
        "+262142-12-31T23:59:59Z",
        "-262143-01-01T00:00:01Z",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
    ] {
        let order = shop.placed("c-1").await;
        let initiate = json!({"order": order, "amount": eur(2_500), "captureMethod": "MANUAL",
                              "method": {"type": "card"}, "gateway": "manual", "idempotencyKey": key()});
        shop.staff.mutate("initiatePayment", initiate).await.data();
        let recorded =
            json!({"payment": format!("{order}-p1"), "reference": "a-1", "at": at, "captureBefore": at});
        let reply = operator.mutate("recordAuthorization", recorded).await;
        if reply.code() != "none" {
            let future = at.starts_with('9');
            Shop::refused(&reply, if future { "IN_FUTURE" } else { "BAD_USER_INPUT" }, at);
            continue;
        }
        let position = reply.data()["position"].clone();
        let query = "query($id: ID!, $p: [PositionInput!]) { order(id: $id, minPosition: $p) { payments { status authorizedAt captureBefore } } }";
        let shown = shop.staff.run(query, json!({"id": order, "p": [position]})).await;
        assert_eq!(shown.code(), "none", "{at}: {shown:?}");
    }
    let before = shop.written().await;
    shop.unharmed(before).await;
}
