//! An import's promises: every good line once, however often and however broken off; every bad one by number and
//! reason.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
    time::Duration,
};

use docket_tests::{TestDatabase, database, eventually};
use serde_json::{Value, json};

const EXAMPLE: &str = include_str!("../../docs/examples/import.ndjson");
const ORDER: &str = "0e5f7c1a-5b0e-5f0a-9a63-3c1d2b7f4e17";
const DEADLINE: Duration = Duration::from_secs(60);

fn docket(db: &TestDatabase, args: &[&str]) -> Command {
    let mut docket = Command::new(env!("CARGO_BIN_EXE_docket-test-cli"));
    docket
        .args(args)
        .env("DATABASE_URL", db.url())
        .env("DOCKET_MASTER_KEY", "07".repeat(32))
        .env_remove("DOCKET_CONFIG")
        .env_remove("RUST_LOG");
    docket
}

/// Imports from standard input: the exit status, and each line of the JSON report.
fn import(db: &TestDatabase, input: &[u8], options: &[&str]) -> (bool, Vec<Value>) {
    let args = [&["import", "-", "--json"], options].concat();
    let mut child = docket(db, &args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the import starts");
    let mut pipe = child.stdin.take().expect("standard input is piped");
    let input = input.to_vec();
    // An import that stops does not read to the end.
    let writer = std::thread::spawn(move || drop(pipe.write_all(&input)));
    let Output { status, stdout, .. } = child.wait_with_output().expect("the import ends");
    writer.join().expect("the writer does not panic");
    let lines = String::from_utf8(stdout).expect("the report is UTF-8");
    let report = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"));
    (status.success(), report.collect())
}

/// done, repeated, nothingToDo, refused.
fn counts(report: &[Value]) -> [u64; 4] {
    let last = report.last().expect("a report ends with its counts");
    ["done", "repeated", "nothingToDo", "refused"].map(|field| last[field].as_u64().expect("a count"))
}

/// What is wrong, by line.
fn refusals(report: &[Value]) -> Vec<(u64, String)> {
    let mut refusals: Vec<_> = report
        .iter()
        .filter_map(|line| Some((line["line"].as_u64()?, line["error"].as_str()?.to_owned())))
        .collect();
    refusals.sort();
    refusals
}

async fn log(db: &TestDatabase) -> Vec<(i16, i64, String)> {
    sqlx::query_as(r#"select partition, "offset", event_id::text from events order by 1, 2"#)
        .fetch_all(db.admin())
        .await
        .expect("the log can be read")
}

fn create(key: &str, more: Value) -> String {
    let mut line = json!({"key": key, "occurredAt": "2019-03-04T10:12:00Z", "command": "createOrder",
        "channel": "web", "currency": "EUR", "locale": "de-AT"});
    for (field, value) in more.as_object().expect("fields") {
        line[field] = value.clone();
    }
    line.to_string()
}

#[tokio::test]
async fn the_documented_example_is_imported_once_however_often_it_is_run() {
    let db = database().await;
    let lines = EXAMPLE.lines().count() as u64;
    let (ok, report) = import(&db, EXAMPLE.as_bytes(), &[]);
    assert!(ok, "{report:?}");
    assert_eq!(counts(&report), [lines, 0, 0, 0]);
    let first = log(&db).await;
    assert_eq!(first.len() as u64, lines + 1, "starting a payment is two events");
    let live: i64 = sqlx::query_scalar("select count(*) from events where origin <> 'i'")
        .fetch_one(db.admin())
        .await
        .expect("events can be counted");
    assert_eq!(live, 0, "what was imported is history");

    let (ok, report) = import(&db, EXAMPLE.as_bytes(), &["--strict"]);
    assert!(ok, "{report:?}");
    assert_eq!(counts(&report), [0, lines, 0, 0]);
    assert_eq!(log(&db).await, first);

    let verified = docket(&db, &["verify", "--json"]).output().expect("verify runs");
    assert!(verified.status.success(), "{verified:?}");
}

#[tokio::test]
async fn line_ends_byte_order_marks_and_empty_lines_do_not_matter() {
    let db = database().await;
    let other = format!("\u{feff}\r\n{}", EXAMPLE.replace('\n', "\r\n\r\n"));
    let (ok, report) = import(&db, other.trim_end().as_bytes(), &[]);
    assert!(ok, "{report:?}");
    let (ok, report) = import(&db, EXAMPLE.as_bytes(), &[]);
    assert!(
        ok && counts(&report)[1] == EXAMPLE.lines().count() as u64,
        "{report:?}"
    );
    let (ok, report) = import(&db, b"", &[]);
    assert!(ok && counts(&report) == [0; 4], "{report:?}");
}

#[tokio::test]
async fn a_bad_line_is_told_by_number_and_reason_and_the_rest_goes_on() {
    let db = database().await;
    let missing = "7b0e5f0a-1111-5f0a-9a63-3c1d2b7f4e17";
    let bad = [
        ("{\"key\":", "not a JSON object"),
        ("[]", "not a JSON object"),
        (r#"{"key":"x","command":"placeOrder"}"#, "occurredAt is missing"),
        (&create("", json!({})), "the key has 0 bytes"),
        (&create("a", json!({"command": "explode"})), "explode"),
        (&create("b", json!({"currency": "EUX"})), "EUX"),
        (&create("c", json!({"surname": "x"})), "surname"),
        (&create("d", json!({"name": "a\u{0}b"})), "U+0000"),
        (
            &create("e", json!({"occurredAt": "2999-01-01T00:00:00Z"})),
            "in the future",
        ),
        (
            &create("f", json!({"occurredAt": "-9999-01-01T00:00:00Z"})),
            "before the year 1",
        ),
        (&create("g", json!({"occurredAt": "soon"})), "occurredAt: "),
        (
            &create(
                "h",
                json!({"command": "placeOrder", "order": missing, "channel": null}),
            ),
            "channel",
        ),
        (
            &format!(
                r#"{{"key":"i","occurredAt":"2019-03-04T10:12:00Z","command":"placeOrder","order":"{missing}"}}"#
            ),
            "does not exist",
        ),
        (
            &format!(
                r#"{{"key":"j","occurredAt":"2019-03-04T10:12:00Z","command":"capturePayment","payment":"{ORDER}-p1","amount":{{"amountMinor":1,"currency":"EUR"}}}}"#
            ),
            "",
        ),
        (
            &create("shop-17-create", json!({"order": ORDER})),
            "another request",
        ),
        (&"x".repeat(2 << 20), "longer than 1 MiB"),
    ];
    let mut input = EXAMPLE.as_bytes().to_vec();
    let good = EXAMPLE.lines().count();
    for (line, _) in &bad {
        input.extend_from_slice(line.as_bytes());
        input.push(b'\n');
    }
    input.extend_from_slice(b"\xff\xfe\n");
    input.extend_from_slice(create("last", json!({})).as_bytes());

    let (ok, report) = import(&db, &input, &[]);
    assert!(!ok);
    assert_eq!(counts(&report), [good as u64 + 1, 0, 0, bad.len() as u64 + 1]);
    let refusals = refusals(&report);
    for (at, (line, reason)) in bad.iter().enumerate() {
        let (number, said) = &refusals[at];
        assert_eq!(*number as usize, good + 1 + at, "{said}");
        assert!(said.contains(reason), "{}: {said}", &line[..line.len().min(200)]);
    }
    assert!(refusals[bad.len()].1.contains("UTF-8"), "{refusals:?}");
}

/// What came after the example: the parcel arrived, its customer sent a tea back and was refunded, disputed the rest and
/// lost; a detector had something to say; and a draft that nobody came back to.
#[tokio::test]
async fn returns_disputes_flags_and_reminders_are_history_too() {
    let db = database().await;
    let (payment, shipment) = (format!("{ORDER}-p1"), format!("{ORDER}-s1"));
    let draft = "0e5f7c1a-5b0e-5f0a-9a63-3c1d2b7f4e18";
    let at = |hour: u32| format!("2019-03-07T{hour:02}:00:00Z");
    let eur = |cents: i64| json!({"amountMinor": cents, "currency": "EUR"});
    let later = [
        json!({"command": "recordTracking", "shipment": shipment, "parcel": 1, "status": "delivered",
               "carrierEventId": "e-1", "at": at(1)}),
        json!({"command": "requestReturn", "order": ORDER, "lines": [{"line": 1, "quantity": 2, "reason": "unwanted"}]}),
        json!({"command": "receiveReturn", "order": ORDER, "return": 1,
               "lines": [{"line": 1, "quantity": 1, "condition": "sellable"}]}),
        json!({"command": "refundPayment", "payment": payment, "reason": "sent back", "return": 1}),
        json!({"command": "recordRefund", "payment": payment, "refund": 1, "reference": "r-1", "at": at(5)}),
        json!({"command": "recordDispute", "payment": payment, "dispute": "dp-1", "amount": eur(1_000), "at": at(6),
               "reason": "fraudulent", "respondBy": "2019-04-01T00:00:00Z"}),
        json!({"command": "recordDisputeOutcome", "payment": payment, "dispute": "dp-1", "outcome": "won", "at": at(7)}),
        json!({"command": "flagOrder", "order": ORDER, "signal": "fraud_pattern", "evidence": ["dp-1"]}),
        json!({"command": "createOrder", "order": draft, "channel": "web", "currency": "EUR", "locale": "de"}),
        json!({"command": "remindAbandoned", "order": draft}),
    ];
    let lines = (1..).zip(later).map(|(hour, mut line)| {
        line["key"] = format!("later-{hour}").into();
        line["occurredAt"] = at(hour).into();
        line.to_string()
    });
    let lines: Vec<_> = EXAMPLE.lines().map(ToOwned::to_owned).chain(lines).collect();
    let (ok, report) = import(&db, lines.join("\n").as_bytes(), &[]);
    assert!(ok, "{report:?}");
    assert_eq!(counts(&report), [lines.len() as u64, 0, 0, 0]);
    let types: Vec<String> = sqlx::query_scalar("select distinct event_type from events order by 1")
        .fetch_all(db.admin())
        .await
        .expect("the log can be read");
    for expected in [
        "order.abandoned",
        "order.flagged",
        "order.return_received",
        "order.return_requested",
        "payment.dispute_closed",
        "payment.dispute_opened",
    ] {
        assert!(types.iter().any(|found| found == expected), "{types:?}");
    }
    let verified = docket(&db, &["verify", "--json"]).output().expect("verify runs");
    assert!(verified.status.success(), "{verified:?}");
}

#[tokio::test]
async fn strict_does_what_stands_before_the_first_bad_line_and_does_not_wait_for_more() {
    let db = database().await;
    let mut child = docket(&db, &["import", "-", "--json", "--strict"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the import starts");
    // Kept open: the import must end though its input does not.
    let mut pipe = child.stdin.take().expect("standard input is piped");
    write!(pipe, "{EXAMPLE}nonsense\n{}\n", create("after", json!({}))).expect("the import reads");
    let status = eventually(DEADLINE, async || child.try_wait().expect("a child can be asked")).await;
    let output = child.wait_with_output().expect("the report can be read");
    assert!(!status.success());
    let report: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    let good = EXAMPLE.lines().count() as u64;
    assert_eq!(counts(&report), [good, 0, 0, 1]);
    assert_eq!(refusals(&report)[0].0, good + 1);
    drop(pipe);
}

#[tokio::test]
async fn an_import_that_was_killed_is_resumed() {
    let db = database().await;
    let lines: Vec<_> = (0..2_000)
        .map(|order| {
            create(
                &format!("o{order}"),
                json!({"customer": format!("c{}", order % 50)}),
            )
        })
        .collect();
    let input = lines.join("\n");
    let mut child = docket(&db, &["import", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the import starts");
    let mut pipe = child.stdin.take().expect("standard input is piped");
    // Half of it, so that the import is surely not at its end.
    pipe.write_all(lines[..1_000].join("\n").as_bytes())
        .expect("the import reads");
    let some = async || (!log(&db).await.is_empty()).then_some(());
    eventually(DEADLINE, some).await;
    child.kill().expect("a child can be killed");
    child.wait().expect("it is gone");
    drop(pipe);

    let (ok, report) = import(&db, input.as_bytes(), &[]);
    let [done, repeated, nothing, refused] = counts(&report);
    assert!(ok && nothing == 0 && refused == 0, "{report:?}");
    assert!(repeated > 0);
    assert_eq!(done + repeated, 2_000);
    assert_eq!(log(&db).await.len(), 2_000);
}
