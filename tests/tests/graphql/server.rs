//! The whole server over a socket: a token in, an answer out; health tells the truth while the database is away.

use docket::{
    auth::create_token,
    graphql::Rates,
    http::{Drain, HostPolicy, HttpLimits, Trusted},
    server::{Parts, app},
};
use docket_domain::Role;
use docket_event_store::{MasterKey, Store, StoreConfig, migrate};
use docket_projections::{Projections, ProjectionsConfig};
use docket_tests::{eventually, private_cluster};
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

struct Server {
    address: SocketAddr,
    token: String,
    stop: CancellationToken,
    drain: Drain,
}

impl Server {
    async fn start(store: Store) -> Server {
        let token = create_token(
            store.pool(),
            Role::Staff,
            "s-1",
            "test",
            Duration::from_secs(3_600),
        )
        .await
        .unwrap()
        .text;
        let projections = Projections::start(store.clone(), ProjectionsConfig::default())
            .await
            .unwrap();
        let stop = CancellationToken::new();
        let drain = Drain::new(stop.clone());
        let (limits, policy) = (HttpLimits::default(), HostPolicy::default());
        let app = app(Parts {
            store,
            projections,
            rebuilds: None,
            jwks: None,
            limits,
            rates: Rates::default(),
            trusted: Trusted::default(),
            policy,
            traces: None,
            development: true,
            stop: stop.clone(),
            drain: drain.clone(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move { axum::serve(listener, app).with_graceful_shutdown(stopped).await });
        Server {
            address,
            token,
            stop,
            drain,
        }
    }

    /// Status and body.
    async fn send(&self, head: &str, body: &str) -> (u16, String) {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let request = format!("{head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    async fn get(&self, path: &str, host: &str) -> (u16, String) {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: {host}"), "")
            .await
    }

    async fn ready(&self) -> (u16, Value) {
        let (status, body) = self.get("/readyz", "localhost").await;
        (status, serde_json::from_str(&body).unwrap())
    }

    async fn post(&self, query: &str) -> (u16, Value) {
        let head = format!(
            "POST /graphql HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             accept: application/graphql-response+json",
            self.token
        );
        let (status, body) = self.send(&head, &json!({"query": query}).to_string()).await;
        (
            status,
            serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")),
        )
    }
}

const CREATE: &str = "mutation { createOrder(input: {channel: \"web\", currency: \"EUR\", locale: \"de\",
    idempotencyKey: \"k\"}) { version userErrors { message } } }";

#[tokio::test(flavor = "multi_thread")]
async fn the_server_answers_and_recovers_when_the_database_comes_back() {
    let cluster = private_cluster().await;
    let db = cluster.database().await;
    migrate(&db.connect_options(), None).await.unwrap();
    let key = MasterKey::from_hex(&"5a".repeat(32)).unwrap();
    let store = Store::open(StoreConfig::new(db.connect_options(), key))
        .await
        .unwrap();
    let server = Server::start(store).await;

    let (status, answer) = server.post(CREATE).await;
    assert_eq!(
        (status, &answer["data"]["createOrder"]["version"]),
        (200, &json!(1)),
        "{answer}"
    );
    let (status, answer) = server.post("{ nothing }").await;
    assert_eq!(
        (status, &answer["errors"][0]["extensions"]["code"]),
        (400, &json!("BAD_USER_INPUT"))
    );
    let (status, _) = server
        .get("/graphql?query=%7B__typename%7D", "evil.example")
        .await;
    assert_eq!(status, 421);
    assert_eq!(server.get("/healthz", "10.0.0.1").await, (200, "ok\n".to_owned()));
    assert_eq!(server.get("/readyz", "evil.example").await.0, 421);
    assert_eq!(server.get("/metrics", "localhost").await.0, 404);
    let until = Duration::from_secs(20);
    eventually(until, async || (server.ready().await.0 == 200).then_some(())).await;

    let lock = cluster.hold_down();
    cluster.kill_9_postgres();
    eventually(until, async || (server.ready().await.0 == 503).then_some(())).await;
    let (_, seen) = server.ready().await;
    assert_eq!(
        (&seen["ready"], &seen["database"]),
        (&json!(false), &json!(false))
    );
    assert!(
        seen["reasons"][0]
            .as_str()
            .is_some_and(|reason| reason.contains("database")),
        "{seen}"
    );
    assert_eq!(server.get("/healthz", "localhost").await.0, 200);
    for query in [
        CREATE,
        "{ orders { edges { cursor } } }",
        "{ events(partition: 0) { endCursor } }",
    ] {
        let (_, answer) = server.post(query).await;
        if let Some(code) = answer["errors"][0]["extensions"]["code"].as_str() {
            assert!(["UNAVAILABLE", "OUTCOME_UNKNOWN"].contains(&code), "{answer}");
        }
    }
    drop(lock);
    cluster.wait_until_up().await;
    eventually(until, async || (server.ready().await.0 == 200).then_some(())).await;
    let (status, answer) = server.post(CREATE).await;
    assert_eq!(
        (status, &answer["data"]["createOrder"]["version"]),
        (200, &json!(1)),
        "{answer}"
    );

    server.stop.cancel();
    tokio::time::timeout(until, server.drain.drained()).await.unwrap();
    cluster.remove().await;
}
