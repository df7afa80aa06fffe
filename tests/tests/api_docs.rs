//! `docs/api.md` tells the truth: each of its documents runs as it stands, in the page's order and against the real server,
//! and each name of an error in it exists.
//!
//! The page's convention: a text `"$name"` in the variables is what an earlier answer gave. `learn` says where each is
//! found; `$position` is that of the last answer that had one.

use docket_domain::Role;
use docket_tests::server::{Client, Server, Socket, token};
use docket_tests::{TestDatabase, database, eventually};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(30);
const PAGE: &str = include_str!("../../docs/api.md");
const SCHEMA: &str = include_str!("../../api/schema.graphql");
/// The codes of `errors` are constants of two files, and not in the schema.
const CODES: [&str; 2] = [
    include_str!("../../api/src/http/code.rs"),
    include_str!("../../api/src/graphql/error.rs"),
];
/// In capitals, and no codes.
const METHODS: [&str; 1] = ["POST"];
/// What the page teaches by being refused, and the type of the refusal.
const REFUSED: [(&str, &str); 1] = [("Cancel", "VersionConflict")];
/// What operators do, and nobody else.
const OPERATORS: [&str; 5] = ["Fare", "Anew", "Progress", "Letters", "Again"];
/// Where in an answer's data a name is learnt, by the operation that gives it.
const GIVES: [(&str, &str, &str); 6] = [
    ("Create", "order", "/createOrder/order/id"),
    ("Follow", "cursor", "/orderUpdated/cursor"),
    ("Pay", "payment", "/initiatePayment/payment/id"),
    ("Confirm", "shipment", "/allocateFulfillment/shipmentId"),
    ("Ship", "capture", "/capturePayment/capture"),
    ("Back", "refund", "/refundPayment/refund"),
];

/// One document of the page.
struct Example {
    kind: &'static str,
    name: &'static str,
    text: &'static str,
    variables: Value,
}

/// The documents with their variables, in the page's order.
fn examples() -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut rest = PAGE;
    while let Some((_, block)) = rest.split_once("\n```") {
        let (language, block) = block.split_once('\n').unwrap();
        let (text, after) = block.split_once("\n```").unwrap();
        // The line break that ends a block may begin the next.
        rest = after;
        match language {
            "graphql" => {
                let mut words = text.split([' ', '(']);
                let (kind, name) = (words.next().unwrap(), words.next().unwrap());
                found.push(Example {
                    kind,
                    name,
                    text,
                    variables: json!({}),
                });
            }
            "json" => {
                let variables = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
                found
                    .last_mut()
                    .expect("variables follow their document")
                    .variables = variables;
            }
            other => panic!("a block of `{other}`"),
        }
    }
    found
}

/// The variables with what was learnt in the place of its names.
fn filled(value: &Value, known: &BTreeMap<String, Value>) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix('$') {
            Some(name) => known
                .get(name)
                .unwrap_or_else(|| panic!("`${name}` is not learnt before"))
                .clone(),
            None => value.clone(),
        },
        Value::Array(values) => values.iter().map(|value| filled(value, known)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), filled(value, known)))
            .collect(),
        _ => value.clone(),
    }
}

fn learn(name: &str, data: &Value, known: &mut BTreeMap<String, Value>) {
    for (_, what, path) in GIVES.iter().filter(|(by, ..)| *by == name) {
        let value = data.pointer(path).filter(|value| !value.is_null());
        known.insert(
            (*what).to_owned(),
            value.unwrap_or_else(|| panic!("{name}: {data}")).clone(),
        );
    }
    let fields = data.as_object().into_iter().flat_map(|data| data.values());
    if let Some(position) = fields.filter_map(|field| field.get("position")).next_back() {
        known.insert("position".to_owned(), position.clone());
    }
}

/// Every field has an answer, and no rule refused but where the page says so.
fn judge(example: &Example, answer: &Value) {
    let (name, data) = (example.name, &answer["data"]);
    assert!(answer["errors"].is_null(), "{name}: {answer}");
    let fields = data.as_object().unwrap_or_else(|| panic!("{name}: {answer}"));
    let refused = REFUSED.iter().find(|(by, _)| *by == name).map(|(_, kind)| *kind);
    for (field, value) in fields {
        assert!(!value.is_null(), "{name}.{field}: {answer}");
        if let Some(errors) = value.get("userErrors") {
            let kind = errors[0].get("__typename").and_then(Value::as_str);
            assert_eq!(kind, refused, "{name}.{field}: {answer}");
            assert_eq!(
                errors.as_array().map(Vec::is_empty),
                Some(refused.is_none()),
                "{name}.{field}: {answer}"
            );
        }
    }
}

/// The first message over both transports; the one of the WebSocket.
async fn first_message(staff: &Client, example: &Example, variables: &Value) -> Value {
    let event = staff.follow(example.text, variables.clone()).await.next().await;
    judge(example, &event.expect("a message comes"));
    let mut socket: Socket = staff.socket(&[]).await.expect("a WebSocket is opened");
    socket.init(staff.token()).await;
    socket.subscribe("1", example.text, variables.clone()).await;
    let mut message = socket.next().await.expect("a message comes");
    assert_eq!(message["type"], "next", "{}: {message}", example.name);
    message["payload"].take()
}

async fn open() -> (TestDatabase, Server, Client) {
    let db = database().await;
    let server = Server::start(&db).await;
    let staff = server.client(token(&db, Role::Staff, "s-1").await);
    (db, server, staff)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_document_of_the_page_runs_as_it_stands() {
    let (db, server, staff) = open().await;
    let operator = server.client(token(&db, Role::Operator, "o-1").await);
    let (examples, mut known) = (examples(), BTreeMap::new());
    for example in &examples {
        // A reader of the page is slower than the read models; the test is not.
        eventually(DEADLINE, async || caught_up(&db).await.then_some(())).await;
        let variables = filled(&example.variables, &known);
        let caller = match OPERATORS.contains(&example.name) {
            true => &operator,
            false => &staff,
        };
        let answer = match example.kind {
            "subscription" => first_message(caller, example, &variables).await,
            _ => caller.run(example.text, variables).await.json(),
        };
        judge(example, &answer);
        learn(example.name, &answer["data"], &mut known);
        found_something(example.name, &answer["data"], &known);
    }
    let names: BTreeSet<&str> = examples.iter().map(|example| example.name).collect();
    assert_eq!(names.len(), examples.len(), "each document has a name of its own");
    for by in REFUSED
        .iter()
        .map(|(by, _)| by)
        .chain(GIVES.iter().map(|(by, ..)| by))
        .chain(&OPERATORS)
    {
        assert!(names.contains(by), "{by} is no document of the page");
    }
    assert!(server.stop().await.success());
}

/// Whether everything that follows the log has come to its end.
async fn caught_up(db: &TestDatabase) -> bool {
    let behind =
        "select count(*) from checkpoints c join heads h using (partition) where c.\"offset\" < h.head";
    let behind = sqlx::query_scalar::<_, i64>(behind).fetch_one(db.admin()).await;
    behind.unwrap() == 0
}

/// An answer without errors can be empty; these are not.
fn found_something(name: &str, data: &Value, known: &BTreeMap<String, Value>) {
    let order = known.get("order").unwrap_or(&Value::Null);
    match name {
        "Whole" => assert_eq!(&data["order"]["id"], order),
        "Page" | "Search" | "Mine" => assert_eq!(&data["orders"]["nodes"][0]["id"], order, "{name}: {data}"),
        "Inbox" => assert!(
            data["notifications"]["nodes"]
                .as_array()
                .is_some_and(|all| !all.is_empty()),
            "{data}"
        ),
        "Nodes" => assert!(
            data["nodes"]
                .as_array()
                .is_some_and(|all| all.iter().all(Value::is_object)),
            "{data}"
        ),
        "GivenBack" => assert_eq!(
            data["recordRefund"]["payment"]["refunded"]["amount"], "10.70",
            "{data}"
        ),
        _ => {}
    }
}

/// What stands in backquotes and looks like a code, or follows `... on`, is known to the server.
#[test]
fn every_error_that_the_page_names_exists() {
    let is_code = |word: &&str| {
        word.len() > 3
            && word
                .chars()
                .all(|letter| letter.is_ascii_uppercase() || letter == '_')
    };
    let prose: Vec<&str> = PAGE.split('`').skip(1).step_by(2).collect();
    let codes: BTreeSet<&str> = prose
        .iter()
        .copied()
        .filter(is_code)
        .filter(|word| !METHODS.contains(word))
        .collect();
    assert!(codes.len() > 10, "{codes:?}");
    for code in codes {
        let constant = format!("= \"{code}\";");
        let of_rules = format!("\n\t{code}\n");
        assert!(
            CODES.iter().any(|file| file.contains(&constant)) || SCHEMA.contains(&of_rules),
            "{code} is no code"
        );
    }
    let named = PAGE
        .split("... on ")
        .skip(1)
        .filter_map(|rest| rest.split([' ', '{']).next());
    for kind in named {
        assert!(
            SCHEMA.contains(&format!("\ntype {kind} implements ")),
            "{kind} is no type"
        );
    }
}
