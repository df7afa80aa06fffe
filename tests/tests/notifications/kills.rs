//! `kill -9` of whoever says something: before, while and after it is written, it is said once.

use crate::shop::{DEADLINE, is_dense};
use docket_domain::Role;
use docket_tests::server::{Client, Server, life, token};
use docket_tests::{Seed, TestDatabase, backend_pid, database, eventually, wait_until_blocked_by};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;
use uuid::Uuid;

/// Each event that a rule has something to say to is in the ledger once, and nothing else is.
async fn is_said_once(db: &TestDatabase) -> bool {
    let of = async |sql: &'static str| -> Vec<Uuid> {
        sqlx::query_scalar(sql).fetch_all(db.admin()).await.unwrap()
    };
    let said = of("select event_id from notifications").await;
    let tellable =
        of("select event_id from events where event_type in ('payment.captured', 'shipment.dispatched')")
            .await;
    let many = said.len();
    let said: BTreeSet<Uuid> = said.into_iter().collect();
    assert_eq!(said.len(), many, "said twice");
    is_dense(db).await;
    let tellable: BTreeSet<Uuid> = tellable.into_iter().collect();
    assert!(said.is_subset(&tellable));
    said == tellable
}

async fn sell(client: &Client, customer: &str) {
    for (name, input) in life(Uuid::new_v4(), customer, "by the door") {
        client.mutate(name, input).await.data();
    }
}

/// The server dies while its statement waits in the database, which finishes it or not without a client; and before,
/// when it had nothing sent yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_while_it_writes_has_it_said_once() {
    let db = database().await;
    let staff = token(&db, Role::Staff, "s-1").await;
    for _ in 0..3 {
        let server = Server::start(&db).await;
        let client = server.client(&staff);
        let mut holder = db.admin().acquire().await.unwrap();
        let pid = backend_pid(&mut holder).await;
        // Rows may be read, and none be numbered.
        sqlx::raw_sql("begin; lock table notification_recipients in share mode")
            .execute(&mut *holder)
            .await
            .unwrap();
        for _ in 0..4 {
            sell(&client, "ada").await;
        }
        wait_until_blocked_by(db.admin(), pid, 1).await;
        server.kill_9().await;
        sqlx::raw_sql("commit").execute(&mut *holder).await.unwrap();
    }
    let server = Server::start(&db).await;
    eventually(DEADLINE, async || is_said_once(&db).await.then_some(())).await;
    assert!(server.stop().await.success());
}

/// Two servers share the partitions; one after the other is killed at any moment, under load.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_the_other_says_it_once() {
    const KILLS: usize = 12;
    let db = database().await;
    let mut random = Seed::of_this_run();
    let staff = token(&db, Role::Staff, "s-1").await;
    let stays = Server::start(&db).await;
    let mut dies = Server::start(&db).await;
    let (_here, client) = watch::channel(stays.client(&staff));
    let enough = Arc::new(AtomicBool::new(false));
    let sellers: Vec<_> = (0..5)
        .map(|n| {
            let (client, enough) = (client.borrow().clone(), Arc::clone(&enough));
            tokio::spawn(async move {
                while !enough.load(Ordering::SeqCst) {
                    sell(&client, &format!("c-{}", n % 3)).await;
                }
            })
        })
        .collect();
    for _ in 0..KILLS {
        // Long enough to take over partitions at times, and to die at any moment of the work.
        tokio::time::sleep(Duration::from_millis(300 + random.below(1_500))).await;
        dies.kill_9().await;
        dies = Server::start(&db).await;
    }
    enough.store(true, Ordering::SeqCst);
    for seller in sellers {
        seller.await.unwrap();
    }
    eventually(DEADLINE, async || is_said_once(&db).await.then_some(())).await;
    assert!(is_dense(&db).await > 40);
    assert!(stays.stop().await.success());
    assert!(dies.stop().await.success());
}
