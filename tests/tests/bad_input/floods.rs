//! Too many of everything at once: the server answers everybody else meanwhile, and its memory does not grow with them.

use crate::shop::{Shop, create};
use docket_tests::eventually;
use docket_tests::server::{Ask, deadline, mutation};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Far above what is seen after each flood, and below what a leak reaches.
const MOST_GROWTH_KIB: u64 = 100 * 1024;

async fn still_answers(shop: &Shop, before_kib: u64, what: &str) {
    shop.staff.mutate("createOrder", create("c-1")).await.data();
    let grown = shop.server.resident_kib().saturating_sub(before_kib);
    println!("{what}: {grown} KiB more");
    assert!(grown < MOST_GROWTH_KIB, "{what}: {grown} KiB more");
}

async fn open(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Everything until the end, which is also a reset.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = deadline(stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_connections_leaves_room_for_others() {
    let shop = Shop::with(&[
        ("DOCKET_LIMITS__CONNECTIONS_PER_ADDRESS", "100"),
        ("DOCKET_SERVER__PROXIES", "[]"),
    ])
    .await;
    let before_kib = shop.server.resident_kib();
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..2_000 {
        let mut stream = open(shop.server.address()).await;
        if held.len() < 90 {
            held.push(stream);
            continue;
        }
        // A few places are free; whoever gets one is cut off again by us.
        let mut answer = [0; 12];
        let told = tokio::time::timeout(Duration::from_millis(20), stream.read_exact(&mut answer)).await;
        refused += usize::from(matches!(told, Ok(Ok(_))) && &answer == b"HTTP/1.1 503");
        if refused == 0 {
            held.push(stream);
        }
    }
    assert!(refused > 1_000, "{refused} of 2,000 were refused");
    drop(held);
    let answers = async || {
        let reply = shop
            .staff
            .attempt(Ask::operation("{__typename}", Value::Null))
            .await;
        reply.is_ok_and(|reply| reply.status == 200).then_some(())
    };
    eventually(Duration::from_secs(20), answers).await;
    still_answers(&shop, before_kib, "connections").await;
    let before = shop.written().await;
    shop.unharmed(before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_callers_does_not_grow_memory() {
    let shop = Shop::open().await;
    let before_kib = shop.server.resident_kib();
    let asks = (0..20).map(|at| {
        let client = shop.server.client("");
        async move {
            for n in 0..100 {
                let forged = format!("docket_{:043}", at * 1_000 + n);
                let ask = Ask::operation("{__typename}", Value::Null)
                    .header("authorization", &format!("Bearer {forged}"));
                assert_eq!(client.ask(ask).await.code(), "UNAUTHENTICATED");
                let ask = Ask::operation("{__typename}", Value::Null)
                    .header("x-forwarded-for", &format!("10.0.{at}.{n}"));
                // Who says to come from elsewhere still comes from here.
                assert_eq!(client.ask(ask).await.code(), "none");
            }
        }
    });
    futures::future::join_all(asks).await;
    still_answers(&shop, before_kib, "callers").await;
    let before = shop.written().await;
    shop.unharmed(before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_subscriptions_ends_at_the_limits_of_a_connection_and_of_a_caller() {
    let shop = Shop::with(&[("DOCKET_LIMITS__RATES__STAFF__SUBSCRIPTIONS", "150")]).await;
    let before_kib = shop.server.resident_kib();
    let (mut sockets, mut running, mut refused) = (Vec::new(), 0, 0);
    for _ in 0..4 {
        let mut socket = shop.staff.socket(&[]).await.unwrap();
        socket.init(shop.staff.token()).await;
        for id in 0..100 {
            socket
                .subscribe(
                    &id.to_string(),
                    "subscription{ordersChanged{cursor}}",
                    Value::Null,
                )
                .await;
        }
        let mut answered = 0;
        while answered < 100 {
            let message = socket.next().await.unwrap();
            answered += 1;
            match message["type"].as_str().unwrap() {
                "next" => running += 1,
                "error" => {
                    assert_eq!(message["payload"][0]["extensions"]["code"], "OVERLOADED");
                    refused += 1;
                }
                other => panic!("{other}"),
            }
        }
        sockets.push(socket);
    }
    assert_eq!((running, refused), (150, 250));
    still_answers(&shop, before_kib, "subscriptions").await;
    drop(sockets);
    let again = async || {
        let mut stream = shop
            .staff
            .follow("subscription{ordersChanged{cursor}}", Value::Null)
            .await;
        stream.next().await?["data"].is_object().then_some(())
    };
    eventually(Duration::from_secs(20), again).await;
    let before = shop.written().await;
    shop.unharmed(before).await;
}

/// WebSockets that never say who they are, and some that say it byte by byte.
#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_that_never_begins_is_closed() {
    let shop = Shop::open().await;
    let before_kib = shop.server.resident_kib();
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(shop.staff.socket(&[]).await.unwrap());
    }
    let mut slow = open(shop.server.address()).await;
    let upgrade = "GET /graphql HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   sec-websocket-protocol: graphql-transport-ws\r\n\r\n";
    slow.write_all(upgrade.as_bytes()).await.unwrap();
    // A frame of 100 bytes, masked by nothing, that comes a byte at a time and never to its end.
    slow.write_all(&[0x81, 0x80 | 100, 0, 0, 0, 0]).await.unwrap();
    let dripping = async {
        while slow.write_all(b"{").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    deadline(dripping).await;
    for mut socket in silent {
        assert_eq!(socket.next().await.unwrap_err().0, 4408);
    }
    still_answers(&shop, before_kib, "websockets").await;
    let before = shop.written().await;
    shop.unharmed(before).await;
}

/// A head that comes slowly holds nobody up and is cut off; so is a client that asks without end and reads nothing.
#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_and_deaf_clients_are_cut_off() {
    let shop = Shop::open().await;
    let before_kib = shop.server.resident_kib();
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = open(shop.server.address()).await;
        stream
            .write_all(b"POST /graphql HTTP/1.1\r\nhost: localhost\r\nx-")
            .await
            .unwrap();
        slow.push(stream);
    }
    let ask = Ask::operation(
        "{__schema{types{name description fields{name description}}}}",
        Value::Null,
    )
    .header("connection", "");
    let bytes = shop.staff.signed(ask).bytes(shop.server.address());
    let mut deaf = Vec::new();
    for _ in 0..20 {
        let mut stream = open(shop.server.address()).await;
        // As many as it takes, until the server waits for somebody to read.
        for _ in 0..200 {
            let wrote = tokio::time::timeout(Duration::from_millis(50), stream.write_all(&bytes)).await;
            if !matches!(wrote, Ok(Ok(()))) {
                break;
            }
        }
        deaf.push(stream);
    }
    still_answers(&shop, before_kib, "slow heads and deaf clients").await;
    for mut stream in slow {
        let answer = rest(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    drop(deaf);
    let before = shop.written().await;
    shop.unharmed(before).await;
}

/// A request that two servers could take for two different ones is refused, and what follows it is never run.
#[tokio::test]
async fn a_request_that_could_hide_another_is_refused() {
    let shop = Shop::open().await;
    let before = shop.written().await;
    let hidden = mutation("createOrder", create("c-1"));
    let hidden = String::from_utf8(shop.staff.signed(hidden).bytes(shop.server.address())).unwrap();
    let length = hidden.len();
    let head = "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    for (what, request) in [
        (
            "a length and chunks",
            format!("{head}content-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        (
            "chunks and a length",
            format!("{head}transfer-encoding: chunked\r\ncontent-length: {length}\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        (
            "two lengths",
            format!("{head}content-length: 0\r\ncontent-length: {length}\r\n\r\n{hidden}"),
        ),
        (
            "a length with a sign",
            format!("{head}content-length: +0\r\n\r\n{hidden}"),
        ),
        (
            "chunks, not last",
            format!("{head}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        (
            "chunks by another name",
            format!("{head}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        (
            "a space before the colon",
            format!("{head}transfer-encoding : chunked\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        (
            "a folded header",
            format!("{head}x-a: b\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        (
            "a chunk size too large",
            format!("{head}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n{hidden}"),
        ),
        (
            "a chunk size with a sign",
            format!("{head}transfer-encoding: chunked\r\n\r\n-1\r\n\r\n{hidden}"),
        ),
        (
            "a NUL in a header",
            format!("{head}x-a: \0\r\ncontent-length: 0\r\n\r\n{hidden}"),
        ),
    ] {
        let mut stream = open(shop.server.address()).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{what}: {answer}"
        );
        assert!(!answer.contains("HTTP/1.1 200"), "{what}: {answer}");
        assert_eq!(shop.written().await, before, "{what}: what was hidden ran");
    }
    shop.unharmed(before).await;
}

/// A bomb that unpacks to gigabytes is never unpacked.
#[tokio::test]
async fn a_compressed_body_is_refused_unread() {
    let shop = Shop::open().await;
    let (before, before_kib) = (shop.written().await, shop.server.resident_kib());
    for encoding in ["gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip"] {
        let ask = Ask::post(vec![0x1f; 1_000_000]).header("content-encoding", encoding);
        let reply = shop.staff.ask(ask).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (415, "BAD_USER_INPUT"),
            "{encoding}"
        );
    }
    assert!(shop.server.resident_kib() < before_kib + MOST_GROWTH_KIB);
    shop.unharmed(before).await;
}

/// JSON that is legal by its grammar, and meant to hurt whoever reads it.
#[tokio::test]
async fn json_that_is_meant_to_hurt_is_refused_or_harmless() {
    let shop = Shop::open().await;
    let before = shop.written().await;
    let body = |rest: &str| format!("{{\"query\":\"{{__typename}}\",{rest}}}");
    let deep = |open: &str, close: &str| {
        format!(
            "\"variables\":{{\"x\":{}1{}}}",
            open.repeat(100_000),
            close.repeat(100_000)
        )
    };
    let keys: String = (0..40_000).map(|at| format!("\"k{at}\":0,")).collect();
    for (what, rest, code) in [
        ("nested lists", deep("[", "]"), "BAD_USER_INPUT"),
        ("nested objects", deep("{\"a\":", "}"), "BAD_USER_INPUT"),
        (
            "a number of 100,000 digits",
            format!("\"variables\":{{\"x\":{}}}", "9".repeat(100_000)),
            "BAD_USER_INPUT",
        ),
        (
            "a huge exponent",
            "\"variables\":{\"x\":1e999999999}".to_owned(),
            "BAD_USER_INPUT",
        ),
        (
            "two maps of variables",
            "\"variables\":{},\"variables\":{}".to_owned(),
            "BAD_USER_INPUT",
        ),
        (
            "half a surrogate",
            "\"operationName\":\"\\ud800\"".to_owned(),
            "BAD_USER_INPUT",
        ),
        (
            "a NUL in a name",
            "\"operationName\":\"\\u0000\"".to_owned(),
            "BAD_USER_INPUT",
        ),
        (
            "40,000 keys",
            format!("\"variables\":{{{}\"z\":0}}", keys),
            "none",
        ),
        (
            "keys nobody knows",
            "\"constructor\":{},\"__proto__\":{\"x\":1}".to_owned(),
            "none",
        ),
    ] {
        let reply = shop.staff.ask(Ask::post(body(&rest))).await;
        assert_eq!(reply.code(), code, "{what}: {:.300}", reply.body);
    }
    // The last of two equal keys within variables counts, as JavaScript has it; a whole number too large is no Int.
    let page = "query($n:Int){orders(first:$n){edges{cursor}}}";
    for (n, code) in [
        ("2147483648", "BAD_USER_INPUT"),
        ("-2147483649", "BAD_USER_INPUT"),
        ("1e400", "BAD_USER_INPUT"),
        ("1.5", "BAD_USER_INPUT"),
        ("1,\"n\":2", "none"),
    ] {
        let reply = shop
            .staff
            .ask(Ask::post(format!(
                "{{\"query\":\"{page}\",\"variables\":{{\"n\":{n}}}}}"
            )))
            .await;
        assert_eq!(reply.code(), code, "{n}: {reply:?}");
    }
    shop.unharmed(before).await;
}
