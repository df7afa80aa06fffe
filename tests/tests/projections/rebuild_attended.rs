//! What servers do for rebuilds: what nobody does is gone on with, and what would come to the same again stands still.

use crate::{
    rebuild::{SWAP, rebuilt, shop, tables},
    rebuild_faults::{BLOCKS, block, child, damage_of, waiting_at},
    shop::{DEADLINE, add_line, draft, order_in},
};
use docket_event_store::Store;
use docket_projections::{
    Generation, Serving,
    rebuild::{
        Attendant, Operation, Outcome, PartitionProgress, Progress, Purpose, RebuildError, RebuildOptions,
        Step, Wish, ask, operations, rebuild_or_follow, wish,
    },
};
use docket_tests::{TestDatabase, eventually, server::signal};
use sqlx::AssertSqlSafe;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const NAME: &str = "order_summary";

async fn attendant(store: &Store) -> Attendant {
    Attendant::start(store, &CancellationToken::new())
}

async fn now(store: &Store) -> Operation {
    operations(store.pool()).await.unwrap().remove(0)
}

/// When it is as it should be.
async fn when(store: &Store, is_so: impl Fn(&Operation) -> bool) -> Operation {
    eventually(DEADLINE, async || Some(now(store).await).filter(|now| is_so(now))).await
}

async fn swapped(store: &Store) -> Operation {
    let ended = when(store, |now| now.ended_at.is_some()).await;
    assert_eq!(ended.outcome.as_deref(), Some("swapped"));
    let serving = Serving::read(store).await.unwrap();
    assert_eq!(serving.of(NAME).unwrap(), Generation(2));
    ended
}

async fn deaths(db: &TestDatabase) -> i32 {
    let deaths = sqlx::query_scalar("select deaths from rebuilds");
    deaths.fetch_one(db.admin()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_is_done_and_told() {
    let (_db, store, projections) = shop().await;
    let asked = ask(&store, NAME, SWAP).await.unwrap();
    assert_eq!(
        (asked.owner, asked.step, asked.generation),
        (None, Step::Create, Generation(2))
    );
    // To ask again is to ask once; for something else is refused.
    assert_eq!(ask(&store, NAME, SWAP).await.unwrap().generation, Generation(2));
    let other = RebuildOptions {
        purpose: Purpose::VerifyOnly,
        ..SWAP
    };
    let refused = ask(&store, NAME, other).await.unwrap_err();
    assert!(matches!(refused, RebuildError::OtherPurpose(_)), "{refused}");
    let rebuilds = attendant(&store).await;
    let ended = swapped(&store).await;
    assert_eq!((ended.parallel, ended.rows), (SWAP.parallel, Some(6)));
    // What was told last comes a moment after the end.
    let heads = store.feed().heads();
    when(&store, |now| {
        let is_there =
            |(at, head): (&PartitionProgress, &i64)| [at.folded, at.written, at.target] == [*head; 3];
        now.partitions.len() == heads.len() && now.partitions.iter().zip(&heads).all(is_there)
    })
    .await;
    rebuilds.stop().await;
    projections.stop().await;
}

/// kill -9 of whoever does it: another process goes on when the lease has run out, and the next caller follows that one.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_killed_is_followed_by_a_server_and_that_by_the_next_caller() {
    let (db, store, projections) = shop().await;
    let rebuilds = attendant(&store).await;
    let blocked = block(&db, BLOCKS[1].1).await;
    let mut process = waiting_at(&db, Step::Load).await;
    let first = now(&store).await.owner;
    process.kill().await.unwrap();
    let taken = when(&store, |now| now.owner.is_some() && now.owner != first).await;
    assert_eq!((taken.generation, taken.step), (Generation(2), Step::Load));
    assert_eq!(deaths(&db).await, 1);
    let other = RebuildOptions {
        purpose: Purpose::VerifyOnly,
        ..SWAP
    };
    let refused = rebuild_or_follow(&store, NAME, other, &Progress::new(16))
        .await
        .unwrap_err();
    assert!(matches!(refused, RebuildError::Running { .. }), "{refused}");
    let follower = child(&db, &[]);
    // Who does it has not changed: the follower follows.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(now(&store).await.owner, taken.owner);
    drop(blocked);
    let followed = follower.wait_with_output().await.unwrap();
    assert!(followed.status.success(), "{followed:?}");
    swapped(&store).await;
    rebuilds.stop().await;
    projections.stop().await;
}

/// A server that stops leaves its rebuild to the next one, which has no death to count and no lease to wait for.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_hands_over() {
    let (db, store, projections) = shop().await;
    let blocked = block(&db, BLOCKS[1].1).await;
    let one = attendant(&store).await;
    ask(&store, NAME, SWAP).await.unwrap();
    one.wake();
    let done = when(&store, |now| now.step == Step::Load && now.owner.is_some()).await;
    one.stop().await;
    let left = now(&store).await;
    assert_eq!(left.owner, None);
    assert!(left.goes_on_at.is_some());
    let other = attendant(&store).await;
    let taken = when(&store, |now| now.owner.is_some()).await;
    assert_ne!(taken.owner, done.owner);
    drop(blocked);
    swapped(&store).await;
    assert_eq!(deaths(&db).await, 0);
    other.stop().await;
    projections.stop().await;
}

/// What a person has interrupted, or lets wait, is the person's to go on with.
#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_interrupted_or_paused_stands_still_until_it_is_to_go_on() {
    let (db, store, projections) = shop().await;
    let rebuilds = attendant(&store).await;
    let blocked = block(&db, BLOCKS[1].1).await;
    let mut process = waiting_at(&db, Step::Load).await;
    signal(process.id().unwrap(), "INT");
    assert!(!process.wait().await.unwrap().success());
    let left = now(&store).await;
    assert_eq!((left.owner, left.goes_on_at), (None, None));
    wish(&store, NAME, Wish::Pause).await.unwrap();
    rebuilds.wake();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(now(&store).await.owner, None);
    let resumed = wish(&store, NAME, Wish::Run).await.unwrap();
    assert_eq!(resumed.owner, None);
    rebuilds.wake();
    when(&store, |now| now.owner.is_some()).await;
    drop(blocked);
    swapped(&store).await;
    rebuilds.stop().await;
    projections.stop().await;
}

/// An event that cannot be folded is not folded again and again: it stands still, with the reason, until somebody says so.
#[tokio::test(flavor = "multi_thread")]
async fn what_would_come_to_the_same_again_is_not_tried_again() {
    let (db, store, projections) = shop().await;
    let broken = order_in(&store, 9);
    draft(&store, broken).await;
    let at = add_line(&store, broken).await;
    projections.caught_up().await.unwrap();
    let damage = |from, to| damage_of(at, from, to);
    let wrong = damage("order.line_added", "order.line_lost");
    sqlx::raw_sql(AssertSqlSafe(wrong))
        .execute(db.admin())
        .await
        .unwrap();
    let rebuilds = attendant(&store).await;
    ask(&store, NAME, SWAP).await.unwrap();
    rebuilds.wake();
    let failed = when(&store, |now| now.outcome.is_some()).await;
    assert!(
        failed.outcome.as_ref().unwrap().contains(&at.to_string()),
        "{failed:?}"
    );
    assert_eq!((failed.owner, failed.goes_on_at), (None, None));
    for _ in 0..5 {
        rebuilds.wake();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(now(&store).await, failed);
    }
    let right = damage("order.line_lost", "order.line_added");
    sqlx::raw_sql(AssertSqlSafe(right))
        .execute(db.admin())
        .await
        .unwrap();
    wish(&store, NAME, Wish::Run).await.unwrap();
    rebuilds.wake();
    swapped(&store).await;
    rebuilds.stop().await;
    projections.stop().await;
}

/// What kills one server after the other is left alone; somebody who says that it goes on begins to count anew.
#[tokio::test(flavor = "multi_thread")]
async fn what_kills_its_servers_is_left_alone() {
    let (db, store, projections) = shop().await;
    ask(&store, NAME, SWAP).await.unwrap();
    let dead = "update rebuilds set owner = gen_random_uuid(), lease_until = clock_timestamp() - interval '1 s', deaths = 3";
    sqlx::query(dead).execute(db.admin()).await.unwrap();
    let left = now(&store).await;
    assert_eq!((left.owner, left.goes_on_at), (None, None));
    let rebuilds = attendant(&store).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(now(&store).await, left);
    wish(&store, NAME, Wish::Run).await.unwrap();
    assert_eq!(deaths(&db).await, 0);
    rebuilds.wake();
    swapped(&store).await;
    rebuilds.stop().await;
    projections.stop().await;
}

/// One that is called off while two servers look for work is ended once and leaves nothing; nor does it begin another one.
#[tokio::test(flavor = "multi_thread")]
async fn called_off_among_servers_it_leaves_nothing() {
    let (db, store, projections) = shop().await;
    let servers = [attendant(&store).await, attendant(&store).await];
    for generation in 2..5 {
        ask(&store, NAME, SWAP).await.unwrap();
        let blocked = block(&db, BLOCKS[1].1).await;
        servers.iter().for_each(Attendant::wake);
        if generation % 2 == 0 {
            when(&store, |now| now.owner.is_some()).await;
        }
        let called_off = wish(&store, NAME, Wish::Cancel).await.unwrap();
        assert_eq!(called_off.generation, Generation(generation));
        let ended = now(&store).await;
        assert_eq!(
            (ended.generation, ended.outcome.as_deref()),
            (Generation(generation), Some("cancelled"))
        );
        assert!(ended.ended_at.is_some());
        assert_eq!(tables(&db, "order_summary%").await, ["order_summary_g1"]);
        drop(blocked);
    }
    for server in servers {
        server.stop().await;
    }
    let done = rebuilt(&store, NAME).await.unwrap();
    assert_eq!((done.generation, done.outcome), (Generation(5), Outcome::Swapped));
    projections.stop().await;
}
