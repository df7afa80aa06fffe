//! What never was a GraphQL request: methods, media types, hosts, headers, sizes, and bodies that come slowly or not.

use crate::shop::{Shop, create, key};
use docket_tests::server::{Ask, deadline, mutation};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn only_a_json_post_changes_anything() {
    let shop = Shop::open().await;
    let before = shop.written().await;
    let input = create("c-1");
    let good = || mutation("createOrder", input.clone());
    let get = "/graphql?query=mutation%7BcreateOrder(input%3A%7Bchannel%3A%22web%22%2Ccurrency%3A%22EUR%22%2Clocale%3A%22de%22%2CidempotencyKey%3A%22k%22%7D)%7Bversion%7D%7D";
    for (what, ask, status) in [
        ("a mutation by GET", Ask::new("GET", get), 405),
        ("text/plain", good().header("content-type", "text/plain"), 415),
        (
            "a form",
            good().header("content-type", "application/x-www-form-urlencoded"),
            415,
        ),
        (
            "multipart",
            good().header("content-type", "multipart/form-data; boundary=x"),
            415,
        ),
        ("no type", good().header("content-type", ""), 415),
        (
            "another charset",
            good().header("content-type", "application/json; charset=utf-16"),
            415,
        ),
        ("two types", good().and("content-type", "text/plain"), 415),
        ("compressed", good().header("content-encoding", "gzip"), 415),
        ("a batch", Ask::post(r#"[{"query":"{__typename}"}]"#), 400),
        ("an empty body", Ask::post(""), 400),
        ("no object", Ask::post("7"), 400),
        ("no query", Ask::post("{}"), 400),
        (
            "two queries",
            Ask::post(r#"{"query":"{__typename}","query":"{__typename}"}"#),
            400,
        ),
        ("no UTF-8", Ask::post(&b"{\"query\":\"\xff\"}"[..]), 400),
        (
            "a preflight",
            Ask::new("OPTIONS", "/graphql").header("origin", "https://evil.example"),
            403,
        ),
        ("another method", Ask::new("DELETE", "/graphql"), 405),
        (
            "an unacceptable answer",
            good().header("accept", "image/png"),
            406,
        ),
        ("ten megabytes", Ask::post(vec![b' '; 10_000_000]), 413),
        ("a foreign host", good().header("host", "evil.example"), 421),
        (
            "a host that looks like ours",
            good().header("host", "localhost.evil.example"),
            421,
        ),
        ("no host", good().header("host", ""), 421),
        (
            "a foreign origin",
            good().header("origin", "https://evil.example"),
            403,
        ),
        ("a sandboxed origin", good().header("origin", "null"), 403),
    ] {
        let reply = shop.staff.ask(ask).await;
        let code = reply.code();
        assert!(
            ["BAD_USER_INPUT", "FORBIDDEN"].contains(&code.as_str()),
            "{what}: {reply:?}"
        );
        assert_eq!(reply.status, status, "{what}: {reply:?}");
        assert!(
            !reply.head.to_ascii_lowercase().contains("access-control-"),
            "{what}: {reply:?}"
        );
    }
    for path in ["/readyz", "/graphql"] {
        let foreign = shop
            .staff
            .ask(Ask::new("GET", path).header("host", "evil.example"))
            .await;
        assert_eq!(
            (foreign.status, foreign.code().as_str()),
            (421, "FORBIDDEN"),
            "{path}"
        );
    }
    shop.unharmed(before).await;
}

#[tokio::test]
async fn a_websocket_from_a_foreign_page_is_refused() {
    let shop = Shop::open().await;
    let before = shop.written().await;
    for (headers, status) in [
        ([("host", "evil.example"), ("origin", "http://evil.example")], 421),
        ([("host", "localhost"), ("origin", "http://evil.example")], 403),
        ([("host", "localhost"), ("origin", "null")], 403),
    ] {
        assert_eq!(
            shop.staff.socket(&headers).await.err(),
            Some(status),
            "{headers:?}"
        );
    }
    // What a client of the right kind may still do wrong.
    let mut early = shop.staff.socket(&[]).await.unwrap();
    early.subscribe("1", "{__typename}", Value::Null).await;
    assert_eq!(early.next().await.unwrap_err().0, 4401);
    let mut wrong = shop.staff.socket(&[]).await.unwrap();
    wrong.send(json!(["connection_init"])).await;
    assert_eq!(wrong.next().await.unwrap_err().0, 4400);
    let mut forged = shop.staff.socket(&[]).await.unwrap();
    forged
        .send(json!({"type": "connection_init", "payload": {"token": "docket_forged"}}))
        .await;
    assert_eq!(forged.next().await.unwrap_err().0, 4403);
    let mut large = shop.staff.socket(&[]).await.unwrap();
    large
        .try_send(json!({"type": "ping", "payload": {"x": "x".repeat(2_000_000)}}))
        .await;
    // Cut off in the middle, it may see the connection reset before it reads why.
    let code = large.next().await.unwrap_err().0;
    assert!(code == 1009 || code == 0, "{code}");
    shop.unharmed(before).await;
}

#[tokio::test]
async fn a_thousand_headers_or_a_huge_one_are_refused() {
    let shop = Shop::open().await;
    let before = shop.written().await;
    let query = || Ask::operation("{__typename}", Value::Null);
    let many = (0..1_000).fold(query(), |ask, at| ask.and(&format!("x-{at}"), "x"));
    let huge = query().header("x-huge", &"x".repeat(2_000_000));
    let long = Ask::new("GET", format!("/graphql?query={}", "x".repeat(200_000)));
    for (what, ask) in [("many", many), ("huge", huge), ("a long address", long)] {
        // Refused in the words of HTTP, or cut off while it was still being sent.
        if let Ok(reply) = deadline(shop.staff.attempt(ask)).await {
            assert!((400..500).contains(&reply.status), "{what}: {reply:?}");
        }
    }
    for junk in [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"GET / HTTP/9.9\r\n\r\n", b"\0\0\0\0\r\n\r\n", b"POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}"] {
        let mut stream = TcpStream::connect(shop.server.address()).await.unwrap();
        stream.write_all(junk).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // An answer or the end; either comes at once.
        let _ = deadline(stream.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    shop.unharmed(before).await;
}

/// A body that does not come is given up, one that ends early is refused, and neither holds up anybody else.
#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let shop = Shop::open().await;
    let before = shop.written().await;
    let head = |length: usize| {
        format!(
            "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        )
    };
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(shop.server.address()).await.unwrap();
        stream.write_all(head(100).as_bytes()).await.unwrap();
        stream.write_all(b"{\"query\":").await.unwrap();
        slow.push(stream);
    }
    let started = Instant::now();
    let mut cut = TcpStream::connect(shop.server.address()).await.unwrap();
    cut.write_all(head(100).as_bytes()).await.unwrap();
    cut.shutdown().await.unwrap();
    let mut answer = String::new();
    // The connection is gone on one side, so an answer is a courtesy.
    let _ = deadline(cut.read_to_string(&mut answer)).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
        "{answer}"
    );

    shop.staff.mutate("createOrder", create("c-1")).await.data();
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "others waited for slow bodies"
    );
    let after = shop.written().await;
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1));
    for mut stream in slow {
        let mut answer = String::new();
        deadline(stream.read_to_string(&mut answer)).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 408") && answer.contains("BAD_USER_INPUT"),
            "{answer}"
        );
    }
    shop.unharmed(after).await;
}

/// More commands at once than can wait: some are told so, all others are done, and each is done once.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_is_answered_or_told_to_come_back() {
    let shop = Shop::open().await;
    let before = shop.written().await;
    let ask = |_| {
        let (client, input) = (shop.staff.clone(), create(&key()));
        tokio::spawn(async move { client.mutate("createOrder", input).await })
    };
    let mut done = 0;
    for reply in (0..400).map(ask).collect::<Vec<_>>() {
        let reply = reply.await.unwrap();
        match reply.code().as_str() {
            "none" => done += 1,
            "OVERLOADED" => {}
            other => panic!("{other}: {reply:?}"),
        }
    }
    let after = shop.written().await;
    assert_eq!((after.0 - before.0, after.1 - before.1), (done, done));
    shop.unharmed(after).await;
}
