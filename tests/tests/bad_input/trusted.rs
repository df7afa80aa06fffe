//! Trusted documents: the manifest's run by their ids, and nothing else does.

use crate::shop::{Shop, create};
use docket_tests::server::{Ask, Client, Reply, on, signal, verb};
use docket_tests::{database, eventually};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

const LIST: &str = "query List { orders { edges { cursor } } }";
const CREATE: &str = "mutation Create($input: CreateOrderInput!) { createOrder(input: $input) { version } }";
const FOLLOW: &str = "subscription Follow { ordersChanged { cursor } }";
const OTHER: &str = "query Other { __typename }";
/// The SHA-256 of [`LIST`], by `sha256sum`.
const LIST_HASH: &str = "928b00abd52458a1bfb05ede5415ecee832d00b18ce8819d2c12bbd611779a87";

/// A manifest that goes with the test.
struct File(PathBuf);

impl File {
    fn new(json: &Value) -> File {
        let path = std::env::temp_dir().join(format!("docket-manifest-{}.json", uuid::Uuid::new_v4()));
        fs::write(&path, json.to_string()).unwrap();
        File(path)
    }

    fn settings(&self) -> [(&str, &str); 2] {
        [
            ("DOCKET_DOCUMENTS__MANIFEST", self.0.to_str().unwrap()),
            ("DOCKET_DOCUMENTS__ONLY", "true"),
        ]
    }
}

impl Drop for File {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

async fn post(client: &Client, body: Value) -> Reply {
    client.ask(Ask::post(body.to_string())).await
}

#[tokio::test]
async fn only_documents_of_the_manifest_run_each_named_as_clients_name_them() {
    let manifest = File::new(&json!({LIST_HASH: LIST, "create": CREATE, "5f0c": FOLLOW}));
    let shop = Shop::with(&manifest.settings()).await;
    let staff = &shop.staff;
    let apq = |hash: &str| json!({"persistedQuery": {"version": 1, "sha256Hash": hash}});
    for (what, body) in [
        ("documentId", json!({"documentId": LIST_HASH})),
        (
            "a prefixed documentId",
            json!({"documentId": format!("sha256:{LIST_HASH}")}),
        ),
        ("doc_id", json!({"doc_id": LIST_HASH, "variables": {}})),
        ("a hash in the extensions", json!({"extensions": apq(LIST_HASH)})),
        (
            "an empty text beside it",
            json!({"query": "", "extensions": apq(LIST_HASH)}),
        ),
        (
            "a null text beside it",
            json!({"query": null, "documentId": LIST_HASH}),
        ),
        (
            "the text beside it",
            json!({"query": LIST, "extensions": apq(LIST_HASH)}),
        ),
        ("the very text alone", json!({"query": LIST})),
    ] {
        let reply = post(staff, body).await;
        assert_eq!(reply.data(), json!({"edges": []}), "{what}");
    }
    let get = Ask::new("GET", format!("/graphql?documentId={LIST_HASH}&variables=%7B%7D"));
    assert_eq!(staff.ask(get).await.data(), json!({"edges": []}));
    let extensions = format!(
        "%7B%22persistedQuery%22%3A%7B%22version%22%3A1%2C%22sha256Hash%22%3A%22{LIST_HASH}%22%7D%7D"
    );
    let get = Ask::new(
        "GET",
        format!("/graphql?operationName=List&extensions={extensions}"),
    );
    assert_eq!(staff.ask(get).await.data(), json!({"edges": []}));

    let before = shop.written().await;
    let input = json!({"input": create("c-1")});
    let mutation = |id: &str| json!({"documentId": id, "variables": input});
    let variables: String = input
        .to_string()
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect();
    let by_get = Ask::new("GET", format!("/graphql?documentId=create&variables={variables}"));
    assert_eq!(staff.ask(by_get).await.status, 405);
    let schema = "{__schema{queryType{name}}}";
    for (what, body, code) in [
        (
            "another text",
            json!({"query": OTHER}),
            "PERSISTED_QUERY_ID_REQUIRED",
        ),
        (
            "introspection",
            json!({"query": schema}),
            "PERSISTED_QUERY_ID_REQUIRED",
        ),
        (
            "one blank more",
            json!({"query": format!("{LIST} ")}),
            "PERSISTED_QUERY_ID_REQUIRED",
        ),
        (
            "an unknown id",
            json!({"documentId": "nope"}),
            "PERSISTED_QUERY_NOT_FOUND",
        ),
        (
            "an unknown hash",
            json!({"extensions": apq(&"0".repeat(64))}),
            "PERSISTED_QUERY_NOT_FOUND",
        ),
        (
            "a text to register",
            json!({"query": OTHER, "extensions": apq(&"0".repeat(64))}),
            "PERSISTED_QUERY_NOT_FOUND",
        ),
        (
            "a text under another's id",
            json!({"query": OTHER, "documentId": LIST_HASH}),
            "BAD_USER_INPUT",
        ),
        ("neither", json!({"variables": {}}), "BAD_USER_INPUT"),
        ("an id that is none", json!({"documentId": 7}), "BAD_USER_INPUT"),
        (
            "two ids",
            json!({"documentId": LIST_HASH, "doc_id": LIST_HASH}),
            "BAD_USER_INPUT",
        ),
    ] {
        assert_eq!(post(staff, body).await.code(), code, "{what}");
    }
    let mut socket = staff.socket(&[]).await.unwrap();
    socket.init(staff.token()).await;
    socket
        .subscribe("1", "subscription { ordersChanged { cursor } }", Value::Null)
        .await;
    let answer = socket.next().await.unwrap();
    assert_eq!(
        answer["payload"][0]["extensions"]["code"],
        "PERSISTED_QUERY_ID_REQUIRED"
    );
    socket
        .send(json!({"type": "subscribe", "id": "2", "payload": {"documentId": "5f0c"}}))
        .await;
    assert_eq!(socket.next().await.unwrap()["type"], "next");
    drop(socket);
    assert_eq!(shop.written().await, before);
    assert_eq!(post(staff, mutation("create")).await.code(), "none");
    let after = shop.written().await;
    assert_eq!(after.0, before.0 + 1);
    shop.unharmed(after).await;
}

#[tokio::test]
async fn a_manifest_is_read_anew_when_the_server_is_told_and_a_broken_one_changes_nothing() {
    let operation =
        |id: &str, name: &str, body: &str| json!({"id": id, "name": name, "type": "query", "body": body});
    let apollo = |operations: Value| json!({"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations});
    let manifest = File::new(&apollo(json!([operation(LIST_HASH, "List", LIST)])));
    let shop = Shop::with(&manifest.settings()).await;
    let before = shop.written().await;
    let runs = async |id: &str| post(&shop.staff, json!({"documentId": id})).await.code() == "none";
    assert!(runs(LIST_HASH).await && !runs("other").await);
    let renewed = apollo(json!([operation("other", "Other", OTHER)]));
    fs::write(&manifest.0, renewed.to_string()).unwrap();
    signal(shop.server.pid(), "HUP");
    eventually(Duration::from_secs(20), async || {
        runs("other").await.then_some(())
    })
    .await;
    assert!(!runs(LIST_HASH).await);
    fs::write(
        &manifest.0,
        apollo(json!([operation("other", "Other", "{ nope }")])).to_string(),
    )
    .unwrap();
    signal(shop.server.pid(), "HUP");
    let said = async || shop.server.said().contains("NOT USABLE").then_some(());
    eventually(Duration::from_secs(20), said).await;
    assert!(runs("other").await);
    shop.unharmed(before).await;
}

#[tokio::test]
async fn a_manifest_that_does_not_fit_ends_the_start_and_names_what_is_wrong() {
    let db = database().await;
    let wrong_hash = "0".repeat(64);
    for (what, manifest, says) in [
        ("no manifest", json!([1]), vec!["neither Relay's nor Apollo's"]),
        ("no text", json!({"a": 1}), vec!["neither Relay's nor Apollo's"]),
        (
            "another format",
            json!({"format": "x", "version": 1, "operations": []}),
            vec!["says format \"x\""],
        ),
        (
            "several that do not fit the schema",
            json!({"a": "query One { nope }", "b": "mutation Two { placeOrder { version } }", "c": LIST}),
            vec!["a (One)", "nope", "b (Two)"],
        ),
        ("no document", json!({"a": "{"}), vec!["a (no name)"]),
        (
            "another hash",
            json!({wrong_hash: LIST}),
            vec!["(List)", "no SHA-256", LIST_HASH],
        ),
        (
            "too deep",
            json!({"a": "{a".repeat(200)}),
            vec!["levels of brackets"],
        ),
    ] {
        let file = File::new(&manifest);
        let args = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
            "--persisted-only",
            "--manifest",
            file.0.to_str().unwrap(),
        ];
        let ended = verb(on(&db), &args).await;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success(), "{what}");
        for part in says {
            assert!(said.contains(part), "{what}: {part:?} is not in {said}");
        }
    }
    let ended = verb(on(&db), &["serve", "--persisted-only"]).await;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(
        !ended.status.success() && said.contains("documents.manifest"),
        "{said}"
    );
}
