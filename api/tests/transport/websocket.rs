//! graphql-transport-ws: a connection that is used as it should be, and every mistake that has a code.

use std::{sync::atomic::Ordering, time::Duration};

use docket::http::{HostPolicy, HttpLimits};
use futures::StreamExt;
use serde_json::json;

use crate::{
    client::{Server, Socket, becomes, within},
    toy::TOKEN,
};

#[tokio::test]
async fn a_subscription_is_next_messages_and_complete() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server).await;
    // An id is free again once it is complete.
    for _ in 0..2 {
        socket.subscribe("a", "subscription { count(to: 2) }").await;
        for n in [1, 2] {
            let next = json!({ "type": "next", "id": "a", "payload": { "data": { "count": n } } });
            assert_eq!(socket.receive().await, next);
        }
        assert_eq!(socket.receive().await, json!({ "type": "complete", "id": "a" }));
    }
}

#[tokio::test]
async fn queries_and_mutations_run_too_and_failing_fields_are_results() {
    let server = Server::start().await;
    let mut socket = Socket::open(&server).await;
    socket.init(json!(null)).await;
    for (query, data) in [
        ("{ hello }", json!({ "hello": "world" })),
        ("mutation { add }", json!({ "add": 1 })),
    ] {
        socket.subscribe("q", query).await;
        assert_eq!(socket.receive().await["payload"], json!({ "data": data }));
        assert_eq!(socket.receive().await, json!({ "type": "complete", "id": "q" }));
    }
    assert_eq!(server.world.mutations.load(Ordering::SeqCst), 1);
    socket.subscribe("q", "{ whoami }").await;
    let next = socket.receive().await;
    assert_eq!(next["type"], "next");
    assert_eq!(
        next["payload"]["errors"][0]["extensions"]["code"],
        "UNAUTHENTICATED"
    );
    assert_eq!(next["payload"]["data"], json!(null));
    assert_eq!(socket.receive().await, json!({ "type": "complete", "id": "q" }));
}

#[tokio::test]
async fn the_token_comes_in_the_payload_or_with_the_upgrade() {
    let server = Server::start().await;
    let bearer = format!("Bearer {TOKEN}");
    let protocol = ("sec-websocket-protocol", "other, graphql-transport-ws");
    let payloads = [
        json!({ "authorization": bearer }),
        json!({ "Authorization": bearer }),
        json!({ "token": TOKEN }),
    ];
    for payload in payloads {
        let mut socket = Socket::with(&server, &[protocol, ("authorization", "Bearer forged")]).await;
        socket.init(payload).await;
        socket.subscribe("a", "{ whoami }").await;
        assert_eq!(socket.receive().await["payload"]["data"]["whoami"], TOKEN);
    }
    let mut socket = Socket::with(&server, &[protocol, ("authorization", &bearer)]).await;
    socket.init(json!({})).await;
    socket.subscribe("a", "{ whoami }").await;
    assert_eq!(socket.receive().await["payload"]["data"]["whoami"], TOKEN);
}

#[tokio::test]
async fn an_invalid_operation_is_an_error_and_not_a_result() {
    let server = Server::start().await;
    let mut socket = Socket::open(&server).await;
    socket.init(json!({})).await;
    let deep = "{ a".repeat(200);
    for (query, code) in [
        ("subscription {", "BAD_USER_INPUT"),
        ("{ nothing }", "BAD_USER_INPUT"),
        ("subscription { nothing }", "BAD_USER_INPUT"),
        ("subscription { count(to: \"x\") }", "BAD_USER_INPUT"),
        ("subscription { denied }", "UNAUTHENTICATED"),
        ("{ boom }", "INTERNAL"),
        (deep.as_str(), "BAD_USER_INPUT"),
    ] {
        // The same id each time: an error ends the operation, so that no `complete` follows.
        socket.subscribe("a", query).await;
        let error = socket.receive().await;
        assert_eq!(
            (&error["type"], &error["id"]),
            (&json!("error"), &json!("a")),
            "{query}: {error}"
        );
        assert_eq!(
            error["payload"][0]["extensions"]["code"], code,
            "{query}: {error}"
        );
    }
    socket.subscribe("a", "{ hello }").await;
    assert_eq!(socket.receive().await["type"], "next");
}

#[tokio::test]
async fn an_event_that_fails_does_not_end_the_stream_but_a_panic_does() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server).await;
    socket.subscribe("a", "subscription { hiccup }").await;
    let failed = socket.receive().await;
    assert_eq!(
        (&failed["type"], failed["payload"]["errors"].is_array()),
        (&json!("next"), true),
        "{failed}"
    );
    assert_eq!(
        socket.receive().await["payload"],
        json!({ "data": { "hiccup": 2 } })
    );
    assert_eq!(socket.receive().await["type"], "complete");
    socket.subscribe("b", "subscription { boom }").await;
    assert_eq!(
        socket.receive().await["payload"],
        json!({ "data": { "boom": 1 } })
    );
    let error = socket.receive().await;
    assert_eq!(error["payload"][0]["extensions"]["code"], "INTERNAL");
    assert!(
        error["payload"][0]["extensions"]["traceId"].is_string() && !error.to_string().contains("secret")
    );
}

#[tokio::test]
async fn complete_from_the_client_cancels_and_frees_the_id() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server).await;
    socket.subscribe("a", "subscription { feed }").await;
    becomes(&server.world.subscriptions, 1).await;
    socket.send(json!({ "type": "complete", "id": "a" })).await;
    becomes(&server.world.subscriptions, 0).await;
    server.world.news.send_replace(1);
    // Unknown ids are ignored; whoever is late must not lose the connection.
    socket.send(json!({ "type": "complete", "id": "a" })).await;
    socket.subscribe("a", "{ hello }").await;
    assert_eq!(
        socket.receive().await["payload"],
        json!({ "data": { "hello": "world" } })
    );
}

#[tokio::test]
async fn after_complete_nothing_of_the_operation_is_written_any_more() {
    let server = Server::limited(HttpLimits {
        max_queued_messages: 2,
        ..HttpLimits::default()
    })
    .await;
    let mut socket = Socket::ready(&server).await;
    socket.subscribe("a", "subscription { flood }").await;
    assert_eq!(socket.receive().await["id"], "a");
    socket.send(json!({ "type": "complete", "id": "a" })).await;
    socket.subscribe("a", "{ hello }").await;
    // What was written before the server read `complete` still arrives; the new operation comes after it and
    // nothing of the old one after that.
    let hello = json!({ "data": { "hello": "world" } });
    while socket.receive().await["payload"] != hello {}
    assert_eq!(socket.receive().await, json!({ "type": "complete", "id": "a" }));
    becomes(&server.world.subscriptions, 0).await;
}

#[tokio::test]
async fn a_ping_is_answered_with_its_payload_also_before_the_start() {
    let server = Server::start().await;
    let mut socket = Socket::open(&server).await;
    socket.send(json!({ "type": "ping" })).await;
    assert_eq!(socket.receive().await, json!({ "type": "pong" }));
    socket
        .send(json!({ "type": "pong", "payload": { "x": 1 } }))
        .await;
    socket
        .send(json!({ "type": "ping", "payload": { "n": [1] } }))
        .await;
    assert_eq!(
        socket.receive().await,
        json!({ "type": "pong", "payload": { "n": [1] } })
    );
}

#[tokio::test]
async fn one_operation_more_than_the_limit_is_an_error_and_the_others_go_on() {
    let server = Server::limited(HttpLimits {
        max_operations: 1,
        ..HttpLimits::default()
    })
    .await;
    let mut socket = Socket::ready(&server).await;
    socket.subscribe("a", "subscription { feed }").await;
    socket.subscribe("b", "{ hello }").await;
    let error = socket.receive().await;
    assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("b")));
    assert_eq!(error["payload"][0]["extensions"]["code"], "OVERLOADED");
    becomes(&server.world.subscriptions, 1).await;
    server.world.news.send_replace(5);
    assert_eq!(
        socket.receive().await["payload"],
        json!({ "data": { "feed": 5 } })
    );
}

#[tokio::test]
async fn a_foreign_host_or_origin_gets_no_connection() {
    let policy = HostPolicy {
        hosts: Vec::new(),
        origins: vec!["https://admin.example".into()],
    };
    let server = Server::with(HttpLimits::default(), policy).await;
    let protocol = ("sec-websocket-protocol", "graphql-transport-ws");
    for (header, value, status) in [
        ("origin", "http://evil.example", 403),
        ("origin", "null", 403),
        ("host", "evil.example", 421),
        ("sec-websocket-version", "12", 400),
    ] {
        let attempt = Socket::attempt(&server, &[protocol, (header, value)]).await;
        assert_eq!(attempt.err(), Some(status), "{header}: {value}");
    }
    let own = format!("http://{}", server.address);
    for origin in [own.as_str(), "https://admin.example"] {
        assert!(
            Socket::attempt(&server, &[protocol, ("origin", origin)])
                .await
                .is_ok(),
            "{origin}"
        );
    }
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_gone() {
    let server = Server::limited(HttpLimits {
        keep_alive: Duration::from_millis(20),
        ..HttpLimits::default()
    })
    .await;
    let mut socket = Socket::ready(&server).await;
    // The client library answers a ping only while it is being read, so not reading is silence.
    socket.subscribe("a", "subscription { feed }").await;
    becomes(&server.world.subscriptions, 1).await;
    becomes(&server.world.subscriptions, 0).await;
    assert_eq!(
        socket.closed().await,
        (1013, "No sign of life from the client".into())
    );
}

#[tokio::test]
async fn a_client_that_answers_pings_stays() {
    let server = Server::limited(HttpLimits {
        keep_alive: Duration::from_millis(400),
        ..HttpLimits::default()
    })
    .await;
    let mut socket = Socket::ready(&server).await;
    // A silent client would be closed with the third.
    for _ in 0..4 {
        let frame = within(socket.0.next()).await.expect("open").expect("a frame");
        assert!(frame.is_ping(), "{frame:?}");
    }
}
