//! The ledger under concurrency: numbers without a gap, effects once, no deadlock.

use crate::shop::{asked, customer, is_dense, quick, run_all, sold, start, told, whole};
use docket_domain::OrderId;
use docket_event_store::Store;
use docket_projections::{Owner, Projections, StartError, StopClass, reactors::notifications};
use docket_tests::{
    TestDatabase, backend_pid, blocked_stores, database, eventually, orders::new_order_in,
    wait_until_blocked_by,
};
use futures::future::join_all;
use sqlx::{Postgres, pool::PoolConnection};
use std::{collections::HashSet, sync::Arc};

use crate::shop::DEADLINE;

const CUSTOMERS: usize = 12;

/// Orders of all customers in each of these partitions, each partition beginning with another customer.
async fn orders_in(store: &Store, partitions: &[u16]) -> Vec<OrderId> {
    let each = partitions.iter().enumerate().map(|(turn, partition)| async move {
        let mut orders = Vec::new();
        for n in 0..CUSTOMERS {
            let n = if turn % 2 == 0 { n } else { CUSTOMERS - 1 - n };
            let order = new_order_in(store, *partition);
            run_all(store, whole(order, Some(&format!("c-{n}")))).await;
            orders.push(order);
        }
        orders
    });
    join_all(each).await.concat()
}

/// Rows that a transaction beside the processes holds.
struct Holder {
    session: PoolConnection<Postgres>,
    pid: i32,
}

impl Holder {
    async fn hold(db: &TestDatabase, rows: &'static str, partitions: &[u16]) -> Holder {
        let mut session = db.admin().acquire().await.unwrap();
        let pid = backend_pid(&mut session).await;
        let partitions: Vec<i16> = partitions.iter().map(|partition| *partition as i16).collect();
        sqlx::raw_sql("begin").execute(&mut *session).await.unwrap();
        let held = sqlx::query(rows).bind(partitions).fetch_all(&mut *session).await;
        assert!(!held.unwrap().is_empty());
        Holder { session, pid }
    }

    async fn let_go(&mut self) {
        sqlx::raw_sql("commit").execute(&mut *self.session).await.unwrap();
    }
}

/// Two processes own partitions that have something for the same customers, and write all of it at the same moment.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_of_two_processes_number_the_same_recipients_without_gaps_and_deadlocks() {
    let db = database().await;
    let (here, there) = (db.store().await, db.store().await);
    let (one, other) = (start(&here).await, start(&there).await);
    let owned = |projections: &Projections| {
        let status = projections.status();
        let mine = status
            .iter()
            .filter(|s| s.projection == notifications::NAME && s.owner == Owner::This);
        mine.map(|s| s.partition).collect::<Vec<_>>()
    };
    eventually(DEADLINE, async || {
        (owned(&one).len() == 8 && owned(&other).len() == 8).then_some(())
    })
    .await;
    let (a, b) = (owned(&one), owned(&other));
    // Everybody has a row to be locked.
    let first = orders_in(&here, &[a[1]]).await;
    for round in 0..3 {
        let partitions = [a[2 + round], b[2 + round]];
        // Nobody writes while the events come in, so that each partition has one large batch for everybody.
        let mut batches = Holder::hold(
            &db,
            "select from checkpoints where projection = 'notifications' and partition = any ($1) for update",
            &partitions,
        )
        .await;
        orders_in(&here, &partitions).await;
        wait_until_blocked_by(db.admin(), batches.pid, 2).await;
        // Half of the recipients come before this one for the one partition, and half of them for the other.
        let sql = "select from notification_recipients where recipient = 'customer:c-5' and $1::smallint[] is not null for update";
        let mut middle = Holder::hold(&db, sql, &[]).await;
        batches.let_go().await;
        eventually(DEADLINE, async || {
            (blocked_stores(db.admin()).await.len() >= 2).then_some(())
        })
        .await;
        middle.let_go().await;
        let expected = 2 * (first.len() + 2 * CUSTOMERS * (round + 1)) as i64;
        eventually(DEADLINE, async || (is_dense(&db).await == expected).then_some(())).await;
    }
    let stopped = one.status().into_iter().chain(other.status());
    assert_eq!(stopped.filter_map(|status| status.stopped).count(), 0);
    let deadlocks: i64 =
        sqlx::query_scalar("select deadlocks from pg_stat_database where datname = current_database()")
            .fetch_one(db.admin())
            .await
            .unwrap();
    assert_eq!(deadlocks, 0);
    one.stop().await;
    other.stop().await;
}

/// A checkpoint that is put back makes the reactor come by again: whoever was told is not told twice.
#[tokio::test]
async fn an_effect_is_in_the_ledger_once_however_often_the_reactor_comes_by() {
    let db = database().await;
    let store = db.store().await;
    let projections = start(&store).await;
    for n in 0..6 {
        sold(&store, &format!("c-{}", n % 2)).await;
    }
    asked(&projections, &store).await;
    projections.stop().await;
    let before = (
        told(&store, &customer("c-0")).await,
        told(&store, &customer("c-1")).await,
    );
    let put_back =
        r#"update checkpoints set "offset" = 0, event_id = null where projection = 'notifications'"#;
    sqlx::raw_sql(put_back).execute(db.admin()).await.unwrap();
    sold(&store, "c-0").await;
    let projections = start(&store).await;
    asked(&projections, &store).await;
    assert_eq!(is_dense(&db).await, 14);
    assert_eq!(told(&store, &customer("c-1")).await, before.1);
    let after = told(&store, &customer("c-0")).await;
    assert_eq!((&after[..6], after.len()), (&before.0[..], 8));
    projections.stop().await;
}

/// An owner that was fenced while its batch waited says nothing; the next one says it once.
#[tokio::test]
async fn a_fenced_owner_says_nothing() {
    let db = database().await;
    let store = db.store().await;
    let projections = start(&store).await;
    let mut usurper = db.admin().acquire().await.unwrap();
    let pid = backend_pid(&mut usurper).await;
    sqlx::raw_sql("begin").execute(&mut *usurper).await.unwrap();
    let fence = "update checkpoints set owner = gen_random_uuid(), epoch = epoch + 1,
                        lease_until = now() + interval '1 second'
                  where projection = 'notifications' and partition = 3";
    sqlx::query(fence).execute(&mut *usurper).await.unwrap();
    let order = new_order_in(&store, 3);
    run_all(&store, whole(order, Some("ada"))).await;
    wait_until_blocked_by(db.admin(), pid, 1).await;
    assert_eq!(is_dense(&db).await, 0);
    sqlx::raw_sql("commit").execute(&mut *usurper).await.unwrap();
    eventually(DEADLINE, async || (is_dense(&db).await == 2).then_some(())).await;
    projections.stop().await;
}

/// A program that lacks a rule must not pass over what that rule has effects for: it does not start, and stands still
/// where it runs already.
#[tokio::test]
async fn a_program_with_other_rules_does_not_move_on() {
    let db = database().await;
    let store = db.store().await;
    let projections = start(&store).await;
    let newer = "update projections set version = version + 1 where name = 'notifications'";
    sqlx::raw_sql(newer).execute(db.admin()).await.unwrap();
    sold(&store, "ada").await;
    let stopped = eventually(DEADLINE, async || {
        let status = projections.status();
        status
            .into_iter()
            .find_map(|s| s.stopped.filter(|_| s.projection == notifications::NAME))
    })
    .await;
    assert_eq!(stopped.class, StopClass::Apply);
    assert_eq!(is_dense(&db).await, 0);
    let refused = Projections::start(store.clone(), quick()).await.err().unwrap();
    assert!(matches!(refused, StartError::OtherRules { .. }), "{refused}");
    projections.stop().await;
    // The program that fits says it.
    let fits = "update projections set version = version - 1 where name = 'notifications'";
    sqlx::raw_sql(fits).execute(db.admin()).await.unwrap();
    let projections = start(&store).await;
    eventually(DEADLINE, async || (is_dense(&db).await == 2).then_some(())).await;
    projections.stop().await;
}

/// Whoever follows misses nothing and gets nothing twice, whichever process says it, also with a queue that overflows.
#[tokio::test(flavor = "multi_thread")]
async fn followers_in_every_process_get_each_number_once_and_in_order() {
    const ORDERS: usize = 30;
    let db = database().await;
    let (here, there) = (db.store().await, db.store().await);
    let (one, other) = (start(&here).await, start(&there).await);
    let (live, elsewhere) = (
        notifications::Live::start(here.clone()),
        notifications::Live::start(there.clone()),
    );
    sold(&here, "ada").await;
    eventually(DEADLINE, async || (is_dense(&db).await == 2).then_some(())).await;
    let mut followers = Vec::new();
    for (live, after, slow) in [
        (&live, None, false),
        (&live, Some(0), true),
        (&elsewhere, Some(1), false),
        (&elsewhere, None, true),
    ] {
        let mut followed = live.follow(customer("ada"), after).await.unwrap();
        let first = after.unwrap_or(2) + 1;
        assert_eq!(followed.last() + 1, first);
        followers.push(tokio::spawn(async move {
            let mut seen = HashSet::new();
            for number in first..=2 + 2 * ORDERS as i64 {
                let next = tokio::time::timeout(DEADLINE, followed.next()).await;
                let next = next.expect("the next one in time").unwrap();
                assert_eq!(next.number, number);
                assert!(seen.insert((next.event_id, next.number)));
                if slow && number % 20 == 5 {
                    // More than its queue holds comes meanwhile.
                    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
                }
            }
            let more = tokio::time::timeout(std::time::Duration::from_millis(300), followed.next()).await;
            assert!(more.is_err(), "one too many");
        }));
    }
    let stranger = live.follow(customer("bob"), Some(0)).await.unwrap();
    let store = Arc::new(here.clone());
    let sales = (0..ORDERS).map(|_| {
        let store = Arc::clone(&store);
        async move { sold(&store, "ada").await }
    });
    join_all(sales).await;
    for follower in followers {
        follower.await.unwrap();
    }
    let mut stranger = stranger;
    let nothing = tokio::time::timeout(std::time::Duration::from_millis(100), stranger.next()).await;
    assert!(nothing.is_err(), "what somebody else was told");
    one.stop().await;
    other.stop().await;
}
