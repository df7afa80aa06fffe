//! Where a reactor and its rules begin: exactly at the moment at which they are registered.

use crate::shop::{asked, customer, is_dense, run_all, sold, start, told, whole};
use docket_event_store::migrate;
use docket_projections::reactors::notifications::Fact;
use docket_tests::{TestDatabase, database, orders::new_order};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use uuid::Uuid;

/// What the migration made.
const UNDO: &str = "drop table notifications, notification_recipients, reactor_rules;
                    delete from checkpoints where projection = 'notifications';
                    delete from projections where name = 'notifications';
                    alter table projections drop column kind;
                    delete from _sqlx_migrations where version = 17";
/// What it registered.
const UNREGISTER: &str =
    "delete from reactor_rules; delete from checkpoints where projection = 'notifications';
                          delete from projections where name = 'notifications'";

/// The events that rules have something to say to, by their ids, after the registered offsets or up to them.
async fn tellable(db: &TestDatabase, after: bool) -> BTreeSet<Uuid> {
    let sql = format!(
        r#"select event_id from events e join (select distinct partition, "offset" from reactor_rules) r using (partition)
            where event_type in ('payment.captured', 'shipment.dispatched') and e."offset" {} r."offset""#,
        if after { ">" } else { "<=" }
    );
    let found: Vec<Uuid> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .fetch_all(db.admin())
        .await
        .unwrap();
    found.into_iter().collect()
}

/// The upgrade registers the reactor while orders are sold: what was appended before it says nothing, what is appended
/// after it is said, and nothing is between the two.
#[tokio::test(flavor = "multi_thread")]
async fn registration_beside_writers_is_exact() {
    let db = database().await;
    let store = db.store().await;
    sqlx::raw_sql(UNREGISTER).execute(db.admin()).await.unwrap();
    let enough = Arc::new(AtomicBool::new(false));
    let sellers: Vec<_> = (0..6)
        .map(|n| {
            let (store, enough) = (store.clone(), Arc::clone(&enough));
            tokio::spawn(async move {
                while !enough.load(Ordering::SeqCst) {
                    sold(&store, &format!("c-{n}")).await;
                }
            })
        })
        .collect();
    docket_tests::eventually(crate::shop::DEADLINE, async || {
        (store.feed().heads().iter().sum::<i64>() > 400).then_some(())
    })
    .await;
    register(&db).await;
    let before: i64 = store.feed().heads().iter().sum();
    docket_tests::eventually(crate::shop::DEADLINE, async || {
        (store.feed().heads().iter().sum::<i64>() > before + 400).then_some(())
    })
    .await;
    enough.store(true, Ordering::SeqCst);
    for seller in sellers {
        seller.await.unwrap();
    }
    let projections = start(&store).await;
    asked(&projections, &store).await;
    let said: Vec<Uuid> = sqlx::query_scalar("select event_id from notifications")
        .fetch_all(db.admin())
        .await
        .unwrap();
    let (said, many): (BTreeSet<Uuid>, usize) = (said.iter().copied().collect(), said.len());
    assert_eq!(said.len(), many);
    assert_eq!(said, tellable(&db, true).await);
    assert!(said.len() > 20 && tellable(&db, false).await.len() > 20);
    is_dense(&db).await;
    projections.stop().await;
}

/// The last statements of the migration, as it has them.
async fn register(db: &TestDatabase) {
    let migration = include_str!("../../../migrations/0017_notifications.sql");
    let (_, statements) = migration
        .split_once("-- The reactor and its rules begin")
        .unwrap();
    let (_, statements) = statements.split_once("\ninsert into projections").unwrap();
    let statements = format!("insert into projections{statements}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements))
        .execute(db.admin())
        .await
        .unwrap();
}

/// An upgrade of a log with a history begins at its end.
#[tokio::test]
async fn an_upgrade_says_nothing_of_the_past() {
    let db = database().await;
    let store = db.store().await;
    sold(&store, "ada").await;
    sqlx::raw_sql(UNDO).execute(db.admin()).await.unwrap();
    migrate(&db.connect_options(), None).await.unwrap();
    let projections = start(&store).await;
    asked(&projections, &store).await;
    assert_eq!(is_dense(&db).await, 0);
    sold(&store, "ada").await;
    asked(&projections, &store).await;
    assert_eq!(is_dense(&db).await, 2);
    projections.stop().await;
}

/// A rule joins while the reactor is behind: what happened before the rule joined is not its business, though the reactor
/// only now comes to it.
#[tokio::test]
async fn a_rule_that_joins_does_not_reach_back_over_what_the_reactor_has_not_seen() {
    let db = database().await;
    let store = db.store().await;
    run_all(&store, whole(new_order(), Some("ada"))).await;
    let joins = r#"update reactor_rules r set "offset" = h.head from heads h
                    where h.partition = r.partition and r.rule = 'order_shipped'"#;
    sqlx::raw_sql(joins).execute(db.admin()).await.unwrap();
    let projections = start(&store).await;
    asked(&projections, &store).await;
    let rows = told(&store, &customer("ada")).await;
    assert!(
        rows.len() == 1 && matches!(rows[0].fact, Fact::OrderPaid { .. }),
        "{rows:?}"
    );
    sold(&store, "ada").await;
    asked(&projections, &store).await;
    assert_eq!(told(&store, &customer("ada")).await.len(), 3);
    projections.stop().await;
}
