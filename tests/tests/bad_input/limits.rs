//! Every limit says what there was too much of, how much is allowed and how much there was.

use crate::shop::{Shop, create};
use docket_domain::Role;
use docket_tests::eventually;
use docket_tests::server::{Ask, Reply, deadline};
use serde_json::{Value, json};
use std::time::Duration;

fn told(reply: &Reply) -> (String, String, u64, u64) {
    let extensions = &reply.json()["errors"][0]["extensions"];
    let text = |name: &str| extensions[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| extensions[name].as_u64().unwrap_or_default();
    (text("code"), text("what"), number("limit"), number("actual"))
}

fn refused(code: &str, what: &str, limit: u64, actual: u64) -> (String, String, u64, u64) {
    (code.to_owned(), what.to_owned(), limit, actual)
}

#[tokio::test]
async fn a_limit_is_refused_with_its_numbers() {
    let shop = Shop::open().await;
    let before = shop.written().await;
    let bad = |what, limit, actual| refused("BAD_USER_INPUT", what, limit, actual);
    let aliases = |count: usize| (0..count).map(|at| format!("a{at}:id ")).collect::<String>();
    let order = |inner: &str| format!("{{order(id:\"00000000-0000-0000-0000-000000000001\"){{{inner}}}}}");
    let roots: String = (0..30).map(|at| format!("a{at}:__typename ")).collect();
    let deep = format!("{{{}__typename{}}}", "...{".repeat(40), "}".repeat(40));
    let dear: String = (0..18)
        .map(|at| format!("a{at}:orders(first:100){{edges{{node{{payments{{captures{{number}}}}}}}}}}"))
        .collect();
    let list = |length: usize| json!({"x": vec![0; length]});
    for (ask, expected) in [
        (
            Ask::operation(&order(&aliases(101)), Value::Null),
            bad("aliases", 100, 101),
        ),
        (
            Ask::operation(&format!("{{{roots}}}"), Value::Null),
            bad("root fields", 20, 21),
        ),
        (
            Ask::operation(
                &format!("{{__typename{}}}", "@skip(if:false)".repeat(60)),
                Value::Null,
            ),
            bad("directives", 50, 60),
        ),
        (
            Ask::operation(&deep, Value::Null),
            bad("nested selections", 32, 33),
        ),
        (
            Ask::operation(&order(&aliases(5_000)), Value::Null),
            bad("tokens", 10_000, 15_010),
        ),
        (
            Ask::operation(&"{a".repeat(200), Value::Null),
            bad("levels of brackets", 96, 200),
        ),
        (
            Ask::operation("{__typename}", list(49_999)),
            (String::new(), String::new(), 0, 0),
        ),
        (
            Ask::operation("{__typename}", list(50_000)),
            bad("values in variables", 50_000, 50_001),
        ),
        (
            Ask::post(vec![b' '; 1_048_577]),
            bad("bytes of the body", 1_048_576, 1_048_577),
        ),
        (
            Ask::post(r#"[{"query":"{a}"},{"query":"{b}"}]"#),
            bad("requests in a body", 1, 2),
        ),
        (
            Ask::operation(&format!("{{{dear}}}"), Value::Null),
            refused("COST_LIMIT_EXCEEDED", "cost", 50_000, 0),
        ),
    ] {
        let reply = shop.staff.ask(ask).await;
        let (code, what, limit, actual) = told(&reply);
        if expected.0 == "COST_LIMIT_EXCEEDED" {
            assert!(actual > limit, "{reply:?}");
            assert_eq!(
                (code, what, limit),
                (expected.0, expected.1, expected.2),
                "{reply:?}"
            );
        } else {
            assert_eq!((code, what, limit, actual), expected, "{:.300}", reply.body);
        }
    }
    shop.unharmed(before).await;
}

/// A customer who spends more than comes back waits, and is told how long; nobody else does.
#[tokio::test]
async fn a_caller_out_of_points_waits_and_is_told_how_long() {
    let shop = Shop::with(&[
        ("DOCKET_LIMITS__RATES__CUSTOMER__POINTS", "50000"),
        ("DOCKET_LIMITS__RATES__CUSTOMER__POINTS_PER_SECOND", "10"),
        ("DOCKET_LIMITS__RATES__ANONYMOUS__POINTS", "50000"),
        ("DOCKET_LIMITS__RATES__ANONYMOUS__POINTS_PER_SECOND", "1"),
    ])
    .await;
    let before = shop.written().await;
    let dear: String = (0..9)
        .map(|at| format!("a{at}:order(id:\"00000000-0000-0000-0000-000000000001\",atVersion:1){{id}}"))
        .collect();
    let dear = format!("{{{dear}}}");
    let (ada, eve) = (
        shop.client(Role::Customer, "ada").await,
        shop.client(Role::Customer, "eve").await,
    );
    let status = |reply: &Reply| reply.json()["extensions"]["cost"]["throttleStatus"].clone();
    let mut left = 50_000;
    let refused = loop {
        let reply = ada.run(&dear, Value::Null).await;
        let standing = status(&reply);
        assert_eq!(
            (&standing["maximumAvailable"], &standing["restoreRate"]),
            (&json!(50_000), &json!(10))
        );
        let available = standing["currentlyAvailable"].as_u64().unwrap();
        if reply.code() != "none" {
            break reply;
        }
        assert!(available < left, "{reply:?}");
        left = available;
    };
    let (code, what, limit, actual) = told(&refused);
    assert_eq!((code.as_str(), what.as_str()), ("RATE_LIMITED", "points"));
    assert!(limit < actual && actual == 18_018, "{refused:?}");
    // So many points that are missing, ten of them a second.
    let wait = refused.json()["errors"][0]["extensions"]["retryAfter"]
        .as_u64()
        .unwrap();
    let missing = actual - limit;
    assert!((missing / 10..=missing / 10 + 2).contains(&wait), "{refused:?}");
    assert_eq!(refused.status, 429);
    assert!(
        refused
            .head
            .to_ascii_lowercase()
            .contains(&format!("retry-after: {wait}\r\n")),
        "{refused:?}"
    );
    // The same caller over the other transports; others are not held back.
    let mut stream = ada.follow(&dear, Value::Null).await;
    assert_eq!(
        stream.next().await.unwrap()["errors"][0]["extensions"]["code"],
        "RATE_LIMITED"
    );
    let mut socket = ada.socket(&[]).await.unwrap();
    socket.init(ada.token()).await;
    socket.subscribe("1", &dear, Value::Null).await;
    let answer = socket.next().await.unwrap();
    assert_eq!(
        (&answer["type"], &answer["payload"][0]["extensions"]["code"]),
        (&json!("error"), &json!("RATE_LIMITED"))
    );
    assert_eq!(eve.run(&dear, Value::Null).await.code(), "none");
    // What is cheap enough still goes, and a document that is refused is not free either.
    assert_eq!(ada.run("{__typename}", Value::Null).await.code(), "none");
    let nobody = shop.server.client("");
    let drained = async {
        while nobody
            .run("{__schema{types{fields{name}}}}", Value::Null)
            .await
            .code()
            == "none"
        {
            for _ in 0..50 {
                nobody.run("{nope}", Value::Null).await;
                let unknown = json!({"query": "query A{__typename}", "operationName": "B"});
                let reply = nobody.ask(Ask::post(unknown.to_string())).await;
                assert_eq!(reply.code(), "BAD_USER_INPUT");
            }
        }
    };
    deadline(drained).await;
    assert_eq!(nobody.run("{nope}", Value::Null).await.code(), "BAD_USER_INPUT");
    drop((stream, socket));
    shop.unharmed(before).await;
}

#[tokio::test]
async fn a_caller_may_have_so_many_subscriptions_on_any_transport() {
    let shop = Shop::with(&[("DOCKET_LIMITS__RATES__CUSTOMER__SUBSCRIPTIONS", "4")]).await;
    let (ada, eve) = (
        shop.client(Role::Customer, "ada").await,
        shop.client(Role::Customer, "eve").await,
    );
    let follow = "subscription{ordersChanged{cursor}}";
    let mut socket = ada.socket(&[]).await.unwrap();
    socket.init(ada.token()).await;
    for id in ["1", "2"] {
        socket.subscribe(id, follow, Value::Null).await;
        assert_eq!(socket.next().await.unwrap()["type"], "next");
    }
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = ada.follow(follow, Value::Null).await;
        assert!(stream.next().await.unwrap()["data"].is_object());
        streams.push(stream);
    }
    socket.subscribe("3", follow, Value::Null).await;
    let refused = socket.next().await.unwrap();
    let extensions = &refused["payload"][0]["extensions"];
    assert_eq!(
        (
            &refused["type"],
            &extensions["code"],
            &extensions["limit"],
            &extensions["actual"]
        ),
        (&json!("error"), &json!("OVERLOADED"), &json!(4), &json!(5))
    );
    let mut refused = ada.follow(follow, Value::Null).await;
    assert_eq!(
        refused.next().await.unwrap()["errors"][0]["extensions"]["code"],
        "OVERLOADED"
    );
    let mut others = eve.follow(follow, Value::Null).await;
    assert!(others.next().await.unwrap()["data"].is_object());
    // One that ends makes room for another.
    socket.send(json!({"type": "complete", "id": "1"})).await;
    eventually(Duration::from_secs(10), async || {
        let mut stream = ada.follow(follow, Value::Null).await;
        stream.next().await.unwrap()["data"].is_object().then_some(())
    })
    .await;
    drop((streams, socket, others));
    let before = shop.written().await;
    shop.unharmed(before).await;
}

/// A production server shows its schema to the desk alone, and no page.
#[tokio::test]
async fn a_production_server_shows_strangers_nothing() {
    let shop = Shop::with(&[("DOCKET_SERVER__MODE", "production")]).await;
    let schema = "{__schema{queryType{name}}}";
    let kind = "{__type(name:\"Order\"){name}}";
    let hidden = "{...a} fragment a on Query{... on Query{x:__schema{queryType{name}}}}";
    for (role, code) in [
        (None, "UNAUTHENTICATED"),
        (Some(Role::Customer), "FORBIDDEN"),
        (Some(Role::Service), "FORBIDDEN"),
        (Some(Role::Gateway), "FORBIDDEN"),
        (Some(Role::Staff), "none"),
        (Some(Role::Operator), "none"),
    ] {
        let client = match role {
            Some(role) => shop.client(role, "x").await,
            None => shop.server.client(""),
        };
        for query in [schema, kind, hidden] {
            assert_eq!(
                client.run(query, Value::Null).await.code(),
                code,
                "{role:?} {query}"
            );
        }
        assert_eq!(client.run("{__typename}", Value::Null).await.code(), "none");
    }
    for path in ["/", "/graphiql"] {
        assert_eq!(shop.staff.ask(Ask::new("GET", path)).await.status, 404, "{path}");
    }
    // Nothing guesses at names for a stranger.
    let reply = shop.staff.run("{order(idd:1){id}}", Value::Null).await;
    assert!(!reply.body.to_lowercase().contains("did you mean"), "{reply:?}");
    let before = shop.written().await;
    shop.staff.mutate("createOrder", create("c-1")).await.data();
    let after = shop.written().await;
    assert_eq!(after.0, before.0 + 1);
    shop.unharmed(after).await;
}
