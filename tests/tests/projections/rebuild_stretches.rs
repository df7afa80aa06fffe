//! A rebuild folds a stretch of the log order by order, and is stopped in the middle of it.

use crate::{
    rebuild::SWAP,
    shop::{DEADLINE, add_line, draft, empty_database, open, order_in, start},
};
use docket_event_store::Store;
use docket_projections::{
    Generation, limits,
    rebuild::{Outcome, Progress, RebuildOptions, rebuild},
    verify,
};
use docket_tests::{TestDatabase, eventually};
use sqlx::{Connection, PgConnection};
use std::collections::BTreeMap;
use tokio::task::JoinSet;

/// All orders are in one partition: drafts of one line, more than its window holds.
const PARTITION: u16 = 3;
const ORDERS: usize = 2_000;
const WRITERS: usize = 50;

/// As many partitions as can be filled at once share the window.
const MANY: RebuildOptions = RebuildOptions {
    parallel: limits::REBUILD_PARALLEL,
    ..SWAP
};

/// Whoever has written a part of a stretch waits for this lock before it writes the next one.
const WAIT_IN_THE_MIDDLE: &str = "
create function wait_in_the_middle() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock(4711);
    return new;
end $$;
create trigger wait_in_the_middle before update on checkpoints for each row
    when (old.stretch_done > 0) execute function wait_in_the_middle()";

/// Every order is begun before the first gets its line, so that in the log their events lie far apart.
async fn interleaved(store: &Store) {
    let orders: Vec<_> = (0..ORDERS).map(|_| order_in(store, PARTITION)).collect();
    for step in 0..2 {
        let mut writers = JoinSet::new();
        for part in orders.chunks(ORDERS / WRITERS) {
            let (store, part) = (store.clone(), part.to_vec());
            writers.spawn(async move {
                for order in part {
                    match step {
                        0 => draft(&store, order).await,
                        _ => add_line(&store, order).await,
                    };
                }
            });
        }
        writers.join_all().await;
    }
}

/// Each row with the transaction that wrote it.
async fn written(db: &TestDatabase) -> BTreeMap<uuid::Uuid, String> {
    let rows: Vec<(uuid::Uuid, String)> = sqlx::query_as("select order_id, xmin::text from order_detail_g2")
        .fetch_all(db.admin())
        .await
        .unwrap();
    rows.into_iter().collect()
}

/// Where the checkpoint stands, and what of a stretch is in the rows.
async fn stands(db: &TestDatabase) -> (i64, Option<i64>, Option<i64>) {
    let sql = r#"select "offset", stretch_until, stretch_done from checkpoints
                  where projection = 'order_detail' and generation = 2 and partition = $1"#;
    sqlx::query_as(sql)
        .bind(PARTITION as i16)
        .fetch_one(db.admin())
        .await
        .unwrap()
}

/// G7, G11: one that dies in the middle of a stretch is followed by one that goes on there. No row is written twice but that
/// of the order at the seam, and what comes out is the fold of the log.
#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_a_stretch_it_goes_on_where_it_stood() {
    let db = empty_database().await;
    let store = open(&db).await;
    interleaved(&store).await;
    let projections = start(&store).await;
    projections.caught_up().await.unwrap();
    sqlx::raw_sql(WAIT_IN_THE_MIDDLE)
        .execute(db.admin())
        .await
        .unwrap();
    let mut middle = PgConnection::connect_with(&db.admin().connect_options())
        .await
        .unwrap();
    sqlx::query("select pg_advisory_lock(4711)")
        .execute(&mut middle)
        .await
        .unwrap();

    let progress = Progress::new(16);
    let dies = {
        let (store, progress) = (store.clone(), progress.clone());
        tokio::spawn(async move { rebuild(&store, "order_detail", MANY, &progress).await })
    };
    let done = eventually(DEADLINE, async || {
        let (offset, until, done) = if progress.partitions()[usize::from(PARTITION)].written > 0 {
            stands(&db).await
        } else {
            return None;
        };
        assert_eq!((offset, until), (0, Some(2 * ORDERS as i64)));
        done
    })
    .await;
    dies.abort();
    assert!(dies.await.unwrap_err().is_cancelled());
    let all = 2 * ORDERS as i64;
    assert!((1..all).contains(&done), "{done}");
    let before = written(&db).await;
    assert!(before.len() as i64 >= done / 2, "{done} events");
    assert!(before.len() < ORDERS);
    middle.close().await.unwrap();

    let ended = eventually(DEADLINE, async || {
        rebuild(&store, "order_detail", MANY, &Progress::new(16))
            .await
            .ok()
    })
    .await;
    assert_eq!(
        (ended.generation, ended.outcome),
        (Generation(2), Outcome::Swapped)
    );
    assert_eq!(stands(&db).await, (all, None, None));
    let after = written(&db).await;
    assert_eq!(after.len(), ORDERS);
    let again = before.iter().filter(|(order, by)| after.get(*order) != Some(by));
    assert!(again.count() <= 1);
    verify(&store, |_| {}).await.unwrap();
    projections.stop().await;
}
