//! Rows that do not belong to this log or this program are not fed.

use crate::shop::{draft, empty_database, open, order_in, quick, start};
use docket_projections::{Projections, StartError, WaitError};

async fn refusal(change: &str) -> StartError {
    let db = empty_database().await;
    let store = open(&db).await;
    let projections = start(&store).await;
    draft(&store, order_in(&store, 8)).await;
    projections.caught_up().await.unwrap();
    projections.stop().await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(change.to_owned()))
        .execute(db.admin())
        .await
        .unwrap();
    match Projections::start(store, quick()).await {
        Ok(_) => panic!("started after {change}"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_checkpoint_above_the_head_is_refused() {
    let error =
        refusal(r#"update checkpoints set "offset" = 7 where projection = 'order_detail' and partition = 8"#)
            .await;
    assert!(
        matches!(
            error,
            StartError::AboveHead {
                partition: 8,
                offset: 7,
                head: 1,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("older backup"), "{error}");
}

#[tokio::test]
async fn a_checkpoint_of_another_history_is_refused() {
    let error = refusal("update checkpoints set event_id = gen_random_uuid() where partition = 8").await;
    assert!(
        matches!(
            error,
            StartError::OtherHistory {
                partition: 8,
                offset: 1,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("docs/operations.md"), "{error}");
}

/// A read model of another version is neither fed nor served, and keeps nobody from the others: in a rolling upgrade old
/// programs and new ones run side by side.
#[tokio::test]
async fn rows_of_another_version_are_left_alone() {
    let db = empty_database().await;
    let store = open(&db).await;
    sqlx::raw_sql(
        "update projections set version = 3 where name = 'order_detail';
         update generations set version = 3 where projection = 'order_detail'",
    )
    .execute(db.admin())
    .await
    .unwrap();
    let projections = start(&store).await;
    let at = draft(&store, order_in(&store, 8)).await;
    projections.wait_for(&["order_summary"], &[at]).await.unwrap();
    let refused = projections.wait_for(&["order_detail"], &[at]).await.unwrap_err();
    assert!(matches!(refused, WaitError::NotServed(_)), "{refused:?}");
    let rows: i64 = sqlx::query_scalar("select count(*) from order_detail_g1")
        .fetch_one(db.admin())
        .await
        .unwrap();
    assert_eq!(rows, 0);
    projections.stop().await;
}
