//! Building aside: what another fold makes of the log, or what there was at an instant, beside what is served.

use crate::{
    counter::{self, COUNTER, Counter},
    rebuild::{SWAP, rebuilt, sell, shop, tables},
    rebuild_faults::{BLOCKS, block, folded, waiting_for},
    shop::{ALL, DAMAGE_DOCUMENTS, DEADLINE, TABLES, draft, fulfil, open, order_in, place, quick, start},
};
use chrono::{DateTime, Utc};
use docket_event_store::Store;
use docket_projections::{
    Generation, Projections, Serving, StopClass, limits,
    overview::{Standing, overview},
    rebuild::{
        LoadError, Outcome, Progress, Purpose, RebuildError, RebuildOptions, Rebuilt, Step, TableDifferences,
        Wish, drop_side, operations, rebuild, rebuild_only, rollback, wish,
    },
    verify,
};
use docket_tests::{TestDatabase, eventually, server::on};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection};
use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::process::Command;

fn options(purpose: Purpose) -> RebuildOptions {
    RebuildOptions { purpose, ..SWAP }
}

async fn aside(store: &Store, name: &str, purpose: Purpose) -> Result<Rebuilt, RebuildError> {
    rebuild(store, name, options(purpose), &Progress::new(16)).await
}

async fn what_if_counter(store: &Store, counter: Counter) -> Result<Rebuilt, RebuildError> {
    let options = options(Purpose::WhatIf);
    rebuild_only(store, counter, options, &Progress::new(16)).await
}

async fn execute(db: &TestDatabase, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(db.admin())
        .await
        .unwrap();
}

/// All rows of a table as text, in the order of their key.
async fn rows(db: &TestDatabase, table: &str, key: &str) -> Vec<String> {
    let sql = format!("select t::text from {table} t order by {key}");
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_all(db.admin())
        .await
        .unwrap()
}

async fn now(db: &TestDatabase) -> DateTime<Utc> {
    sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(db.admin())
        .await
        .unwrap()
}

/// The tables that lie aside.
async fn sides(db: &TestDatabase) -> Vec<String> {
    sqlx::query_scalar(
        "select relname::text from pg_class where relkind = 'r' and relnamespace = 'side'::regnamespace order by 1",
    )
    .fetch_all(db.admin())
    .await
    .unwrap()
}

/// Generations of order_summary beside the first, and their checkpoints.
async fn known(db: &TestDatabase) -> (Vec<(i32, String)>, i64) {
    let generations = sqlx::query_as(
        "select generation, state from generations where projection = 'order_summary' and generation > 1 order by 1",
    );
    let checkpoints = sqlx::query_scalar(
        "select count(*) from checkpoints where projection = 'order_summary' and generation > 1",
    );
    (
        generations.fetch_all(db.admin()).await.unwrap(),
        checkpoints.fetch_one(db.admin()).await.unwrap(),
    )
}

/// The same fold gives the same rows of every read model, whatever comes in meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_what_if_of_the_same_fold_differs_in_nothing_while_orders_come_in() {
    let (_db, store, projections) = shop().await;
    let enough = Arc::new(AtomicBool::new(false));
    let sellers = sell(&store, &enough);
    for name in ALL {
        let done = aside(&store, name, Purpose::WhatIf).await.unwrap();
        assert_eq!((done.generation, done.outcome), (Generation(2), Outcome::Aside));
        assert!(done.rows > 0, "{name}");
        assert!(
            done.differences.iter().all(TableDifferences::is_none),
            "{name}: {:?}",
            done.differences
        );
        let serving = Serving::read(&store).await.unwrap();
        assert_eq!(serving.of(name).unwrap(), Generation(1));
    }
    enough.store(true, Ordering::SeqCst);
    sellers.join_all().await;
    projections.caught_up().await.unwrap();
    verify(&store, |_| {}).await.unwrap();
    projections.stop().await;
}

/// Another version of a fold, with a column of its own, while the version before is served.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_fold_is_reported_row_for_row_and_what_is_served_is_untouched() {
    let (db, store, projections) = shop().await;
    projections.stop().await;
    counter::migrate(&db).await;
    execute(
        &db,
        "alter table templates.counter_v2 add column note text not null default 'new'",
    )
    .await;
    let program = Projections::start_only(store.clone(), quick(), COUNTER)
        .await
        .unwrap();
    program.caught_up().await.unwrap();
    let orders: Vec<(uuid::Uuid, i32)> = sqlx::query_as("select order_id, events from counter_g1 order by 1")
        .fetch_all(db.admin())
        .await
        .unwrap();
    assert_eq!(orders.len(), 6);
    // One is as the new fold makes it, one is missing, and one has no order.
    let stranger = uuid::Uuid::max();
    execute(
        &db,
        &format!(
            "update counter_g1 set events = 2 * events where order_id = '{}';
             delete from counter_g1 where order_id = '{}';
             insert into counter_g1 values ('{stranger}', 0, 1)",
            orders[0].0, orders[1].0
        ),
    )
    .await;
    let before = rows(&db, "counter_g1", "order_id").await;
    let new = Counter {
        version: 2,
        ..COUNTER
    };
    let done = what_if_counter(&store, new).await.unwrap();
    let [found] = &done.differences[..] else {
        panic!("{done:?}")
    };
    assert_eq!(
        (found.equal, found.changed, found.only_served, found.only_aside),
        (1, 4, 1, 1)
    );
    assert_eq!((done.rows, found.has_same_key), (7, true));
    assert_eq!(found.columns, [("events".to_owned(), 4)]);
    assert_eq!(
        (
            found.columns_only_aside.as_slice(),
            found.columns_only_served.len()
        ),
        (&["note".to_owned()][..], 0)
    );
    let mut expected = vec![(orders[1].0, "*", "no row".to_owned(), "a row".to_owned())];
    for (order, events) in &orders[2..] {
        expected.push((*order, "events", events.to_string(), (2 * events).to_string()));
    }
    expected.push((stranger, "*", "a row".to_owned(), "no row".to_owned()));
    let first: Vec<_> = found
        .first
        .iter()
        .map(|row| {
            (
                row.key.parse().unwrap(),
                row.column.as_str(),
                row.old.clone(),
                row.new.clone(),
            )
        })
        .collect();
    assert_eq!(first, expected);
    assert_eq!(rows(&db, "counter_g1", "order_id").await, before);
    assert_eq!(program.serving().of("counter").unwrap(), Generation(1));
    assert_eq!(sides(&db).await, ["counter_g2"]);
    program.stop().await;
}

/// What is served lacks what it has parked; a mended fold shows what it would be.
#[tokio::test(flavor = "multi_thread")]
async fn a_mended_fold_is_tried_while_events_are_parked() {
    let (db, store, projections) = shop().await;
    projections.stop().await;
    counter::migrate(&db).await;
    let fragile = Counter {
        is_fragile: true,
        ..COUNTER
    };
    let program = Projections::start_only(store.clone(), quick(), fragile)
        .await
        .unwrap();
    let behind = "select count(*) from checkpoints c join heads h using (partition)
                   where c.projection = 'counter' and c.\"offset\" < h.head";
    eventually(DEADLINE, async || {
        let behind: i64 = sqlx::query_scalar(behind).fetch_one(db.admin()).await.unwrap();
        (behind == 0).then_some(())
    })
    .await;
    let parked: i64 =
        sqlx::query_scalar("select sum(parked)::bigint from checkpoints where projection = 'counter'")
            .fetch_one(db.admin())
            .await
            .unwrap();
    let done = what_if_counter(&store, COUNTER).await.unwrap();
    let found = &done.differences[0];
    assert_eq!((found.equal, found.changed, parked), (0, 6, 6));
    assert!(
        found.first.iter().all(|row| row.old == "1" && row.new != "1"),
        "{found:?}"
    );
    program.stop().await;
}

/// More rows than one statement compares: each is counted once, and ten are named.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_rows_each_is_counted_once_and_few_are_named() {
    let (db, store, projections) = shop().await;
    let many = 2 * limits::COMPARE_KEYS + 1;
    execute(
        &db,
        &format!(
            "insert into customer_orders_g1
             select r.* from (select * from customer_orders_g1 limit 1) c, generate_series(1, {many}) n,
                    jsonb_populate_record(null::customer_orders_g1,
                                          to_jsonb(c) || jsonb_build_object('order_id', md5(n::text))) r"
        ),
    )
    .await;
    let done = aside(&store, "customer_orders", Purpose::WhatIf).await.unwrap();
    let found = &done.differences[0];
    assert_eq!(
        (found.equal, found.changed, found.only_served, found.only_aside),
        (6, 0, many.unsigned_abs(), 0)
    );
    let mut keys: Vec<&str> = found.first.iter().map(|row| row.key.as_str()).collect();
    assert_eq!(keys.len(), limits::DIFFERENCES_NAMED);
    assert!(keys.is_sorted(), "{keys:?}");
    keys.dedup();
    assert_eq!(keys.len(), limits::DIFFERENCES_NAMED);
    projections.stop().await;
}

/// Where rows cannot be found by the same key, or the fold's version brings the table along, they are counted.
#[tokio::test(flavor = "multi_thread")]
async fn tables_with_other_keys_are_counted() {
    let (db, store, projections) = shop().await;
    projections.stop().await;
    counter::migrate(&db).await;
    let program = Projections::start_only(store.clone(), quick(), COUNTER)
        .await
        .unwrap();
    program.caught_up().await.unwrap();
    program.stop().await;
    for (change, served) in [
        ("alter table counter_g1 drop constraint counter_g1_pkey", 6),
        ("alter table counter_g1 rename to elsewhere", 0),
    ] {
        execute(&db, change).await;
        let done = what_if_counter(&store, COUNTER).await.unwrap();
        let found = &done.differences[0];
        assert_eq!(
            (found.has_same_key, found.only_served, found.only_aside),
            (false, served, 6),
            "{change}"
        );
        assert_eq!((found.rows(), found.first.len()), (served + 6, 0));
    }
}

/// What was recorded until an instant, and nothing after it.
#[tokio::test(flavor = "multi_thread")]
async fn as_of_an_instant_there_is_what_there_was_then() {
    let (db, store, projections) = shop().await;
    let then = now(&db).await;
    let mut before = Vec::new();
    for (table, key) in TABLES {
        before.push(rows(&db, table, key).await);
    }
    for n in 0..4 {
        let order = order_in(&store, n * 3);
        place(&store, order).await;
        fulfil(&store, order).await;
    }
    projections.caught_up().await.unwrap();
    for name in ALL {
        let done = aside(&store, name, Purpose::AsOf(then)).await.unwrap();
        assert_eq!(done.outcome, Outcome::Aside);
        assert!(!done.differences.iter().all(TableDifferences::is_none), "{name}");
    }
    for ((table, key), before) in TABLES.into_iter().zip(before) {
        let side = format!("side.{}", table.replace("_g1", "_g2"));
        assert_eq!(rows(&db, &side, key).await, before, "{table}");
    }
    let done = aside(&store, "order_summary", Purpose::AsOf(then)).await.unwrap();
    let found = &done.differences[0];
    assert_eq!((found.equal, found.only_served, found.only_aside), (6, 4, 0));
    projections.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_of_each_event_there_are_the_events_up_to_it() {
    let (db, store, projections) = shop().await;
    projections.stop().await;
    // Of each order the newest event, at the times of some events and right before them.
    let times: Vec<(DateTime<Utc>, i64)> = sqlx::query_as(
        r#"select t, (select coalesce(sum(newest), 0)::bigint
                        from (select max("offset") as newest from events where recorded_at <= t group by order_id) n)
             from (select recorded_at - interval '1 microsecond' as t from events union select recorded_at from events) x
            order by random() limit 12"#,
    )
    .fetch_all(db.admin())
    .await
    .unwrap();
    for (time, newest) in times {
        // Finer than events are recorded.
        let as_of = Purpose::AsOf(time + Duration::from_nanos(999));
        let done = aside(&store, "order_summary", as_of).await.unwrap();
        let sql = format!(
            "select coalesce(sum(\"offset\"), 0)::bigint from side.order_summary_g{}",
            done.generation
        );
        let found: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(db.admin())
            .await
            .unwrap();
        assert_eq!(found, newest, "{time}");
    }
    let done = aside(&store, "order_summary", Purpose::AsOf(DateTime::UNIX_EPOCH))
        .await
        .unwrap();
    let found = &done.differences[0];
    assert_eq!((found.rows(), found.only_served), (6, 6));
    let error = aside(
        &store,
        "order_summary",
        Purpose::AsOf(now(&db).await + Duration::from_secs(60)),
    )
    .await
    .unwrap_err();
    assert!(matches!(error, RebuildError::Future { .. }), "{error}");
    let last = operations(store.pool()).await.unwrap().remove(0);
    assert!(last.ended_at.is_some(), "{last:?}");
}

/// It stays as it was built, whoever starts, verifies, swaps or goes back.
#[tokio::test(flavor = "multi_thread")]
async fn what_lies_aside_is_neither_fed_nor_served_and_the_next_one_replaces_it() {
    let (db, store, projections) = shop().await;
    aside(&store, "order_summary", Purpose::WhatIf).await.unwrap();
    assert_eq!(known(&db).await, (vec![(2, "side".to_owned())], 0));
    let built = rows(&db, "side.order_summary_g2", "order_id").await;
    projections.stop().await;
    // Whoever starts now sees it from the beginning.
    let projections = start(&store).await;
    place(&store, order_in(&store, 7)).await;
    projections.caught_up().await.unwrap();
    assert_eq!(projections.serving().of("order_summary").unwrap(), Generation(1));
    let lines = overview(store.pool(), Duration::from_millis(100)).await.unwrap();
    assert!(
        lines.iter().all(|line| line.generation == Generation(1)
            && matches!(line.standing, Standing::AtHead | Standing::Moving)),
        "{lines:?}"
    );
    let back = rollback(&store, "order_summary").await.unwrap_err();
    assert!(matches!(back, RebuildError::NothingKept(_)), "{back}");
    verify(&store, |_| {}).await.unwrap();

    let swapped = rebuilt(&store, "order_summary").await.unwrap();
    assert_eq!(
        (swapped.generation, swapped.outcome),
        (Generation(3), Outcome::Swapped)
    );
    assert_eq!(rows(&db, "side.order_summary_g2", "order_id").await, built);
    let next = aside(&store, "order_summary", Purpose::WhatIf).await.unwrap();
    assert_eq!((next.from, next.generation), (Generation(3), Generation(4)));
    assert_eq!(sides(&db).await, ["order_summary_g4"]);
    drop_side(&store, "order_summary").await.unwrap();
    assert_eq!(sides(&db).await, Vec::<String>::new());
    assert_eq!(known(&db).await, (vec![(3, "live".to_owned())], 16));
    let again = drop_side(&store, "order_summary").await.unwrap_err();
    assert!(matches!(again, RebuildError::NothingAside(_)), "{again}");
    assert_eq!(
        tables(&db, "order_summary%").await,
        ["order_summary_g1", "order_summary_g3"]
    );
    projections.stop().await;
}

/// Killed it goes on where it stood, for the same purpose alone; called off it leaves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn killed_it_goes_on_and_called_off_it_leaves_nothing() {
    let (db, store, projections) = shop().await;
    for is_cancelled in [true, false] {
        let blocked = block(&db, BLOCKS[1].1).await;
        let mut process = waiting_for(&db, Step::Load, &["--what-if"]).await;
        eventually(DEADLINE, async || {
            (folded(&db).await > 0 || !is_cancelled).then_some(())
        })
        .await;
        process.kill().await.unwrap();
        blocked.close().await.unwrap();
        let refused = eventually(DEADLINE, async || {
            let error = rebuilt(&store, "order_summary").await.unwrap_err();
            (!matches!(error, RebuildError::Running { .. })).then_some(error)
        })
        .await;
        assert!(matches!(refused, RebuildError::OtherPurpose(_)), "{refused}");
        if is_cancelled {
            wish(&store, "order_summary", Wish::Cancel).await.unwrap();
            assert_eq!(sides(&db).await, Vec::<String>::new());
            assert_eq!(known(&db).await, (Vec::new(), 0));
        } else {
            let done = aside(&store, "order_summary", Purpose::WhatIf).await.unwrap();
            assert_eq!((done.generation, done.rows), (Generation(3), 6));
            assert!(done.differences.iter().all(TableDifferences::is_none), "{done:?}");
            assert_eq!(sides(&db).await, ["order_summary_g3"]);
        }
    }
    projections.stop().await;
}

#[tokio::test]
async fn what_cannot_be_built_is_told_and_nothing_is_served_of_it() {
    let (db, store, projections) = shop().await;
    let unknown = aside(&store, "orders", Purpose::WhatIf).await.unwrap_err();
    assert!(
        matches!(unknown, RebuildError::NoSuchReadModel { .. }),
        "{unknown}"
    );
    projections.stop().await;
    counter::migrate(&db).await;
    let of_version = |version| Counter { version, ..COUNTER };
    let missing = what_if_counter(&store, of_version(3)).await.unwrap_err();
    assert!(missing.to_string().contains("docket migrate"), "{missing}");
    assert_eq!(operations(store.pool()).await.unwrap(), []);

    let program = Projections::start_only(store.clone(), quick(), COUNTER)
        .await
        .unwrap();
    program.caught_up().await.unwrap();
    let fragile = Counter {
        is_fragile: true,
        ..COUNTER
    };
    let error = what_if_counter(&store, fragile).await.unwrap_err();
    let RebuildError::Load(LoadError::Event { class, .. }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*class, StopClass::Panic, "{error}");
    let other = rebuild_only(&store, COUNTER, SWAP, &Progress::new(16))
        .await
        .unwrap_err();
    assert!(matches!(other, RebuildError::OtherPurpose(_)), "{other}");
    assert_eq!(tables(&db, "counter%").await, ["counter_g1"]);
    // Mended, it goes on.
    let done = what_if_counter(&store, COUNTER).await.unwrap();
    assert!(done.differences[0].is_none(), "{done:?}");
    program.stop().await;
}

/// The program, for a person unless told otherwise.
fn for_a_person(db: &TestDatabase) -> Command {
    let for_a_program = on(db);
    let program = for_a_program.as_std();
    let mut command = Command::new(program.get_program());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// The verb: whether it ended well, and what it printed.
async fn docket(db: &TestDatabase, args: &[&str]) -> (bool, String, String) {
    let mut command = for_a_person(db);
    let output = command.arg("rebuild").args(args).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verb_prints_what_differs_and_ends_well() {
    let (db, store, projections) = shop().await;
    draft(&store, order_in(&store, 9)).await;
    projections.caught_up().await.unwrap();
    projections.stop().await;
    execute(&db, "update order_summary_g1 set grand = 7, captured = 8 where status = 'draft'; update order_search_g1 set email = order_id").await;
    let (is_well, out, _) = docket(&db, &["order_summary", "--what-if", "--json"]).await;
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert!(is_well, "{out}");
    let table = &last["tables"][0];
    assert_eq!(
        (
            &last["outcome"],
            &last["rows"],
            &table["changed"],
            &table["columns"]
        ),
        (
            &json!("aside"),
            &json!(7),
            &json!(1),
            &json!({"grand": 1, "captured": 1})
        ),
        "{last}"
    );
    assert_eq!(table["first"][0]["served"], "7");

    let (is_well, out, _) = docket(&db, &["order_search", "--what-if"]).await;
    assert!(
        is_well && out.contains("email (7)") && out.contains("(not shown) served, (not shown) aside"),
        "{out}"
    );
    assert!(out.contains("side.order_search_g2"), "{out}");
    let then = now(&db).await.to_rfc3339();
    let (is_well, out, _) = docket(&db, &["order_detail", "--as-of", &then]).await;
    assert!(is_well && out.contains("none of 7 rows differs"), "{out}");
    let (is_well, out, error) = docket(&db, &["order_detail", "--drop-side"]).await;
    assert!(is_well && out.contains("is gone"), "{out} {error}");
    // What is stored packed is shown as people read it.
    sqlx::query(DAMAGE_DOCUMENTS).execute(db.admin()).await.unwrap();
    let (_, out, error) = docket(&db, &["order_detail", "--what-if"]).await;
    assert!(
        out.contains("\"tee\"") && out.contains("\"tea\""),
        "{out} {error}"
    );
    docket(&db, &["order_detail", "--drop-side"]).await;

    for (args, says) in [
        (["--as-of", "yesterday"], "RFC 3339"),
        (
            ["--as-of", "0000-01-01T00:00:00+23:59"],
            "the year -1 is not between 1 and 9999",
        ),
        (["--as-of", "2999-01-01T00:00:00Z"], "has not come yet"),
        (["--what-if", "--verify-only"], "cannot be used with"),
        (["--what-if", "--drop-side"], "cannot be used with"),
        (["--drop-side", "--against-log"], "cannot be used with"),
    ] {
        let (is_well, _, error) = docket(&db, &["order_detail", args[0], args[1]]).await;
        assert!(!is_well && error.contains(says), "{args:?}: {error}");
    }
    let other = open(&db).await;
    assert_eq!(
        Serving::read(&other).await.unwrap().of("order_detail").unwrap(),
        Generation(1)
    );
}

/// A full disk behind the output is told as an error, of what was done as well.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_written_is_an_error_and_no_panic() {
    let (db, store, projections) = shop().await;
    projections.stop().await;
    // What goes back has to be fed.
    let projections = start(&store).await;
    for is_for_a_person in [true, false] {
        for args in [
            &["rebuild", "order_summary"][..],
            &["rollback", "order_summary"],
            &["rebuild", "order_detail", "--what-if"],
            &["rebuild", "order_detail", "--drop-side"],
        ] {
            let mut command = match is_for_a_person {
                true => for_a_person(&db),
                false => on(&db),
            };
            let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
            let process = command.args(args).stdout(full).stderr(Stdio::piped()).spawn();
            let output = process.unwrap().wait_with_output().await.unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
            assert!(error.contains("docket: No space left"), "{args:?}: {error}");
        }
    }
    projections.stop().await;
}

/// What the log or the database says may hold anything, and a terminal does not obey it.
#[tokio::test(flavor = "multi_thread")]
async fn control_characters_are_spelled_out_for_a_person() {
    let (db, _store, projections) = shop().await;
    projections.stop().await;
    execute(
        &db,
        "update order_summary_g1 set channel = E'web\\x1b[2J\\r' where partition = 2",
    )
    .await;
    let (_, out, error) = docket(&db, &["order_summary", "--what-if"]).await;
    let mut told = vec![out + &error];
    execute(
        &db,
        "update checkpoints set stopped_offset = 1, stopped_class = 'panic', stopped_reason = E'web\\x1b[2J\\r'
          where projection = 'order_summary' and generation = 1 and partition = 2",
    )
    .await;
    for args in [&["projections"][..], &["projections", "--of", "order_summary"]] {
        let output = for_a_person(&db).args(args).output().await.unwrap();
        told.push(String::from_utf8(output.stdout).unwrap());
    }
    for told in told {
        assert!(
            told.contains("web\\u{1b}[2J\\r") && !told.contains(['\u{1b}', '\r']),
            "{told}"
        );
    }
}
