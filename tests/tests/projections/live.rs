//! Live read models: what they show, and that rows and checkpoint are one.

use crate::shop::{
    self, ALL, DEADLINE, TABLES, add_line, draft, dump, empty_database, open, order_in, place, run, start,
};
use docket_domain::order::OrderStatus;
use docket_event_store::Position;
use docket_projections::{
    Owner, Projections, ProjectionsConfig, WaitError,
    read_models::{
        axes::{FulfillmentStatus, OrderPaymentStatus},
        order_detail, order_summary,
    },
};
use docket_tests::{backend_pid, eventually, wait_until_blocked_by};
use serde_json::json;
use std::time::Duration;

/// What a row says after each step of an order's life is what the domain says.
#[tokio::test]
async fn an_order_is_followed_to_its_end() {
    let db = empty_database().await;
    let store = open(&db).await;
    let projections = start(&store).await;
    let order = order_in(&store, 3);

    let placed = place(&store, order).await;
    projections.wait_for(&ALL, &[placed]).await.unwrap();
    let row = order_summary::find(store.pool(), &projections.serving(), &[order])
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        (row.status, row.totals.grand, row.pieces),
        (OrderStatus::Placed, 2_500, 2)
    );
    assert_eq!(row.payment_status, OrderPaymentStatus::Unpaid);
    assert_eq!(row.fulfillment_status, FulfillmentStatus::Unfulfilled);
    assert_eq!((row.position, row.number.is_some()), (placed, true));

    let delivered = shop::fulfil(&store, order).await;
    projections.wait_for(&ALL, &[delivered]).await.unwrap();
    let row = order_summary::find(store.pool(), &projections.serving(), &[order])
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        (row.status, row.payment_status),
        (OrderStatus::Confirmed, OrderPaymentStatus::Paid)
    );
    assert_eq!(row.fulfillment_status, FulfillmentStatus::Delivered);
    assert_eq!(
        (row.sums.captured, row.sums.authorized, row.sums.capturable),
        (2_500, 2_500, 0)
    );
    assert_eq!((row.payments, row.shipments, row.lines), (1, 1, 1));

    let detail = order_detail::find(store.pool(), &projections.serving(), &[order])
        .await
        .unwrap()
        .remove(0);
    assert_eq!(detail.position, row.position);
    assert_eq!(detail.sums(), row.sums);
    assert_eq!(detail.totals(), row.totals);
    assert_eq!(
        (detail.payment_status(), detail.fulfillment_status()),
        (row.payment_status, row.fulfillment_status)
    );
    assert_eq!(detail.line_progress()[0].1.delivered, 2);
    assert_eq!(detail.document.payments[&1].captures.len(), 1);
    assert!(detail.document.shipments[&1].delivered_at.is_some());

    // The same fold, alone, over the order's events: what time travel uses.
    let events = store.feed().read(delivered.partition, 0, 256).await.unwrap();
    let alone = order_detail::fold(events.iter().map(AsRef::as_ref))
        .unwrap()
        .unwrap();
    assert_eq!(alone, detail);
    projections.stop().await;
}

/// A personal value lies sealed in every read model.
#[tokio::test]
async fn nothing_readable_of_a_person_is_in_a_row() {
    let db = empty_database().await;
    let store = open(&db).await;
    let projections = start(&store).await;
    let order = order_in(&store, 0);
    place(&store, order).await;
    let last = shop::fulfil(&store, order).await;
    projections.wait_for(&ALL, &[last]).await.unwrap();
    for row in dump(&db).await {
        for word in ["ada@example.org", "Ada", "Main Street", "10115", "Berlin"] {
            assert!(!row.contains(word), "{word} in {row}");
        }
    }
    projections.stop().await;
}

/// Rows and checkpoint are one transaction: while the rows cannot be written, the checkpoint does not move, and
/// afterwards both have, once.
#[tokio::test]
async fn rows_and_checkpoint_commit_together() {
    let db = empty_database().await;
    let store = open(&db).await;
    let projections = start(&store).await;
    let order = order_in(&store, 5);
    let first = draft(&store, order).await;
    projections.wait_for(&ALL, &[first]).await.unwrap();

    let mut holder = db.admin().acquire().await.unwrap();
    let pid = backend_pid(&mut holder).await;
    sqlx::raw_sql("begin; select from order_summary_g1 for update")
        .execute(&mut *holder)
        .await
        .unwrap();
    let second = add_line(&store, order).await;
    wait_until_blocked_by(db.admin(), pid, 1).await;
    assert_eq!(seen(&db, "order_summary", 5).await, (first.offset, first.offset));
    projections.wait_for(&["order_detail"], &[second]).await.unwrap();

    sqlx::raw_sql("rollback").execute(&mut *holder).await.unwrap();
    projections.wait_for(&ALL, &[second]).await.unwrap();
    assert_eq!(
        seen(&db, "order_summary", 5).await,
        (second.offset, second.offset)
    );
    projections.stop().await;
}

/// An owner whose session is ended in the middle of a batch writes it once all the same.
#[tokio::test]
async fn a_batch_whose_session_is_ended_is_written_once() {
    let db = empty_database().await;
    let store = open(&db).await;
    let projections = start(&store).await;
    let order = order_in(&store, 5);
    let first = draft(&store, order).await;
    projections.wait_for(&ALL, &[first]).await.unwrap();

    let mut holder = db.admin().acquire().await.unwrap();
    let pid = backend_pid(&mut holder).await;
    sqlx::raw_sql("begin; select from order_summary_g1 for update")
        .execute(&mut *holder)
        .await
        .unwrap();
    let second = add_line(&store, order).await;
    for _ in 0..3 {
        let blocked = wait_until_blocked_by(db.admin(), pid, 1).await;
        sqlx::query("select pg_terminate_backend(pid) from unnest($1::int[]) pid")
            .bind(blocked)
            .execute(db.admin())
            .await
            .unwrap();
    }
    sqlx::raw_sql("rollback").execute(&mut *holder).await.unwrap();
    projections.wait_for(&ALL, &[second]).await.unwrap();
    assert_eq!(
        seen(&db, "order_summary", 5).await,
        (second.offset, second.offset)
    );
    docket_projections::verify(&store, |_| {}).await.unwrap();
    projections.stop().await;
}

/// Deleted and folded again from zero, every row is the same, byte for byte.
#[tokio::test]
async fn rebuilt_equals_live() {
    let db = empty_database().await;
    let store = open(&db).await;
    let projections = start(&store).await;
    for partition in [0, 1, 1, 2, 15] {
        let order = order_in(&store, partition);
        place(&store, order).await;
        shop::fulfil(&store, order).await;
        draft(&store, order_in(&store, partition)).await;
    }
    projections.caught_up().await.unwrap();
    projections.stop().await;
    let live = dump(&db).await;

    let tables = TABLES.map(|(table, _)| table).join(", ");
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        r#"truncate {tables}; update checkpoints set "offset" = 0, event_id = null"#
    )))
    .execute(db.admin())
    .await
    .unwrap();
    let store = open(&db).await;
    let projections = start(&store).await;
    projections.caught_up().await.unwrap();
    assert_eq!(dump(&db).await, live);
    projections.stop().await;
}

/// A wait tells what is wrong with it, at once or in time.
#[tokio::test]
async fn a_wait_is_answered_with_its_reason() {
    let db = empty_database().await;
    let store = open(&db).await;
    let config = ProjectionsConfig {
        wait: Duration::from_millis(100),
        waiters: 1,
        ..shop::quick()
    };
    let projections = Projections::start(store.clone(), config).await.unwrap();
    let ahead = Position {
        partition: 2,
        offset: 1,
    };

    let stale = projections.wait_for(&ALL, &[ahead]).await.unwrap_err();
    assert!(
        matches!(
            stale,
            WaitError::Stale {
                projection: "order_summary",
                partition: 2,
                reached: 0,
                wanted: 1,
                ..
            }
        ),
        "{stale:?}"
    );
    let nowhere = projections
        .wait_for(
            &ALL,
            &[Position {
                partition: 16,
                offset: 1,
            }],
        )
        .await
        .unwrap_err();
    assert!(matches!(nowhere, WaitError::NoSuchPartition(16)), "{nowhere:?}");
    let unknown = projections.wait_for(&["orders"], &[ahead]).await.unwrap_err();
    assert!(matches!(unknown, WaitError::NotServed(_)), "{unknown:?}");

    let waiting = projections.clone();
    let first = tokio::spawn(async move { waiting.wait_for(&ALL, &[ahead]).await });
    eventually(DEADLINE, async || (projections.waiting() == 1).then_some(())).await;
    let second = projections.wait_for(&ALL, &[ahead]).await.unwrap_err();
    assert!(matches!(second, WaitError::Overloaded), "{second:?}");
    assert!(matches!(first.await.unwrap(), Err(WaitError::Stale { .. })));
    projections.stop().await;
}

/// The status tells owner, offset and lag, and a stop gives the leases up.
#[tokio::test]
async fn status_and_stop() {
    let db = empty_database().await;
    let store = open(&db).await;
    let projections = start(&store).await;
    let order = order_in(&store, 7);
    let position = draft(&store, order).await;
    projections.wait_for(&ALL, &[position]).await.unwrap();
    run(
        &store,
        json!({"command": "cancelOrder", "order": order, "reason": "changed their mind"}),
    )
    .await;
    projections.caught_up().await.unwrap();
    for status in projections.status() {
        assert_eq!((status.owner, status.lag_events), (Owner::This, 0), "{status:?}");
    }
    projections.stop().await;
    let held: i64 = sqlx::query_scalar("select count(*) from checkpoints where owner is not null")
        .fetch_one(db.admin())
        .await
        .unwrap();
    assert_eq!(held, 0);
}

/// A partition's checkpoint and the newest offset in its rows, as anybody sees them now.
async fn seen(db: &docket_tests::TestDatabase, projection: &str, partition: i16) -> (i64, i64) {
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        r#"select (select "offset" from checkpoints where projection = $1 and partition = $2),
                  (select max("offset") from {projection}_g1 where partition = $2)"#
    )))
    .bind(projection)
    .bind(partition)
    .fetch_one(db.admin())
    .await
    .unwrap()
}
