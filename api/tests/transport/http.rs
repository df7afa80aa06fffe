//! GraphQL over HTTP: what is answered and how.

use std::{sync::atomic::Ordering, time::Duration};

use docket::http::HttpLimits;
use serde_json::json;

use crate::{
    client::{Ask, Server, becomes},
    toy::TOKEN,
};

#[tokio::test]
async fn post_and_get_answer_a_query() {
    let server = Server::start().await;
    let posted = server.ask(Ask::query("{ hello }")).await;
    assert_eq!(
        (posted.status, posted.json()),
        (200, json!({ "data": { "hello": "world" } }))
    );
    assert_eq!(
        posted.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    let got = server
        .ask(Ask::get("query=%7Bhello%7D&operationName=&variables="))
        .await;
    assert_eq!(
        (got.status, got.json()),
        (200, json!({ "data": { "hello": "world" } }))
    );
    let text = "Zürich 🏃 \u{0} \u{202e}";
    let body = json!({ "query": "query($t: String!) { echo(text: $t) }", "variables": { "t": text } });
    let echoed = server.ask(Ask::post(body.to_string())).await;
    assert_eq!(echoed.json(), json!({ "data": { "echo": text } }));
}

#[tokio::test]
async fn the_status_tells_what_happened_in_the_new_media_type_only() {
    let server = Server::start().await;
    for query in [
        "{",
        "{ nothing }",
        "query($t: String!) { echo(text: $t) }",
        "query a { hello } query b { hello }",
    ] {
        let new = server.graphql(query).await;
        assert_eq!(
            (new.status, new.code().as_str()),
            (400, "BAD_USER_INPUT"),
            "{query}: {new:?}"
        );
        assert_eq!(new.json().get("data"), None, "{query}");
        let old = server.ask(Ask::query(query)).await;
        assert_eq!(
            (old.status, old.code().as_str()),
            (200, "BAD_USER_INPUT"),
            "{query}: {old:?}"
        );
        assert_eq!(old.json().get("data"), None, "{query}");
    }
    let partial = server.graphql("{ hello maybe }").await;
    assert_eq!(
        (partial.status, partial.code().as_str()),
        (200, "UNAUTHENTICATED")
    );
    assert_eq!(partial.json()["data"], json!({ "hello": "world", "maybe": null }));
    let whole = server.graphql("{ whoami }").await;
    assert_eq!((whole.status, whole.json()["data"].is_null()), (200, true));
}

#[tokio::test]
async fn variables_that_do_not_fit_stop_the_request_before_anything_runs() {
    let server = Server::start().await;
    let query = "mutation($t: String!, $d: String! = \"x\") { add first: repeat(text: $d) repeat(text: $t) }";
    for variables in [
        json!({}),
        json!({ "t": null }),
        json!({ "t": 7 }),
        json!({ "t": "x", "d": null }),
    ] {
        let ask = Ask::post(json!({ "query": query, "variables": variables }).to_string());
        let reply = server
            .ask(ask.header("accept", "application/graphql-response+json"))
            .await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, "BAD_USER_INPUT"),
            "{variables}: {reply:?}"
        );
        assert_eq!(reply.json().get("data"), None, "{variables}");
    }
    assert_eq!(server.world.mutations.load(Ordering::SeqCst), 0);
    let reply = server
        .ask(Ask::post(
            json!({ "query": query, "variables": { "t": "y" } }).to_string(),
        ))
        .await;
    assert_eq!(
        reply.json(),
        json!({ "data": { "add": 1, "first": "x", "repeat": "y" } })
    );
}

#[tokio::test]
async fn get_never_changes_anything() {
    let server = Server::start().await;
    for parameters in [
        "query=mutation%7Badd%7D",
        "query=query%20a%7Bhello%7Dmutation%20b%7Badd%7D&operationName=b",
    ] {
        let refused = server.ask(Ask::get(parameters)).await;
        assert_eq!(
            (refused.status, refused.header("allow")),
            (405, Some("POST")),
            "{parameters}"
        );
        assert_eq!(refused.code(), "BAD_USER_INPUT");
    }
    assert_eq!(server.world.mutations.load(Ordering::SeqCst), 0);
    let posted = server.ask(Ask::query("mutation { add }")).await;
    assert_eq!(posted.json(), json!({ "data": { "add": 1 } }));
}

#[tokio::test]
async fn a_subscription_needs_a_stream() {
    let server = Server::start().await;
    let new = server.graphql("subscription { count(to: 3) }").await;
    assert_eq!((new.status, new.code().as_str()), (400, "BAD_USER_INPUT"));
    assert!(new.body.contains("text/event-stream"), "{new:?}");
    let old = server.ask(Ask::query("subscription { count(to: 3) }")).await;
    assert_eq!((old.status, old.code().as_str()), (200, "BAD_USER_INPUT"));
}

#[tokio::test]
async fn the_caller_is_who_the_token_says() {
    let server = Server::start().await;
    let who = |header: &str| server.ask(Ask::query("{ whoami }").header("authorization", header));
    assert_eq!(
        who(&format!("Bearer {TOKEN}")).await.json(),
        json!({ "data": { "whoami": "good" } })
    );
    assert_eq!(
        who(&format!("bearer {TOKEN}")).await.json(),
        json!({ "data": { "whoami": "good" } })
    );
    let anonymous = who("").await;
    assert_eq!(
        (anonymous.status, anonymous.code().as_str()),
        (200, "UNAUTHENTICATED")
    );
    for forged in [
        "Bearer forged",
        "Bearer",
        "Bearer \t",
        "Basic Z29vZDpnb29k",
        "good",
    ] {
        let refused = who(forged).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (401, "UNAUTHENTICATED"),
            "{forged}"
        );
        assert_eq!(
            refused.header("www-authenticate"),
            Some("Bearer error=\"invalid_token\"")
        );
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_checked_is_unavailable_and_not_invalid() {
    let limits = HttpLimits {
        request_timeout: Duration::from_millis(20),
        ..HttpLimits::default()
    };
    let server = Server::limited(limits).await;
    for token in ["down", "panic", "hang"] {
        let reply = server
            .ask(Ask::query("{ hello }").header("authorization", &format!("Bearer {token}")))
            .await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (503, "UNAVAILABLE"),
            "{token}"
        );
        assert!(!reply.body.contains("table"), "{reply:?}");
    }
}

#[tokio::test]
async fn a_fault_of_ours_has_a_trace_id_and_no_internals() {
    let server = Server::start().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (query, secret) in [("{ boom }", "secret"), ("{ leak }", "hunter2")] {
        let reply = server.ask(Ask::query(query).header("traceparent", parent)).await;
        assert_eq!(reply.code(), "INTERNAL", "{reply:?}");
        let trace = reply.json()["errors"][0]["extensions"]["traceId"].clone();
        assert_eq!(trace, json!("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert!(!reply.body.contains(secret), "{reply:?}");
    }
    // A panic ended the execution; a field that failed did not.
    assert_eq!(server.graphql("{ boom }").await.status, 500);
    assert_eq!(server.graphql("{ leak }").await.status, 200);
    assert_eq!(server.graphql("{ hello }").await.status, 200);
}

#[tokio::test]
async fn an_operation_that_runs_too_long_is_cancelled_and_says_what_it_may_have_done() {
    let limits = HttpLimits {
        request_timeout: Duration::from_millis(20),
        ..HttpLimits::default()
    };
    let server = Server::limited(limits).await;
    for (query, status, code) in [
        ("{ slow }", 503, "UNAVAILABLE"),
        ("mutation { slow }", 504, "OUTCOME_UNKNOWN"),
    ] {
        let reply = server.graphql(query).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{query}");
        becomes(&server.world.waiting, 0).await;
    }
}

#[tokio::test]
async fn one_request_more_than_the_limit_is_turned_away_and_the_others_finish() {
    let server = Server::limited(HttpLimits {
        max_in_flight: 1,
        ..HttpLimits::default()
    })
    .await;
    let (slow, ()) = tokio::join!(server.graphql("{ slow }"), async {
        becomes(&server.world.waiting, 1).await;
        let refused = server.graphql("{ hello }").await;
        assert_eq!((refused.status, refused.code().as_str()), (503, "OVERLOADED"));
        assert_eq!(refused.header("retry-after"), Some("1"));
        server.world.gate.send_replace(true);
    });
    assert_eq!(slow.json(), json!({ "data": { "slow": 1 } }));
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_operation() {
    use tokio::io::AsyncWriteExt;
    let server = Server::start().await;
    let mut stream = server.connect().await;
    stream
        .write_all(&Ask::query("{ slow }").bytes(server.address))
        .await
        .expect("written");
    becomes(&server.world.waiting, 1).await;
    drop(stream);
    becomes(&server.world.waiting, 0).await;
}
