//! GraphQL over server-sent events.

use std::time::Duration;

use docket::http::HttpLimits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    client::{Ask, Reply, Server, becomes, within},
    toy::TOKEN,
};

const NEXT: &str = "event: next\ndata: ";
const COMPLETE: &str = "event: complete\ndata: \n\n";

/// An open stream and what came of it so far.
struct Events {
    stream: TcpStream,
    seen: String,
}

impl Events {
    async fn open(server: &Server, query: &str, token: &str) -> Events {
        let ask = Ask::query(query)
            .header("accept", "text/event-stream")
            .header("authorization", token);
        let mut stream = server.connect().await;
        stream
            .write_all(&ask.bytes(server.address))
            .await
            .expect("the server reads");
        Events {
            stream,
            seen: String::new(),
        }
    }

    async fn until(&mut self, text: &str) -> &str {
        while !self.seen.contains(text) {
            let mut buffer = [0; 64 * 1024];
            let read = within(self.stream.read(&mut buffer))
                .await
                .expect("the connection is open");
            assert_ne!(read, 0, "ended before {text:?}: {}", self.seen);
            self.seen += std::str::from_utf8(&buffer[..read]).expect("ASCII");
        }
        &self.seen
    }

    async fn read_on(mut self) -> String {
        let mut rest = String::new();
        within(self.stream.read_to_string(&mut rest))
            .await
            .expect("the end");
        self.seen + &rest
    }
}

async fn all(server: &Server, ask: Ask) -> Reply {
    server.ask(ask.header("accept", "text/event-stream")).await
}

#[tokio::test]
async fn a_subscription_is_next_events_and_complete() {
    let server = Server::start().await;
    let get = "query=subscription(%24n%3AInt!)%7Bcount(to%3A%24n)%7D&variables=%7B%22n%22%3A2%7D";
    for ask in [Ask::query("subscription { count(to: 2) }"), Ask::get(get)] {
        let reply = all(&server, ask).await;
        assert_eq!(reply.status, 200);
        assert_eq!(
            reply.header("content-type"),
            Some("text/event-stream; charset=utf-8")
        );
        let positions = [
            reply.body.find(":\n\n"),
            reply
                .body
                .find(&format!("{NEXT}{{\"data\":{{\"count\":1}}}}\n\n")),
            reply
                .body
                .find(&format!("{NEXT}{{\"data\":{{\"count\":2}}}}\n\n")),
            reply.body.find(COMPLETE),
        ];
        assert!(
            positions.iter().all(Option::is_some) && positions.is_sorted(),
            "{reply:?}"
        );
    }
}

#[tokio::test]
async fn a_query_and_a_mutation_are_one_event() {
    let server = Server::start().await;
    let reply = all(&server, Ask::query("{ hello }")).await;
    assert_eq!(reply.body.matches(NEXT).count(), 1, "{reply:?}");
    assert!(reply.body.contains(COMPLETE));
    let reply = all(&server, Ask::query("mutation { add }")).await;
    assert!(reply.body.contains("{\"data\":{\"add\":1}}"), "{reply:?}");
}

#[tokio::test]
async fn an_operation_that_is_refused_is_one_event_with_errors() {
    let server = Server::start().await;
    let deep = "{ a".repeat(200);
    for (query, code) in [
        ("subscription {", "BAD_USER_INPUT"),
        ("subscription { nothing }", "BAD_USER_INPUT"),
        ("subscription { denied }", "UNAUTHENTICATED"),
        (deep.as_str(), "BAD_USER_INPUT"),
    ] {
        let reply = all(&server, Ask::query(query)).await;
        assert_eq!(
            (reply.status, reply.body.matches(NEXT).count()),
            (200, 1),
            "{query}: {reply:?}"
        );
        assert!(
            reply.body.contains(&format!("\"code\":\"{code}\"")),
            "{query}: {reply:?}"
        );
        assert!(
            reply.body.contains(COMPLETE) && !reply.body.contains("\"data\""),
            "{query}: {reply:?}"
        );
    }
}

#[tokio::test]
async fn what_is_refused_before_graphql_is_a_status() {
    let server = Server::start().await;
    let forged = Ask::query("subscription { count(to: 1) }").header("authorization", "Bearer forged");
    assert_eq!(all(&server, forged).await.status, 401);
    assert_eq!(
        all(&server, Ask::get("query=mutation%7Badd%7D")).await.status,
        405
    );
    assert_eq!(all(&server, Ask::post("{")).await.status, 400);
    assert_eq!(
        all(
            &server,
            Ask::query("{ hello }").header("content-type", "text/plain")
        )
        .await
        .status,
        415
    );
    assert_eq!(
        all(
            &server,
            Ask::query("{ hello }").header("origin", "http://evil.example")
        )
        .await
        .status,
        403
    );
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_subscription() {
    let server = Server::start().await;
    let mut events = Events::open(&server, "subscription { feed }", "").await;
    becomes(&server.world.subscriptions, 1).await;
    server.world.news.send_replace(7);
    events.until("{\"data\":{\"feed\":7}}").await;
    drop(events);
    becomes(&server.world.subscriptions, 0).await;
}

#[tokio::test]
async fn an_idle_stream_shows_signs_of_life() {
    let server = Server::limited(HttpLimits {
        keep_alive: Duration::from_millis(10),
        ..HttpLimits::default()
    })
    .await;
    let mut events = Events::open(&server, "subscription { feed }", "").await;
    // The first comment opens the stream; each is a chunk of three bytes.
    events.until("3\r\n:\n\n\r\n3\r\n:\n\n\r\n3\r\n:\n\n\r\n").await;
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_its_subscription_with_a_reason() {
    let limits = HttpLimits {
        write_timeout: Duration::from_millis(50),
        max_queued_messages: 2,
        ..HttpLimits::default()
    };
    let server = Server::limited(limits).await;
    let events = Events::open(&server, "subscription { flood }", "").await;
    becomes(&server.world.subscriptions, 1).await;
    // Ended by the server, though the client has not read a byte and is still there.
    becomes(&server.world.subscriptions, 0).await;
    let seen = events.read_on().await;
    let reason = seen.rfind("\"code\":\"OVERLOADED\"").expect("a reason");
    assert!(seen.rfind(COMPLETE).is_some_and(|complete| complete > reason));
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let server = Server::start().await;
    let expired = Events::open(&server, "subscription { feed }", "Bearer short")
        .await
        .read_on()
        .await;
    assert!(
        expired.contains("\"code\":\"UNAUTHENTICATED\"") && expired.contains(COMPLETE),
        "{expired}"
    );
    becomes(&server.world.subscriptions, 0).await;
}

#[tokio::test]
async fn on_shutdown_the_stream_ends_without_complete() {
    let server = Server::start().await;
    let events = Events::open(&server, "subscription { feed }", &format!("Bearer {TOKEN}")).await;
    becomes(&server.world.subscriptions, 1).await;
    server.stop.cancel();
    let seen = events.read_on().await;
    assert!(
        seen.ends_with("0\r\n\r\n") && !seen.contains("complete"),
        "{seen}"
    );
    within(server.drain.drained()).await;
    assert_eq!(server.drain.open(), 0);
}

#[tokio::test]
async fn one_stream_more_than_the_limit_is_turned_away() {
    let server = Server::limited(HttpLimits {
        max_live_connections: 1,
        ..HttpLimits::default()
    })
    .await;
    let _first = Events::open(&server, "subscription { feed }", "").await;
    becomes(&server.world.subscriptions, 1).await;
    let refused = all(&server, Ask::query("subscription { feed }")).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "OVERLOADED"));
}
