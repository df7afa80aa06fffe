//! What an operator sees of a server: every metric that it is documented to have and no other, one trace from a mutation
//! to the rows of each read model, and logs without anything personal.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use axum::{Router, body::Bytes, extract::State, routing::post};
use docket::server::METRICS;
use docket_domain::Role;
use docket_tests::database;
use docket_tests::server::{Ask, Client, Server, life, mutation, on, token};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use uuid::Uuid;

const WITHIN: Duration = Duration::from_secs(60);

/// Takes an order through its life; every step is done.
async fn live(client: &Client, order: Uuid) {
    for (name, input) in life(order, "ada", "by the door") {
        let reply = client.ask(mutation(name, input)).await;
        assert_eq!(reply.code(), "none", "{name}: {reply:?}");
    }
}

/// Where the server said that its metrics are.
fn metrics_of(server: &Server) -> SocketAddr {
    let said = server.said();
    let lines = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut addresses = lines.filter_map(|line| {
        let fields = line.get("fields")?;
        let told = fields.get("message")?.as_str()? == "metrics are served";
        told.then(|| fields.get("address")?.as_str()?.parse().ok())?
    });
    addresses.next().expect("the server says where its metrics are")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_has_the_metrics_that_are_documented_and_no_others() {
    let db = database().await;
    let server = Server::start(&db).await;
    let client = server.client(token(&db, Role::Staff, "desk").await);
    let order = Uuid::now_v7();
    live(&client, order).await;
    // A refusal, an error, and a query that waits for its position.
    let refused = mutation("placeOrder", json!({"order": order, "idempotencyKey": "again"}));
    assert_eq!(client.ask(refused).await.code(), "ILLEGAL_TRANSITION");
    let reply = client
        .ask(Ask::operation("{ order(id: \"x\") { id } }", json!({})))
        .await;
    assert_eq!(reply.code(), "BAD_USER_INPUT");
    // Turned away before anything was looked at: a token that is none, and a body that is no request.
    let stranger = server.client("nobody");
    let reply = stranger.ask(Ask::operation("{ __typename }", json!({}))).await;
    assert_eq!(reply.code(), "UNAUTHENTICATED");
    assert_eq!(client.ask(Ask::post("[]")).await.code(), "BAD_USER_INPUT");
    let ahead = "{ order(id: \"%\", minPosition: [{partition: 0, offset: \"1000000\"}]) { id } }";
    let reply = client
        .ask(Ask::operation(&ahead.replace('%', &order.to_string()), json!({})))
        .await;
    assert_eq!(reply.code(), "STALE");

    let metrics = Client::new(metrics_of(&server), "");
    let text = metrics.ask(Ask::new("GET", "/metrics")).await.body;
    let shown: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let documented: BTreeSet<&str> = METRICS.iter().map(|(name, ..)| *name).collect();
    // These need TLS, a conflict, a subscriber or an outage.
    let seldom = BTreeSet::from([
        "docket_append_conflicts_total",
        "docket_budget_crowded_total",
        "docket_connections_refused_total",
        "docket_tls_handshakes_total",
        "docket_tls_reloads_total",
        "docket_jwks_reads_total",
        "docket_graphql_subscriptions",
        "docket_graphql_messages_total",
        "docket_projection_failures_total",
    ]);
    let gone: Vec<_> = seldom.difference(&documented).collect();
    assert!(gone.is_empty(), "not there any more: {gone:?}");
    let unknown: Vec<_> = shown.difference(&documented).collect();
    assert!(unknown.is_empty(), "not documented: {unknown:?}");
    let missing: Vec<_> = documented
        .difference(&shown)
        .filter(|name| !seldom.contains(**name))
        .collect();
    assert!(missing.is_empty(), "documented, and not there: {missing:?}");
    assert!(
        text.contains("docket_refusals_total{rule=\"ILLEGAL_TRANSITION\"} 1"),
        "{text}"
    );
    // A kind of error that has not happened yet is there, or its first one would not be seen as one more.
    for (code, count) in [
        ("INTERNAL", 0),
        ("OUTCOME_UNKNOWN", 0),
        ("STALE", 1),
        ("UNAUTHENTICATED", 1),
        ("BAD_USER_INPUT", 2),
    ] {
        let line = format!("docket_graphql_errors_total{{code=\"{code}\"}} {count}\n");
        assert!(text.contains(&line), "{line} in {text}");
    }
    assert!(
        text.contains("docket_graphql_seconds_count{operation=\"placeOrder\"} 2"),
        "{text}"
    );
    let operations = include_str!("../../docs/operations.md");
    for (name, ..) in METRICS {
        assert!(
            operations.contains(&format!("`{name}`")),
            "{name} is not in docs/operations.md"
        );
    }
}

/// A collector of traces: gives what it is sent.
async fn collector() -> (SocketAddr, mpsc::UnboundedReceiver<Span>) {
    let (sender, spans) = mpsc::unbounded_channel();
    let take = |State(sender): State<mpsc::UnboundedSender<Span>>, body: Bytes| async move {
        let request = ExportTraceServiceRequest::decode(body).expect("it is OTLP");
        let scopes = request
            .resource_spans
            .into_iter()
            .flat_map(|resource| resource.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            let _ = sender.send(span);
        }
        Vec::<u8>::new()
    };
    let app = Router::new().route("/v1/traces", post(take)).with_state(sender);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, spans)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_a_mutation_to_the_rows_of_each_read_model() {
    const CALLER: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let db = database().await;
    let (address, mut spans) = collector().await;
    let mut command = on(&db);
    command.env("DOCKET_TRACES__ENDPOINT", format!("http://{address}/v1/traces"));
    let server = Server::launch(&mut command).await;
    let client = server.client(token(&db, Role::Staff, "desk").await);
    let (name, input) = life(Uuid::now_v7(), "ada", "by the door").remove(0);
    let traced = mutation(name, input).header("traceparent", &format!("00-{CALLER}-00f067aa0ba902b7-01"));
    assert_eq!(client.ask(traced).await.code(), "none");

    let mut found: BTreeMap<String, Span> = BTreeMap::new();
    let wanted = ["createOrder", "project order_summary", "project order_detail"];
    let mut operation = None;
    while operation.is_none() || wanted.iter().any(|name| !found.contains_key(*name)) {
        let span = timeout(WITHIN, spans.recv()).await;
        let span = span.unwrap_or_else(|_| panic!("only {:?} came", found.keys()));
        let span = span.expect("the collector lives");
        let hex: String = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, CALLER, "every span belongs to the caller's trace");
        // Operation and command go by the same name; the operation is the one that the caller's span is above.
        if span.parent_span_id == 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes() {
            operation = Some(span);
        } else {
            found.insert(span.name.clone(), span);
        }
    }
    let operation = operation.expect("it came");
    let command = &found["createOrder"];
    assert_eq!(
        command.parent_span_id, operation.span_id,
        "the command is below its operation"
    );
    for name in &wanted[1..] {
        assert_eq!(
            found[*name].parent_span_id, command.span_id,
            "{name} is below the command"
        );
    }
    let told = format!("{operation:?}{found:?}");
    assert!(!told.contains("ada"), "a span holds something personal: {told}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_hold_nothing_personal_even_when_everything_is_logged() {
    let db = database().await;
    let mut command = on(&db);
    command.env("RUST_LOG", "trace,hyper=info,h2=info");
    let server = Server::launch(&mut command).await;
    let bearer = token(&db, Role::Staff, "desk").await;
    let client = server.client(bearer.clone());
    let order = Uuid::now_v7();
    let create = json!({"order": order, "customer": "c-7", "name": "Wilhelmine Zzyzx", "email": "zzyzx@example.org",
        "phone": "+43 555 0199", "channel": "web", "currency": "EUR", "locale": "de-AT", "idempotencyKey": "k"});
    let created = client.ask(mutation("createOrder", create)).await;
    assert_eq!(created.code(), "none");
    // Refused in every way: by a rule, by the reader of inputs, by the engine.
    let details = json!({"order": order, "note": "ring at Zzyzx",
        "shippingAddress": {"name": "Wilhelmine Zzyzx", "street": ["Zzyzx Road 1"], "city": "", "country": "AT"}});
    assert_eq!(
        client.ask(mutation("setDetails", details)).await.code(),
        "BAD_USER_INPUT"
    );
    let wrong = format!("{{ order(id: \"{order}\") {{ name zzyzx(email: \"zzyzx@example.org\") }} }}");
    assert_eq!(
        client.ask(Ask::operation(&wrong, json!({}))).await.code(),
        "BAD_USER_INPUT"
    );
    let read =
        "query($id: ID!, $at: [PositionInput!]) { order(id: $id, minPosition: $at) { name email phone } }";
    let asked = json!({"id": order, "at": [created.data()["position"]]});
    let reply = client.ask(Ask::operation(read, asked)).await;
    assert_eq!(reply.data()["email"], "zzyzx@example.org", "{reply:?}");

    let said = server.said();
    assert!(said.len() > 1_000, "everything is logged");
    for personal in ["Zzyzx", "zzyzx@", "Wilhelmine", "555 0199", bearer.as_str()] {
        let line = said.lines().find(|line| line.contains(personal));
        assert!(line.is_none(), "{personal}: {line:?}");
    }
}
