//! GraphQL over HTTP: what is turned away before GraphQL, each with its status and a typed error.

use std::time::Duration;

use docket::http::{HostPolicy, HttpLimits, PATH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Ask, Server, within};

async fn refused(server: &Server, ask: Ask, status: u16, what: &str) {
    let reply = server.ask(ask).await;
    assert_eq!(reply.status, status, "{what}: {reply:?}");
    assert!(
        reply.json()["errors"][0]["message"].is_string(),
        "{what}: {reply:?}"
    );
    assert_ne!(reply.code(), "none", "{what}: {reply:?}");
    assert_eq!(server.graphql("{ hello }").await.status, 200, "after {what}");
}

#[tokio::test]
async fn only_json_in_utf8_is_read() {
    let server = Server::start().await;
    for content_type in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "application/graphql-response+json",
        "application/json; charset=utf-16",
        "application/jsonp",
    ] {
        let ask = Ask::query("mutation { add }").header("content-type", content_type);
        refused(&server, ask, 415, content_type).await;
    }
    refused(
        &server,
        Ask::query("{ hello }").header("content-encoding", "gzip"),
        415,
        "gzip",
    )
    .await;
    for content_type in ["Application/JSON", "application/json;charset=\"UTF-8\""] {
        let reply = server
            .ask(Ask::query("{ hello }").header("content-type", content_type))
            .await;
        assert_eq!(reply.status, 200, "{content_type}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_request_is_400() {
    let server = Server::start().await;
    let deep = format!(
        r#"{{"query":"{{hello}}","variables":{{"a":{}}}}}"#,
        "[".repeat(100_000)
    );
    for body in [
        "",
        " ",
        "null",
        "7",
        "\"{ hello }\"",
        "{ not json",
        "{}",
        r#"{"query":7}"#,
        r#"{"query":null}"#,
        r#"{"query":"{hello}","variables":"x"}"#,
        r#"{"query":"{hello}","variables":[]}"#,
        r#"{"query":"{hello}","extensions":7}"#,
        r#"{"query":"{hello}","operationName":{}}"#,
        r#"{"query":"{hello}"} {"query":"{hello}"}"#,
        r#"{"query":"\ud800"}"#,
        r#"[{"query":"{hello}"}]"#,
        r#" ["{hello}"]"#,
        "[]",
        deep.as_str(),
    ] {
        refused(&server, Ask::post(body), 400, &body[..body.len().min(60)]).await;
    }
    refused(
        &server,
        Ask::post(b"{\"query\":\"\xff\"}".to_vec()),
        400,
        "bytes that are no UTF-8",
    )
    .await;
    for parameters in [
        "",
        "variables=%7B%7D",
        "query=%7Bhello%7D&variables=x",
        "query=a&query=b",
    ] {
        refused(&server, Ask::get(parameters), 400, parameters).await;
    }
}

#[tokio::test]
async fn a_document_is_measured_before_it_is_parsed() {
    let server = Server::start().await;
    let aliases: String = (0..10_000).map(|n| format!("a{n}:hello ")).collect();
    let types = format!("query($a: {}Int{}) {{ hello }}", "[".repeat(90), "]".repeat(90));
    for query in [
        format!("{{ {aliases} }}"),
        "{a".repeat(300_000),
        format!("{{ echo(text: {}", "[".repeat(300_000)),
        types,
    ] {
        let reply = server.graphql(&query).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, "BAD_USER_INPUT"),
            "{}",
            &query[..20]
        );
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_even_when_the_client_writes_all_of_it_first() {
    let server = Server::start().await;
    for mebibytes in [1, 10, 32] {
        let body = vec![b' '; mebibytes * 1024 * 1024 + 1];
        let head = Ask::post(body).bytes(server.address);
        let mut stream = server.connect().await;
        let (mut reading, mut writing) = stream.split();
        let mut answer = [0; 12];
        // A body over what is thrown away may be cut; its writer then fails and the answer still comes.
        let (_, read) =
            within(async { tokio::join!(writing.write_all(&head), reading.read_exact(&mut answer)) }).await;
        read.expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 413", "{mebibytes} MiB");
    }
    refused(
        &server,
        Ask::post(vec![b' '; 1024 * 1024 + 1]),
        413,
        "one byte more",
    )
    .await;
    refused(
        &server,
        Ask::post(vec![b' '; 1024 * 1024]),
        400,
        "exactly the limit",
    )
    .await;
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_before_it_writes() {
    let server = Server::start().await;
    let ask = Ask::new("POST", PATH).header("content-type", "application/json");
    let ask = ask
        .header("content-length", "10485760")
        .header("expect", "100-continue");
    refused(&server, ask, 413, "expect").await;
}

#[tokio::test]
async fn a_chunked_body_has_the_same_limit() {
    let server = Server::start().await;
    let ask = Ask::new("POST", PATH).header("content-type", "application/json");
    let mut stream = server.connect().await;
    let mut bytes = ask.header("transfer-encoding", "chunked").bytes(server.address);
    for _ in 0..17 {
        bytes.extend_from_slice(b"10000\r\n");
        bytes.extend_from_slice(&vec![b' '; 0x10000]);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    stream.write_all(&bytes).await.expect("the server reads on");
    let mut answer = Vec::new();
    within(stream.read_to_end(&mut answer)).await.expect("an answer");
    assert!(
        answer.starts_with(b"HTTP/1.1 413"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_408() {
    let limits = HttpLimits {
        body_timeout: Duration::from_millis(20),
        ..HttpLimits::default()
    };
    let server = Server::limited(limits).await;
    let ask = Ask::new("POST", PATH)
        .header("content-type", "application/json")
        .header("content-length", "9");
    let reply = server.ask(ask).await;
    assert_eq!((reply.status, reply.code().as_str()), (408, "BAD_USER_INPUT"));
}

#[tokio::test]
async fn other_methods_are_405_and_unknown_media_types_406() {
    let server = Server::start().await;
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        let preflight = Ask::new(method, PATH).header("access-control-request-method", "POST");
        let reply = server.ask(preflight).await;
        assert_eq!(
            (reply.status, reply.header("allow")),
            (405, Some("GET, POST")),
            "{method}"
        );
        assert!(
            !reply.head.to_lowercase().contains("access-control-allow"),
            "{reply:?}"
        );
    }
    refused(
        &server,
        Ask::query("{ hello }").header("accept", "text/html"),
        406,
        "html",
    )
    .await;
    refused(
        &server,
        Ask::query("{ hello }").header("accept", "application/json;q=0"),
        406,
        "q=0",
    )
    .await;
}

#[tokio::test]
async fn a_foreign_host_is_421() {
    let policy = HostPolicy {
        hosts: vec!["shop.example".into()],
        origins: Vec::new(),
    };
    let server = Server::with(HttpLimits::default(), policy).await;
    for host in [
        "evil.example",
        "evil.example:80",
        "localhost.evil.example",
        "shop.example.evil",
        "",
    ] {
        refused(&server, Ask::query("{ hello }").header("host", host), 421, host).await;
    }
    let absolute =
        Ask::new("GET", "http://evil.example/graphql?query=%7Bhello%7D").header("host", "localhost");
    refused(&server, absolute, 421, "an absolute address").await;
    for host in [
        "localhost",
        "LocalHost:1",
        "[::1]:8080",
        "shop.example",
        "shop.example:8443",
    ] {
        assert_eq!(
            server
                .ask(Ask::query("{ hello }").header("host", host))
                .await
                .status,
            200,
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_foreign_origin_is_403() {
    let policy = HostPolicy {
        hosts: Vec::new(),
        origins: vec!["https://admin.example".into()],
    };
    let server = Server::with(HttpLimits::default(), policy).await;
    let from = |origin: &str| {
        Ask::query("{ hello }")
            .header("host", "localhost:8080")
            .header("origin", origin)
    };
    for origin in [
        "http://evil.example",
        "null",
        "http://localhost:3000",
        "https://admin.example.evil",
        "x",
    ] {
        refused(&server, from(origin), 403, origin).await;
    }
    for origin in [
        "http://localhost:8080",
        "https://localhost:8080",
        "https://admin.example",
    ] {
        assert_eq!(server.ask(from(origin)).await.status, 200, "{origin}");
    }
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let server = Server::start().await;
    for ask in [
        Ask::query("{ hello }"),
        Ask::new("PUT", PATH),
        Ask::get("").header("host", "evil.example"),
    ] {
        let reply = server.ask(ask).await;
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(
            reply
                .header("content-security-policy")
                .is_some_and(|policy| policy.contains("default-src 'none'"))
        );
    }
}
