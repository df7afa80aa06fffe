//! G1 where the line is bad: an answer that was lost is settled by sending the same append again, until one comes. What
//! was never sent is unavailable; only what was sent and not answered in time has an unknown outcome, and the same
//! command again settles that too.

use docket_domain::Version;
use docket_event_store::{
    AppendError, AppendOutcome, ExecuteError, FeedError, Store, StoreConfig, StreamWrite, limits,
};
use docket_tests::{
    HeadRows, Proxy, TestDatabase,
    appends::{append, appended, checked, event, named, nothing, start},
    database, end_session, eventually,
    history::{History, Log},
    orders::{add_line, done, draft, fresh, new_order, new_order_in, set_quantity, store_config},
};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(10);

async fn store_over(proxy: &Proxy, change: impl FnOnce(&mut StoreConfig)) -> Store {
    let mut config = store_config(proxy.connect_options());
    change(&mut config);
    Store::open(config).await.unwrap()
}

async fn sound_log(database: &TestDatabase) -> Log {
    let log = Log::read(database.admin()).await;
    History::default().judge(&log);
    log
}

async fn in_the_log(database: &TestDatabase, count: usize) {
    eventually(DEADLINE, async || {
        (Log::read(database.admin()).await.commands.len() == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_whose_session_ends_while_it_waits_is_sent_again_and_done_once() {
    let db = database().await;
    let store = db.store().await;
    for make in [append, checked, nothing] {
        let order = new_order_in(&store, 1);
        let heads = HeadRows::hold(&db, &[1]).await;
        let running = start(&store, make(order, 0));
        for _ in 0..3 {
            let waiting = heads.waiting(1).await;
            end_session(db.admin(), waiting[0]).await;
            eventually(DEADLINE, async || {
                (!docket_tests::blocked_stores(db.admin())
                    .await
                    .contains(&waiting[0]))
                .then_some(())
            })
            .await;
        }
        heads.waiting(1).await;
        heads.release().await;
        let outcome = running.await.unwrap();
        assert!(
            matches!(outcome, Ok(AppendOutcome::Appended { .. })),
            "{outcome:?}"
        );
    }
    assert_eq!(sound_log(&db).await.events.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_after_the_commit_is_found_in_the_log() {
    let db = database().await;
    let proxy = db.proxy();
    let store = store_over(&proxy, |_| ()).await;
    let mut events = store.feed().read(1, 0, 10).await.unwrap();
    for (number, make) in (1..).zip([append, checked]) {
        // The lane is connected and has its statement prepared: what is held is one message.
        let (_, warm) = appended(&store, make(new_order_in(&store, 1), 0)).await;
        events.extend(warm);
        let lost = make(new_order_in(&store, 1), 0);
        let event_id = lost.writes[0].events[0].event_id;
        proxy.hold_answers();
        let running = start(&store, lost);
        in_the_log(&db, 2 * number).await;
        proxy.cut();
        proxy.pass();
        let outcome = running.await.unwrap();
        let Ok(AppendOutcome::AlreadyDone(answer)) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(answer.version, Version(1));
        // The feed of this process has it as well, and without a hole.
        eventually(DEADLINE, async || {
            (store.feed().head(1) == answer.position.offset).then_some(())
        })
        .await;
        let read = store.feed().read(1, events.len() as i64, 10).await.unwrap();
        assert_eq!(read.iter().map(|e| e.event_id).collect::<Vec<_>>(), [event_id]);
        events.extend(read);
    }
    assert_eq!(sound_log(&db).await.events.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_batch_whose_answer_is_lost_is_settled_each_command_for_itself() {
    let db = database().await;
    let proxy = db.proxy();
    let store = store_over(&proxy, |_| ()).await;
    let heads = HeadRows::hold(&db, &[1]).await;
    let first = start(&store, append(new_order_in(&store, 1), 0));
    heads.waiting(1).await;
    let rest: Vec<_> = (0..20)
        .map(|_| start(&store, append(new_order_in(&store, 1), 0)))
        .collect();
    eventually(DEADLINE, async || (store.queued() == 20).then_some(())).await;
    // The first batch is cut on its way, and so is what comes after it.
    proxy.hold_answers();
    heads.release().await;
    in_the_log(&db, 1).await;
    proxy.cut();
    proxy.pass();
    for running in std::iter::once(first).chain(rest) {
        let outcome = running.await.unwrap();
        assert!(
            matches!(
                outcome,
                Ok(AppendOutcome::Appended { .. } | AppendOutcome::AlreadyDone(_))
            ),
            "{outcome:?}"
        );
    }
    assert_eq!(sound_log(&db).await.events.len(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_sent_is_unavailable_and_nothing_of_it_was_done() {
    let db = database().await;
    let proxy = db.proxy();
    let store = store_over(&proxy, |_| ()).await;
    proxy.refuse();
    let started = Instant::now();
    let outcome = store.append(append(new_order(), 0)).await;
    assert!(matches!(outcome, Err(AppendError::Unavailable(_))), "{outcome:?}");
    assert!(started.elapsed() < limits::MAX_ANSWER_WAIT + DEADLINE);
    proxy.pass();
    assert!(sound_log(&db).await.commands.is_empty());
    // And it recovers by itself.
    appended(&store, append(new_order(), 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_and_not_answered_has_an_unknown_outcome_that_the_same_command_settles() {
    let db = database().await;
    let proxy = db.proxy();
    let (store, other) = (store_over(&proxy, |_| ()).await, db.store().await);
    appended(&store, append(new_order_in(&store, 1), 0)).await;
    let order = new_order_in(&store, 1);
    let (sent, behind) = (append(order, 0), append(new_order_in(&store, 1), 0));
    let (id, event) = (sent.command_id(), sent.writes[0].events[0].clone());
    proxy.hold_answers();
    let running = start(&store, sent);
    in_the_log(&db, 2).await;
    let behind = start(&store, behind);
    let outcome = running.await.unwrap();
    assert!(
        matches!(outcome, Err(AppendError::OutcomeUnknown(unknown)) if unknown == id),
        "{outcome:?}"
    );
    // What waited behind it for longer than a command may was never sent.
    let outcome = behind.await.unwrap();
    assert!(matches!(outcome, Err(AppendError::Unavailable(_))), "{outcome:?}");
    proxy.cut();
    proxy.pass();
    for store in [&store, &other] {
        let mut again = named(append(order, 0), id);
        again.writes = vec![StreamWrite {
            events: vec![event.clone()],
            ..again.writes.remove(0)
        }];
        let outcome = store.append(again).await;
        assert!(
            matches!(outcome, Ok(AppendOutcome::AlreadyDone(_))),
            "{outcome:?}"
        );
    }
    assert_eq!(sound_log(&db).await.events.len(), 2);
}

/// A lock that a stranger holds for too long ends in a definite answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_not_let_go_makes_its_appends_unavailable_and_never_unknown() {
    let db = database().await;
    let store = db.store().await;
    let heads = HeadRows::hold(&db, &[1]).await;
    let running = start(&store, append(new_order_in(&store, 1), 0));
    heads.waiting(1).await;
    let behind = start(&store, append(new_order_in(&store, 1), 0));
    // Another lane is not concerned.
    appended(&store, append(new_order_in(&store, 2), 0)).await;
    for running in [running, behind] {
        let outcome = running.await.unwrap();
        assert!(matches!(outcome, Err(AppendError::Unavailable(_))), "{outcome:?}");
    }
    heads.release().await;
    assert_eq!(sound_log(&db).await.events.len(), 1);
    appended(&store, append(new_order_in(&store, 1), 0)).await;
}

/// The database was put back to an older backup under a running process: what it remembers is no ground to append on.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_restored_from_a_backup_gets_no_hole_from_what_a_process_remembers() {
    for writes_itself in [true, false] {
        let db = database().await;
        let proxy = db.proxy();
        let (store, other) = (store_over(&proxy, |_| ()).await, db.store().await);
        let order = draft(&other).await;
        let neighbour = new_order_in(&store, (store.partition_of(order) + 4) % 16);
        // The lane has committed something that the backup holds, in another partition of its own.
        appended(&store, append(neighbour, 0)).await;
        let backup = db.back_up().await;
        done(&other, add_line(order, 1)).await;
        // The process knows the order at version 3: it wrote it, or it only read it.
        match writes_itself {
            true => assert_eq!(done(&store, add_line(order, 1)).await.version, Version(4)),
            false => {
                let known = done(&store, set_quantity(order, 2)).await;
                assert_eq!(known.version, Version(3));
            }
        }
        other.close().await;
        db.restore(backup).await;
        // It is another history now. A process whose feed has seen what is gone refuses, and stays refusing until it is
        // started anew; one that only folded it appends what the log as it is allows.
        // A read over a connection that died with the old log says so, and nothing was done.
        let outcome = eventually(Duration::from_secs(20), async || {
            let outcome = store.execute(fresh(add_line(order, 1))).await;
            let unread = matches!(
                outcome,
                Err(ExecuteError::Load(_) | ExecuteError::Settle(_) | ExecuteError::Read(_))
            );
            (!unread).then_some(outcome)
        })
        .await;
        match (outcome, store.feed().intact()) {
            // What was sent over the dead connection is of unknown outcome; what comes after was never sent.
            (
                Err(ExecuteError::Append(AppendError::Unavailable(_) | AppendError::OutcomeUnknown(_))),
                Err(FeedError::HistoryLost(_)),
            ) => {
                let again = store.append(append(new_order_in(&store, 1), 0)).await;
                assert!(matches!(again, Err(AppendError::Unavailable(_))), "{again:?}");
                let restarted = db.store().await;
                assert_eq!(done(&restarted, add_line(order, 1)).await.version, Version(3));
            }
            // The feed may find out in the same moment.
            (Ok(executed), _) if !writes_itself => assert_eq!(executed.version, Version(3)),
            other => panic!("wrote it itself: {writes_itself}, {other:?}"),
        }
        sound_log(&db).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_is_what_the_judge_would_see_if_a_version_from_nowhere_went_the_fast_path() {
    // Why versions must come from the log: the indexes catch one that is too low, never one that is too high.
    let db = database().await;
    let store = db.store().await;
    let order = new_order();
    let mut high = append(order, 0);
    high.writes[0].expected = Version(5);
    high.writes[0].events = vec![event()];
    appended(&store, high).await;
    assert!(!History::default().faults(&Log::read(db.admin()).await).is_empty());
}
