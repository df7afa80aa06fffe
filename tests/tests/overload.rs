//! G12 in the log: every queue and append has a limit, and what is over it is told so at once; nothing of it is done, and
//! what was taken in is answered.

use docket_domain::{StreamId, Version};
use docket_event_store::{AppendError, AppendOutcome, NewEvent, StreamWrite, limits};
use docket_tests::{
    HeadRows, TestDatabase,
    appends::{append, appended, event, event_with, start},
    database, eventually,
    history::{History, Log},
    orders::{new_order, new_order_in},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const DEADLINE: Duration = Duration::from_secs(10);
/// An answer that waits for nothing, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(1);

async fn sound_log(database: &TestDatabase) -> Log {
    let log = Log::read(database.admin()).await;
    History::default().judge(&log);
    log
}

/// A payload of this many bytes.
fn payload(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_answers_at_once_that_it_is_overloaded_and_keeps_what_it_took() {
    let db = database().await;
    let store = db.store().await;
    let heads = HeadRows::hold(&db, &[1]).await;
    let mut taken = vec![start(&store, append(new_order_in(&store, 1), 0))];
    heads.waiting(1).await;
    let order = |_| new_order_in(&store, 1);
    taken.extend((0..limits::MAX_QUEUED_COMMANDS).map(|i| start(&store, append(order(i), 0))));
    eventually(DEADLINE, async || {
        (store.queued() == limits::MAX_QUEUED_COMMANDS).then_some(())
    })
    .await;
    let started = Instant::now();
    let outcome = store.append(append(order(0), 0)).await;
    assert!(matches!(outcome, Err(AppendError::Overloaded)), "{outcome:?}");
    assert!(started.elapsed() < AT_ONCE);
    // The other lanes have queues of their own.
    appended(&store, append(new_order_in(&store, 2), 0)).await;
    heads.release().await;
    for running in taken {
        let outcome = running.await.unwrap();
        assert!(
            matches!(outcome, Ok(AppendOutcome::Appended { .. })),
            "{outcome:?}"
        );
    }
    assert_eq!(store.queued(), 0);
    assert_eq!(sound_log(&db).await.events.len(), limits::MAX_QUEUED_COMMANDS + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_bounded_in_bytes_too() {
    let db = database().await;
    let store = db.store().await;
    let large = Arc::new(payload(limits::MAX_EVENT_BYTES));
    let order = || new_order_in(&store, 1);
    let big = |large: &str| {
        let mut append = append(order(), 0);
        append.writes[0].events = vec![event_with(large)];
        append
    };
    let heads = HeadRows::hold(&db, &[1]).await;
    let mut taken = vec![start(&store, big(&large))];
    heads.waiting(1).await;
    let fits = limits::MAX_QUEUED_BYTES / limits::MAX_EVENT_BYTES;
    let rest: Vec<_> = (0..fits).map(|_| start(&store, big(&large))).collect();
    // What is under way counts as well, so at least one does not fit; a small one may still find its place.
    eventually(DEADLINE, async || {
        rest.iter().any(|running| running.is_finished()).then_some(())
    })
    .await;
    taken.push(start(&store, append(order(), 0)));
    heads.release().await;
    let mut overloaded = 0;
    for running in rest {
        match running.await.unwrap() {
            Ok(AppendOutcome::Appended { .. }) => {}
            Err(AppendError::Overloaded) => overloaded += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!((1..=2).contains(&overloaded), "{overloaded} of {fits}");
    for running in taken {
        let outcome = running.await.unwrap();
        assert!(
            matches!(outcome, Ok(AppendOutcome::Appended { .. })),
            "{outcome:?}"
        );
    }
    // The room is free again.
    for _ in 0..2 * fits {
        appended(&store, big(&large)).await;
    }
    sound_log(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_over_a_limit_is_refused_with_its_size_and_one_at_the_limit_is_taken() {
    let db = database().await;
    let store = db.store().await;
    let with = |events: Vec<NewEvent>| {
        let mut append = append(new_order(), 0);
        append.writes[0].events = events;
        append
    };
    let events =
        |count: usize, bytes: usize| -> Vec<_> { (0..count).map(|_| event_with(&payload(bytes))).collect() };
    for (over, name) in [
        (with(events(1, limits::MAX_EVENT_BYTES + 1)), "event bytes"),
        (with(events(1_000, 1_049)), "command bytes"),
        (with(events(limits::MAX_COMMAND_EVENTS + 1, 10)), "command events"),
    ] {
        let outcome = store.append(over).await;
        let Err(AppendError::TooLarge { what, size, limit }) = outcome else {
            panic!("{name}: {outcome:?}");
        };
        assert_eq!(
            (what, size),
            (name, limit + if name == "command bytes" { 424 } else { 1 })
        );
    }
    let order = new_order();
    let mut streams = append(order, 0);
    let payment = |number| (StreamId::payment(order, number), Version::NONE);
    streams.reads = (1..=limits::MAX_COMMAND_STREAMS as u16).map(payment).collect();
    let outcome = store.append(streams.clone()).await;
    assert!(
        matches!(
            outcome,
            Err(AppendError::TooLarge {
                what: "command streams",
                ..
            })
        ),
        "{outcome:?}"
    );
    streams.reads.pop();
    appended(&store, streams).await;
    for fits in [
        with(events(1, limits::MAX_EVENT_BYTES)),
        with(events(4, limits::MAX_COMMAND_BYTES / 4)),
        with(events(limits::MAX_COMMAND_EVENTS, 1_000)),
    ] {
        appended(&store, fits).await;
    }
    sound_log(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_is_not_whole_is_refused() {
    let db = database().await;
    let store = db.store().await;
    let mut empty = append(new_order(), 0);
    empty.writes[0].events.clear();
    let mut nothing = append(new_order(), 0);
    nothing.writes.clear();
    let mut two_orders = append(new_order(), 0);
    two_orders.writes.push(StreamWrite {
        stream: StreamId::order(new_order()),
        expected: Version::NONE,
        events: vec![event()],
    });
    let mut foreign_read = append(new_order(), 0);
    foreign_read.reads = vec![(StreamId::order(new_order()), Version::NONE)];
    for malformed in [empty, nothing, two_orders, foreign_read] {
        let outcome = store.append(malformed).await;
        assert!(matches!(outcome, Err(AppendError::Malformed)), "{outcome:?}");
    }
    assert!(sound_log(&db).await.commands.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_uses_at_most_its_connections_under_load() {
    let db = database().await;
    let store = db.store().await;
    let readers: Vec<_> = (0..200)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let order = new_order();
                appended(&store, append(order, 0)).await;
                store.fold_stream(StreamId::order(order), None).await.unwrap();
            })
        })
        .collect();
    let count = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'docket'";
    let mut most: i64 = 0;
    while !readers.iter().all(|running| running.is_finished()) {
        most = most.max(sqlx::query_scalar(count).fetch_one(db.admin()).await.unwrap());
    }
    for reader in readers {
        reader.await.unwrap();
    }
    let limit = limits::POOL_CONNECTIONS + u32::from(limits::DEFAULT_LANES);
    assert!((1..=i64::from(limit)).contains(&most), "{most}");
    sound_log(&db).await;
}
