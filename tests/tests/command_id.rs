//! G5: a command id runs once in the whole log. The same id again gets the stored answer, before every other outcome;
//! the same id with another request is refused; a refusal is not stored.

use docket_domain::{CommandId, OrderId, Version};
use docket_event_store::{
    AppendError, AppendOutcome, ExecuteError, Executed, Request, Store, StoredAnswer, execute::Outcome,
};
use docket_tests::{
    HeadRows, TestDatabase,
    appends::{append, appended, asking, checked, named, nothing, start},
    blocked_stores, database, eventually,
    history::{History, Log},
    orders::{
        add_line, at_version, cancel, create, done, draft, fresh, labelled, new_order, new_order_in, request,
        set_quantity,
    },
};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(10);

/// The same answer, told as a repeated one.
#[track_caller]
fn assert_repeated(first: &Executed, again: &Executed) {
    assert!(again.repeated);
    assert_eq!(
        (again.target, again.position, again.version, again.outcome),
        (first.target, first.position, first.version, first.outcome)
    );
    let ids = |executed: &Executed| -> Vec<_> { executed.events.iter().map(|e| e.event_id).collect() };
    assert_eq!(ids(again), ids(first));
}

async fn log(database: &TestDatabase) -> Log {
    let log = Log::read(database.admin()).await;
    History::default().judge(&log);
    log
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_again_gets_the_stored_answer_here_and_in_another_process() {
    let db = database().await;
    let (one, other) = (db.store().await, db.store().await);
    let order = draft(&one).await;
    let request = request("k", add_line(order, 3));
    let first = one.execute(request.clone()).await.unwrap();
    assert!(!first.repeated);
    assert_eq!(first.outcome, Outcome::Done);
    done(&one, add_line(order, 4)).await;
    let before = log(&db).await;
    for store in [&one, &other, &one] {
        assert_repeated(&first, &store.execute(request.clone()).await.unwrap());
    }
    assert_eq!(log(&db).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_with_another_request_is_refused_whatever_it_asks() {
    let db = database().await;
    let (one, other) = (db.store().await, db.store().await);
    let order = draft(&one).await;
    one.execute(request("k", add_line(order, 3))).await.unwrap();
    let elsewhere = draft(&other).await;
    let before = log(&db).await;
    for input in [
        add_line(order, 4),
        add_line(elsewhere, 3),
        create(new_order()),
        // Refused by a rule, not there at all, nothing to do: the stored answer goes before each.
        json!({"command": "placeOrder", "order": order}),
        add_line(new_order(), 3),
        set_quantity(order, 2),
    ] {
        for store in [&one, &other] {
            let outcome = store.execute(request("k", input.clone())).await;
            assert!(
                matches!(outcome, Err(ExecuteError::IdReused)),
                "{input}: {outcome:?}"
            );
            let outcome = store.execute(at_version(request("k", input.clone()), 77)).await;
            assert!(
                matches!(outcome, Err(ExecuteError::IdReused)),
                "{input}: {outcome:?}"
            );
        }
    }
    assert_eq!(log(&db).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_names_no_order_meets_itself() {
    let db = database().await;
    let (one, other) = (db.store().await, db.store().await);
    let input = json!({"command": "createOrder", "channel": "web", "currency": "EUR", "locale": "de-DE"});
    let first = one.execute(request("k", input.clone())).await.unwrap();
    assert_repeated(&first, &other.execute(request("k", input.clone())).await.unwrap());
    let another = one.execute(request("l", input)).await.unwrap();
    assert_ne!(another.target, first.target);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_do_is_stored_and_stays_the_answer_when_there_would_be_something_to_do() {
    let db = database().await;
    let (one, other) = (db.store().await, db.store().await);
    let order = draft(&one).await;
    let request = request("k", set_quantity(order, 2));
    let first = one.execute(request.clone()).await.unwrap();
    assert_eq!((first.outcome, first.version), (Outcome::NothingToDo, Version(2)));
    assert!(first.events.is_empty());
    done(&other, set_quantity(order, 5)).await;
    for store in [&one, &other] {
        assert_repeated(&first, &store.execute(request.clone()).await.unwrap());
    }
    assert_eq!(log(&db).await.events.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_stored_and_is_decided_again() {
    let db = database().await;
    let store = db.store().await;
    let order = new_order();
    let request = request("k", add_line(order, 3));
    let refused = store.execute(request.clone()).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(_))), "{refused:?}");
    assert!(log(&db).await.commands.is_empty());
    done(&store, create(order)).await;
    let executed = store.execute(request).await.unwrap();
    assert!(!executed.repeated);
    assert_eq!(executed.version, Version(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stored_answer_goes_before_a_refusal_and_before_a_version_conflict() {
    let db = database().await;
    let (one, other) = (db.store().await, db.store().await);
    let order = draft(&one).await;
    // The other process knows the order as it was before.
    done(&other, set_quantity(order, 2)).await;
    let plain = request("plain", add_line(order, 3));
    let first = one.execute(plain.clone()).await.unwrap();
    let named = at_version(request("named", add_line(order, 4)), 3);
    let second = one.execute(named.clone()).await.unwrap();
    done(&one, cancel(order)).await;
    let refused = one.execute(fresh(add_line(order, 1))).await;
    assert!(matches!(refused, Err(ExecuteError::Refused(_))));
    let conflict = one.execute(at_version(fresh(add_line(order, 1)), 3)).await;
    assert!(matches!(conflict, Err(ExecuteError::VersionConflict { .. })));
    for store in [&other, &one] {
        assert_repeated(&second, &store.execute(named.clone()).await.unwrap());
        assert_repeated(&first, &store.execute(plain.clone()).await.unwrap());
    }
}

/// The try is on its way to the database, and its retry already stands in the same lane's queue, decided over the same
/// state: when it comes up, the lane itself knows of the conflict.
#[tokio::test(flavor = "multi_thread")]
async fn the_stored_answer_goes_before_a_conflict_that_the_lane_sees_by_itself() {
    let db = database().await;
    let store = db.store().await;
    for name_version in [false, true] {
        let order = draft(&store).await;
        let mut request = fresh(add_line(order, 3));
        if name_version {
            request = at_version(request, 2);
        }
        let heads = HeadRows::hold(&db, &[store.partition_of(order)]).await;
        let first = execute(&store, &request);
        heads.waiting(1).await;
        let retry = execute(&store, &request);
        eventually(DEADLINE, async || (store.queued() == 1).then_some(())).await;
        heads.release().await;
        let (first, retry) = (first.await.unwrap().unwrap(), retry.await.unwrap().unwrap());
        assert!(!first.repeated);
        assert_repeated(&first, &retry);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_and_its_retry_in_another_process_at_the_same_time_run_once() {
    let db = database().await;
    let (one, other) = (db.store().await, db.store().await);
    for name_version in [false, true] {
        let order = draft(&one).await;
        done(&other, set_quantity(order, 2)).await;
        let mut request = fresh(add_line(order, 3));
        if name_version {
            request = at_version(request, 2);
        }
        let heads = HeadRows::hold(&db, &[one.partition_of(order)]).await;
        let first = execute(&one, &request);
        heads.waiting(1).await;
        let retry = execute(&other, &request);
        heads.waiting(2).await;
        heads.release().await;
        let (first, retry) = (first.await.unwrap().unwrap(), retry.await.unwrap().unwrap());
        assert!(!first.repeated);
        assert_repeated(&first, &retry);
    }
}

/// One id, two orders: whichever lane comes second must meet it, in whatever partition and process it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_meets_itself_on_another_lane_appends_nothing() {
    let db = database().await;
    let (one, other) = (db.store().await, db.store().await);
    let make: [fn(OrderId) -> docket_event_store::Append; 3] = [
        |order| append(order, 0),
        |order| checked(order, 0),
        |order| nothing(order, 0),
    ];
    for make_first in make {
        for make_second in make {
            for second in [&one, &other] {
                let (late, early) = (new_order_in(&one, 3), new_order_in(&one, 6));
                let id = CommandId(Uuid::new_v4());
                let heads = HeadRows::hold(&db, &[3]).await;
                let waits = start(&one, named(make_first(late), id));
                heads.waiting(1).await;
                let (answer, _) = appended(second, named(make_second(early), id)).await;
                let reused = second
                    .append(asking(named(append(new_order_in(&one, 9), 0), id), "else"))
                    .await;
                assert!(matches!(reused, Ok(AppendOutcome::IdReused)), "{reused:?}");
                heads.release().await;
                assert_eq!(already_done(waits.await.unwrap()), answer);
            }
        }
    }
    log(&db).await;
}

/// The id is taken by somebody who has not committed yet: the append waits for the verdict, and follows it.
#[tokio::test(flavor = "multi_thread")]
async fn an_append_waits_for_another_one_of_its_id_and_follows_what_becomes_of_it() {
    let db = database().await;
    let store = db.store().await;
    for make in [append, checked] {
        for commits in [true, false] {
            let append = make(new_order(), 0);
            let id = append.command_id();
            let mut side = PgConnection::connect_with(&db.connect_options()).await.unwrap();
            sqlx::query("begin").execute(&mut side).await.unwrap();
            sqlx::query(
                r#"insert into command_ids (id, "offset", version, partition, events, request_hash)
                   values ($1, 0, 0, 1, 0, '\x00')"#,
            )
            .bind(id.0)
            .execute(&mut side)
            .await
            .unwrap();
            let waits = start(&store, append);
            eventually(DEADLINE, async || {
                (blocked_stores(db.admin()).await.len() == 1).then_some(())
            })
            .await;
            let end = if commits { "commit" } else { "rollback" };
            sqlx::query(end).execute(&mut side).await.unwrap();
            let outcome = waits.await.unwrap();
            match commits {
                true => assert!(matches!(outcome, Ok(AppendOutcome::IdReused)), "{outcome:?}"),
                false => assert!(
                    matches!(outcome, Ok(AppendOutcome::Appended { .. })),
                    "{outcome:?}"
                ),
            }
        }
    }
}

/// Batches whose ids cross: each lane claims in the order of the ids, so they wait for each other but never deadlock.
#[tokio::test(flavor = "multi_thread")]
async fn lanes_whose_batches_hold_the_same_ids_in_opposite_order_settle_each_id_once() {
    let db = database().await;
    let (one, other) = (db.store().await, db.store().await);
    for make in [append, checked] {
        for _ in 0..10 {
            let heads = HeadRows::hold(&db, &[0, 1]).await;
            let fillers =
                [(&one, 0), (&other, 1)].map(|(store, p)| start(store, make(new_order_in(store, p), 0)));
            heads.waiting(2).await;
            let ids: Vec<_> = (0..20).map(|_| CommandId(Uuid::new_v4())).collect();
            let to = |store: &Store, partition: u16, id: &CommandId| {
                start(store, named(make(new_order_in(store, partition), 0), *id))
            };
            let forth: Vec<_> = ids.iter().map(|id| to(&one, 0, id)).collect();
            let back: Vec<_> = ids.iter().rev().map(|id| to(&other, 1, id)).collect();
            eventually(DEADLINE, async || {
                (one.queued() + other.queued() == 40).then_some(())
            })
            .await;
            heads.release().await;
            for filler in fillers {
                let outcome = filler.await.unwrap();
                assert!(
                    matches!(outcome, Ok(AppendOutcome::Appended { .. })),
                    "{outcome:?}"
                );
            }
            for (forth, back) in forth.into_iter().zip(back.into_iter().rev()) {
                match (forth.await.unwrap().unwrap(), back.await.unwrap().unwrap()) {
                    (AppendOutcome::Appended { answer, .. }, AppendOutcome::AlreadyDone(stored))
                    | (AppendOutcome::AlreadyDone(stored), AppendOutcome::Appended { answer, .. }) => {
                        assert_eq!(answer, stored);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    log(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tries_of_one_command_at_once_run_it_once() {
    let db = database().await;
    let stores = [db.store().await, db.store().await];
    let order = new_order();
    labelled(&stores[0], order).await;
    let before = log(&db).await.events.len();
    let request = fresh(docket_tests::orders::dispatch(order));
    let tries: Vec<_> = (0..40).map(|i| execute(&stores[i % 2], &request)).collect();
    let mut firsts = 0;
    let mut answers = Vec::new();
    for running in tries {
        let executed = running.await.unwrap().unwrap();
        firsts += usize::from(!executed.repeated);
        answers.push((
            executed.position,
            executed.version,
            executed.outcome,
            executed.events.len(),
        ));
    }
    answers.dedup();
    assert_eq!((firsts, answers.len()), (1, 1), "{answers:?}");
    assert_eq!(log(&db).await.events.len(), before + 1);
}

fn execute(store: &Store, request: &Request) -> tokio::task::JoinHandle<Result<Executed, ExecuteError>> {
    let (store, request) = (store.clone(), request.clone());
    tokio::spawn(async move { store.execute(request).await })
}

#[track_caller]
fn already_done(outcome: Result<AppendOutcome, AppendError>) -> StoredAnswer {
    match outcome {
        Ok(AppendOutcome::AlreadyDone(answer)) => answer,
        other => panic!("not done already: {other:?}"),
    }
}
