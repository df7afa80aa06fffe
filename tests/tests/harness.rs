//! The ground itself must hold: what the other tests rely on.

use std::time::Duration;

use docket_tests::{backend_pid, blocked_by, database, eventually, private_cluster};
use docket_tests::{wait_until_blocked, wait_until_blocked_by};
use sqlx::{Connection, PgConnection, PgPool};

const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn each_test_has_a_database_of_its_own_and_it_is_dropped() {
    let (one, other) = (database().await, database().await);
    let mut connection = PgConnection::connect(&one.url()).await.unwrap();
    sqlx::query("create table only_here ()")
        .execute(&mut connection)
        .await
        .unwrap();
    let pool = PgPool::connect_with(other.connect_options()).await.unwrap();
    assert!(
        sqlx::query("select from only_here")
            .fetch_all(&pool)
            .await
            .is_err()
    );

    let name: String = sqlx::query_scalar("select current_database()")
        .fetch_one(one.admin())
        .await
        .unwrap();
    drop(one);
    let search = "select from pg_database where datname = $1";
    let gone = async || {
        sqlx::query(search)
            .bind(&name)
            .fetch_optional(&pool)
            .await
            .unwrap()
            .is_none()
            .then_some(())
    };
    eventually(DEADLINE, gone).await;
}

#[tokio::test]
async fn a_session_that_waits_for_a_lock_is_seen() {
    let db = database().await;
    let mut holder = PgConnection::connect_with(&db.connect_options()).await.unwrap();
    let pid = backend_pid(&mut holder).await;
    sqlx::query("select pg_advisory_lock(1)")
        .execute(&mut holder)
        .await
        .unwrap();
    assert_eq!(blocked_by(db.admin(), pid).await, [0; 0]);

    let options = db.connect_options().application_name("waiter");
    let waiter = tokio::spawn(async move {
        let mut connection = PgConnection::connect_with(&options).await.unwrap();
        sqlx::query("select pg_advisory_lock(1)")
            .execute(&mut connection)
            .await
            .unwrap();
    });
    let waiting = wait_until_blocked(db.admin(), "waiter").await;
    assert_eq!(wait_until_blocked(db.admin(), waiting).await, waiting);
    assert_eq!(wait_until_blocked_by(db.admin(), pid, 1).await, [waiting]);
    holder.close().await.unwrap();
    waiter.await.unwrap();
}

#[tokio::test]
async fn a_private_server_survives_a_kill_and_a_restart_with_its_data() {
    let cluster = private_cluster().await;
    let db = cluster.database().await;
    let pool = PgPool::connect_with(db.connect_options()).await.unwrap();
    sqlx::query("create table kept ()").execute(&pool).await.unwrap();
    cluster.kill_9_postgres();
    cluster.wait_until_up().await;
    let kept = async || sqlx::query("select from kept").fetch_all(&pool).await.ok();
    eventually(DEADLINE, kept).await;
    cluster.restart().await;
    eventually(DEADLINE, kept).await;
    pool.close().await;
    cluster.remove().await;
}

#[tokio::test]
#[should_panic(expected = "harness.rs")]
async fn a_deadline_that_passes_names_the_line_that_waited() {
    eventually(Duration::from_millis(30), async || None::<()>).await;
}
