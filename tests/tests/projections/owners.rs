//! One owner a partition: shared fairly, fenced, taken over.

use crate::shop::{ALL, DEADLINE, add_line, draft, empty_database, open, order_in, quick, start};
use docket_projections::{Owner, Projections, WaitError};
use docket_tests::{TestDatabase, backend_pid, eventually, wait_until_blocked_by};
use std::time::Instant;
use uuid::Uuid;

/// Partitions of all read models.
const EVERY: usize = 16 * ALL.len();

fn owned(projections: &Projections) -> usize {
    projections
        .status()
        .iter()
        .filter(|status| ALL.contains(&status.projection) && status.owner == Owner::This)
        .count()
}

/// An owner that was fenced while its batch waited writes nothing, neither row nor checkpoint.
#[tokio::test]
async fn a_fenced_owner_cannot_commit() {
    let db = empty_database().await;
    let store = open(&db).await;
    let projections = start(&store).await;
    let order = order_in(&store, 4);
    let first = draft(&store, order).await;
    projections.wait_for(&ALL, &[first]).await.unwrap();

    let mut usurper = db.admin().acquire().await.unwrap();
    let pid = backend_pid(&mut usurper).await;
    let other = Uuid::new_v4();
    sqlx::raw_sql("begin").execute(&mut *usurper).await.unwrap();
    sqlx::query(
        "update checkpoints set owner = $1, epoch = epoch + 1, lease_until = now() + interval '1 hour'
          where partition = 4 and projection = 'order_summary'",
    )
    .bind(other)
    .execute(&mut *usurper)
    .await
    .unwrap();
    let second = add_line(&store, order).await;
    wait_until_blocked_by(db.admin(), pid, 1).await;
    sqlx::raw_sql("commit").execute(&mut *usurper).await.unwrap();

    eventually(DEADLINE, async || {
        let status = crate::shop::status(&projections, "order_summary", 4);
        (status.owner == Owner::Other(other)).then_some(())
    })
    .await;
    projections.wait_for(&["order_detail"], &[second]).await.unwrap();
    let (checkpoint, row): (i64, i64) = sqlx::query_as(
        r#"select (select "offset" from checkpoints where projection = 'order_summary' and partition = 4),
                  (select max("offset") from order_summary_g1)"#,
    )
    .fetch_one(db.admin())
    .await
    .unwrap();
    assert_eq!((checkpoint, row), (first.offset, first.offset));
    projections.stop().await;
}

/// Two processes take half each; what one of them feeds, the other can wait for; who stops leaves all to the other.
#[tokio::test]
async fn two_processes_share_the_partitions() {
    let db = empty_database().await;
    let (here, there) = (open(&db).await, open(&db).await);
    let one = start(&here).await;
    assert_eq!(owned(&one), EVERY);
    let other = start(&there).await;
    eventually(DEADLINE, async || {
        (owned(&one) == EVERY / 2 && owned(&other) == EVERY / 2).then_some(())
    })
    .await;

    for partition in 0..16 {
        let positions = [draft(&here, order_in(&here, partition)).await];
        let (a, b) = tokio::join!(one.wait_for(&ALL, &positions), other.wait_for(&ALL, &positions));
        a.unwrap();
        b.unwrap();
    }
    one.stop().await;
    eventually(DEADLINE, async || (owned(&other) == EVERY).then_some(())).await;
    let position = draft(&here, order_in(&here, 9)).await;
    other.wait_for(&ALL, &[position]).await.unwrap();
    docket_projections::verify(&there, |_| {}).await.unwrap();
    other.stop().await;
}

/// A process that dies without a word is replaced once its leases have run out.
#[test]
fn a_dead_owner_is_replaced() {
    let runtime = |name: &str| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(name)
            .enable_all()
            .build()
            .unwrap()
    };
    let (doomed, living) = (runtime("doomed"), runtime("living"));
    let db: TestDatabase = living.block_on(empty_database());
    let (store, dead) = doomed.block_on(async {
        let store = open(&db).await;
        let projections = start(&store).await;
        assert_eq!(owned(&projections), EVERY);
        (store, projections)
    });
    // Nothing of the process runs on: no batch, no renewal, no farewell.
    doomed.shutdown_background();
    let died = Instant::now();
    living.block_on(async {
        let store = open(&db).await;
        let projections = start(&store).await;
        let position = draft(&store, order_in(&store, 11)).await;
        eventually(DEADLINE, async || (owned(&projections) == EVERY).then_some(())).await;
        assert!(
            died.elapsed() < quick().lease + 10 * quick().tick,
            "{:?}",
            died.elapsed()
        );
        projections.wait_for(&ALL, &[position]).await.unwrap();
        projections.stop().await;
    });
    drop((store, dead));
}

/// Nobody feeds the partition: the wait says how far it is, and does not lie.
#[tokio::test]
async fn a_partition_without_an_owner_is_stale() {
    let db = empty_database().await;
    let store = open(&db).await;
    sqlx::raw_sql(
        "update checkpoints set owner = gen_random_uuid(), lease_until = now() + interval '1 hour'",
    )
    .execute(db.admin())
    .await
    .unwrap();
    let config = docket_projections::ProjectionsConfig {
        wait: std::time::Duration::from_millis(200),
        ..quick()
    };
    let projections = Projections::start(store.clone(), config).await.unwrap();
    assert_eq!(owned(&projections), 0);
    let position = draft(&store, order_in(&store, 1)).await;
    let stale = projections.wait_for(&ALL, &[position]).await.unwrap_err();
    assert!(matches!(stale, WaitError::Stale { reached: 0, .. }), "{stale:?}");
    projections.stop().await;
}

/// A process that was cut off for longer than its leases holds nothing of what it had, and says so though nothing happens
/// in its partitions: the others are not kept for owners that are none.
#[tokio::test]
async fn leases_lost_in_silence_are_not_counted_as_held() {
    let db = empty_database().await;
    let (here, there) = (open(&db).await, open(&db).await);
    let one = start(&here).await;
    let other = start(&there).await;
    eventually(DEADLINE, async || {
        (owned(&one) == EVERY / 2 && owned(&other) == EVERY / 2).then_some(())
    })
    .await;
    // What a third one took while neither could renew, and left again. Their epochs say that it was there.
    sqlx::raw_sql("update checkpoints set owner = null, lease_until = null, epoch = epoch + 1")
        .execute(db.admin())
        .await
        .unwrap();
    eventually(DEADLINE, async || {
        let free = "select count(*) from checkpoints where projection = any ($1) and owner is null";
        let free: i64 = sqlx::query_scalar(free)
            .bind(ALL)
            .fetch_one(db.admin())
            .await
            .unwrap();
        (free == 0).then_some(())
    })
    .await;
    for partition in 0..16 {
        let position = draft(&here, order_in(&here, partition)).await;
        one.wait_for(&ALL, &[position]).await.unwrap();
    }
    one.stop().await;
    other.stop().await;
}

/// A claim whose answer was lost, or a farewell that failed, leaves a lease in the process's name that nobody works under.
#[tokio::test]
async fn a_lease_without_an_owner_is_given_up() {
    let db = empty_database().await;
    let store = open(&db).await;
    let config = quick();
    sqlx::query(
        "update checkpoints set owner = $1, epoch = epoch + 1, lease_until = now() + interval '1 hour'",
    )
    .bind(config.process)
    .execute(db.admin())
    .await
    .unwrap();
    let projections = Projections::start(store.clone(), config).await.unwrap();
    for partition in 0..16 {
        let position = draft(&store, order_in(&store, partition)).await;
        projections.wait_for(&ALL, &[position]).await.unwrap();
    }
    projections.stop().await;
}
