//! G3 and G9 at the feed: catching up and live without a seam, from wherever a reader was, while several processes
//! write; polling alone suffices, and a hint only makes it faster.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use docket_domain::{StreamId, Version};
use docket_event_store::{AppendOutcome, Position, Store, limits};
use docket_tests::{
    Seed, Subscriber, TestDatabase,
    appends::{append, appended, event},
    database, end_session, eventually,
    history::{History, Log},
    orders::{new_order, new_order_in},
    writer::Writer,
};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(10);

async fn known(store: &Store, position: Position) {
    let mut head = store.feed().watch(position.partition).unwrap();
    let reached = head.wait_for(|head| *head >= position.offset);
    drop(
        tokio::time::timeout(DEADLINE, reached)
            .await
            .expect("the head is known in time")
            .unwrap(),
    );
}

/// Readers come and go, in this process and in that, and go on where they were; each sequence is whole.
#[tokio::test(flavor = "multi_thread")]
async fn readers_that_are_stopped_and_resumed_anywhere_under_load_miss_and_repeat_nothing() {
    let db = database().await;
    let stores = [db.store().await, db.store().await];
    let folder = std::env::temp_dir().join(format!("docket-feed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let writers: Vec<_> = (0..2)
        .map(|number| Writer::start(db.url(), &folder, number))
        .collect();
    let mut seed = Seed::of_this_run();
    let mut readers: Vec<Vec<_>> = vec![Vec::new(); 3];
    for life in 0..8 {
        let mut living = Vec::new();
        for (number, seen) in readers.iter().enumerate() {
            let after = match seen.as_slice() {
                [] => vec![0; 16],
                seen => seen.iter().map(docket_tests::history::Seen::last).collect(),
            };
            let store = &stores[seed.below(2) as usize];
            let page = [1, 7, 300][number];
            living.push(Subscriber::start(
                store,
                &format!("reader {number}"),
                &after,
                page,
            ));
        }
        let until = 50 * (life + 1);
        eventually(DEADLINE, async || {
            (stores[0].feed().heads().iter().sum::<i64>() > until).then_some(())
        })
        .await;
        for (seen, living) in readers.iter_mut().zip(living) {
            let more = living.stop().await;
            match seen.is_empty() {
                true => *seen = more,
                false => seen
                    .iter_mut()
                    .zip(more)
                    .for_each(|(seen, more)| seen.events.extend(more.events)),
            }
        }
    }
    let mut history = History::default();
    for writer in writers {
        writer.finish(&mut history).await;
    }
    let log = Log::read(db.admin()).await;
    for seen in readers {
        let after: Vec<_> = seen.iter().map(docket_tests::history::Seen::last).collect();
        let last = Subscriber::start(&stores[1], "last", &after, 256)
            .stop_at(&stores[1], &log.heads)
            .await;
        for (mut seen, last) in seen.into_iter().zip(last) {
            seen.events.extend(last.events);
            seen.to_the_head = true;
            history.seen.push(seen);
        }
    }
    history.judge(&log);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_alone_suffices_where_no_hint_can_be_sent_or_heard() {
    let db = database().await;
    let revoke = "revoke execute on function pg_notify(text, text) from public";
    sqlx::raw_sql(revoke).execute(db.admin()).await.unwrap();
    let (store, other) = (db.store().await, db.store().await);
    for _ in 0..3 {
        let (answer, _) = appended(&store, append(new_order(), 0)).await;
        known(&other, answer.position).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_gone_is_made_anew_and_misses_nothing() {
    let db = database().await;
    let (store, other) = (db.store().await, db.store().await);
    for _ in 0..3 {
        let listeners =
            "select pid from pg_stat_activity where datname = current_database() and query ilike 'listen%'";
        let pids = async || {
            let pids: Vec<i32> = sqlx::query_scalar(listeners).fetch_all(db.admin()).await.unwrap();
            (!pids.is_empty()).then_some(pids)
        };
        for pid in eventually(DEADLINE, pids).await {
            end_session(db.admin(), pid).await;
        }
        let (answer, _) = appended(&store, append(new_order(), 0)).await;
        known(&other, answer.position).await;
    }
}

/// By polling alone each event would take half an interval on average.
#[tokio::test(flavor = "multi_thread")]
async fn a_hint_wakes_another_process_before_it_polls() {
    let db = database().await;
    let (store, other) = (db.store().await, db.store().await);
    let mut waits = Vec::new();
    for _ in 0..21 {
        let (answer, _) = appended(&store, append(new_order(), 0)).await;
        let acknowledged = Instant::now();
        known(&other, answer.position).await;
        waits.push(acknowledged.elapsed());
    }
    waits.sort();
    assert!(waits[10] < limits::POLL_INTERVAL / 4, "{waits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_knows_its_own_events_when_it_acknowledges_them() {
    let db = database().await;
    let store = db.store().await;
    for _ in 0..50 {
        let (answer, events) = appended(&store, append(new_order(), 0)).await;
        let Position { partition, offset } = answer.position;
        assert!(store.feed().head(partition) >= offset);
        let read = store.feed().read(partition, offset - 1, 1).await.unwrap();
        assert_eq!(read[0].event_id, events[0].event_id);
        assert_eq!(
            store.feed().event_id(answer.position).await.unwrap(),
            Some(read[0].event_id)
        );
    }
    let above = Position {
        partition: 1,
        offset: 1_000,
    };
    assert_eq!(store.feed().event_id(above).await.unwrap(), None);
}

/// More at once than the tail of decoded events holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_falls_far_behind_reads_pages_and_then_goes_on_live() {
    let db = database().await;
    let (store, other) = (db.store().await, db.store().await);
    let reader = Subscriber::start(&other, "behind", &[0; 16], 100);
    let count = limits::TAIL_EVENTS / limits::MAX_COMMAND_EVENTS + 2;
    for round in 0..3 {
        let batch: Vec<_> = (0..count)
            .map(|_| {
                let mut append = append(new_order_in(&store, 1), 0);
                append.writes[0].events = (0..limits::MAX_COMMAND_EVENTS).map(|_| event()).collect();
                docket_tests::appends::start(&store, append)
            })
            .collect();
        for running in batch {
            assert!(
                matches!(running.await.unwrap(), Ok(AppendOutcome::Appended { .. })),
                "{round}"
            );
        }
        appended(&store, append(new_order_in(&store, 1), 0)).await;
    }
    let log = Log::read(db.admin()).await;
    let seen = reader.stop_at(&other, &log.heads).await;
    assert_eq!(seen[1].events.len(), 3 * (count * limits::MAX_COMMAND_EVENTS + 1));
    History {
        seen,
        ..History::default()
    }
    .judge(&log);
}

/// A row such as a newer version of this program writes.
async fn from_the_future(db: &TestDatabase, partition: u16, event_type: &str, actor_kind: &str) {
    let sql = format!(
        r#"begin;
           update heads set head = head + 1 where partition = {partition};
           insert into events (partition, "offset", order_id, stream_kind, stream_number, version, event_id, event_type,
                               schema_version, origin, occurred_at, recorded_at, command_id, actor_kind, actor_id, payload)
           select partition, head, gen_random_uuid(), 'o', 0, 1, gen_random_uuid(), '{event_type}', 1, 'l', now(), now(),
                  gen_random_uuid(), '{actor_kind}', 'ann', '{{}}'
             from heads where partition = {partition};
           commit"#
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(db.admin())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_decoded_is_handed_over_as_that_and_never_skipped() {
    let db = database().await;
    let (store, other) = (db.store().await, db.store().await);
    let order = new_order_in(&store, 1);
    appended(&store, append(order, 0)).await;
    from_the_future(&db, 1, "order.teleported", "staff").await;
    appended(&store, append(order, 1)).await;
    for store in [&store, &other] {
        let third = Position {
            partition: 1,
            offset: 3,
        };
        known(store, third).await;
        let read = store.feed().read(1, 0, 10).await.unwrap();
        assert_eq!(
            read.iter().map(|e| e.position.offset).collect::<Vec<_>>(),
            [1, 2, 3]
        );
        assert!(read[1].event.is_err());
        assert_eq!(read[1].event_type, "order.teleported");
    }
    assert_eq!(
        store
            .fold_stream(StreamId::order(order), None)
            .await
            .unwrap()
            .version,
        Version(2)
    );
}

/// One partition that cannot be read stops itself, in the open, and no other one.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_cannot_be_followed_does_not_hold_up_the_others() {
    let db = database().await;
    let (store, other) = (db.store().await, db.store().await);
    from_the_future(&db, 1, "order.drafted", "robot").await;
    for _ in 0..3 {
        let (answer, _) = appended(&store, append(new_order_in(&store, 9), 0)).await;
        known(&other, answer.position).await;
    }
    assert!(other.feed().read(1, 0, 10).await.is_err() || other.feed().head(1) == 0);
}
