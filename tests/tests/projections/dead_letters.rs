//! An event that cannot be applied parks its order and no other: what waits is kept in sequence, tried again in order, or
//! passed over for good with a reason; and at every moment the rows are the fold of the log without it.

use crate::{
    rebuild::{SWAP, rebuilt},
    rebuild_faults::{BLOCKS, block, waiting_at},
    shop::{
        ALL, DEADLINE, add_line, draft, empty_database, fulfil, open, order_in, place, quick, start, status,
        stopped,
    },
};
use docket_domain::OrderId;
use docket_event_store::{Position, Store};
use docket_projections::{
    Generation, Projections, ProjectionsConfig, StopClass, WaitError,
    dead_letter::{DeadLetterError, Sequence, discard, discarded, letter_count, list, retry, show},
    limits::{DISCARDED_BY_BYTES, LETTERS_PAGE, REASON_BYTES},
    rebuild::{Outcome, Progress, RebuildOptions, Step, rebuild},
    verify,
};
use docket_tests::{
    TestDatabase, eventually,
    server::{for_people_on, on, verb},
};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::time::Duration;

/// The database refuses rows of a table where a condition holds.
async fn refuse(db: &TestDatabase, table: &str, condition: &str) {
    let refuse = format!(
        "create or replace function refuse() returns trigger language plpgsql as $$
         begin raise exception 'no such thing' using errcode = '22003'; end $$;
         create trigger refuse before insert or update on {table} for each row
         when ({condition}) execute function refuse()"
    );
    sqlx::raw_sql(AssertSqlSafe(refuse))
        .execute(db.admin())
        .await
        .unwrap();
}

async fn repair(db: &TestDatabase, table: &str) {
    let repair = format!("drop trigger refuse on {table}");
    sqlx::raw_sql(AssertSqlSafe(repair))
        .execute(db.admin())
        .await
        .unwrap();
}

/// Returns when so many sequences wait.
async fn waiting(store: &Store, projection: &str, sequences: usize) -> Vec<Sequence> {
    eventually(DEADLINE, async || {
        let found = list(store.pool(), Some(projection), None, LETTERS_PAGE)
            .await
            .unwrap();
        (found.len() == sequences && found.iter().all(|one| !one.is_wanted)).then_some(found)
    })
    .await
}

async fn found(projections: &Projections, projection: &'static str, at: Position) {
    projections.wait_for(&[projection], &[at]).await.unwrap();
}

/// One order waits, with everything that happens to it later; others of its partition, and other read models, go on. Who
/// waits for it is told. Repaired, it is tried again in order, and the rows are what they would have been.
#[tokio::test]
async fn a_poison_event_stops_one_order_and_no_other() {
    let db = empty_database().await;
    let store = open(&db).await;
    let (bad, good) = (order_in(&store, 2), order_in(&store, 2));
    refuse(&db, "order_summary_g1", &format!("new.order_id = '{bad}'")).await;
    let projections = start(&store).await;
    let first = draft(&store, bad).await;
    add_line(&store, bad).await;
    let placed = place(&store, good).await;
    let last = add_line(&store, bad).await;

    found(&projections, "order_summary", placed).await;
    found(&projections, "order_detail", last).await;
    let waits = eventually(DEADLINE, async || {
        let found = waiting(&store, "order_summary", 1).await;
        (found[0].behind == 2).then_some(found)
    })
    .await;
    assert_eq!((waits[0].order, waits[0].position), (bad, first));
    let failure = waits[0].failure.clone().unwrap();
    assert_eq!((failure.class, failure.attempts), (StopClass::Sql, 3));
    assert!(failure.reason.contains("no such thing"), "{failure:?}");
    for at in [first, last] {
        let told = projections.wait_for(&["order_summary"], &[at]).await.unwrap_err();
        assert!(
            matches!(told, WaitError::Parked { position, .. } if position == at),
            "{told:?}"
        );
    }
    assert_eq!(status(&projections, "order_summary", 2).parked, 1);
    let whole = verify(&store, |_| {}).await.unwrap();
    assert_eq!(whole.left_out, 3);
    let letters = show(store.pool(), "order_summary", bad).await.unwrap();
    let positions: Vec<Position> = letters.iter().map(|letter| letter.position).collect();
    assert_eq!((positions[0], positions[2]), (first, last));
    assert_eq!(letters[1].event_type, "order.line_added");
    assert!(letters[0].failure.is_some() && letters[1].failure.is_none());

    // Not repaired: it fails again, and nothing is lost of it.
    let other = open(&db).await;
    assert_eq!(retry(other.pool(), "order_summary", Some(bad)).await.unwrap(), 1);
    let again = waiting(&store, "order_summary", 1).await;
    assert_eq!(
        (again[0].failure.as_ref().unwrap().attempts, again[0].behind),
        (4, 2)
    );

    repair(&db, "order_summary_g1").await;
    assert_eq!(retry(other.pool(), "order_summary", None).await.unwrap(), 1);
    waiting(&store, "order_summary", 0).await;
    found(&projections, "order_summary", last).await;
    assert_eq!(status(&projections, "order_summary", 2).parked, 0);
    let later = add_line(&store, bad).await;
    found(&projections, "order_summary", later).await;
    let whole = verify(&store, |_| {}).await.unwrap();
    assert_eq!(whole.left_out, 0);
    let gone = retry(other.pool(), "order_summary", Some(bad)).await.unwrap_err();
    assert!(matches!(gone, DeadLetterError::NotParked { .. }), "{gone:?}");
    projections.stop().await;
}

/// Another process that takes the partition over lets the order wait as well, and tells who waits through it.
#[tokio::test]
async fn what_waits_is_handed_over_with_the_partition() {
    let db = empty_database().await;
    let store = open(&db).await;
    let bad = order_in(&store, 5);
    refuse(&db, "order_detail_g1", &format!("new.order_id = '{bad}'")).await;
    let projections = start(&store).await;
    let first = draft(&store, bad).await;
    waiting(&store, "order_detail", 1).await;
    let elsewhere = open(&db).await;
    let others = start(&elsewhere).await;
    projections.stop().await;
    // Also while nothing more comes.
    for _ in 0..20 {
        let told = others.wait_for(&["order_detail"], &[first]).await.unwrap_err();
        assert!(matches!(told, WaitError::Parked { .. }), "{told:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let last = add_line(&elsewhere, bad).await;
    eventually(DEADLINE, async || {
        let told = others.wait_for(&["order_detail"], &[last]).await;
        matches!(told, Err(WaitError::Parked { .. })).then_some(())
    })
    .await;
    assert_eq!(waiting(&elsewhere, "order_detail", 1).await[0].behind, 1);
    repair(&db, "order_detail_g1").await;
    retry(elsewhere.pool(), "order_detail", Some(bad)).await.unwrap();
    waiting(&elsewhere, "order_detail", 0).await;
    found(&others, "order_detail", last).await;
    verify(&elsewhere, |_| {}).await.unwrap();
    others.stop().await;
}

/// What can never be applied is passed over for good: with a reason, by everybody, in every rebuild; and what waited behind it
/// is applied.
#[tokio::test]
async fn a_discarded_event_is_passed_over_for_good() {
    let db = empty_database().await;
    let store = open(&db).await;
    let order = order_in(&store, 3);
    let first = draft(&store, order).await;
    let poison = Position {
        offset: first.offset + 1,
        ..first
    };
    refuse(
        &db,
        "order_timeline_g1",
        &format!("new.partition = 3 and new.\"offset\" = {}", poison.offset),
    )
    .await;
    let projections = start(&store).await;
    assert_eq!(add_line(&store, order).await, poison);
    let last = add_line(&store, order).await;
    waiting(&store, "order_timeline", 1).await;

    let pool = store.pool();
    for reason in ["  ", "red\u{1b}[31m", "two\nlines", &"x".repeat(REASON_BYTES + 1)] {
        let refused = discard(pool, "order_timeline", poison, reason, "ops").await;
        assert!(matches!(refused, Err(DeadLetterError::Reason(_))), "{refused:?}");
    }
    for by in ["", " ", "o\u{1b}ps", &"x".repeat(DISCARDED_BY_BYTES + 1)] {
        let refused = discard(pool, "order_timeline", poison, "why not", by).await;
        assert!(matches!(refused, Err(DeadLetterError::By(_))), "{refused:?}");
    }
    for other in [first, last] {
        let refused = discard(pool, "order_timeline", other, "why not", "ops")
            .await
            .unwrap_err();
        assert!(
            matches!(
                refused,
                DeadLetterError::NotFirst { .. } | DeadLetterError::Applied { .. }
            ),
            "{refused:?}"
        );
    }
    let refused = discard(pool, "order_detail", poison, "why not", "ops")
        .await
        .unwrap_err();
    assert!(matches!(refused, DeadLetterError::NotFirst { .. }), "{refused:?}");
    let unknown = discard(pool, "no_such", poison, "why not", "ops")
        .await
        .unwrap_err();
    assert!(
        matches!(unknown, DeadLetterError::NoSuchReadModel { .. }),
        "{unknown:?}"
    );

    discard(pool, "order_timeline", poison, " The line was a joke. ", " ops ")
        .await
        .unwrap();
    waiting(&store, "order_timeline", 0).await;
    found(&projections, "order_timeline", last).await;
    let kept = discarded(pool, Some("order_timeline")).await.unwrap();
    assert_eq!((kept.len(), kept[0].position, kept[0].order), (1, poison, order));
    assert_eq!(
        (kept[0].reason.as_str(), kept[0].by.as_str()),
        ("The line was a joke.", "ops")
    );
    assert!(kept[0].failure.contains("no such thing"), "{kept:?}");
    assert_eq!(verify(&store, |_| {}).await.unwrap().left_out, 1);

    let done = rebuilt(&store, "order_timeline").await.unwrap();
    assert_eq!(done.outcome, Outcome::Swapped);
    let shown: i64 = sqlx::query_scalar("select count(*) from order_timeline_g2 where order_id = $1")
        .bind(order.0)
        .fetch_one(db.admin())
        .await
        .unwrap();
    assert_eq!(shown, 2, "created, and the second line");
    eventually(DEADLINE, async || verify(&store, |_| {}).await.ok()).await;
    projections.stop().await;
}

/// The reason that an event was discarded for stands, with who gave it: said again it changes nothing, and another one is
/// refused, whether the event waits still or not.
#[tokio::test]
async fn what_is_discarded_is_not_discarded_for_another_reason() {
    let db = empty_database().await;
    let store = open(&db).await;
    let (pool, name) = (store.pool(), "order_summary");
    let order = order_in(&store, 6);
    refuse(&db, "order_summary_g1", &format!("new.order_id = '{order}'")).await;
    let projections = start(&store).await;
    let poison = draft(&store, order).await;
    waiting(&store, name, 1).await;
    projections.stop().await;

    let says = async |reason: &str, by: &str| discard(pool, name, poison, reason, by).await;
    let stands = async |kept: &str, refused: &str| {
        let left = left(&db).await;
        says(kept, "bob").await.unwrap();
        let told = says(refused, "bob").await.unwrap_err();
        assert!(
            matches!(&told, DeadLetterError::AlreadyDiscarded { position, reason, by, .. }
                if (*position, reason.as_str(), by.as_str()) == (poison, kept, "ada")),
            "{told:?}"
        );
        assert_eq!(self::left(&db).await, left);
    };
    says("a joke", "ada").await.unwrap();
    stands("a joke", "a mistake").await;

    // What another version of the fold passes over is not discarded for this one.
    sqlx::query("update discarded_events set version = version + 1")
        .execute(db.admin())
        .await
        .unwrap();
    says("a mistake", "ada").await.unwrap();
    stands("a mistake", "a joke").await;
    let projections = start(&store).await;
    waiting(&store, name, 0).await;
    stands("a mistake", "a joke").await;
    projections.stop().await;
}

/// What is discarded, and how often something was done about letters.
async fn left(db: &TestDatabase) -> Value {
    let sql = "select jsonb_build_array((select jsonb_agg(d order by discarded_at) from discarded_events d),
                                        (select sum(letters) from checkpoints))";
    sqlx::query_scalar(sql).fetch_one(db.admin()).await.unwrap()
}

/// A rebuild is proved by the log where what is served lacks something, and brings in what waits there.
#[tokio::test]
async fn a_rebuild_brings_in_what_waits() {
    let db = empty_database().await;
    let store = open(&db).await;
    let order = order_in(&store, 9);
    refuse(&db, "customer_orders_g1", &format!("new.order_id = '{order}'")).await;
    let projections = start(&store).await;
    let placed = place(&store, order).await;
    waiting(&store, "customer_orders", 1).await;
    let done = rebuilt(&store, "customer_orders").await.unwrap();
    assert_eq!((done.outcome, done.generation), (Outcome::Swapped, Generation(2)));
    eventually(DEADLINE, async || {
        projections.wait_for(&["customer_orders"], &[placed]).await.ok()
    })
    .await;
    assert_eq!(verify(&store, |_| {}).await.unwrap().left_out, 0);
    let kept = list(store.pool(), None, None, LETTERS_PAGE).await.unwrap();
    assert_eq!((kept.len(), kept[0].generation), (1, Generation(1)));
    let applied = discard(
        store.pool(),
        "customer_orders",
        kept[0].position,
        "why not",
        "ops",
    )
    .await;
    let applied = applied.unwrap_err();
    assert!(
        matches!(
            applied,
            DeadLetterError::Applied {
                generation: Generation(2),
                ..
            }
        ),
        "{applied:?}"
    );
    projections.stop().await;
}

/// An event that stops a rebuild is shown as what its partition stands at, and can be discarded.
#[tokio::test]
async fn a_rebuild_says_at_which_event_it_stands() {
    let db = empty_database().await;
    let store = open(&db).await;
    let order = order_in(&store, 6);
    let before = draft(&store, order).await;
    let offset = crate::poison::append_undecodable(&db, 6, order).await;
    let poison = Position { offset, ..before };
    let projections = start(&store).await;
    for projection in ALL {
        waiting(&store, projection, 1).await;
    }
    let options = RebuildOptions {
        against_log: true,
        ..SWAP
    };
    let stopped = rebuild(&store, "order_search", options, &Progress::new(16)).await;
    assert!(stopped.unwrap_err().to_string().contains("order.teleported"));
    let stands: i64 = sqlx::query_scalar(
        "select stopped_offset from checkpoints where projection = 'order_search' and generation = 2 and partition = 6",
    )
    .fetch_one(db.admin())
    .await
    .unwrap();
    assert_eq!(stands, offset);
    discard(store.pool(), "order_search", poison, "Nobody teleports.", "ops")
        .await
        .unwrap();
    let done = rebuild(&store, "order_search", options, &Progress::new(16))
        .await
        .unwrap();
    assert_eq!(done.outcome, Outcome::Swapped);
    waiting(&store, "order_search", 0).await;
    projections.stop().await;
}

/// With more than single events wrong, the partition stops; what waits can still be tried again, and then it goes on.
#[tokio::test]
async fn too_many_dead_letters_stop_the_partition() {
    let db = empty_database().await;
    let store = open(&db).await;
    let most = docket_projections::limits::PARKED_ORDERS;
    let mut last = None;
    for _ in 0..=most {
        last = Some(draft(&store, order_in(&store, 1)).await);
    }
    let last = last.unwrap();
    refuse(&db, "order_summary_g1", "new.partition = 1").await;
    let config = ProjectionsConfig {
        attempts: 1,
        ..quick()
    };
    let projections = Projections::start(store.clone(), config).await.unwrap();
    let why = stopped(&projections, "order_summary", 1).await.stopped.unwrap();
    assert_eq!((why.class, why.position), (StopClass::Full, last));
    assert!(why.reason.contains("no such thing"), "{}", why.reason);
    assert_eq!(status(&projections, "order_summary", 1).parked, most);
    found(&projections, "order_detail", last).await;

    repair(&db, "order_summary_g1").await;
    assert_eq!(
        retry(store.pool(), "order_summary", None).await.unwrap(),
        most as i64
    );
    waiting(&store, "order_summary", 0).await;
    projections.resume("order_summary", 1).await.unwrap();
    found(&projections, "order_summary", last).await;
    verify(&store, |_| {}).await.unwrap();
    projections.stop().await;
}

/// Runs a verb; whether it succeeded, and its lines.
async fn said(db: &TestDatabase, args: &[&str]) -> (bool, Vec<Value>) {
    let output = verb(on(db), args).await;
    let out = String::from_utf8(output.stdout).unwrap();
    let lines = out.lines().map(|line| serde_json::from_str(line).unwrap());
    (output.status.success(), lines.collect())
}

/// What an operator does with the command line: sees what waits, tries it again before and after it is mended, and has what
/// is hopeless passed over.
#[tokio::test]
async fn an_operator_sees_retries_and_discards() {
    let db = empty_database().await;
    let store = open(&db).await;
    let (order, other) = (order_in(&store, 4), order_in(&store, 4));
    refuse(
        &db,
        "order_summary_g1",
        &format!("new.order_id in ('{order}', '{other}')"),
    )
    .await;
    let projections = start(&store).await;
    let first = draft(&store, order).await;
    add_line(&store, order).await;
    let hopeless = draft(&store, other).await;
    waiting(&store, "order_summary", 2).await;

    let (name, id) = ("order_summary", order.to_string());
    let (_, listed) = said(&db, &["dead-letters", "list", name]).await;
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["order"], json!(order));
    assert_eq!(listed[0]["position"], first.to_string());
    assert_eq!(
        (&listed[0]["behind"], &listed[0]["class"]),
        (&json!(1), &json!("sql"))
    );
    let (_, shown) = said(&db, &["dead-letters", "show", name, &id]).await;
    assert_eq!((shown.len(), &shown[1]["type"]), (2, &json!("order.line_added")));
    assert_eq!(shown[0]["payload"]["currency"], "EUR");

    let (succeeded, tried) = said(&db, &["dead-letters", "retry", name, &id]).await;
    assert!(!succeeded);
    assert_eq!(
        (&tried[0]["untried"], &tried[0]["left"][0]["attempts"]),
        (&json!(0), &json!(4))
    );
    let position = hopeless.to_string();
    let (refused, _) = said(&db, &["dead-letters", "discard", name, "4:999", "--reason", "no"]).await;
    assert!(!refused);
    let discard = [
        "dead-letters",
        "discard",
        name,
        &position,
        "--reason",
        "never was",
        "--by",
        "ada",
    ];
    assert!(said(&db, &discard).await.0);
    repair(&db, "order_summary_g1").await;
    let (succeeded, tried) = said(&db, &["dead-letters", "retry", name, "--all"]).await;
    assert!(succeeded, "{tried:?}");
    eventually(DEADLINE, async || {
        let (_, left) = said(&db, &["dead-letters", "list"]).await;
        (left.len() == 1 && left[0]["discarded"] == true && left[0]["by"] == "ada").then_some(())
    })
    .await;
    let unknown = verb(on(&db), &["dead-letters", "list", "no_such"]).await;
    assert!(!unknown.status.success());
    let why = String::from_utf8(unknown.stderr).unwrap();
    assert!(
        why.contains("there is no read model \"no_such\"; there are customer_orders"),
        "{why}"
    );
    projections.stop().await;
}

/// What a verb says to people.
async fn told(db: &TestDatabase, args: &[&str]) -> String {
    let args: Vec<&str> = ["dead-letters"].iter().chain(args).copied().collect();
    let output = verb(for_people_on(db), &args).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// So many events of an order wait that nothing is ever done about, and so many others were discarded, one a second.
async fn fill(db: &TestDatabase, order: OrderId, letters: i64, discarded: i64) {
    for (sql, count) in [
        (
            r#"with events as (
                 insert into events (partition, "offset", order_id, stream_kind, stream_number, version, event_id, event_type,
                                     schema_version, origin, occurred_at, recorded_at, command_id, actor_kind, actor_id, payload)
                 select 1, n, $1, 'o', 0, n, gen_random_uuid(), 'order.teleported', 1, 'l', now(), now(),
                        gen_random_uuid(), 'staff', 's-1', '{}' from generate_series(1, $2) n)
               insert into dead_letters (projection, generation, partition, "offset", order_id, class, reason, failed_at)
               select 'order_summary', 1, 1, n, $1, case n when 1 then 'sql' end, case n when 1 then 'no' end,
                      case n when 1 then now() end
                 from generate_series(1, $2) n"#,
            letters,
        ),
        (
            r#"insert into discarded_events (projection, version, partition, "offset", event_id, order_id, reason,
                                             discarded_by, failure, discarded_at)
               select 'order_summary', 1, 2, n, gen_random_uuid(), $1, 'reason ' || n, 'ada', 'no', now() + n * interval '1 s'
                 from generate_series(1, $2) n"#,
            discarded,
        ),
    ] {
        let rows = sqlx::query(sql).bind(order.0).bind(count);
        rows.execute(db.admin()).await.unwrap();
    }
}

/// Of more than are shown, the last line says how many more there are; of what was discarded the newest are shown.
#[tokio::test]
async fn a_list_that_is_cut_says_so() {
    let db = empty_database().await;
    let store = open(&db).await;
    let order = order_in(&store, 1);
    let id = order.to_string();
    fill(&db, order, LETTERS_PAGE + 200, LETTERS_PAGE + 3).await;
    let listed = told(&db, &["list"]).await;
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].contains("1199 behind it"), "{}", lines[0]);
    assert!(lines[1].ends_with(": reason 1003"), "{}", lines[1]);
    assert_eq!((lines.len(), lines[1_001]), (1_002, "and 3 more"));
    let shown = told(&db, &["show", "order_summary", &id]).await;
    assert!(shown.ends_with("\nand 200 more\n"));
    for (args, more) in [
        (vec!["dead-letters", "list"], 3),
        (vec!["dead-letters", "show", "order_summary", &id], 200),
    ] {
        let (_, lines) = said(&db, &args).await;
        assert_eq!(lines.last(), Some(&json!({"more": more})));
    }

    let trim = r#"delete from dead_letters where "offset" > $1"#;
    let trim = sqlx::query(trim).bind(LETTERS_PAGE).execute(db.admin());
    trim.await.unwrap();
    let shown = told(&db, &["show", "order_summary", &id]).await;
    assert!(shown.ends_with(&format!(" 1:{LETTERS_PAGE}, order.teleported v1\n")));
    assert_eq!(
        letter_count(store.pool(), "order_summary", order).await.unwrap(),
        LETTERS_PAGE
    );
}

/// What people and events say reaches a terminal with its control characters shown, each line on a line.
#[tokio::test]
async fn no_control_character_reaches_the_terminal() {
    let db = empty_database().await;
    let store = open(&db).await;
    let order = order_in(&store, 1);
    fill(&db, order, 1, 1).await;
    let (raw, shown) = (
        "red \u{1b}[31m\r\n\u{9b}2J\u{7f}ä",
        r"red \u{1b}[31m\r\n\u{9b}2J\u{7f}ä",
    );
    for sql in [
        "update dead_letters set reason = $1",
        "update discarded_events set reason = $1, discarded_by = $1",
    ] {
        sqlx::query(sql).bind(raw).execute(db.admin()).await.unwrap();
    }
    let listed = told(&db, &["list"]).await;
    let letters = told(&db, &["show", "order_summary", &order.to_string()]).await;
    for said in [&listed, &letters] {
        assert!(!said.contains(|c: char| c.is_control() && c != '\n'), "{said:?}");
    }
    assert_eq!(
        (listed.lines().count(), listed.matches(shown).count()),
        (2, 3),
        "{listed}"
    );
    assert_eq!(
        (letters.lines().count(), letters.matches(shown).count()),
        (4, 1),
        "{letters}"
    );
}

/// A row that cannot be read is the fault of the event that needs it, not of one that waits in front of it.
#[tokio::test]
async fn the_event_at_fault_is_parked_and_no_other() {
    let db = empty_database().await;
    let store = open(&db).await;
    let (waits, broken) = (order_in(&store, 7), order_in(&store, 7));
    refuse(&db, "order_summary_g1", &format!("new.order_id = '{waits}'")).await;
    let projections = start(&store).await;
    let first = draft(&store, waits).await;
    let last = draft(&store, broken).await;
    found(&projections, "order_summary", last).await;
    waiting(&store, "order_summary", 1).await;
    projections.stop().await;
    sqlx::query("update order_summary_g1 set status = 'sideways' where order_id = $1")
        .bind(broken.0)
        .execute(db.admin())
        .await
        .unwrap();
    add_line(&store, waits).await;
    let at_fault = add_line(&store, broken).await;
    let fine = draft(&store, order_in(&store, 7)).await;
    let projections = start(&store).await;
    found(&projections, "order_summary", fine).await;
    let found = waiting(&store, "order_summary", 2).await;
    let of = |one: &Sequence| (one.order, one.position, one.behind);
    assert_eq!(of(&found[0]), (waits, first, 1));
    assert_eq!(of(&found[1]), (broken, at_fault, 0));
    projections.stop().await;
}

/// What was done about letters without the owner's knowing, because an answer was lost, is noticed by its next write: nothing
/// is folded on top of what it remembers, and nothing waits behind what is gone.
#[tokio::test]
async fn an_owner_writes_nothing_on_what_it_does_not_know() {
    let db = empty_database().await;
    let store = open(&db).await;
    let order = order_in(&store, 8);
    refuse(&db, "sales_by_minute_g1", "new.partition = 8").await;
    let projections = start(&store).await;
    let placed = place(&store, order).await;
    waiting(&store, "sales_by_minute", 1).await;
    repair(&db, "sales_by_minute_g1").await;
    // As a retry would whose answer never came.
    let at = status(&projections, "sales_by_minute", 8);
    assert_eq!((at.offset, at.parked), (placed.offset, 1));
    sqlx::raw_sql(
        "delete from dead_letters where projection = 'sales_by_minute';
         update checkpoints set parked = 0, letters = letters + 1 where projection = 'sales_by_minute' and partition = 8",
    )
    .execute(db.admin())
    .await
    .unwrap();
    let paid = fulfil(&store, order).await;
    found(&projections, "sales_by_minute", paid).await;
    assert!(
        list(store.pool(), Some("sales_by_minute"), None, LETTERS_PAGE)
            .await
            .unwrap()
            .is_empty()
    );
    projections.stop().await;
}

/// Nobody discards an event that a rebuild may have taken in already.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_discarded_under_a_rebuild() {
    let db = empty_database().await;
    let store = open(&db).await;
    let order = order_in(&store, 2);
    refuse(&db, "order_summary_g1", &format!("new.order_id = '{order}'")).await;
    let projections = start(&store).await;
    let position = draft(&store, order).await;
    waiting(&store, "order_summary", 1).await;
    let elsewhere = draft(&store, order_in(&store, 4)).await;
    found(&projections, "order_summary", elsewhere).await;
    let blocked = block(&db, BLOCKS[1].1).await;
    let mut process = waiting_at(&db, Step::Load).await;
    let refused = discard(store.pool(), "order_summary", position, "why not", "ops").await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(
            refused,
            DeadLetterError::Rebuilding { .. } | DeadLetterError::Applied { .. }
        ),
        "{refused:?}"
    );
    drop(blocked);
    assert!(process.wait().await.unwrap().success());
    projections.stop().await;
}
