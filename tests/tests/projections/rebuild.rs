//! Rebuilding on the running system: what comes out is what was there, whatever happens meanwhile.

use crate::shop::{
    ALL, DAMAGE_DOCUMENTS, add_line, draft, empty_database, fulfil, open, order_in, place, start,
};
use docket_domain::OrderId;
use docket_event_store::Store;
use docket_projections::{
    Generation, Projections, Serving, WaitError, limits,
    rebuild::{
        Outcome, Progress, Purpose, RebuildError, RebuildOptions, Rebuilt, Sizes, Wish, operations, rebuild,
        rollback, wish,
    },
    verify,
};
use docket_tests::TestDatabase;
use sqlx::{AssertSqlSafe, Postgres, pool::PoolConnection};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::task::JoinSet;

pub(crate) const SWAP: RebuildOptions = RebuildOptions {
    parallel: 2,
    purpose: Purpose::Swap,
    against_log: false,
    sizes: Sizes::USUAL,
};

pub(crate) async fn rebuilt(store: &Store, name: &str) -> Result<Rebuilt, RebuildError> {
    rebuild(store, name, SWAP, &Progress::new(store.partitions().count())).await
}

/// A shop with orders of every kind, whose read models are fed.
pub(crate) async fn shop() -> (TestDatabase, Store, Projections) {
    let db = empty_database().await;
    let store = open(&db).await;
    let projections = start(&store).await;
    for n in 0..6 {
        let order = order_in(&store, n * 2);
        place(&store, order).await;
        if n % 2 == 0 {
            fulfil(&store, order).await;
        }
    }
    projections.caught_up().await.unwrap();
    (db, store, projections)
}

/// Orders come in until told to stop; how many came.
pub(crate) fn sell(store: &Store, enough: &Arc<AtomicBool>) -> JoinSet<usize> {
    let mut sellers = JoinSet::new();
    for seller in 0..3_u16 {
        let (store, enough) = (store.clone(), Arc::clone(enough));
        sellers.spawn(async move {
            let mut sold = 0;
            while !enough.load(Ordering::SeqCst) {
                let order = order_in(&store, (seller * 5 + sold as u16) % 16);
                place(&store, order).await;
                if sold % 2 == 0 {
                    fulfil(&store, order).await;
                }
                sold += 1;
            }
            sold
        });
    }
    sellers
}

/// The names of the tables that a prefix finds, without those of templates.
pub(crate) async fn tables(db: &TestDatabase, like: &str) -> Vec<String> {
    sqlx::query_scalar("select relname::text from pg_class where relkind = 'r' and relname like $1 and relnamespace = 'public'::regnamespace order by 1")
        .bind(like)
        .fetch_all(db.admin())
        .await
        .unwrap()
}

/// G6: every read model is rebuilt while orders come in, and the rows are those that were served, compared in one snapshot
/// by the rebuild itself and with the log afterwards; so they are after going back.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_under_load_equals_live_and_again_after_rollback() {
    let (_db, store, projections) = shop().await;
    let enough = Arc::new(AtomicBool::new(false));
    let mut sellers = sell(&store, &enough);
    for name in ALL {
        let done = rebuilt(&store, name).await.unwrap();
        assert_eq!(
            (done.from, done.generation, done.outcome),
            (Generation(1), Generation(2), Outcome::Swapped),
            "{name}"
        );
        assert!(done.rows > 0, "{name}");
        assert_eq!(
            Serving::read(&store).await.unwrap().of(name).unwrap(),
            Generation(2)
        );
    }
    for name in ALL {
        assert_eq!(rollback(&store, name).await.unwrap(), Generation(1), "{name}");
    }
    enough.store(true, Ordering::SeqCst);
    let mut sold = 0;
    while let Some(one) = sellers.join_next().await {
        sold += one.unwrap();
    }
    assert!(sold > 5, "{sold} orders came in");
    projections.caught_up().await.unwrap();
    verify(&store, |_| {}).await.unwrap();
    for name in ALL {
        assert_eq!(rollback(&store, name).await.unwrap(), Generation(2), "{name}");
    }
    // This process hears of it a moment later, and feeds both all the time.
    projections.caught_up().await.unwrap();
    verify(&store, |_| {}).await.unwrap();
    projections.stop().await;
}

/// An order is worked on, on both sides of a swap: who names a position finds it there.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_found_across_swaps_from_two_processes() {
    let (db, store, projections) = shop().await;
    let other = open(&db).await;
    let elsewhere = start(&other).await;
    let enough = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for (store, projections, partition) in [
        (store.clone(), projections.clone(), 3),
        (other.clone(), elsewhere.clone(), 4),
    ] {
        let enough = Arc::clone(&enough);
        readers.spawn(async move {
            let order: OrderId = order_in(&store, partition);
            draft(&store, order).await;
            let mut lines = 0;
            while !enough.load(Ordering::SeqCst) {
                let at = add_line(&store, order).await;
                lines += 1;
                match projections.wait_for(&["order_detail"], &[at]).await {
                    Ok(()) => {}
                    Err(error @ WaitError::Stale { .. }) => panic!("{error}"),
                    Err(error) => panic!("{error}"),
                }
                let found = docket_projections::read_models::order_detail::find(
                    store.pool(),
                    &projections.serving(),
                    &[order],
                )
                .await
                .unwrap();
                assert_eq!(found.len(), 1);
                assert!(
                    found[0].position.offset >= at.offset,
                    "{found:?} is older than {at}"
                );
            }
            lines
        });
    }
    let (mut held, before) = half_read(&db, "order_detail_g1").await;
    rebuilt(&store, "order_detail").await.unwrap();
    for _ in 0..4 {
        rollback(&other, "order_detail").await.unwrap();
    }
    let rest = sqlx::query("fetch all from held")
        .fetch_all(&mut *held)
        .await
        .unwrap();
    assert_eq!(
        rest.len() as i64,
        before - 1,
        "whoever reads a generation reads it to its end"
    );
    drop(held);
    enough.store(true, Ordering::SeqCst);
    while let Some(lines) = readers.join_next().await {
        assert!(lines.unwrap() > 3);
    }
    projections.stop().await;
    elsewhere.stop().await;
}

/// A query that has read one row of a table and is in no hurry to read the others; how many rows there are.
async fn half_read(db: &TestDatabase, table: &str) -> (PoolConnection<Postgres>, i64) {
    let mut connection = db.admin().acquire().await.unwrap();
    let statements = [
        "begin isolation level repeatable read".to_owned(),
        format!("declare held cursor for select order_id from {table}"),
    ];
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut *connection)
            .await
            .unwrap();
    }
    let count = AssertSqlSafe(format!("select count(*) from {table}"));
    let count = sqlx::query_scalar(count)
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    sqlx::query("fetch next from held")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    (connection, count)
}

/// Comparing alone leaves nothing behind.
#[tokio::test]
async fn verify_only_builds_compares_and_drops() {
    let (db, store, projections) = shop().await;
    let options = RebuildOptions {
        purpose: Purpose::VerifyOnly,
        ..SWAP
    };
    let done = rebuild(&store, "payment_ledger", options, &Progress::new(16))
        .await
        .unwrap();
    assert_eq!(done.outcome, Outcome::Verified);
    assert_eq!(
        tables(&db, "payment_ledger%").await,
        ["payment_ledger_days_g1", "payment_ledger_g1"]
    );
    let left: i64 = sqlx::query_scalar(
        "select (select count(*) from generations where projection = 'payment_ledger' and generation > 1)
              + (select count(*) from checkpoints where projection = 'payment_ledger' and generation > 1)",
    )
    .fetch_one(db.admin())
    .await
    .unwrap();
    assert_eq!(left, 0);
    projections.stop().await;
}

/// What was proved by the log alone is not said to be what is served, which may be wrong.
#[tokio::test]
async fn verify_only_by_the_log_says_nothing_of_what_is_served() {
    let (db, store, projections) = shop().await;
    sqlx::query("update order_summary_g1 set grand = grand + 1")
        .execute(db.admin())
        .await
        .unwrap();
    let options = RebuildOptions {
        purpose: Purpose::VerifyOnly,
        against_log: true,
        ..SWAP
    };
    let done = rebuild(&store, "order_summary", options, &Progress::new(16))
        .await
        .unwrap();
    assert_eq!((done.outcome, done.is_compared), (Outcome::Proved, false));
    projections.stop().await;
}

/// A row that is not the fold of the log is found, named, and not swapped in or out.
#[tokio::test]
async fn a_verification_that_fails_does_not_swap_and_names_the_first_rows() {
    let (db, store, projections) = shop().await;
    for (table, name, damage, column) in [
        ("order_summary_g1", "order_summary", "grand = grand + 1", "grand"),
        (
            "payment_ledger_days_g1",
            "payment_ledger",
            "captured = captured + 1",
            "movements",
        ),
    ] {
        let damage = format!("update {table} set {damage} where ctid = (select min(ctid) from {table})");
        sqlx::query(sqlx::AssertSqlSafe(damage))
            .execute(db.admin())
            .await
            .unwrap();
        let error = rebuilt(&store, name).await.unwrap_err();
        let RebuildError::Differs(comparison) = &error else {
            panic!("{error:?}")
        };
        assert_eq!((comparison.differ, comparison.named.len()), (1, 1), "{error}");
        assert!(comparison.named[0].column.ends_with(column), "{error}");
        assert_eq!(
            Serving::read(&store).await.unwrap().of(name).unwrap(),
            Generation(1)
        );
        // It stands there; the same again compares again, and finds the same.
        let again = rebuilt(&store, name).await.unwrap_err();
        assert!(matches!(again, RebuildError::Differs(_)), "{again}");
        wish(&store, name, Wish::Cancel).await.unwrap();
        assert_eq!(tables(&db, &format!("{name}%g2")).await, Vec::<String>::new());
    }
    projections.stop().await;
}

/// What a build aside does not show, a verification does not show either, whichever way it proves.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_verification_names_is_cut_and_not_shown_where_it_is_personal() {
    let (db, store, projections) = shop().await;
    projections.stop().await;
    for (name, damage, column) in [
        (
            "order_search",
            "update order_search_g1 set email = 'badcafe0-0000-0000-0000-000000000000'",
            "email",
        ),
        ("order_detail", DAMAGE_DOCUMENTS, "document"),
    ] {
        sqlx::query(AssertSqlSafe(damage))
            .execute(db.admin())
            .await
            .unwrap();
        let error = rebuilt(&store, name).await.unwrap_err();
        let RebuildError::Differs(comparison) = &error else {
            panic!("{error:?}")
        };
        assert!(!comparison.named.is_empty());
        for row in &comparison.named {
            assert_eq!(row.column, column);
            if name == "order_search" {
                assert_eq!(
                    (row.old.as_str(), row.new.as_str()),
                    ("(not shown)", "(not shown)")
                );
            } else {
                let most = limits::DIFFERENCE_CHARS + 6;
                assert!(row.old.chars().count() <= most && row.new.chars().count() <= most);
                assert!(row.old.contains("tee") && row.new.contains("tea"), "{row}");
            }
        }
        let all = operations(store.pool()).await.unwrap();
        let told = all.iter().find(|one| one.projection == name).unwrap();
        let told = told.outcome.as_deref().unwrap();
        assert!(
            told.contains(column) && !told.contains("badcafe") && told.len() < 500,
            "{told}"
        );
        let error = verify(&store, |_| {}).await.unwrap_err().to_string();
        assert!(
            error.contains(column) && !error.contains("badcafe") && error.len() < 500,
            "{error}"
        );
        wish(&store, name, Wish::Cancel).await.unwrap();
        rebuilt_by_the_log(&store, name).await;
    }
}

/// Rows that are known to be wrong are replaced.
async fn rebuilt_by_the_log(store: &Store, name: &str) {
    let options = RebuildOptions {
        against_log: true,
        ..SWAP
    };
    let done = rebuild(store, name, options, &Progress::new(store.partitions().count()))
        .await
        .unwrap();
    assert_eq!(done.outcome, Outcome::Swapped);
}

/// A log that holds events of two versions of their payload is folded to the same rows: the old ones are lifted as they are
/// read.
#[tokio::test]
async fn old_events_are_lifted_in_a_rebuild() {
    let (db, store, projections) = shop().await;
    projections.stop().await;
    let old = "alter table events_p4 disable trigger all;
               update events_p4 set schema_version = 1,
                      payload = jsonb_set(payload::jsonb, '{method}', payload::jsonb #> '{method,type}')::json
                where event_type = 'payment.initiated';
               alter table events_p4 enable trigger all";
    sqlx::raw_sql(old).execute(db.admin()).await.unwrap();
    let versions: Vec<(i16, i64)> = sqlx::query_as(
        "select schema_version, count(*) from events where event_type = 'payment.initiated' group by 1 order by 1",
    )
    .fetch_all(db.admin())
    .await
    .unwrap();
    assert_eq!(versions, [(1, 1), (2, 2)]);
    for name in ["order_detail", "payment_ledger", "order_summary"] {
        assert_eq!(
            rebuilt(&store, name).await.unwrap().outcome,
            Outcome::Swapped,
            "{name}"
        );
    }
    verify(&store, |_| {}).await.unwrap();
}

/// The tables of a generation are those of the first: columns, settings, keys, indexes, rights.
#[tokio::test]
async fn a_new_generation_has_the_shape_of_the_first() {
    let (db, store, projections) = shop().await;
    sqlx::raw_sql("create role rebuild_reader; grant select on order_search_g1 to rebuild_reader")
        .execute(db.admin())
        .await
        .unwrap();
    for name in ALL {
        rebuilt(&store, name).await.unwrap();
    }
    let shape = async |generation: &str| -> Vec<String> {
        let sql = format!(
            "select replace(x, '{generation}', '_g') from (
                select format('%s.%s %s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                              a.attstorage, a.attcompression) as x
                  from pg_class c join pg_attribute a on a.attrelid = c.oid
                 where c.relkind = 'r' and c.relname like '%\\{generation}' and c.relnamespace = 'public'::regnamespace
                   and a.attnum > 0
                union all
                select pg_get_indexdef(i.indexrelid) || ' ' || i.indisprimary
                  from pg_index i join pg_class c on c.oid = i.indrelid
                 where c.relname like '%\\{generation}' and c.relnamespace = 'public'::regnamespace
                union all
                select format('%s %s %s', relname, reloptions, relacl) from pg_class
                 where relkind = 'r' and relname like '%\\{generation}' and relnamespace = 'public'::regnamespace) s
              order by 1"
        );
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_all(db.admin())
            .await
            .unwrap()
    };
    let (first, second) = (shape("_g1").await, shape("_g2").await);
    assert!(first.len() > 100);
    assert!(first.iter().any(|line| line.contains("rebuild_reader")));
    pretty_assertions(&first, &second);
    projections.stop().await;
    sqlx::raw_sql("drop owned by rebuild_reader; drop role rebuild_reader")
        .execute(db.admin())
        .await
        .unwrap();
}

fn pretty_assertions(first: &[String], second: &[String]) {
    for (one, other) in first.iter().zip(second) {
        assert_eq!(one, other);
    }
    assert_eq!(first.len(), second.len());
}
