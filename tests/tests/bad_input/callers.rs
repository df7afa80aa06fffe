//! Tokens that do not hold, and callers who ask for what is not theirs.

use crate::shop::{Shop, create, key, line, with};
use docket::auth::{create_token, revoke_token};
use docket_domain::Role;
use docket_tests::eventually;
use docket_tests::server::{Ask, Reply};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

#[tokio::test]
async fn tokens_that_do_not_hold_are_refused() {
    let shop = Shop::open().await;
    let order = shop.draft("c-1").await;
    let before = shop.written().await;
    let pool = shop.db.admin();
    let hour = Duration::from_secs(3_600);
    let (short, revoked) = (
        create_token(pool, Role::Staff, "s-1", "", Duration::from_secs(1))
            .await
            .unwrap(),
        create_token(pool, Role::Staff, "s-1", "", hour).await.unwrap(),
    );
    assert!(revoke_token(pool, revoked.id).await.unwrap());
    let query = "query($id: ID!) { order(id: $id) { id } }";
    let expired = async || {
        let reply = shop
            .server
            .client(&short.text)
            .run(query, json!({"id": order}))
            .await;
        (reply.status == 401).then_some(reply)
    };
    let expired = eventually(Duration::from_secs(10), expired).await;
    Shop::refused(&expired, "UNAUTHENTICATED", "an expired token");
    let good = create_token(pool, Role::Staff, "s-1", "", hour)
        .await
        .unwrap()
        .text;
    let mut swapped = good.clone().into_bytes();
    swapped.swap(10, 20);
    let swapped = if swapped == good.as_bytes() {
        "docket_".to_owned()
    } else {
        String::from_utf8(swapped).unwrap()
    };
    let forged = format!("docket_{}", "A".repeat(43));
    for (what, token) in [
        ("revoked", revoked.text.as_str()),
        ("forged", &forged),
        ("swapped letters", &swapped),
        ("cut", &good[..good.len() - 1]),
        ("no token at all", "x"),
        ("a quote", "docket_' or true --"),
        ("huge", &"x".repeat(10_000)),
    ] {
        let reply = shop.server.client(token).run(query, json!({"id": order})).await;
        Shop::refused(&reply, "UNAUTHENTICATED", what);
        assert_eq!(reply.status, 401, "{what}");
        // Why it does not hold is nobody's business.
        assert_eq!(reply.json()["errors"], expired.json()["errors"], "{what}");
    }
    let ask = || Ask::operation(query, json!({"id": order}));
    for (what, ask) in [
        (
            "another scheme",
            ask().header("authorization", &format!("Basic {good}")),
        ),
        (
            "two tokens",
            ask()
                .header("authorization", &format!("Bearer {good}"))
                .and("authorization", "Bearer x"),
        ),
        ("an empty token", ask().header("authorization", "Bearer ")),
    ] {
        Shop::refused(&shop.staff.ask(ask).await, "UNAUTHENTICATED", what);
    }
    let nobody = shop.server.client("");
    for query in [
        "{orders{edges{cursor}}}",
        "mutation{createOrder(input:{channel:\"w\",currency:\"EUR\",locale:\"de\",idempotencyKey:\"k\"}){version}}",
    ] {
        Shop::refused(&nobody.run(query, Value::Null).await, "UNAUTHENTICATED", query);
    }
    shop.unharmed(before).await;
}

/// Somebody else's order and one that does not exist look the same, to the letter.
#[tokio::test]
async fn an_order_of_somebody_else_does_not_exist() {
    let shop = Shop::open().await;
    let (order, absent) = (shop.paid("ada").await, Uuid::new_v4().to_string());
    let before = shop.written().await;
    let eve = shop.client(Role::Customer, "eve").await;
    let nobody_there = "the order";
    let about = |reply: &Reply| {
        let mut json = reply.json();
        // What is left of the bucket is another number each time.
        if let Some(cost) = json["extensions"]["cost"].as_object_mut() {
            cost.remove("throttleStatus");
        }
        let text = json.to_string();
        text.replace(&order, nobody_there).replace(&absent, nobody_there)
    };
    for query in [
        "query($id: ID!) { order(id: $id) { id email } }",
        "query($id: ID!) { order(id: $id, atVersion: 1) { id } }",
        "query($id: ID!) { order(id: $id, atVersion: 999) { id } }",
        "query($id: ID!) { order(id: $id, atVersion: -1) { id } }",
        "query($id: ID!) { order(id: $id, asOf: \"2999-01-01T00:00:00Z\") { id } }",
    ] {
        let theirs = eve.run(query, json!({"id": order})).await;
        let none = eve.run(query, json!({"id": absent})).await;
        assert_eq!(about(&theirs), about(&none), "{query}");
        assert_eq!(theirs.json()["data"]["order"], Value::Null, "{query}");
        let code = if query.contains("-1") {
            "BAD_USER_INPUT"
        } else {
            "none"
        };
        assert_eq!(theirs.code(), code, "{query}");
    }
    for (name, input) in [
        ("setDetails", json!({"note": "mine"})),
        ("setDetails", json!({"note": "mine", "expectedVersion": 1})),
        ("setDetails", json!({"note": "mine", "expectedVersion": 99})),
        ("placeOrder", json!({"idempotencyKey": "k"})),
        ("cancelOrder", json!({"reason": "r"})),
        ("cancelOrder", json!({"reason": "r", "expectedVersion": 6})),
    ] {
        let asked = async |order: &str| {
            eve.mutate(name, with(input.clone(), &["order"], json!(order)))
                .await
        };
        let (theirs, none) = (asked(&order).await, asked(&absent).await);
        assert_eq!(about(&theirs), about(&none), "{name} {input}");
        Shop::refused(&theirs, "NOT_FOUND", name);
    }
    for id in [&order, &absent] {
        let query = "subscription($id: ID!) { orderUpdated(id: $id) { cursor } }";
        let mut stream = eve.follow(query, json!({"id": id})).await;
        let message = stream.next().await.unwrap_or_default();
        assert_eq!(
            message["errors"][0]["extensions"]["code"], "NOT_FOUND",
            "{message}"
        );
    }
    let list = eve
        .run(
            "{orders(filter:{customer:\"ada\"}){edges{node{id}}}}",
            Value::Null,
        )
        .await;
    assert_eq!(list.data(), json!({"edges": []}));
    let list = eve.run("{orders{edges{node{id}}}}", Value::Null).await;
    assert_eq!(list.data(), json!({"edges": []}));
    let mut stream = eve
        .follow(
            "subscription{ordersChanged(filter:{customer:\"ada\"}){cursor}}",
            Value::Null,
        )
        .await;
    assert_eq!(
        stream.next().await.unwrap_or_default()["errors"][0]["extensions"]["code"],
        "FORBIDDEN"
    );
    shop.unharmed(before).await;
}

/// A stream of a customer shows that customer's orders, however many others change.
#[tokio::test]
async fn a_customers_stream_shows_only_their_own() {
    let shop = Shop::open().await;
    let eve = shop.client(Role::Customer, "eve").await;
    let mut stream = eve
        .follow(
            "subscription{ordersChanged{cursor orderId event{type} order{customer}}}",
            Value::Null,
        )
        .await;
    stream.next().await.unwrap();
    for _ in 0..3 {
        shop.paid("ada").await;
    }
    let own = shop.draft("eve").await;
    let event = stream.event(&mut None).await.unwrap();
    assert_eq!(
        (&event["orderId"], &event["order"]["customer"]),
        (&json!(own), &json!("eve"))
    );
    let before = shop.written().await;
    shop.unharmed(before).await;
}

#[tokio::test]
async fn a_role_does_what_it_may_and_nothing_else() {
    let shop = Shop::open().await;
    let order = shop.paid("ada").await;
    let payment = format!("{order}-p1");
    let before = shop.written().await;
    let (ada, other) = (
        shop.client(Role::Customer, "ada").await,
        shop.client(Role::Gateway, "stripe").await,
    );
    let service = shop.client(Role::Service, "erp").await;
    let capture = json!({"payment": payment, "capture": 1, "reference": "c", "at": chrono::Utc::now()});
    for (who, client, name, input, code) in [
        (
            "a customer",
            &ada,
            "addLine",
            json!({"order": order, "line": line()}),
            "FORBIDDEN",
        ),
        (
            "a customer",
            &ada,
            "capturePayment",
            json!({"payment": payment, "idempotencyKey": key()}),
            "FORBIDDEN",
        ),
        ("a customer", &ada, "recordCapture", capture.clone(), "FORBIDDEN"),
        ("a customer", &ada, "createOrder", create("eve"), "FORBIDDEN"),
        (
            "a gateway of another's payment",
            &other,
            "recordCapture",
            capture.clone(),
            "NOT_FOUND",
        ),
        (
            "a gateway of another's payment",
            &other,
            "recordCapture",
            with(capture.clone(), &["expectedVersion"], json!(1)),
            "NOT_FOUND",
        ),
        (
            "a gateway",
            &other,
            "placeOrder",
            json!({"order": order, "idempotencyKey": key()}),
            "FORBIDDEN",
        ),
        ("a service", &service, "recordCapture", capture, "FORBIDDEN"),
    ] {
        // A gateway may not look at orders, so the answer is not asked for one.
        let kind = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
        let query = format!(
            "mutation($input: {kind}!) {{ {name}(input: $input) {{ version userErrors {{ code }} }} }}"
        );
        let reply = client.run(&query, json!({"input": input})).await;
        Shop::refused(&reply, code, &format!("{who} {name}"));
    }
    for client in [&ada, &other, &service] {
        let reply = client.run("{events(partition:0){endCursor}}", Value::Null).await;
        Shop::refused(&reply, "FORBIDDEN", "events");
    }
    shop.unharmed(before).await;
}
