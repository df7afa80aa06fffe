//! Documents that are wrong, too large, too deep, or grow when they are spread.

use crate::shop::Shop;
use docket_domain::Role;
use docket_tests::server::Ask;
use serde_json::{Value, json};

/// A chain of fragments of which each spreads the next one `times` times.
fn chain(start: &str, length: usize, times: usize, end: &str) -> String {
    let link = |at: usize| {
        format!(
            "fragment f{at} on Order{{{}}}",
            format!("...f{} ", at + 1).repeat(times)
        )
    };
    let links: String = (0..length).map(link).collect();
    format!("{start}{links}fragment f{length} on Order{{{end}}}")
}

fn documents() -> Vec<(&'static str, String)> {
    let order = r#"order(id:"00000000-0000-0000-0000-000000000001")"#;
    let spread = format!("{{{order}{{...f0}}}}");
    let every: String = (0..=1_200).rev().map(|at| format!("...f{at} ")).collect();
    let aliases: String = (0..10_000).map(|at| format!("a{at}:{order}{{id}}")).collect();
    let roots: String = (0..21).map(|at| format!("a{at}:{order}{{id}}")).collect();
    let inner: String = (0..101).map(|at| format!("a{at}:id ")).collect();
    let list = |depth: usize| {
        format!(
            "{{orders(filter:{{status:{}DRAFT{}}}){{edges{{cursor}}}}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    vec![
        ("not a document", "{order(".to_owned()),
        ("nothing", String::new()),
        ("only a comment", "# nothing".to_owned()),
        ("a NUL byte", "{\0}".to_owned()),
        ("an unknown field", "{nope}".to_owned()),
        ("an unknown argument", format!("{{{order}{{id(x:1)}}}}")),
        ("an unknown type", "query($x:Nope){__typename}".to_owned()),
        ("no selection", format!("{{{order}}}")),
        (
            "two operations and no name",
            "query A{__typename} query B{__typename}".to_owned(),
        ),
        ("10,000 aliases", format!("{{{aliases}}}")),
        ("21 root fields", format!("{{{roots}}}")),
        ("101 aliases", format!("{{{order}{{{inner}}}}}")),
        (
            "60 directives",
            format!("{{__typename{}}}", "@skip(if:false)".repeat(60)),
        ),
        (
            "unknown directives on a fragment",
            format!("{{...a}}fragment a on Query{}{{__typename}}", "@x".repeat(2_000)),
        ),
        (
            "90 nested fields",
            format!("{{{order}{}{}}}", "{order".repeat(90), "}".repeat(90)),
        ),
        ("half a million braces", "{".repeat(500_000)),
        (
            "half a million brackets",
            format!("{{a(b:{}", "[".repeat(500_000)),
        ),
        ("90 nested lists", list(90)),
        (
            "an endless string",
            format!("{{order(id:\"{}", "x".repeat(500_000)),
        ),
        ("a chain of 1,200 fragments", chain(&spread, 1_200, 1, "id")),
        (
            "a chain that nobody asks for",
            chain("{__typename}", 1_200, 1, "id"),
        ),
        (
            "a chain in another operation",
            chain(&format!("query A{{__typename}}query B{spread}"), 1_000, 1, "id"),
        ),
        (
            "a chain, spread from its end",
            chain(&format!("{{{order}{{{every}}}}}"), 1_200, 1, "id"),
        ),
        ("fragments that double", chain(&spread, 30, 2, "id")),
        (
            "fragments that double to nowhere",
            chain(&spread, 30, 2, "...nowhere"),
        ),
        (
            "fragments that double for nobody",
            chain("{__typename}", 30, 2, "id"),
        ),
        (
            "a circle",
            "{...a}fragment a on Query{...b}fragment b on Query{...a}".to_owned(),
        ),
        (
            "a circle through a field",
            format!("{spread}fragment f0 on Order{{payments{{status}}...f0}}"),
        ),
        (
            "a circle that nobody asks for",
            "{__typename}fragment a on Order{...a}".to_owned(),
        ),
        (
            "two subscriptions",
            "subscription{a:ordersChanged{cursor}b:ordersChanged{cursor}}".to_owned(),
        ),
    ]
}

#[tokio::test]
async fn documents_that_cannot_run_are_refused_by_http_and_by_streams() {
    let shop = Shop::open().await;
    let before = shop.written().await;
    let nobody = shop.server.client("");
    for (what, document) in documents() {
        let reply = shop.staff.run(&document, Value::Null).await;
        Shop::refused(&reply, "BAD_USER_INPUT", what);
        // Without a token some of them are refused for that; none may do harm.
        let reply = nobody.run(&document, Value::Null).await;
        assert!(
            ["BAD_USER_INPUT", "UNAUTHENTICATED"].contains(&reply.code().as_str()),
            "{what}: {reply:?}"
        );
        let mut stream = shop.staff.follow(&document, Value::Null).await;
        let first = stream.next().await.unwrap_or_default();
        assert_eq!(
            first["errors"][0]["extensions"]["code"], "BAD_USER_INPUT",
            "{what}: {first}"
        );
        assert_eq!(stream.next().await, None, "{what}");
    }
    let mut socket = shop.staff.socket(&[]).await.unwrap();
    socket.init(shop.staff.token()).await;
    for (what, document) in documents() {
        socket.subscribe(what, &document, Value::Null).await;
        let answer = socket.next().await.unwrap();
        assert_eq!(
            (&answer["type"], &answer["id"]),
            (&json!("error"), &json!(what)),
            "{answer}"
        );
        assert_eq!(
            answer["payload"][0]["extensions"]["code"], "BAD_USER_INPUT",
            "{what}: {answer}"
        );
    }
    shop.unharmed(before).await;
}

#[tokio::test]
async fn what_costs_too_much_is_refused_before_it_runs() {
    let shop = Shop::open().await;
    let before = shop.written().await;
    let all = "edges{node{lines{sku}payments{captures{number}refunds{number}}shipments{parcels{number}}}}";
    let twenty: String = (0..20)
        .map(|at| format!("o{at}:orders(first:100){{{all}}}"))
        .collect();
    let reply = shop.staff.run(&format!("{{{twenty}}}"), Value::Null).await;
    Shop::refused(&reply, "COST_LIMIT_EXCEEDED", "twenty full pages");
    shop.unharmed(before).await;
}

#[tokio::test]
async fn variables_that_do_not_fit_are_refused() {
    let shop = Shop::open().await;
    let before = shop.written().await;
    let body = |variables: &str| {
        format!(
            r#"{{"query":"query($f:OrderFilter){{orders(filter:$f){{edges{{cursor}}}}}}","variables":{variables}}}"#
        )
    };
    for (what, variables) in [
        ("a list", "[1]".to_owned()),
        ("a text", "\"f\"".to_owned()),
        ("a wrong type", r#"{"f":7}"#.to_owned()),
        ("an unknown enum", r#"{"f":{"status":["EATEN"]}}"#.to_owned()),
        ("an unknown field", r#"{"f":{"colour":"red"}}"#.to_owned()),
        (
            "a huge text",
            format!(r#"{{"f":{{"customer":"{}"}}}}"#, "x".repeat(900_000)),
        ),
        (
            "80,000 values",
            format!(r#"{{"f":{{"status":[{}"DRAFT"]}}}}"#, "\"DRAFT\",".repeat(80_000)),
        ),
        (
            "100,000 nested lists",
            format!(r#"{{"f":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000)),
        ),
        (
            "100,000 nested objects",
            format!(
                r#"{{"f":{}1{}}}"#,
                r#"{"a":"#.repeat(100_000),
                "}".repeat(100_000)
            ),
        ),
        (
            "120 nested lists",
            format!(r#"{{"f":{}{}}}"#, "[".repeat(120), "]".repeat(120)),
        ),
        ("no end", r#"{"f":"#.to_owned()),
        (
            "a number of 100,000 digits",
            format!(r#"{{"f":{{"number":{}}}}}"#, "9".repeat(100_000)),
        ),
        ("the largest exponent", r#"{"f":{"totalFrom":1e308}}"#.to_owned()),
        ("no number", r#"{"f":{"totalFrom":NaN}}"#.to_owned()),
    ] {
        Shop::refused(
            &shop.staff.ask(Ask::post(body(&variables))).await,
            "BAD_USER_INPUT",
            what,
        );
    }
    // A required variable that is missing is seen before the first field of a mutation has run.
    let two = "mutation($a: CreateOrderInput!, $b: CreateOrderInput!) { a: createOrder(input: $a) { version } b: createOrder(input: $b) { version } }";
    let good = json!({"channel": "web", "currency": "EUR", "locale": "de", "idempotencyKey": "k"});
    Shop::refused(
        &shop.staff.run(two, json!({"a": good})).await,
        "BAD_USER_INPUT",
        "a missing variable",
    );
    let reply = shop
        .staff
        .run(two, json!({"a": good, "b": {"channel": "web"}}))
        .await;
    assert_eq!(reply.json()["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    let done = shop.written().await.1 - before.1;
    assert!(
        done == 0,
        "a mutation whose second field cannot be read ran its first: {reply:?}"
    );
    shop.unharmed(before).await;
}

/// Introspection is public, and so it must be cheap.
#[tokio::test]
async fn introspection_does_not_multiply() {
    let shop = Shop::open().await;
    let before = shop.written().await;
    let nobody = shop.server.client("");
    let nested = format!(
        "{{__schema{{types{}{{name}}{}}}}}",
        "{fields{type".repeat(5),
        "}}".repeat(5)
    );
    let many: String = (0..20)
        .map(|at| format!("s{at}:__schema{{types{{fields{{name}}}}}}"))
        .collect();
    for (what, document) in [
        ("nested lists", nested),
        ("twenty schemas", format!("{{{many}}}")),
    ] {
        let reply = nobody.run(&document, Value::Null).await;
        assert!(
            reply.code() == "BAD_USER_INPUT" || reply.body.len() < 2_000_000,
            "{what}: {}",
            reply.body.len()
        );
    }
    let staff = shop.client(Role::Staff, "s-2").await;
    assert_eq!(
        staff.run("{__schema{queryType{name}}}", Value::Null).await.code(),
        "none"
    );
    shop.unharmed(before).await;
}
