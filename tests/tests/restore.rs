//! The drill of `docs/operations.md`, "Backup and restore", by PostgreSQL's own programs: a dump that is taken while
//! orders come in is one consistent state, an empty database that gets it proves itself and serves, and what was
//! answered after it is refused instead of believed. Tables that do not belong together do not start.

use docket_domain::Role;
use docket_tests::server::{Client, SERVE, Server, life, on, token, verb};
use docket_tests::{Scratch, TestDatabase, database, empty_database, eventually, scratch};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::process::Command;
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(60);
const FOLLOW: &str = "subscription($after: String) { ordersChanged(after: $after) { cursor event { id } } }";
const AT: &str =
    "query($order: ID!, $at: [PositionInput!]) { order(id: $order, minPosition: $at) { number status } }";
/// As the drill for read models in the same chapter has it.
const READ_MODELS: [&str; 10] = [
    "order_summary_g1",
    "order_detail_g1",
    "order_search_g1",
    "order_timeline_g1",
    "shipment_board_g1",
    "customer_orders_g1",
    "payment_ledger_g1",
    "payment_ledger_days_g1",
    "sales_by_minute_g1",
    "fraud_signals_g1",
];

/// Runs one of PostgreSQL's programs on a database.
async fn pg(db: &TestDatabase, program: &str, arguments: &[&str]) -> Output {
    let options = db.connect_options();
    let host = options.get_socket().map_or_else(
        || options.get_host().to_owned(),
        |socket| socket.display().to_string(),
    );
    let program = std::env::var_os("PG_BIN_DIR").map_or_else(
        || PathBuf::from(program),
        |folder| Path::new(&folder).join(program),
    );
    let run = Command::new(program)
        .args(["-h", &host, "-p", &options.get_port().to_string()])
        .args(["-U", options.get_username()])
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(DEADLINE, run)
        .await
        .unwrap()
        .expect("PostgreSQL's programs are installed");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output
}

fn name(db: &TestDatabase) -> String {
    db.connect_options()
        .get_database()
        .expect("a test's database has a name")
        .to_owned()
}

/// `pg_dump -Fc`, as the chapter has it.
async fn dump(db: &TestDatabase, file: &str) {
    pg(db, "pg_dump", &["-Fc", "-f", file, &name(db)]).await;
}

/// `pg_restore --no-owner`, as the chapter has it.
async fn restore(file: &str) -> TestDatabase {
    let db = empty_database().await;
    pg(&db, "pg_restore", &["--no-owner", "-d", &name(&db), file]).await;
    db
}

/// One order from its draft to its capture; where its last event lies.
async fn whole_life(staff: &Client, order: Uuid) -> Value {
    let mut position = Value::Null;
    for (name, input) in life(order, "ada", "by the door") {
        position = staff.mutate(name, input).await.data()["position"].take();
    }
    position
}

async fn cursor(staff: &Client, after: Value) -> Value {
    let mut stream = staff.follow(FOLLOW, json!({"after": after})).await;
    stream.next().await.unwrap()["data"]["ordersChanged"]["cursor"].take()
}

/// A shop, a dump of it that was taken while others wrote, and what was answered since.
struct Drill {
    db: TestDatabase,
    server: Server,
    staff: Client,
    folder: Scratch,
    early: Uuid,
    early_at: Value,
    early_cursor: Value,
}

impl Drill {
    async fn open() -> Drill {
        let db = database().await;
        let server = Server::start(&db).await;
        let staff = server.client(token(&db, Role::Staff, "s-1").await);
        let folder = scratch("restore");
        std::fs::create_dir_all(folder.path()).unwrap();
        let early = Uuid::new_v4();
        let early_at = whole_life(&staff, early).await;
        let early_cursor = cursor(&staff, Value::Null).await;
        Drill {
            db,
            server,
            staff,
            folder,
            early,
            early_at,
            early_cursor,
        }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Dumps while orders come in without a pause.
    async fn dump_under_load(&self) -> String {
        let file = self.file("docket.dump");
        let (over, first) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let load = |_| {
            let (staff, over, first) = (self.staff.clone(), Arc::clone(&over), Arc::clone(&first));
            tokio::spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    whole_life(&staff, Uuid::new_v4()).await;
                    first.store(true, Ordering::SeqCst);
                }
            })
        };
        let writers: Vec<_> = (0..3).map(load).collect();
        eventually(DEADLINE, async || first.load(Ordering::SeqCst).then_some(())).await;
        dump(&self.db, &file).await;
        over.store(true, Ordering::SeqCst);
        futures::future::try_join_all(writers).await.unwrap();
        file
    }
}

async fn verified(db: &TestDatabase) -> String {
    let output = verb(on(db), &["verify"]).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Why `serve` does not start.
async fn refusal(db: &TestDatabase) -> String {
    let output = verb(on(db), &SERVE).await;
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_under_load_is_restored_whole_and_what_was_answered_after_it_is_refused() {
    let drill = Drill::open().await;
    let file = drill.dump_under_load().await;
    let late = Uuid::new_v4();
    let late_at = whole_life(&drill.staff, late).await;
    let late_cursor = cursor(&drill.staff, Value::Null).await;

    let db = restore(&file).await;
    verified(&db).await;
    let server = Server::start(&db).await;
    let staff = drill.staff.at(server.address());
    eventually(DEADLINE, async || (staff.ready().await.0 == 200).then_some(())).await;

    // What was answered before is there, the token and the cursor too.
    let read = staff
        .run(AT, json!({"order": drill.early, "at": [drill.early_at]}))
        .await;
    assert_eq!(read.data()["status"], "CONFIRMED");
    assert!(cursor(&staff, drill.early_cursor.clone()).await.is_string());

    // What was answered after is gone, and said to be.
    let read = staff.run(AT, json!({"order": late, "at": [late_at]})).await;
    assert_eq!(read.code(), "STALE");
    let refused = staff
        .follow(FOLLOW, json!({"after": late_cursor}))
        .await
        .next()
        .await;
    let text = refused.unwrap().to_string();
    assert!(
        text.contains("BAD_USER_INPUT") && text.contains("restored from an older backup"),
        "{text}"
    );
    // The same command again under its key is done anew.
    let (step, input) = life(late, "ada", "by the door").remove(0);
    assert_eq!(staff.mutate(step, input).await.data()["version"], 1);
    assert!(server.stop().await.success());
    verified(&db).await;
    assert!(drill.server.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_restored_under_newer_read_models_or_reactors_does_not_start() {
    let drill = Drill::open().await;
    let old = drill.file("old.dump");
    dump(&drill.db, &old).await;
    whole_life(&drill.staff, Uuid::new_v4()).await;
    let new = drill.file("new.dump");
    eventually(DEADLINE, async || caught_up(&drill.db).await.then_some(())).await;
    assert!(drill.server.stop().await.success());
    dump(&drill.db, &new).await;

    // The log of the old dump, everything that follows it from the new one.
    let db = restore(&old).await;
    let emptied = format!("truncate checkpoints, {}", READ_MODELS.join(", "));
    sqlx::query(sqlx::AssertSqlSafe(emptied))
        .execute(db.admin())
        .await
        .unwrap();
    let mut arguments = vec!["--no-owner", "--data-only"];
    for table in READ_MODELS.iter().chain(&["checkpoints"]) {
        arguments.extend(["-t", *table]);
    }
    let target = name(&db);
    arguments.extend(["-d", &target, &new]);
    pg(&db, "pg_restore", &arguments).await;

    let said = refusal(&db).await;
    assert!(
        said.contains("has folded partition") && said.contains("yet the log ends at"),
        "{said}"
    );
    assert!(said.contains("restored from an older backup"), "{said}");

    // Read models that are folded anew do not help a reactor that is ahead: what it did cannot be done anew.
    let anew = "update checkpoints set \"offset\" = 0, event_id = null where projection in
        (select name from projections where kind = 'read_model')";
    let emptied = format!("truncate {}", READ_MODELS.join(", "));
    sqlx::query(sqlx::AssertSqlSafe(emptied))
        .execute(db.admin())
        .await
        .unwrap();
    sqlx::query(anew).execute(db.admin()).await.unwrap();
    let said = refusal(&db).await;
    assert!(
        said.contains("notifications has folded partition") && said.contains("yet the log ends at"),
        "{said}"
    );
}

/// Whether everything that follows the log has come to its end.
async fn caught_up(db: &TestDatabase) -> bool {
    let behind =
        "select count(*) from checkpoints c join heads h using (partition) where c.\"offset\" < h.head";
    sqlx::query_scalar::<_, i64>(behind)
        .fetch_one(db.admin())
        .await
        .unwrap()
        == 0
}
