//! The serving loop: connections that are too many, too slow, too talkative or deaf.

use std::time::Duration;

use docket::{
    http::{HostPolicy, HttpLimits, PATH},
    server::listen::{ListenLimits, MAX_HEAD_BYTES, MAX_HEADERS},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::client::{Ask, Server, becomes, within};

async fn limited(limits: ListenLimits) -> Server {
    Server::listening(HttpLimits::default(), HostPolicy::default(), limits).await
}

/// Everything until the end.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is an end as well.
    let _ = within(stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Asks once on a connection that stays open.
async fn ask_and_stay(server: &Server) -> TcpStream {
    let mut stream = server.connect().await;
    let ask = Ask::query("{ hello }").header("connection", "");
    stream
        .write_all(&ask.bytes(server.address))
        .await
        .expect("the server reads");
    let mut answer = [0; 12];
    within(stream.read_exact(&mut answer)).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    stream
}

#[tokio::test]
async fn one_connection_more_than_there_may_be_is_told_so_and_a_freed_place_is_used() {
    for (limits, what) in [
        (
            ListenLimits {
                connections: 3,
                ..ListenLimits::default()
            },
            "connections",
        ),
        (
            ListenLimits {
                connections_per_address: 3,
                ..ListenLimits::default()
            },
            "connections of one address",
        ),
    ] {
        let server = limited(limits).await;
        let mut taken = Vec::new();
        for _ in 0..3 {
            taken.push(ask_and_stay(&server).await);
        }
        for _ in 0..10 {
            let answer = rest(&mut server.connect().await).await;
            assert!(
                answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1"),
                "{answer}"
            );
            let body = answer.split("\r\n\r\n").nth(1).expect("a body");
            let body: Value = serde_json::from_str(body).expect("JSON");
            let extensions = &body["errors"][0]["extensions"];
            assert_eq!(extensions["code"], "OVERLOADED");
            assert_eq!(
                (&extensions["what"], &extensions["limit"]),
                (&what.into(), &3.into())
            );
        }
        taken.pop();
        let freed = async {
            while rest_of_ask(&server)
                .await
                .is_none_or(|answer| !answer.starts_with("HTTP/1.1 200"))
            {
                tokio::task::yield_now().await;
            }
        };
        within(freed).await;
    }
}

/// The answer to a query, where there is one.
async fn rest_of_ask(server: &Server) -> Option<String> {
    let mut stream = server.connect().await;
    stream
        .write_all(&Ask::query("{ hello }").bytes(server.address))
        .await
        .ok()?;
    Some(rest(&mut stream).await)
}

#[tokio::test]
async fn connections_of_a_proxy_are_not_counted_by_address() {
    let server = limited(ListenLimits {
        connections_per_address: 1,
        proxies: vec![[127, 0, 0, 1].into()],
        ..ListenLimits::default()
    })
    .await;
    let first = ask_and_stay(&server).await;
    let second = ask_and_stay(&server).await;
    drop((first, second));
}

#[tokio::test]
async fn headers_that_come_slowly_or_not_end_their_connection() {
    let server = limited(ListenLimits {
        head_timeout: Duration::from_millis(300),
        ..ListenLimits::default()
    })
    .await;
    let mut silent = server.connect().await;
    let mut idle = ask_and_stay(&server).await;
    let mut slow = server.connect().await;
    let dripping = async {
        slow.write_all(b"GET /graphql HTTP/1.1\r\nhost: localhost\r\n")
            .await
            .expect("open");
        // A header each time that the limit would end if it were counted from the last byte.
        while slow.write_all(b"x-a: b\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    within(dripping).await;
    for stream in [&mut silent, &mut idle] {
        rest(stream).await;
    }
    assert_eq!(server.graphql("{ hello }").await.status, 200);
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_loses_its_connection() {
    let server = limited(ListenLimits {
        stall_timeout: Duration::from_millis(300),
        connections: 1,
        ..ListenLimits::default()
    })
    .await;
    let mut deaf = server.connect().await;
    let ask = Ask::query("subscription { flood }").header("accept", "text/event-stream");
    deaf.write_all(&ask.bytes(server.address))
        .await
        .expect("the server reads");
    becomes(&server.world.subscriptions, 1).await;
    // It is still there and has read nothing; what it held is free again.
    becomes(&server.world.subscriptions, 0).await;
    let freed = async {
        while rest_of_ask(&server)
            .await
            .is_none_or(|answer| !answer.starts_with("HTTP/1.1 200"))
        {
            tokio::task::yield_now().await;
        }
    };
    within(freed).await;
    drop(deaf);
}

#[tokio::test]
async fn a_head_that_is_too_large_or_has_too_many_headers_is_431() {
    let server = Server::start().await;
    let query = || Ask::query("{ hello }");
    let own = query().bytes(server.address);
    let own = own.windows(2).filter(|window| window == b"\r\n").count() - 2;
    let headers = |count: usize| (0..count).fold(query(), |ask, at| ask.header(&format!("x-{at}"), "x"));
    for (what, ask, status) in [
        ("as many as there may be", headers(MAX_HEADERS - own), "200"),
        ("one header more", headers(MAX_HEADERS - own + 1), "431"),
        ("a thousand headers", headers(1_000), "431"),
        (
            "a long header",
            query().header("x-long", &"x".repeat(MAX_HEAD_BYTES - 1_000)),
            "200",
        ),
        (
            "a longer header",
            query().header("x-long", &"x".repeat(MAX_HEAD_BYTES)),
            "431",
        ),
        (
            "a long address",
            Ask::new("GET", format!("{PATH}?query={}", "x".repeat(MAX_HEAD_BYTES))),
            "431",
        ),
    ] {
        let mut stream = server.connect().await;
        stream
            .write_all(&ask.bytes(server.address))
            .await
            .expect("the server reads");
        let answer = rest(&mut stream).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{what}: {answer}"
        );
    }
}

#[tokio::test]
async fn what_is_in_flight_is_answered_when_the_server_stops() {
    let server = Server::start().await;
    let mut asking = server.connect().await;
    asking
        .write_all(&Ask::query("{ slow }").bytes(server.address))
        .await
        .expect("the server reads");
    let mut idle = ask_and_stay(&server).await;
    becomes(&server.world.waiting, 1).await;
    server.stop.cancel();
    // Who waits for nothing is let go at once.
    rest(&mut idle).await;
    server.world.gate.send_replace(true);
    let answer = rest(&mut asking).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("slow"),
        "{answer}"
    );
    assert!(
        TcpStream::connect(server.address).await.is_err(),
        "nobody listens"
    );
}
