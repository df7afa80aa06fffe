//! A database that an older program has filled, and this one.

use crate::{
    rebuild::{rebuilt, shop},
    shop::{ALL, DEADLINE, draft, dump, empty_database, open, order_in, start},
};
use docket_event_store::Position;
use docket_projections::{
    Generation, Projections, Serving, WaitError,
    read_models::order_detail,
    rebuild::{Attendant, Outcome, ask_for_missing},
    verify::verify,
};
use docket_tests::eventually;
use tokio_util::sync::CancellationToken;

const MIGRATION: &str = include_str!("../../../migrations/0028_documents_packed.sql");

/// What a program of before the migration left: documents as JSON.
const BEFORE: &str = "drop table templates.order_detail_v2;
    alter table order_detail_g1 alter column document type json using '{}';
    update projections set version = 1 where name = 'order_detail';
    update generations set version = 1 where projection = 'order_detail'";

/// Documents are served again, with what is at a position.
async fn is_there(projections: &Projections, at: Position) {
    eventually(DEADLINE, async || {
        projections.wait_for(&["order_detail"], &[at]).await.ok()
    })
    .await;
}

/// Rows of JSON stay for the programs that know them; a rebuild makes those that this one reads.
#[tokio::test]
async fn packed_documents_come_with_a_rebuild() {
    let (db, store, projections) = shop().await;
    projections.stop().await;
    let documents = "select order_id, document from order_detail_g1 order by 1";
    let read = || sqlx::query_as::<_, (uuid::Uuid, Vec<u8>)>(documents).fetch_all(db.admin());
    let expected = read().await.unwrap();
    sqlx::raw_sql(BEFORE).execute(store.pool()).await.unwrap();
    let before = dump(&db).await;
    sqlx::raw_sql(MIGRATION).execute(store.pool()).await.unwrap();
    assert_eq!(dump(&db).await, before);

    let projections = start(&store).await;
    let at = draft(&store, order_in(&store, 8)).await;
    let refused = projections.wait_for(&["order_detail"], &[at]).await.unwrap_err();
    assert!(matches!(refused, WaitError::NotServed(_)), "{refused:?}");
    let done = rebuilt(&store, "order_detail").await.unwrap();
    assert!(matches!(done.outcome, Outcome::Swapped), "{done:?}");
    is_there(&projections, at).await;
    let serving = Serving::read(&store).await.unwrap();
    assert_eq!(serving.of("order_detail").unwrap(), Generation(2));
    for (order, packed) in &expected {
        let now = "select document from order_detail_g2 where order_id = $1";
        let now: Vec<u8> = sqlx::query_scalar(now)
            .bind(order)
            .fetch_one(db.admin())
            .await
            .unwrap();
        assert_eq!(&now, packed);
    }
    let found = order_detail::find(store.pool(), &serving, &[docket_domain::OrderId(expected[0].0)]).await;
    assert_eq!(found.unwrap().len(), 1);
    // What the manual says drops the rows that nobody knows any more.
    let manual = include_str!("../../../docs/operations.md");
    let (_, drop) = manual
        .split_once("when no process of\nthe old version runs any more:\n\n```sql\n")
        .unwrap();
    let (drop, _) = drop.split_once("```").unwrap();
    sqlx::raw_sql(drop).execute(store.pool()).await.unwrap();
    let at = draft(&store, order_in(&store, 10)).await;
    is_there(&projections, at).await;
    assert_eq!(verify(&store, |_| {}).await.unwrap().rows.len(), ALL.len());
    projections.stop().await;
}

/// Where nothing has happened yet, there is nothing to rebuild.
#[tokio::test]
async fn an_empty_shop_begins_with_packed_documents() {
    let db = empty_database().await;
    let store = open(&db).await;
    sqlx::raw_sql(BEFORE).execute(store.pool()).await.unwrap();
    sqlx::raw_sql(MIGRATION).execute(store.pool()).await.unwrap();
    let projections = start(&store).await;
    let at = draft(&store, order_in(&store, 8)).await;
    projections.wait_for(&["order_detail"], &[at]).await.unwrap();
    projections.stop().await;
}

/// A server whose database nobody else uses has what is of an older version built anew.
#[tokio::test]
async fn a_private_database_is_brought_up_by_its_server() {
    let (_db, store, projections) = shop().await;
    let none: Vec<&str> = Vec::new();
    assert_eq!(ask_for_missing(&store).await.unwrap(), none);
    projections.stop().await;
    sqlx::raw_sql(BEFORE).execute(store.pool()).await.unwrap();
    sqlx::raw_sql(MIGRATION).execute(store.pool()).await.unwrap();
    assert_eq!(ask_for_missing(&store).await.unwrap(), ["order_detail"]);
    let projections = start(&store).await;
    let attendant = Attendant::start(&store, &CancellationToken::new());
    let at = draft(&store, order_in(&store, 8)).await;
    is_there(&projections, at).await;
    assert_eq!(ask_for_missing(&store).await.unwrap(), none);
    attendant.stop().await;
    projections.stop().await;
}
