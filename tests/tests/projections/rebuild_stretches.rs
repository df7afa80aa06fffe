//! A rebuild folds a stretch of the log order by order, and dies in the middle of it.

use crate::{
    rebuild::{SWAP, shop},
    shop::{ALL, DEADLINE, fulfil, order_in, place, start},
};
use docket_domain::OrderId;
use docket_event_store::{Position, Store};
use docket_projections::{
    Generation,
    dead_letter::{DeadLetterError, discard},
    rebuild::{Outcome, Progress, RebuildOptions, Rebuilt, Sizes, rebuild},
    verify,
};
use docket_tests::{TestDatabase, eventually};
use futures::future::join_all;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::collections::BTreeMap;
use tokio::task::JoinSet;

/// The partition in which orders lie among each other.
const PARTITION: u16 = 3;

/// Each page is written; a stretch has several, and an order may lie in two of either.
const SMALL: RebuildOptions = RebuildOptions {
    sizes: Sizes {
        stretch: 20,
        page: 3,
        window_bytes: 0,
    },
    ..SWAP
};

/// Others than those who died had.
const OTHER: RebuildOptions = RebuildOptions {
    sizes: Sizes {
        stretch: 11,
        page: 2,
        window_bytes: 2_000,
    },
    ..SWAP
};

/// A session that lets nobody who has written a part of a stretch of that partition write the next one.
async fn block_in_the_middle(db: &TestDatabase, condition: &str) -> PgConnection {
    let sql = format!(
        "create function wait_in_the_middle() returns trigger language plpgsql as $$
         begin
             perform pg_advisory_xact_lock(4711);
             return new;
         end $$;
         create trigger wait_in_the_middle before update on checkpoints for each row
             when (old.stretch_done > 0 and old.partition = {PARTITION} and {condition})
             execute function wait_in_the_middle()"
    );
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(db.admin())
        .await
        .unwrap();
    let mut connection = PgConnection::connect_with(&db.admin().connect_options())
        .await
        .unwrap();
    sqlx::query("select pg_advisory_lock(4711)")
        .execute(&mut connection)
        .await
        .unwrap();
    connection
}

/// Some orders whose events lie among each other.
async fn interleaved(store: &Store) -> Vec<OrderId> {
    let orders: Vec<_> = (0..4).map(|_| order_in(store, PARTITION)).collect();
    let mut lives = JoinSet::new();
    for order in orders.clone() {
        let store = store.clone();
        lives.spawn(async move {
            place(&store, order).await;
            fulfil(&store, order).await;
        });
    }
    lives.join_all().await;
    orders
}

async fn begun(store: &Store, name: &'static str, options: RebuildOptions) -> Rebuilt {
    eventually(DEADLINE, async || {
        rebuild(store, name, options, &Progress::new(16)).await.ok()
    })
    .await
}

/// Where a new generation's checkpoint stands, and what of a stretch is in the rows.
async fn stands(db: &TestDatabase, name: &str) -> (i64, Option<i64>, Option<i64>) {
    let sql = r#"select "offset", stretch_until, stretch_done from checkpoints
                  where projection = $1 and generation = 2 and partition = $2"#;
    let row = sqlx::query_as(sql).bind(name).bind(PARTITION as i16);
    row.fetch_optional(db.admin()).await.unwrap().unwrap_or_default()
}

/// Rebuilds that die in the middle of a stretch; what of it was in the rows.
async fn die_in_the_middle(
    db: &TestDatabase,
    store: &Store,
    names: &[&'static str],
) -> BTreeMap<String, i64> {
    let mut dying = JoinSet::new();
    for name in names.iter().copied() {
        let store = store.clone();
        dying.spawn(async move { rebuild(&store, name, SMALL, &Progress::new(16)).await });
    }
    let waiting = "select count(*) from pg_stat_activity
                    where datname = current_database() and wait_event_type = 'Lock' and wait_event = 'advisory'";
    eventually(DEADLINE, async || {
        let ended = dying.try_join_next();
        assert!(ended.is_none(), "{ended:?}");
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(db.admin()).await.unwrap();
        (waiting == names.len() as i64).then_some(())
    })
    .await;
    dying.abort_all();
    while let Some(died) = dying.join_next().await {
        assert!(died.unwrap_err().is_cancelled());
    }
    let mut done = BTreeMap::new();
    for name in names {
        let (offset, until, folded) = stands(db, name).await;
        let folded = folded.unwrap();
        assert!((1..until.unwrap() - offset).contains(&folded), "{name}");
        done.insert((*name).to_owned(), folded);
    }
    done
}

/// G7, G11: whoever goes on does so in the middle, and what comes out is the fold of the log, also where sums of many orders
/// would count twice what is in them already. Meanwhile a program that knows of no stretches cannot go on, and no event of the
/// stretch can be taken back.
#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_a_stretch_every_read_model_goes_on_where_it_stood() {
    let (db, store, projections) = shop().await;
    interleaved(&store).await;
    projections.caught_up().await.unwrap();
    let middle = block_in_the_middle(&db, "true").await;
    die_in_the_middle(&db, &store, &ALL).await;
    middle.close().await.unwrap();
    let open = sqlx::query("drop trigger wait_in_the_middle on checkpoints").execute(db.admin());
    open.await.unwrap();

    let moves = r#"update checkpoints set "offset" = "offset" + 1, event_id = gen_random_uuid() where generation = 2 and stretch_done > 0"#;
    let refused = sqlx::query(moves).execute(db.admin()).await.unwrap_err();
    let refused = refused.into_database_error().unwrap();
    assert_eq!(refused.constraint(), Some("checkpoints_stretch_check"));

    let first = Position {
        partition: PARTITION,
        offset: 1,
    };
    let fails = r#"insert into dead_letters (projection, generation, partition, "offset", order_id, class, reason, failed_at)
                   select 'order_detail', 1, partition, "offset", order_id, 'apply', 'it does not fit', now()
                     from events where partition = $1 and "offset" = 1"#;
    let letter = sqlx::query(fails).bind(PARTITION as i16);
    letter.execute(db.admin()).await.unwrap();
    let refused = discard(store.pool(), "order_detail", first, "It does not fit.", "ops").await;
    assert!(
        matches!(
            refused,
            Err(DeadLetterError::Applied {
                generation: Generation(2),
                ..
            })
        ),
        "{refused:?}"
    );
    let removed = sqlx::query("delete from dead_letters").execute(db.admin());
    removed.await.unwrap();

    let rebuilds = join_all(ALL.map(|name| begun(&store, name, OTHER))).await;
    for (name, done) in ALL.into_iter().zip(rebuilds) {
        assert_eq!(
            (done.generation, done.outcome),
            (Generation(2), Outcome::Swapped),
            "{name}"
        );
        let (_, until, folded) = stands(&db, name).await;
        assert_eq!((until, folded), (None, None), "{name}");
    }
    verify(&store, |_| {}).await.unwrap();
    projections.stop().await;
}

/// What is in the rows is not folded again: who goes on writes no row anew but that of the order at the seam.
#[tokio::test(flavor = "multi_thread")]
async fn what_of_a_stretch_is_in_the_rows_is_not_folded_again() {
    let (db, store, projections) = shop().await;
    interleaved(&store).await;
    projections.caught_up().await.unwrap();
    let middle = block_in_the_middle(&db, "old.stretch_done > 9").await;
    die_in_the_middle(&db, &store, &["order_timeline"]).await;
    let written = async || -> BTreeMap<(i16, i64), String> {
        let sql = r#"select partition, "offset", xmin::text from order_timeline_g2"#;
        let rows: Vec<(i16, i64, String)> = sqlx::query_as(sql).fetch_all(db.admin()).await.unwrap();
        rows.into_iter()
            .map(|(partition, offset, by)| ((partition, offset), by))
            .collect()
    };
    let before = written().await;
    middle.close().await.unwrap();
    begun(&store, "order_timeline", OTHER).await;
    let after = written().await;
    assert!(before.len() > 9 && before.len() < after.len());
    for (position, by) in &before {
        assert_eq!(after.get(position), Some(by), "{position:?}");
    }
    projections.stop().await;
}

/// One that dies on its way past what is served, which nobody feeds, has rows that are ahead of it. Whoever goes on brings
/// the stretch to its end before anything is compared.
#[tokio::test(flavor = "multi_thread")]
async fn a_stretch_past_what_is_served_is_brought_to_its_end() {
    let (db, store, projections) = shop().await;
    interleaved(&store).await;
    projections.caught_up().await.unwrap();
    projections.stop().await;
    let served: i64 = sqlx::query_scalar(
        r#"select "offset" from checkpoints where projection = 'payment_ledger' and generation = 1 and partition = $1"#,
    )
    .bind(PARTITION as i16)
    .fetch_one(db.admin())
    .await
    .unwrap();
    interleaved(&store).await;
    let past = format!("old.\"offset\" = {served}");
    let middle = block_in_the_middle(&db, &past).await;
    die_in_the_middle(&db, &store, &["payment_ledger"]).await;
    assert_eq!(stands(&db, "payment_ledger").await.0, served);
    middle.close().await.unwrap();
    let done = begun(&store, "payment_ledger", OTHER).await;
    assert_eq!((done.generation, done.outcome), (Generation(2), Outcome::Swapped));
    let projections = start(&store).await;
    projections.caught_up().await.unwrap();
    verify(&store, |_| {}).await.unwrap();
    projections.stop().await;
}
