//! What asks for too much is refused before it runs, with what is allowed.

use crate::{
    desk::{Desk, code, staff},
    projections::operator,
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_ask_for_too_much_are_refused() {
    let desk = Desk::open().await;
    let aliases = |count: usize| {
        (0..count)
            .map(|n| format!("a{n}: __typename "))
            .collect::<String>()
    };
    let nested = |depth: usize| {
        format!(
            "{}__typename{}",
            "... on Query { ".repeat(depth),
            " }".repeat(depth)
        )
    };
    // Each fragment spreads the next one twice: 2^30 fields.
    let mut bomb = "{ ...f0 }".to_owned();
    for n in 0..30 {
        bomb.push_str(&format!(" fragment f{n} on Query {{ ...f{0} ...f{0} }}", n + 1));
    }
    bomb.push_str(" fragment f30 on Query { __typename }");
    let deep = format!(
        "{{ __schema {{ types {{ {} name {} }} }} }}",
        "fields { type { ".repeat(3),
        "} } ".repeat(3)
    );
    let cycle = "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }";
    for document in [
        format!("{{ {} }}", aliases(21)),
        format!("{{ {} }}", aliases(10_000)),
        bomb,
        deep,
        cycle.to_owned(),
        format!("{{ __typename {} }}", "@skip(if: false) ".repeat(60)),
        format!("{{ {} }}", nested(40)),
        "subscription { a: ordersChanged { cursor } b: ordersChanged { cursor } }".to_owned(),
        "subscription { ... { ordersChanged { cursor } } }".to_owned(),
    ] {
        let answer = if document.starts_with("subscription") {
            desk.follow(&staff(), &document, json!({})).answer().await
        } else {
            desk.ask(&staff(), &document, json!({})).await
        };
        assert_eq!(code(&answer), "BAD_USER_INPUT", "{document:.80}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_costs_what_it_asks_for() {
    let desk = Desk::open().await;
    let page = "query($n: Int) { orders(first: $n) { edges { node { id } } } }";
    let cost = async |n: i32| {
        desk.ask(&staff(), page, json!({"n": n})).await["extensions"]["cost"]["requested"].clone()
    };
    assert_eq!(cost(1).await, 4);
    assert_eq!(cost(100).await, 301);
    let past =
        "query($v: Int, $at: DateTime) { order(id: \"0e5f7c1a-5b0e-5f0a-9a63-3c1d2b7f4e17\", atVersion: $v,
        asOf: $at) { id } }";
    let now = chrono::Utc::now();
    for (variables, cost) in [
        (json!({}), 2),
        (json!({"v": null, "at": null}), 2),
        (json!({"v": 1}), 2_002),
        (json!({"at": now}), 2_002),
    ] {
        let answer = desk.ask(&staff(), past, variables).await;
        assert_eq!(answer["extensions"]["cost"]["requested"], cost, "{answer}");
    }
    for (lists, cost) in [
        ("{ discardedEvents { reason by } }", 2_001),
        (
            "{ deadLetter(name: \"order_detail\", order: \"0190aaaa-0000-7000-8000-000000000000\") { payload position { offset } } }",
            3_001,
        ),
        ("{ discardedEventCount }", 501),
    ] {
        let answer = desk.ask(&operator(), lists, json!({})).await;
        assert_eq!(answer["extensions"]["cost"]["requested"], cost, "{answer}");
    }
    let four = (0..4).map(|n| {
        format!("a{n}: orders(first: 100) {{ edges {{ node {{ payments {{ captures {{ number amount {{ amount }} }}
                 refunds {{ number lines {{ line }} }} }} }} }} }} ")
    });
    let answer = desk
        .ask(
            &staff(),
            &format!("{{ {} }}", four.collect::<String>()),
            json!({}),
        )
        .await;
    assert_eq!(code(&answer), "COST_LIMIT_EXCEEDED", "{answer}");
    assert_eq!(answer["errors"][0]["extensions"]["limit"], 50_000);
}
