//! Races, forced by holding a head row until the other side is seen to wait for it. Exactly one wins, nobody decides
//! over stale state, and what a killed client left behind meets its retry, whichever comes second.

use docket_domain::{Refusal, Version};
use docket_event_store::{AppendOutcome, ExecuteError, Executed, Request, Store, execute::Outcome};
use docket_tests::{
    HeadRows, TestDatabase,
    appends::{append, checked, start},
    blocked_stores,
    client::Client,
    database, eventually,
    history::{History, Log},
    orders::{
        add_line, at_version, cancel, create, dispatch, done, draft, fresh, id_of, labelled, new_order,
        new_order_in, request, set_quantity,
    },
};
use serde_json::json;
use std::time::Duration;
use tokio::task::JoinHandle;

const DEADLINE: Duration = Duration::from_secs(10);

fn execute(store: &Store, request: Request) -> JoinHandle<Result<Executed, ExecuteError>> {
    let store = store.clone();
    tokio::spawn(async move { store.execute(request).await })
}

async fn queued(stores: &[&Store], count: usize) {
    eventually(DEADLINE, async || {
        (stores.iter().map(|store| store.queued()).sum::<usize>() == count).then_some(())
    })
    .await;
}

async fn sound_log(database: &TestDatabase) -> Log {
    let log = Log::read(database.admin()).await;
    History::default().judge(&log);
    log
}

async fn scalar(database: &TestDatabase, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(database.admin()).await.unwrap()
}

/// The sessions of stores in this database.
async fn store_sessions(database: &TestDatabase) -> Vec<i32> {
    let sessions =
        "select pid from pg_stat_activity where application_name = 'docket' and datname = current_database()";
    let sessions = sqlx::query_scalar(sessions).fetch_all(database.admin());
    sessions.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_while_a_batch_commits_is_committed_by_one_statement() {
    let db = database().await;
    let store = db.store().await;
    for make in [append, checked] {
        let heads = HeadRows::hold(&db, &[2]).await;
        let first = start(&store, make(new_order_in(&store, 2), 0));
        heads.waiting(1).await;
        // Partitions 2 and 6 are served by one lane: one batch over both.
        let in_partition = |i: u16| new_order_in(&store, 2 + 4 * (i % 2));
        let rest: Vec<_> = (0..100)
            .map(|i| start(&store, make(in_partition(i), 0)))
            .collect();
        queued(&[&store], 100).await;
        heads.release().await;
        for running in std::iter::once(first).chain(rest) {
            assert!(matches!(
                running.await.unwrap(),
                Ok(AppendOutcome::Appended { .. })
            ));
        }
    }
    sound_log(&db).await;
    assert_eq!(
        scalar(&db, "select count(distinct xmin::text) from command_ids").await,
        4
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_want_the_same_heads_in_opposite_order_never_deadlock() {
    let db = database().await;
    let (one, other) = (
        db.store_with(|config| config.lanes = 1).await,
        db.store_with(|config| config.lanes = 1).await,
    );
    for make in [append, checked] {
        for _ in 0..10 {
            let heads = HeadRows::hold(&db, &[0, 15]).await;
            let fillers =
                [(&one, 0), (&other, 15)].map(|(store, p)| start(store, make(new_order_in(store, p), 0)));
            heads.waiting(2).await;
            let up = (0..16).map(|p| start(&one, make(new_order_in(&one, p), 0)));
            let mut running: Vec<_> = fillers.into_iter().chain(up).collect();
            running.extend(
                (0..16)
                    .rev()
                    .map(|p| start(&other, make(new_order_in(&other, p), 0))),
            );
            queued(&[&one, &other], 32).await;
            heads.release().await;
            for running in running {
                let outcome = running.await.unwrap();
                assert!(
                    matches!(outcome, Ok(AppendOutcome::Appended { .. })),
                    "{outcome:?}"
                );
            }
        }
    }
    sound_log(&db).await;
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(scalar(&db, deadlocks).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_killed_while_its_append_waits_has_done_it_and_its_retry_meets_it() {
    let db = database().await;
    let store = db.store().await;
    let order = draft(&store).await;
    let heads = HeadRows::hold(&db, &[store.partition_of(order)]).await;
    let mut client = Client::start(&db.url()).await;
    client.send("k", &add_line(order, 3)).await;
    heads.waiting(1).await;
    client.kill_9().await;
    // The session of the dead client still waits, and comes first.
    let retry = execute(&store, request("k", add_line(order, 3)));
    heads.waiting(2).await;
    heads.release().await;
    let executed = retry.await.unwrap().unwrap();
    assert!(executed.repeated);
    assert_eq!(executed.version, Version(3));
    let log = sound_log(&db).await;
    assert_eq!(log.events.iter().filter(|e| e.command == id_of("k")).count(), 1);
}

/// The statement of the killed client is still on its way; its retry overtakes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_killed_whose_append_comes_after_its_retry_has_done_nothing_more() {
    let db = database().await;
    let store = db.store().await;
    let [drafted, ready, one, other] = [(); 4].map(|()| new_order_in(&store, 5));
    done(&store, create(drafted)).await;
    labelled(&store, ready).await;
    store.close().await;
    // `addLine` goes the fast path; `dispatchShipment` reads the order, and so goes the checking path.
    for (key, input, new) in [
        ("fast", add_line(drafted, 3), one),
        ("checked", dispatch(ready), other),
    ] {
        let proxy = db.proxy();
        // Nobody else has sessions, which may come and go.
        eventually(DEADLINE, async || {
            store_sessions(&db).await.is_empty().then_some(())
        })
        .await;
        let mut client = Client::start(&proxy.url()).await;
        // Both statements are prepared on this lane's connection: the next append is one message.
        for warm in [create(new), create(drafted)] {
            client.send(&format!("{key}-{warm}"), &warm).await;
            assert_eq!(client.answer().await["repeated"], false);
        }
        proxy.hold_requests(id_of(key).0.as_bytes());
        client.send(key, &input).await;
        proxy.wait_until_held().await;
        client.kill_9().await;
        // Of the dead client's sessions only the one is left whose statement is under way.
        let left = eventually(DEADLINE, async || {
            let left = store_sessions(&db).await;
            (left.len() == 1).then_some(left)
        })
        .await;
        let store = db.store().await;
        let executed = store.execute(request(key, input)).await.unwrap();
        proxy.pass();
        // It has run the statement when it is gone too.
        eventually(DEADLINE, async || {
            let now = store_sessions(&db).await;
            (!now.contains(&left[0])).then_some(())
        })
        .await;
        store.close().await;
        assert!(!executed.repeated);
        let log = sound_log(&db).await;
        assert_eq!(log.events.iter().filter(|e| e.command == id_of(key)).count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_cancellation_and_a_dispatch_in_one_lane_exactly_one_wins() {
    let db = database().await;
    let store = db.store().await;
    raced(&db, &store, &store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_cancellation_and_a_dispatch_in_two_processes_exactly_one_wins() {
    let db = database().await;
    let (one, other) = (db.store().await, db.store().await);
    raced(&db, &one, &other).await;
}

async fn raced(db: &TestDatabase, one: &Store, other: &Store) {
    for cancel_first in [true, false] {
        let order = new_order();
        labelled(one, order).await;
        let inputs = match cancel_first {
            true => [cancel(order), dispatch(order)],
            false => [dispatch(order), cancel(order)],
        };
        let heads = HeadRows::hold(db, &[one.partition_of(order)]).await;
        let first = execute(one, fresh(inputs[0].clone()));
        heads.waiting(1).await;
        let second = execute(other, fresh(inputs[1].clone()));
        // Decided over the same state, it waits in the lane's queue or for the head.
        eventually(DEADLINE, async || {
            let waits = other.queued() + blocked_stores(db.admin()).await.len() - 1;
            (waits == 1).then_some(())
        })
        .await;
        heads.release().await;
        let first = first.await.unwrap().unwrap();
        assert_eq!(first.outcome, Outcome::Done);
        let second = second.await.unwrap();
        assert!(matches!(second, Err(ExecuteError::Refused(_))), "{second:?}");
        let log = sound_log(db).await;
        assert_eq!(log.events.last().map(|_| ()), Some(()));
        let of_order = log.events.iter().filter(|e| e.stream.order == order);
        assert_eq!(
            of_order.max_by_key(|e| e.position).unwrap().position,
            first.position
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_named_too_high_is_refused_with_the_actual_one_and_leaves_no_hole() {
    let db = database().await;
    let (warm, cold) = (
        db.store().await,
        db.store_with(|config| config.cache_bytes = 0).await,
    );
    let order = draft(&warm).await;
    for store in [&warm, &cold, &db.store().await] {
        for named in [3, 4, i32::MAX] {
            let outcome = store.execute(at_version(fresh(add_line(order, 1)), named)).await;
            let Err(ExecuteError::VersionConflict { expected, actual, .. }) = outcome else {
                panic!("{outcome:?}");
            };
            assert_eq!((expected, actual), (Version(named), Version(2)));
        }
        let missing = store
            .execute(at_version(fresh(add_line(new_order(), 1)), 1))
            .await;
        // Nothing is said of the version of what does not exist: it looks like what the caller may not see.
        assert!(
            matches!(missing, Err(ExecuteError::Refused(Refusal::NotFound { .. }))),
            "{missing:?}"
        );
    }
    assert_eq!(sound_log(&db).await.events.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_another_process_wrote_is_not_taken_for_too_high() {
    let db = database().await;
    let (one, stale) = (db.store().await, db.store().await);
    let order = draft(&one).await;
    done(&stale, set_quantity(order, 2)).await;
    done(&one, add_line(order, 1)).await;
    let executed = stale
        .execute(at_version(fresh(add_line(order, 1)), 3))
        .await
        .unwrap();
    assert_eq!(executed.version, Version(4));
    // And one that is too low is answered with the newest, not with what the cache says.
    done(&one, add_line(order, 1)).await;
    let outcome = stale.execute(at_version(fresh(add_line(order, 1)), 2)).await;
    assert!(
        matches!(
            outcome,
            Err(ExecuteError::VersionConflict {
                actual: Version(5),
                ..
            })
        ),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stale_cache_decides_is_decided_again_over_the_newest_state() {
    let db = database().await;
    let (one, stale) = (db.store().await, db.store().await);
    // An append: the line gets the next number, not one that is taken.
    let order = draft(&one).await;
    done(&stale, set_quantity(order, 2)).await;
    done(&one, add_line(order, 1)).await;
    let executed = done(&stale, add_line(order, 1)).await;
    assert_eq!(executed.version, Version(4));
    assert!(
        executed.events[0].payload.contains(r#""id":3"#),
        "{}",
        executed.events[0].payload
    );

    // Nothing to do, by what the cache knows.
    done(&one, set_quantity(order, 7)).await;
    let executed = done(&stale, set_quantity(order, 2)).await;
    assert_eq!((executed.outcome, executed.version), (Outcome::Done, Version(6)));

    // Not there, and refused by a rule, by what the cache knows.
    let order = new_order();
    let missing = stale.execute(fresh(add_line(order, 1))).await;
    assert!(matches!(missing, Err(ExecuteError::Refused(_))), "{missing:?}");
    done(&one, create(order)).await;
    done(&stale, add_line(order, 1)).await;
    let place = json!({"command": "placeOrder", "order": order});
    let refused = stale.execute(fresh(place.clone())).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(_))), "{refused:?}");
    let address = json!({"street": ["High Street 1"], "city": "Leeds", "country": "GB"});
    let details = json!({"command": "setDetails", "order": order, "shippingAddress": address,
                         "billingAddress": address, "email": "ann@example.org",
                         "shippingMethod": {"code": "post", "price": {"amountMinor": 0, "currency": "EUR"}}});
    done(&one, details).await;
    done(&stale, place).await;
    sound_log(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_that_write_one_order_neither_starves_the_other() {
    let db = database().await;
    let stores = [db.store().await, db.store().await];
    let order = draft(&stores[0]).await;
    let writers: Vec<_> = (0..2)
        .map(|i| {
            let store = stores[i].clone();
            tokio::spawn(async move {
                for _ in 0..40 {
                    done(&store, add_line(order, 1)).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(sound_log(&db).await.events.len(), 82);
    let folded = stores[0].fold_stream(order.into(), None).await.unwrap();
    assert_eq!(folded.version, Version(82));
}
