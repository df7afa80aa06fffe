//! What a made-up shop promises: the same commands however often and however broken off it is written, a log that proves
//! itself, and that a living one is only what its actors may do.

use std::{
    process::{Command, Output, Stdio},
    time::Duration,
};

use docket_tests::{TestDatabase, database, eventually, server::signal};
use serde_json::Value;

const ORDERS: u64 = 300;
/// In the past for as long as this program exists.
const UNTIL: &str = "2026-01-01T00:00:00Z";
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

fn seed(orders: u64, seed: u64) -> Vec<String> {
    format!("seed --orders {orders} --seed {seed} --until {UNTIL} --json")
        .split(' ')
        .map(str::to_owned)
        .collect()
}

/// Runs to the end: the exit status, and the line with the sums.
fn run(db: &TestDatabase, args: &[String]) -> (bool, Value) {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let Output { status, stdout, .. } = docket(db, &args).output().expect("a seeding ends");
    let lines = String::from_utf8(stdout).expect("the report is UTF-8");
    let mut lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
    let sums = lines.rfind(|line| line["eventsPerSecond"].is_f64());
    (status.success(), sums.expect("a report has its sums"))
}

/// Every event but for what is drawn anew in each log: positions, event ids, order numbers, sealed values.
async fn log(db: &TestDatabase) -> Vec<(String, i32, String, String, String, String)> {
    sqlx::query_as(
        "select stream_kind::text || order_id::text || stream_number, version, event_type, command_id::text,
                occurred_at::text,
                case when event_type ~ '^(payment|order.line|order.fulfillment)' then payload::text else '' end
         from events order by 1, 2",
    )
    .fetch_all(db.admin())
    .await
    .expect("the log can be read")
}

/// The log as it lies there.
async fn positions(db: &TestDatabase) -> Vec<(i16, i64, String)> {
    sqlx::query_as(r#"select partition, "offset", event_id::text from events order by 1, 2"#)
        .fetch_all(db.admin())
        .await
        .expect("the log can be read")
}

#[tokio::test]
async fn a_shop_is_written_once_and_proves_itself() {
    let db = database().await;
    let (ok, sums) = run(&db, &seed(ORDERS, 1));
    assert!(ok, "{sums}");
    assert_eq!(sums["orders"], ORDERS);
    assert_eq!((&sums["repeated"], &sums["refused"]), (&0.into(), &0.into()));
    let first = positions(&db).await;
    assert_eq!(sums["events"], first.len());
    let live: i64 = sqlx::query_scalar("select count(*) from events where origin <> 'i'")
        .fetch_one(db.admin())
        .await
        .expect("events can be counted");
    assert_eq!(live, 0, "what is made up is history");

    let (ok, sums) = run(&db, &seed(ORDERS, 1));
    assert!(ok, "{sums}");
    assert_eq!(sums["repeated"], ORDERS);
    assert_eq!((&sums["commands"], &sums["events"]), (&0.into(), &0.into()));
    assert!(
        positions(&db).await == first,
        "a repeated seeding changes nothing"
    );

    // The read models are where the log ends, and every one of their rows is what the fold says.
    let verified = docket(&db, &["verify", "--json"]).output().expect("verify runs");
    assert!(verified.status.success(), "{verified:?}");

    let (ok, sums) = run(&db, &seed(20, 2));
    assert!(
        ok && sums["repeated"] == 0,
        "another seed is another shop: {sums}"
    );
}

#[tokio::test]
async fn a_seeding_that_was_killed_is_resumed_to_the_same_log() {
    let (whole, broken) = (database().await, database().await);
    let args = seed(ORDERS, 5);
    let (ok, _) = run(&whole, &args);
    assert!(ok);
    let expected = log(&whole).await;

    // One order at a time, so that it is surely not at its end when a fifth of it is there.
    let slow = [args.clone(), vec!["--concurrency".to_owned(), "1".to_owned()]].concat();
    let mut child = docket(&broken, &slow.iter().map(String::as_str).collect::<Vec<_>>())
        .stdout(Stdio::null())
        .spawn()
        .expect("a seeding starts");
    let some = async || (positions(&broken).await.len() > expected.len() / 5).then_some(());
    eventually(DEADLINE, some).await;
    child.kill().expect("a child can be killed");
    child.wait().expect("it is gone");
    // What was on its way commits without its client; then its session is gone.
    let alone = async || {
        let sessions = "select count(*) from pg_stat_activity
                         where datname = current_database() and application_name = 'docket'";
        let sessions = sqlx::query_scalar(sessions).fetch_one(broken.admin()).await;
        let sessions: i64 = sessions.expect("the sessions can be read");
        (sessions == 0).then_some(())
    };
    eventually(DEADLINE, alone).await;
    let left = positions(&broken).await.len();
    assert!(left < expected.len(), "it was killed before its end");

    let (ok, sums) = run(&broken, &args);
    assert!(ok, "{sums}");
    assert_eq!(sums["events"], expected.len() - left);
    assert!(
        log(&broken).await == expected,
        "resumed is the same as never broken off"
    );
    let verified = docket(&broken, &["verify", "--json"])
        .output()
        .expect("verify runs");
    assert!(verified.status.success(), "{verified:?}");
}

#[tokio::test]
async fn a_shop_lives_through_live_commands_and_stops_in_order() {
    let db = database().await;
    let mut child = docket(&db, &["serve", "--simulate", "20"])
        .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .spawn()
        .expect("a server starts");
    let kinds = async || -> Vec<(String, String)> {
        let kinds = "select distinct event_type, actor_kind from events";
        let read = sqlx::query_as(kinds).fetch_all(db.admin()).await;
        read.expect("the log can be read")
    };
    let seen = async |event: &str, actor: &str| {
        let kinds = kinds().await;
        kinds.iter().any(|kind| kind.0 == event && kind.1 == actor)
    };
    // Customers, the shop's programs and a gateway, each for themselves.
    let going = async || {
        let placed = seen("order.placed", "customer").await;
        let paid = seen("payment.authorized", "gateway").await;
        (placed && paid && seen("order.confirmed", "system").await).then_some(())
    };
    eventually(DEADLINE, going).await;
    let imported: i64 = sqlx::query_scalar("select count(*) from events where origin <> 'l'")
        .fetch_one(db.admin())
        .await
        .expect("events can be counted");
    assert_eq!(imported, 0, "it happens now");

    signal(child.id(), "TERM");
    let status = eventually(DEADLINE, async || child.try_wait().expect("a child can be asked")).await;
    assert!(status.success(), "{status}");
    let left = positions(&db).await.len();
    let verified = docket(&db, &["verify", "--json"]).output().expect("verify runs");
    assert!(verified.status.success(), "{verified:?}");
    assert_eq!(positions(&db).await.len(), left, "nothing goes on");
}

#[tokio::test]
async fn what_cannot_be_a_shop_is_refused_before_anything_is_written() {
    let db = database().await;
    for args in [
        "seed",
        "seed --orders 0",
        "seed --orders 10 --days 0",
        "seed --orders 10 --concurrency 0",
        "seed --orders 10 --until soon",
        "seed --orders 10 --until 2999-01-01T00:00:00Z",
        "serve --simulate -1",
        "serve --simulate 1000",
        "serve --simulate often",
    ] {
        let args: Vec<_> = args.split(' ').collect();
        let output = docket(&db, &args).output().expect("it ends");
        assert!(!output.status.success(), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
    assert!(positions(&db).await.is_empty());
}
