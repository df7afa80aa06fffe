//! The two paths of an append are one: the same commands give the same rows, answers and events, and each command of a
//! batch gets its own outcome, whatever becomes of its neighbours. No statement reads the log but by its indexes.

use chrono::TimeDelta;
use docket_domain::{CommandId, OrderId, StreamId, Version};
use docket_event_store::{
    Append, AppendError, AppendOutcome, CommandEnvelope, Origin, Position, RecordedEvent, Store, StreamWrite,
};
use docket_tests::{
    HeadRows, Seed, TestDatabase,
    appends::{append, appended, asking, checked, envelope, event, named, nothing, start},
    database, eventually,
    history::{History, Log},
    orders::{add_line, done, draft, labelled, new_order, new_order_in, set_quantity},
};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinHandle;
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(10);

type Running = JoinHandle<Result<AppendOutcome, AppendError>>;

async fn sound_log(database: &TestDatabase) -> Log {
    let log = Log::read(database.admin()).await;
    History::default().judge(&log);
    log
}

/// Has a lane take these in one batch: they wait while the batch before them does.
async fn one_batch(
    db: &TestDatabase,
    store: &Store,
    batch: Vec<Append>,
) -> Vec<Result<AppendOutcome, AppendError>> {
    let heads = HeadRows::hold(db, &[1]).await;
    let filler = start(store, append(new_order_in(store, 1), 0));
    heads.waiting(1).await;
    let mut running: Vec<Running> = Vec::new();
    for append in batch {
        running.push(start(store, append));
        let count = running.len();
        eventually(DEADLINE, async || (store.queued() == count).then_some(())).await;
    }
    heads.release().await;
    assert!(matches!(
        filler.await.unwrap(),
        Ok(AppendOutcome::Appended { .. })
    ));
    let mut outcomes = Vec::new();
    for running in running {
        outcomes.push(running.await.unwrap());
    }
    outcomes
}

/// Appends of every sort: in two partitions of one lane, to new and known streams, of one event and of several, with all
/// that an envelope may hold and with as little as it must.
fn sorts(partition_of: impl Fn(OrderId) -> u16) -> Vec<Append> {
    let mut seed = Seed::of(11);
    let mut all = Vec::new();
    for number in 0..24 {
        let wanted = [1, 5][number % 2];
        let order =
            std::iter::repeat_with(|| OrderId(seed.uuid())).find(|order| partition_of(*order) == wanted);
        let mut append = append(order.unwrap(), 0);
        append.envelope = Arc::new(CommandEnvelope {
            command_id: CommandId(seed.uuid()),
            origin: if number % 3 == 0 {
                Origin::Imported
            } else {
                Origin::Live
            },
            occurred_at: envelope(CommandId(Uuid::nil())).occurred_at
                + TimeDelta::microseconds(number as i64),
            causation_id: (number % 4 == 0).then(|| seed.uuid()),
            actor_id: Arc::from("ünïcode 👋 \\ \" ' {} , NULL"),
            traceparent: (number % 5 == 0)
                .then(|| Arc::from("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
            ..envelope(CommandId(Uuid::nil()))
        });
        append = asking(append, &number.to_string());
        if number % 3 > 0 {
            append.writes[0].events.extend((0..number % 3).map(|_| event()));
        }
        if number % 6 == 0 {
            append.writes.push(StreamWrite {
                stream: StreamId::payment(append.target.order, 1),
                expected: Version::NONE,
                events: vec![event(), event()],
            });
        }
        for (i, event) in append
            .writes
            .iter_mut()
            .flat_map(|write| &mut write.events)
            .enumerate()
        {
            event.event_id = seed.uuid();
            event.payload = format!(r#"{{"n":{i},"text":"a\\\"b\\u0000 ,{{}}' NULL ü"}}"#).into();
        }
        all.push(append);
    }
    all
}

async fn rows(db: &TestDatabase) -> (Vec<String>, Vec<String>) {
    let of = async |sql| -> Vec<String> { sqlx::query_scalar(sql).fetch_all(db.admin()).await.unwrap() };
    let events = r#"select (to_jsonb(e) - 'recorded_at' - 'payload')::text || payload::text from events e
                     where actor_id <> 'ann' order by partition, "offset""#;
    let ids = "select k::text from command_ids k
                where id in (select command_id from events where actor_id <> 'ann') order by id";
    (of(events).await, of(ids).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_commands_give_the_same_rows_on_every_path() {
    let mut all = Vec::new();
    for (in_one_batch, checks) in [(false, false), (true, false), (false, true), (true, true)] {
        let db = database().await;
        let (store, other) = (db.store().await, db.store().await);
        let mut appends = sorts(|order| store.partition_of(order));
        if checks {
            for append in &mut appends {
                append.reads = vec![(StreamId::shipment(append.target.order, 1), Version::NONE)];
            }
        }
        let outcomes = match in_one_batch {
            true => one_batch(&db, &store, appends).await,
            false => {
                // The same offsets as in the batch.
                appended(&store, append(new_order_in(&store, 1), 0)).await;
                let mut outcomes = Vec::new();
                for append in appends {
                    outcomes.push(store.append(append).await);
                }
                outcomes
            }
        };
        sound_log(&db).await;
        let mut answers = Vec::new();
        for outcome in outcomes {
            let Ok(AppendOutcome::Appended { answer, events }) = outcome else {
                panic!("{outcome:?}");
            };
            // What the writer is handed is what anybody reads.
            let first = answer.position.offset - i64::from(answer.events);
            seen(&other, answer.position).await;
            let read = other
                .feed()
                .read(answer.position.partition, first, events.len())
                .await
                .unwrap();
            assert_same(&events, &read);
            answers.push(answer);
        }
        all.push((rows(&db).await, answers));
    }
    assert_eq!(all[0].0.0.len(), 24 + 24 + 8);
    for other in &all[1..] {
        assert_eq!(*other, all[0]);
    }
}

/// Returns when a process knows of an event.
async fn seen(store: &Store, position: Position) {
    let mut head = store.feed().watch(position.partition).unwrap();
    head.wait_for(|head| *head >= position.offset).await.unwrap();
}

/// But for the decoded fact: these events are not what their payload says.
fn assert_same(handed: &[Arc<RecordedEvent>], read: &[Arc<RecordedEvent>]) {
    assert_eq!(handed.len(), read.len());
    for (a, b) in handed.iter().zip(read) {
        let told = |event: &RecordedEvent| {
            let RecordedEvent {
                position,
                event_id,
                stream,
                version,
                event_type,
                recorded_at,
                ..
            } = event;
            format!(
                "{position} {event_id} {stream} {version} {event_type} {recorded_at} {:?} {}",
                event.command, event.payload
            )
        };
        assert_eq!(told(a), told(b));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_command_is_answered_and_what_the_feed_hands_over_is_what_the_log_holds() {
    let db = database().await;
    let (store, other) = (db.store().await, db.store().await);
    let order = new_order();
    labelled(&store, order).await;
    let mut told = done(&store, docket_tests::orders::dispatch(order)).await.events;
    told.extend(
        done(&store, docket_tests::orders::add_line(draft(&store).await, 1))
            .await
            .events,
    );
    for event in told {
        let Position { partition, offset } = event.position;
        for store in [&store, &other] {
            seen(store, event.position).await;
            let read = store.feed().read(partition, offset - 1, 1).await.unwrap();
            assert_eq!(format!("{:?}", read[0]), format!("{event:?}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_of_a_batch_gets_its_own_outcome() {
    let db = database().await;
    let (store, other) = (db.store().await, db.store().await);
    let order = || new_order_in(&store, 1);
    let (stored, moved) = (append(order(), 0), order());
    let stored_answer = appended(&other, stored.clone()).await.0;
    appended(&store, append(moved, 0)).await;
    appended(&other, append(moved, 1)).await;
    for checks in [false, true] {
        let make = if checks { checked } else { append };
        let in_five = new_order_in(&store, 5);
        let mut two_streams = make(order(), 0);
        two_streams.writes.push(StreamWrite {
            stream: StreamId::payment(two_streams.target.order, 2),
            expected: Version::NONE,
            events: vec![event()],
        });
        let batch = vec![
            make(order(), 0),
            stored.clone(),
            asking(stored.clone(), "something else"),
            // Another process was there before: the index says so, or the look-up.
            make(moved, 1),
            named(make(order(), 0), stored.command_id()),
            two_streams,
            make(in_five, 0),
            // Only a look-up sees a version that is too high; a batch with streams that are only read has one.
            checked(order(), 7),
            nothing(order(), 0),
            nothing(moved, 1),
            make(order(), 0),
        ];
        let before = sound_log(&db).await.events.len();
        let outcomes = one_batch(&db, &store, batch).await;
        let appends = |i: usize, events: u16| match &outcomes[i] {
            Ok(AppendOutcome::Appended { answer, .. }) => assert_eq!(answer.events, events),
            other => panic!("{i}: {other:?}"),
        };
        appends(0, 1);
        assert!(matches!(outcomes[1], Ok(AppendOutcome::AlreadyDone(answer)) if answer == stored_answer));
        assert!(
            matches!(outcomes[2], Ok(AppendOutcome::IdReused)),
            "{:?}",
            outcomes[2]
        );
        let conflict = |i: usize, expected: i32, actual: i32| match &outcomes[i] {
            Ok(AppendOutcome::Conflict {
                expected: e,
                actual: a,
                ..
            }) => {
                assert_eq!((e.0, a.0), (expected, actual));
            }
            other => panic!("{i}: {other:?}"),
        };
        conflict(3, 1, 2);
        assert!(matches!(outcomes[4], Ok(AppendOutcome::AlreadyDone(answer)) if answer == stored_answer));
        appends(5, 2);
        appends(6, 1);
        conflict(7, 7, 0);
        appends(8, 0);
        conflict(9, 1, 2);
        appends(10, 1);
        assert_eq!(sound_log(&db).await.events.len(), before + 1 + 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_postgres_refuses_fails_alone_and_says_why() {
    let db = database().await;
    let store = db.store().await;
    let order = || new_order_in(&store, 1);
    let with_payload = |payload: &str| {
        let mut append = append(order(), 0);
        append.writes[0].events[0].payload = payload.into();
        append
    };
    let mut bad_actor = append(order(), 0);
    bad_actor.envelope = Arc::new(CommandEnvelope {
        actor_id: Arc::from("a\0b"),
        ..envelope(bad_actor.command_id())
    });
    let batch = vec![
        append(order(), 0),
        with_payload("{"),
        checked(order(), 0),
        with_payload("\"\0\""),
        append(order(), 0),
        bad_actor,
        append(new_order_in(&store, 5), 0),
    ];
    let outcomes = one_batch(&db, &store, batch).await;
    for (i, outcome) in outcomes.iter().enumerate() {
        match i {
            1 | 3 | 5 => {
                assert!(
                    matches!(outcome, Err(AppendError::Unavailable(why)) if !why.is_empty()),
                    "{outcome:?}"
                );
            }
            _ => assert!(
                matches!(outcome, Ok(AppendOutcome::Appended { .. })),
                "{i}: {outcome:?}"
            ),
        }
    }
    assert_eq!(sound_log(&db).await.events.len(), 5);
}

/// An empty child is cheapest to read from end to end, and a plan that was made then stays when it has grown: the
/// server's own counters tell what was really done.
#[tokio::test(flavor = "multi_thread")]
async fn no_statement_scans_the_log_whether_it_is_empty_or_large() {
    let db = database().await;
    let lasting = db.store().await;
    work(&db, &lasting, 3).await;
    fill(&db, 20_000, "select 1").await;
    // The plans of the empty log live on in this store's connections.
    work(&db, &lasting, 3).await;
    fill(&db, 20_000, "analyze").await;
    work(&db, &lasting, 3).await;
    let fresh = db.store_with(|config| config.cache_bytes = 0).await;
    work(&db, &fresh, 3).await;
    for store in [lasting, fresh] {
        store.close().await;
    }
    let counted = async || -> (i64, i64, i64, i64) {
        let sql = "select sum(seq_scan) filter (where relname like 'events\\_p%')::bigint,
                          sum(idx_scan) filter (where relname = 'events_p3')::bigint,
                          sum(idx_scan) filter (where relname like 'events\\_p%' and relname <> 'events_p3')::bigint,
                          sum(seq_scan) filter (where relname = 'command_ids')::bigint
                     from pg_stat_user_tables";
        sqlx::query_as(sql).fetch_one(db.admin()).await.unwrap()
    };
    // A session tells what it did when it ends, at the latest.
    eventually(DEADLINE, async || docket_sessions(&db).await.eq(&0).then_some(())).await;
    let (whole, by_index, elsewhere, ids) = counted().await;
    assert_eq!(
        (whole, elsewhere, ids),
        (0, 0, 0),
        "scans of children, index scans of other partitions, of ids"
    );
    assert!(by_index > 20, "{by_index}");
}

async fn docket_sessions(db: &TestDatabase) -> i64 {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'docket'";
    sqlx::query_scalar(sql).fetch_one(db.admin()).await.unwrap()
}

/// Everything that a process asks of the log, in partition 3.
async fn work(db: &TestDatabase, store: &Store, rounds: usize) {
    for _ in 0..rounds {
        let order = new_order_in(store, 3);
        appended(store, append(order, 0)).await;
        appended(store, checked(order, 1)).await;
        appended(store, nothing(order, 2)).await;
        assert!(matches!(
            store.append(append(order, 1)).await,
            Ok(AppendOutcome::Conflict { .. })
        ));
        let order = new_order_in(store, 3);
        done(store, docket_tests::orders::create(order)).await;
        done(store, add_line(order, 1)).await;
        done(store, set_quantity(order, 1)).await;
        let refused = docket_tests::orders::fresh(set_quantity(order, 0));
        let _ = store.execute(docket_tests::orders::at_version(refused, 9)).await;
        store
            .read_stream(StreamId::order(order), Version(1), 10)
            .await
            .unwrap();
        store.feed().read(3, 0, 5).await.unwrap();
        let batch = (0..3).map(|_| start(store, append(new_order_in(store, 3), 0)));
        for running in batch.collect::<Vec<_>>() {
            assert!(matches!(
                running.await.unwrap(),
                Ok(AppendOutcome::Appended { .. })
            ));
        }
    }
    let _ = db;
}

/// Makes the log large, past the lanes.
async fn fill(db: &TestDatabase, events: i64, then: &str) {
    let sql = format!(
        r#"begin;
           with new as (
               insert into events (partition, "offset", order_id, stream_kind, stream_number, version, event_id,
                                   event_type, schema_version, origin, occurred_at, recorded_at, command_id, actor_kind,
                                   actor_id, payload)
               select 3, head + n, gen_random_uuid(), 'o', 0, 1, gen_random_uuid(), 'order.drafted', 1, 'l', now(),
                      now(), gen_random_uuid(), 'staff', 'ann', '{{}}'
                 from heads, generate_series(1, {events}) n where partition = 3
               returning command_id, "offset")
           insert into command_ids (id, "offset", version, partition, events, request_hash)
           select command_id, "offset", 1, 3, 1, '\x00' from new;
           update heads set head = head + {events} where partition = 3;
           commit;
           {then}"#
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(db.admin())
        .await
        .unwrap();
}
