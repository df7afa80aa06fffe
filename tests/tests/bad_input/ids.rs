//! Ids, versions, keys and cursors that were made up.

use crate::shop::{Shop, create, key};
use docket_tests::server::mutation;
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::test]
async fn forged_ids_are_refused() {
    let shop = Shop::open().await;
    let (order, other) = (shop.paid("c-1").await, shop.placed("c-1").await);
    let absent = Uuid::new_v4();
    let before = shop.written().await;
    for (payment, code) in [
        (format!("{other}-p1"), "NOT_FOUND"),
        (format!("{order}-p2"), "NOT_FOUND"),
        (format!("{order}-p65535"), "NOT_FOUND"),
        (format!("{absent}-p1"), "NOT_FOUND"),
        (format!("{order}-p0"), "BAD_USER_INPUT"),
        (format!("{order}-p65536"), "BAD_USER_INPUT"),
        (format!("{order}-p-1"), "BAD_USER_INPUT"),
        (format!("{order}-p01"), "BAD_USER_INPUT"),
        (format!("{order}-s1"), "BAD_USER_INPUT"),
        (order.clone(), "BAD_USER_INPUT"),
        (String::new(), "BAD_USER_INPUT"),
        ("\0".to_owned(), "BAD_USER_INPUT"),
        ("x".repeat(100_000), "BAD_USER_INPUT"),
    ] {
        let input = json!({"payment": payment, "idempotencyKey": key()});
        Shop::refused(
            &shop.staff.mutate("capturePayment", input).await,
            code,
            &format!("{payment:.60}"),
        );
    }
    for (shipment, code) in [
        (format!("{order}-s1"), "NOT_ALLOCATED"),
        (format!("{order}-s0"), "BAD_USER_INPUT"),
        (format!("{absent}-s1"), "NOT_FOUND"),
    ] {
        let input = json!({"shipment": shipment, "location": "x", "idempotencyKey": key()});
        Shop::refused(&shop.staff.mutate("createShipment", input).await, code, &shipment);
    }
    for name in ["placeOrder", "addLine", "cancelOrder"] {
        let extra = |order: &str| match name {
            "addLine" => json!({"order": order, "line": crate::shop::line()}),
            "cancelOrder" => json!({"order": order, "reason": "r"}),
            _ => json!({"order": order, "idempotencyKey": key()}),
        };
        Shop::refused(
            &shop.staff.mutate(name, extra(&absent.to_string())).await,
            "NOT_FOUND",
            name,
        );
        Shop::refused(&shop.staff.mutate(name, extra("x")).await, "BAD_USER_INPUT", name);
    }
    let nil = crate::shop::with(create("c-1"), &["order"], json!(Uuid::nil()));
    Shop::refused(
        &shop.staff.mutate("createOrder", nil).await,
        "BAD_USER_INPUT",
        "the nil order",
    );
    shop.unharmed(before).await;
}

#[tokio::test]
async fn versions_and_positions_that_were_made_up_are_refused() {
    let shop = Shop::open().await;
    let order = shop.placed("c-1").await;
    let before = shop.written().await;
    for (version, code) in [
        (-1, "BAD_USER_INPUT"),
        (0, "VERSION_CONFLICT"),
        (99, "VERSION_CONFLICT"),
        (i32::MAX, "VERSION_CONFLICT"),
    ] {
        let input = json!({"order": order, "reason": "r", "expectedVersion": version});
        Shop::refused(
            &shop.staff.mutate("cancelOrder", input).await,
            code,
            &version.to_string(),
        );
    }
    let at = "query($v: Int) { order(id: \"ORDER\", atVersion: $v) { id } }".replace("ORDER", &order);
    for version in [i32::MIN, -1, 0] {
        Shop::refused(
            &shop.staff.run(&at, json!({"v": version})).await,
            "BAD_USER_INPUT",
            "atVersion",
        );
    }
    for version in [99, i32::MAX] {
        let reply = shop.staff.run(&at, json!({"v": version})).await;
        assert_eq!(reply.data(), Value::Null, "{version}");
    }
    let seen = "query($p: [PositionInput!]) { orders(minPosition: $p) { edges { cursor } } events(partition: 0, minPosition: $p) { endCursor } }";
    let position =
        |partition: i64, offset: i64| json!({"partition": partition, "offset": offset.to_string()});
    for (positions, code) in [
        (json!([position(0, i64::MAX)]), "STALE"),
        (json!([position(0, -1)]), "BAD_USER_INPUT"),
        (json!([position(-1, 1)]), "BAD_USER_INPUT"),
        (json!([position(16, 1)]), "BAD_USER_INPUT"),
        (json!([position(65_536, 1)]), "BAD_USER_INPUT"),
        (json!([position(i64::MAX, 1)]), "BAD_USER_INPUT"),
        (Value::Array(vec![position(0, 0); 5_000]), "BAD_USER_INPUT"),
    ] {
        let text = format!("{:.60}", positions.to_string());
        Shop::refused(&shop.staff.run(seen, json!({"p": positions})).await, code, &text);
    }
    shop.unharmed(before).await;
}

#[tokio::test]
async fn idempotency_keys_are_bounded_and_belong_to_one_request() {
    let shop = Shop::open().await;
    let first = create("c-1");
    let stored = shop.staff.mutate("createOrder", first.clone()).await.data();
    let before = shop.written().await;
    let with_key = |key: &str| crate::shop::with(create("c-1"), &["idempotencyKey"], json!(key));
    for (key, what) in [
        ("", "empty"),
        (&"x".repeat(256), "long"),
        (&"ä".repeat(128), "long in bytes"),
    ] {
        Shop::refused(
            &shop.staff.mutate("createOrder", with_key(key)).await,
            "BAD_USER_INPUT",
            what,
        );
    }
    let missing = json!({"channel": "web", "currency": "EUR", "locale": "de"});
    Shop::refused(
        &shop.staff.mutate("createOrder", missing).await,
        "BAD_USER_INPUT",
        "missing",
    );
    let mut other = first.clone();
    other["channel"] = json!("phone");
    Shop::refused(
        &shop.staff.mutate("createOrder", other).await,
        "IDEMPOTENCY_KEY_REUSED",
        "another body",
    );
    let order = stored["order"]["id"].clone();
    let place = json!({"order": order, "idempotencyKey": first["idempotencyKey"]});
    Shop::refused(
        &shop.staff.mutate("placeOrder", place).await,
        "IDEMPOTENCY_KEY_REUSED",
        "another command",
    );
    // The same request, also written otherwise, gets its answer again.
    let mut same = first.clone();
    same["name"] = Value::Null;
    let again = shop.staff.mutate("createOrder", same).await.data();
    assert_eq!(
        (&again["position"], &again["order"]["id"]),
        (&stored["position"], &order)
    );
    // And a crowd of the same is done once.
    let crowd = create("c-2");
    let asked = (0..40).map(|_| shop.staff.attempt(mutation("createOrder", crowd.clone())));
    let answers = futures::future::join_all(asked).await;
    let ids: std::collections::HashSet<_> = answers
        .into_iter()
        .map(|reply| reply.unwrap().data()["position"].to_string())
        .collect();
    assert_eq!(ids.len(), 1);
    let after = shop.written().await;
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1));
    shop.unharmed(after).await;
}

#[tokio::test]
async fn cursors_that_were_made_up_are_refused() {
    let (shop, elsewhere) = (Shop::open().await, Shop::open().await);
    let order = shop.placed("c-1").await;
    elsewhere.placed("c-1").await;
    shop.placed("c-2").await;
    let before = shop.written().await;
    let first = async |shop: &Shop| {
        let mut events = shop
            .staff
            .follow("subscription { ordersChanged { cursor } }", Value::Null)
            .await;
        let message = events.next().await.unwrap();
        message["data"]["ordersChanged"]["cursor"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (own, foreign) = (first(&shop).await, first(&elsewhere).await);
    let page = shop
        .staff
        .run("{ orders(first: 1) { pageInfo { endCursor } } }", Value::Null)
        .await
        .data();
    let page = page["pageInfo"]["endCursor"].as_str().unwrap().to_owned();
    let events = shop
        .staff
        .run(
            "{ events(partition: 0, first: 1) { endCursor } events(partition: 0) { endCursor } }",
            Value::Null,
        )
        .await;
    drop(events);
    let turned: String = own.chars().rev().collect();
    let mut flipped = own.clone().into_bytes();
    // Inside an event id: the offsets stay, the proof is wrong.
    let at = flipped.len() - 3;
    flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let cut = own[..own.len() - 4].to_owned();
    let wrong = [
        "",
        "%%%",
        "AAAA",
        "\0",
        &turned,
        &cut,
        &page,
        &format!("{own}{own}"),
        &"A".repeat(60_000),
    ];
    for cursor in wrong.into_iter().chain([foreign.as_str(), &flipped]) {
        for query in [
            "subscription($c: String!) { ordersChanged(after: $c) { cursor } }".to_owned(),
            format!("subscription($c: String!) {{ orderUpdated(id: \"{order}\", after: $c) {{ cursor }} }}"),
        ] {
            let mut stream = shop.staff.follow(&query, json!({"c": cursor})).await;
            let message = stream.next().await.unwrap_or_default();
            let failed = message["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT";
            // The order's partition may be one in which both logs are alike, or the cursor was not harmed.
            let harmless = query.contains("orderUpdated") && (cursor == foreign || cursor == flipped);
            assert!(failed || harmless, "{cursor:.60} {query}: {message}");
        }
    }
    let list = "query($c: String!) { orders(after: $c) { edges { cursor } } }";
    let raw = "query($c: String!) { events(partition: 0, after: $c) { endCursor } }";
    for (query, cursors) in [
        (list, ["", "%%%", &own, &turned]),
        (raw, ["", "%%%", &own, &page]),
    ] {
        for cursor in cursors {
            let reply = shop.staff.run(query, json!({"c": cursor})).await;
            Shop::refused(&reply, "BAD_USER_INPUT", &format!("{cursor:.60} {query}"));
        }
    }
    let sorted = "query($c: String!) { orders(after: $c, sort: {field: TOTAL}) { edges { cursor } } }";
    Shop::refused(
        &shop.staff.run(sorted, json!({"c": page})).await,
        "BAD_USER_INPUT",
        "another sort",
    );
    for size in [-1, 101, i32::MAX] {
        let query = format!("{{ orders(first: {size}) {{ edges {{ cursor }} }} }}");
        Shop::refused(
            &shop.staff.run(&query, Value::Null).await,
            "BAD_USER_INPUT",
            "a page's size",
        );
    }
    shop.unharmed(before).await;
}

/// A cursor of a log that went further than this one: a restore from an older backup.
#[tokio::test]
async fn a_cursor_above_the_head_is_refused_with_the_remedy() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let shop = Shop::open().await;
    shop.placed("c-1").await;
    let before = shop.written().await;
    let mut bytes = vec![1, b'l'];
    for partition in 0..16_u16 {
        bytes.extend(partition.to_be_bytes());
        bytes.extend(1_000_i64.to_be_bytes());
        bytes.extend(Uuid::from_u128(7).as_bytes());
    }
    let cursor = URL_SAFE_NO_PAD.encode(bytes);
    let query = "subscription($c: String!) { ordersChanged(after: $c) { cursor } }";
    let mut stream = shop.staff.follow(query, json!({"c": cursor})).await;
    let message = stream.next().await.unwrap_or_default().to_string();
    assert!(
        message.contains("BAD_USER_INPUT") && message.contains("Subscribe without `after`"),
        "{message}"
    );
    assert_eq!(stream.next().await, None);
    shop.unharmed(before).await;
}
