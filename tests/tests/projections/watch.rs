//! Looking how everything fares: once a process, however many want to know, and not at all while nobody does.

use crate::{rebuild::shop, shop::DEADLINE};
use docket_projections::{
    limits,
    overview::{Standing, Watch},
};
use docket_tests::{TestDatabase, eventually};
use sqlx::postgres::PgPoolOptions;
use std::sync::Arc;

const NAME: &str = "watch-test";

/// Whether it looked in the time of three looks.
async fn looks(db: &TestDatabase) -> bool {
    tokio::time::sleep(limits::WATCH * 3).await;
    let sql = "select coalesce(max(query_start) > clock_timestamp() - make_interval(secs => $2), false)
                 from pg_stat_activity where application_name = $1 and datname = current_database()";
    sqlx::query_scalar(sql)
        .bind(NAME)
        .bind((limits::WATCH * 2).as_secs_f64())
        .fetch_one(db.admin())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_look_serves_all_who_follow_and_nobody_looks_for_nobody() {
    let (db, _store, projections) = shop().await;
    let options = db.connect_options().application_name(NAME);
    let pool = PgPoolOptions::new().max_connections(2).connect_lazy_with(options);
    let watch = Watch::start(pool);
    assert!(!looks(&db).await);

    let (mut one, mut other) = (watch.follow(), watch.follow());
    let (first, same) = (one.next().await.unwrap(), other.next().await.unwrap());
    assert!(Arc::ptr_eq(&first, &same));
    assert!(first.lines.iter().all(|line| line.standing == Standing::AtHead));
    let later = one.next().await.unwrap();
    assert!(!Arc::ptr_eq(&first, &later));
    assert!(first.has(None) && first.has(Some("order_summary")) && !first.has(Some("orders")));
    drop(one);
    assert!(looks(&db).await);
    drop(other);
    eventually(DEADLINE, async || (!looks(&db).await).then_some(())).await;

    // Who comes later is told of now, and not of then.
    let again = watch.follow().next().await.unwrap();
    assert!(!Arc::ptr_eq(&again, &later));
    projections.stop().await;
}
