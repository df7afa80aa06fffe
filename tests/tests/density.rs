//! G2 and G3: offsets are dense and commit in order, at every moment and whoever writes; so a reader that has seen an
//! offset has seen everything up to it. G4: everything about an order lies in the partition of its id.

use docket_domain::{OrderId, StreamId};
use docket_event_store::{AppendError, AppendOutcome, Partitions, Store};
use docket_tests::{
    HeadRows, Seed, Subscriber, TestDatabase,
    appends::{append, checked, event, nothing, start},
    database,
    history::{Fault, History, Log, Seen},
    orders::{labelled, new_order, new_order_in},
    writer::Writer,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

const WRITERS_IN_PROCESS: u64 = 16;
const COMMANDS: u64 = 60;
const PROCESSES: u64 = 2;

/// Partitions and streams that are not dense, in one snapshot.
const HOLES: &str = r#"
select (select count(*) from heads h left join
               (select partition, count(*) as count, max("offset") as last from events group by partition) e
               using (partition)
         where h.head <> coalesce(e.count, 0) or h.head <> coalesce(e.last, 0))
     + (select count(*) from (select from events group by order_id, stream_kind, stream_number
                              having count(*) <> max(version) or min(version) <> 1) s)"#;

/// Looks all the time whether there is a hole; how often it looked.
fn watch(database: &TestDatabase) -> (Arc<AtomicBool>, JoinHandle<u32>) {
    let (stop, admin) = (Arc::new(AtomicBool::new(false)), database.admin().clone());
    let stopped = Arc::clone(&stop);
    let watching = tokio::spawn(async move {
        let mut looks = 0;
        while !stopped.load(Ordering::Relaxed) {
            let holes: i64 = sqlx::query_scalar(HOLES).fetch_one(&admin).await.unwrap();
            assert_eq!(holes, 0);
            looks += 1;
        }
        looks
    });
    (stop, watching)
}

/// One writer's commands: new orders, orders that all write, appends that only read, and retries.
async fn write(store: Store, writer: u64, shared: Arc<Vec<OrderId>>) {
    let mut seed = Seed::of(writer);
    for _ in 0..COMMANDS {
        let order = shared[seed.below(shared.len() as u64) as usize];
        let kind = seed.below(4);
        let mut version = 0;
        loop {
            let append = match kind {
                0 => append(OrderId(seed.uuid()), 0),
                1 => nothing(order, version),
                2 => {
                    let mut three = checked(order, version);
                    three.writes[0].events.extend([event(), event()]);
                    three
                }
                _ => append(order, version),
            };
            match store.append(append.clone()).await {
                Ok(AppendOutcome::Conflict { actual, .. }) => version = actual.0,
                Ok(AppendOutcome::Appended { .. }) => break,
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_dense_at_every_moment_and_every_reader_sees_each_event_once() {
    let db = database().await;
    let lanes = [1, 3, 8];
    let mut stores = Vec::new();
    for lanes in lanes {
        stores.push(db.store_with(|config| config.lanes = lanes).await);
    }
    let reader = db.store().await;
    let zero = vec![0; 16];
    // One reader of another process, one where it is written, and one that never has its fill at once.
    let followers = [
        (&reader, Subscriber::start(&reader, "elsewhere", &zero, 256)),
        (
            &stores[0],
            Subscriber::start(&stores[0], "beside a writer", &zero, 256),
        ),
        (&reader, Subscriber::start(&reader, "in small bites", &zero, 3)),
    ];
    let (stop, watching) = watch(&db);
    let folder = std::env::temp_dir().join(format!("docket-density-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let processes: Vec<_> = (0..PROCESSES)
        .map(|number| Writer::start(db.url(), &folder, number))
        .collect();
    let shared = Arc::new((0..20).map(|_| new_order()).collect::<Vec<_>>());
    let writers: Vec<_> = (0..WRITERS_IN_PROCESS)
        .map(|number| {
            tokio::spawn(write(
                stores[number as usize % 3].clone(),
                number,
                Arc::clone(&shared),
            ))
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let mut history = History::default();
    for process in processes {
        assert!(process.finish(&mut history).await.done > 0);
    }
    stop.store(true, Ordering::Relaxed);
    assert!(watching.await.unwrap() > 5);

    let log = Log::read(db.admin()).await;
    // Writers in this process keep no list of what they ask.
    history.asked.clear();
    for (store, follower) in followers {
        history.seen.extend(follower.stop_at(store, &log.heads).await);
    }
    history.judge(&log);
    std::fs::remove_dir_all(folder).unwrap();
}

/// What commits later has the higher offset, also where it was asked for first.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_never_waits_for_a_transaction_that_is_slow_elsewhere() {
    let db = database().await;
    let (store, reader) = (db.store().await, db.store().await);
    let heads = HeadRows::hold(&db, &[1]).await;
    let slow = start(&store, append(new_order_in(&store, 1), 0));
    heads.waiting(1).await;
    let started = Instant::now();
    let order = new_order_in(&store, 2);
    assert!(matches!(
        store.append(append(order, 0)).await,
        Ok(AppendOutcome::Appended { .. })
    ));
    let mut head = reader.feed().watch(2).unwrap();
    head.wait_for(|head| *head == 1).await.unwrap();
    assert_eq!(reader.feed().read(2, 0, 10).await.unwrap().len(), 1);
    assert!(started.elapsed() < Duration::from_secs(5));
    heads.release().await;
    assert!(matches!(slow.await.unwrap(), Ok(AppendOutcome::Appended { .. })));
}

/// A batch that fails uses no numbers up.
#[tokio::test(flavor = "multi_thread")]
async fn appends_that_fail_leave_no_hole() {
    let db = database().await;
    let store = db.store().await;
    let order = new_order();
    for expected in [0, 1] {
        assert!(matches!(
            store.append(append(order, expected)).await,
            Ok(AppendOutcome::Appended { .. })
        ));
        // Another process meets the index; this one is stopped before.
        let other = db.store().await;
        for store in [&store, &other] {
            let conflict = store.append(append(order, expected)).await;
            assert!(
                matches!(conflict, Ok(AppendOutcome::Conflict { .. })),
                "{conflict:?}"
            );
        }
        let mut bad = append(new_order_in(&store, store.partition_of(order)), 0);
        bad.writes[0].events[0].payload = "{".into();
        let refused: Result<_, AppendError> = store.append(bad).await;
        assert!(refused.is_err(), "{refused:?}");
    }
    let log = Log::read(db.admin()).await;
    History::default().judge(&log);
    assert_eq!(log.events.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_about_an_order_lies_in_the_one_partition_of_its_id() {
    let db = database().await;
    let store = db.store().await;
    for partition in 0..4 {
        labelled(&store, new_order_in(&store, partition)).await;
    }
    let log = Log::read(db.admin()).await;
    History::default().judge(&log);
    let sixteen = Partitions::try_new(16).unwrap();
    assert!(
        log.events
            .iter()
            .any(|event| event.stream.kind == docket_domain::StreamKind::Shipment)
    );
    for event in &log.events {
        assert_eq!(event.position.partition, sixteen.of(event.stream.order));
        let StreamId { order, .. } = event.stream;
        assert_eq!(event.stream.partition_key(), order.to_string());
    }
}

/// The judge reads real rows: damage that only a superuser can do is seen.
#[tokio::test(flavor = "multi_thread")]
async fn damage_done_to_the_tables_is_found() {
    let db = database().await;
    let store = db.store().await;
    let order = new_order_in(&store, 1);
    for version in 0..5 {
        assert!(matches!(
            store.append(append(order, version)).await,
            Ok(AppendOutcome::Appended { .. })
        ));
    }
    let mut seen = Seen::new("reader", 1, 0);
    store
        .feed()
        .read(1, 0, 10)
        .await
        .unwrap()
        .iter()
        .for_each(|event| seen.take(event));
    assert_eq!(seen.last(), 5);
    let history = History {
        seen: vec![seen],
        ..History::default()
    };
    history.judge(&Log::read(db.admin()).await);
    let damage = "alter table events_p1 disable trigger user; delete from events_p1 where \"offset\" = 3";
    sqlx::raw_sql(damage).execute(db.admin()).await.unwrap();
    let faults = history.faults(&Log::read(db.admin()).await);
    assert!(
        faults.iter().any(|fault| matches!(fault, Fault::NotDense { .. })),
        "{faults:?}"
    );
    assert!(
        faults
            .iter()
            .any(|fault| matches!(fault, Fault::StreamNotDense { .. })),
        "{faults:?}"
    );
    assert!(
        faults
            .iter()
            .any(|fault| matches!(fault, Fault::EventsDiffer { .. })),
        "{faults:?}"
    );
    assert!(
        faults
            .iter()
            .any(|fault| matches!(fault, Fault::SubscriberDiffers { .. })),
        "{faults:?}"
    );
}
