//! graphql-transport-ws: every close code, and what ends with the connection.

use std::{sync::atomic::Ordering, time::Duration};

use docket::http::HttpLimits;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Server, Socket, becomes, within};

#[tokio::test]
async fn a_message_that_is_none_is_4400() {
    let server = Server::start().await;
    let messages = [
        Message::text(""),
        Message::text("hello"),
        Message::text("{"),
        Message::text("null"),
        Message::text("[\"ping\"]"),
        Message::text("{}"),
        Message::text(r#"{"type":"start"}"#),
        Message::text(r#"{"type":7}"#),
        Message::text(r#"{"type":"connection_init","payload":7}"#),
        Message::text(r#"{"type":"ping","payload":[]}"#),
        Message::text(r#"{"type":"subscribe"}"#),
        Message::text(r#"{"type":"subscribe","id":"","payload":{"query":"{hello}"}}"#),
        Message::text(r#"{"type":"subscribe","id":7,"payload":{"query":"{hello}"}}"#),
        Message::text(r#"{"type":"subscribe","id":"a","payload":{"query":7}}"#),
        Message::text(r#"{"type":"subscribe","id":"a","payload":{"query":"{hello}","variables":7}}"#),
        Message::text(r#"{"type":"complete"}"#),
        Message::text(r#"{"type":"connection_ack"}"#),
        Message::binary(br#"{"type":"ping"}"#.to_vec()),
    ];
    for message in messages {
        let mut socket = Socket::ready(&server).await;
        socket.send_raw(message.clone()).await;
        let (code, reason) = socket.closed().await;
        assert_eq!(code, 4400, "{message:?}");
        assert!(reason.starts_with("Invalid message: "), "{reason}");
    }
}

#[tokio::test]
async fn an_operation_before_the_start_is_4401() {
    let server = Server::start().await;
    let mut socket = Socket::open(&server).await;
    socket.subscribe("a", "mutation { add }").await;
    assert_eq!(socket.closed().await, (4401, "Unauthorized".into()));
    assert_eq!(server.world.mutations.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_4403() {
    let server = Server::start().await;
    let payloads = [
        json!({ "token": "forged" }),
        json!({ "token": 7 }),
        json!({ "token": "" }),
        json!({ "authorization": "Bearer forged" }),
        json!({ "authorization": "good" }),
        json!({ "Authorization": ["Bearer good"] }),
    ];
    for payload in payloads {
        let mut socket = Socket::open(&server).await;
        socket
            .send(json!({ "type": "connection_init", "payload": payload }))
            .await;
        let (code, reason) = socket.closed().await;
        assert_eq!((code, reason.starts_with("Forbidden")), (4403, true), "{payload}");
    }
    let headers = [
        ("sec-websocket-protocol", "graphql-transport-ws"),
        ("authorization", "Bearer forged"),
    ];
    let mut socket = Socket::with(&server, &headers).await;
    socket.send(json!({ "type": "connection_init" })).await;
    assert_eq!(socket.closed().await.0, 4403);
}

#[tokio::test]
async fn a_token_that_cannot_be_checked_is_1013() {
    let server = Server::start().await;
    for token in ["down", "panic"] {
        let mut socket = Socket::open(&server).await;
        socket
            .send(json!({ "type": "connection_init", "payload": { "token": token } }))
            .await;
        assert_eq!(socket.closed().await.0, 1013, "{token}");
    }
}

#[tokio::test]
async fn another_subprotocol_or_none_is_4406() {
    let server = Server::start().await;
    for headers in [
        &[][..],
        &[("sec-websocket-protocol", "graphql-ws")],
        &[("sec-websocket-protocol", "a, b")],
    ] {
        let mut socket = Socket::with(&server, headers).await;
        assert_eq!(socket.closed().await.0, 4406, "{headers:?}");
    }
}

#[tokio::test]
async fn no_start_in_time_is_4408() {
    let limits = HttpLimits {
        connection_init_timeout: Duration::from_millis(400),
        ..HttpLimits::default()
    };
    let server = Server::limited(limits).await;
    let mut socket = Socket::open(&server).await;
    // Talking is not starting.
    socket.send(json!({ "type": "ping" })).await;
    assert_eq!(
        socket.closed().await,
        (4408, "Connection initialisation timeout".into())
    );
    let mut started = Socket::ready(&server).await;
    let mut late = Socket::open(&server).await;
    assert_eq!(late.closed().await.0, 4408);
    started.subscribe("a", "{ hello }").await;
    assert_eq!(started.receive().await["type"], "next");
}

#[tokio::test]
async fn an_id_that_is_in_use_is_4409_and_ends_what_ran() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server).await;
    socket.subscribe("a", "subscription { feed }").await;
    becomes(&server.world.subscriptions, 1).await;
    socket.subscribe("a", "{ hello }").await;
    assert_eq!(
        socket.closed().await,
        (4409, "Subscriber for a already exists".into())
    );
    becomes(&server.world.subscriptions, 0).await;
}

#[tokio::test]
async fn a_second_start_is_4429() {
    let server = Server::start().await;
    let mut socket = Socket::ready(&server).await;
    socket.send(json!({ "type": "connection_init" })).await;
    assert_eq!(
        socket.closed().await,
        (4429, "Too many initialisation requests".into())
    );
}

#[tokio::test]
async fn a_message_over_the_limit_is_1009() {
    let server = Server::limited(HttpLimits {
        max_body_bytes: 64 * 1024,
        ..HttpLimits::default()
    })
    .await;
    for size in [64 * 1024 + 1, 1024 * 1024] {
        let mut socket = Socket::ready(&server).await;
        socket.send_raw(Message::text("x".repeat(size))).await;
        assert_eq!(socket.closed().await.0, 1009, "{size}");
    }
    let mut socket = Socket::ready(&server).await;
    socket
        .send_raw(Message::text(format!(
            "{}{}",
            json!({ "type": "ping" }),
            " ".repeat(60 * 1024)
        )))
        .await;
    assert_eq!(socket.receive().await, json!({ "type": "pong" }));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_1013_and_its_operations_end() {
    let limits = HttpLimits {
        write_timeout: Duration::from_millis(50),
        close_grace: Duration::from_millis(50),
        slow_grace: Duration::from_secs(20),
        max_queued_messages: 2,
        ..HttpLimits::default()
    };
    let server = Server::limited(limits).await;
    let mut socket = Socket::ready(&server).await;
    socket.subscribe("a", "subscription { flood }").await;
    becomes(&server.world.subscriptions, 1).await;
    // Ended by the server, though the client has not read a byte and is still there.
    becomes(&server.world.subscriptions, 0).await;
    // It reads on later than an ordinary close waits.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (code, reason) = socket.closed().await;
    assert_eq!(
        (code, reason.contains("not read in time")),
        (1013, true),
        "{reason}"
    );
}

#[tokio::test]
async fn the_connection_ends_with_its_token() {
    let server = Server::start().await;
    let mut socket = Socket::open(&server).await;
    socket.init(json!({ "token": "short" })).await;
    socket.subscribe("a", "subscription { feed }").await;
    let (code, reason) = socket.closed().await;
    assert_eq!(
        (code, reason.as_str()),
        (4403, "Forbidden: the token no longer holds")
    );
    becomes(&server.world.subscriptions, 0).await;
}

#[tokio::test]
async fn a_token_that_is_taken_back_ends_the_connection_at_the_next_check() {
    let limits = HttpLimits {
        token_recheck: Duration::from_millis(10),
        ..HttpLimits::default()
    };
    let server = Server::limited(limits).await;
    let mut socket = Socket::open(&server).await;
    socket.init(json!({ "token": "revocable" })).await;
    socket.subscribe("a", "subscription { feed }").await;
    becomes(&server.world.subscriptions, 1).await;
    server.world.news.send_replace(1);
    assert_eq!(socket.receive().await["type"], "next");
    server.world.revoked.store(true, Ordering::SeqCst);
    assert_eq!(socket.closed().await.0, 4403);
}

#[tokio::test]
async fn on_shutdown_connections_are_told_and_waited_for() {
    let server = Server::start().await;
    let mut waiting = Socket::open(&server).await;
    let mut open = Socket::ready(&server).await;
    open.subscribe("a", "subscription { feed }").await;
    becomes(&server.world.subscriptions, 1).await;
    assert_eq!(server.drain.open(), 2);
    server.stop.cancel();
    let gone = (1001, "The server is going away".to_owned());
    assert_eq!(
        (waiting.closed().await, open.closed().await),
        (gone.clone(), gone)
    );
    drop((waiting, open));
    within(server.drain.drained()).await;
    assert_eq!(
        (*server.world.subscriptions.borrow(), server.drain.open()),
        (0, 0)
    );
}

#[tokio::test]
async fn a_check_that_hangs_does_not_hold_up_the_shutdown() {
    let server = Server::start().await;
    let mut socket = Socket::open(&server).await;
    socket
        .send(json!({ "type": "connection_init", "payload": { "token": "hang" } }))
        .await;
    socket.send(json!({ "type": "ping" })).await;
    server.stop.cancel();
    assert_eq!(socket.closed().await.0, 1001);
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_operations() {
    let server = Server::start().await;
    let mut polite = Socket::ready(&server).await;
    let mut abrupt = Socket::ready(&server).await;
    for socket in [&mut polite, &mut abrupt] {
        socket.subscribe("a", "subscription { feed }").await;
        socket.subscribe("b", "mutation { slow }").await;
    }
    becomes(&server.world.subscriptions, 2).await;
    becomes(&server.world.waiting, 2).await;
    polite.0.close(None).await.expect("closed");
    drop(abrupt);
    becomes(&server.world.subscriptions, 0).await;
    becomes(&server.world.waiting, 0).await;
}

#[tokio::test]
async fn one_connection_more_than_the_limit_is_503() {
    let server = Server::limited(HttpLimits {
        max_live_connections: 1,
        ..HttpLimits::default()
    })
    .await;
    let first: Socket = Socket::open(&server).await;
    let protocol = [("sec-websocket-protocol", "graphql-transport-ws")];
    assert_eq!(Socket::attempt(&server, &protocol).await.err(), Some(503));
    drop(first);
    let freed = async {
        while Socket::attempt(&server, &protocol).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    within(freed).await;
}

#[tokio::test]
async fn an_upgrade_that_is_broken_is_a_typed_400() {
    let server = Server::start().await;
    let ask = crate::client::Ask::get("").header("upgrade", "websocket");
    let reply = server.ask(ask).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "BAD_USER_INPUT"));
    assert_ne!(reply.json()["errors"][0]["message"], Value::Null);
}
