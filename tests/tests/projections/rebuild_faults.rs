//! What may go wrong while a read model is rebuilt. Whatever does, what was served is served, and the rebuild goes on where it
//! stood.

use crate::{
    counter::{self, COUNTER, Counter},
    rebuild::{SWAP, rebuilt, shop, tables},
    shop::{DEADLINE, add_line, draft, open, order_in, place, quick, start},
};
use docket_event_store::Position;
use docket_projections::{
    Generation, Projections, Serving, StopClass, WaitError,
    rebuild::{
        Held, LoadError, Outcome, Progress, Purpose, RebuildError, RebuildOptions, Step, Wish, operations,
        rebuild, rebuild_only, rollback, wish,
    },
    verify,
};
use docket_tests::{TestDatabase, eventually, private_cluster, server::on};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::process::Stdio;
use tokio::process::Child;

/// What a rebuild of order_summary waits for, at one step each, while somebody has it.
pub(crate) const BLOCKS: [(Step, &str); 5] = [
    (
        Step::Create,
        "lock table templates.order_summary_v1 in access exclusive mode",
    ),
    // The other partitions are filled.
    (Step::Load, "lock table events_p4 in access exclusive mode"),
    // Rows may be written, indexes not built.
    (Step::Index, "lock table order_summary_g2 in row exclusive mode"),
    (
        Step::Verify,
        "select from checkpoints where projection = 'order_summary' and generation = 1 for update",
    ),
    (
        Step::Swap,
        "select from generations where projection = 'order_summary' and generation = 1 for update",
    ),
];

/// A session that has something that the rebuild needs.
pub(crate) async fn block(db: &TestDatabase, sql: &str) -> PgConnection {
    let mut connection = PgConnection::connect_with(&db.admin().connect_options())
        .await
        .unwrap();
    let sql = format!("begin; {sql}");
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut connection)
        .await
        .unwrap();
    connection
}

pub(crate) fn child(db: &TestDatabase, purpose: &[&str]) -> Child {
    on(db)
        .args(["rebuild", "order_summary", "--json"])
        .args(purpose)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// A rebuild as a process, when it has come to a step and waits there. One that comes too early, because the lease of the one
/// before has not run out, is started again.
pub(crate) async fn waiting_at(db: &TestDatabase, step: Step) -> Child {
    waiting_for(db, step, &[]).await
}

/// The same for another purpose.
pub(crate) async fn waiting_for(db: &TestDatabase, step: Step, purpose: &[&str]) -> Child {
    let mut process = child(db, purpose);
    eventually(DEADLINE * 3, async || {
        if process.try_wait().unwrap().is_some() {
            process = child(db, purpose);
        }
        let sql = "select count(*) from rebuilds r, pg_stat_activity a
                    where r.step = $1 and r.owner is not null and a.datname = current_database() and a.wait_event_type = 'Lock'
                      and a.application_name = 'docket'";
        let there: i64 = sqlx::query_scalar(sql)
            .bind(step.as_str())
            .fetch_one(db.admin())
            .await
            .unwrap();
        (there > 0).then_some(())
    })
    .await;
    process
}

pub(crate) async fn folded(db: &TestDatabase) -> i64 {
    let sql = r#"select coalesce(sum("offset"), 0)::bigint from checkpoints where projection = 'order_summary' and generation = 2"#;
    sqlx::query_scalar(sql).fetch_one(db.admin()).await.unwrap()
}

/// G7, G11: kill -9 at each step; the next one goes on there, and what comes out is what was served.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_step_it_goes_on_where_it_stood() {
    let (db, store, projections) = shop().await;
    projections.stop().await;
    let (mut before, mut reached) = (Vec::new(), 0);
    for (step, sql) in BLOCKS {
        // The table that indexes are built on is there once the load has begun, which is held until it is locked.
        let holds_load = if step == Step::Index { before.pop() } else { None };
        let block = match holds_load {
            Some(load) => {
                let block = block(&db, sql).await;
                drop::<PgConnection>(load);
                block
            }
            None => block(&db, sql).await,
        };
        let mut process = waiting_at(&db, step).await;
        if step == Step::Load {
            eventually(DEADLINE, async || (folded(&db).await > 0).then_some(())).await;
        }
        process.kill().await.unwrap();
        assert_eq!(operations(store.pool()).await.unwrap()[0].step, step);
        let now = folded(&db).await;
        assert!(
            now >= reached,
            "{now} events are in the rows after {reached} were"
        );
        reached = now;
        if step == Step::Load {
            assert!(reached > 0);
            before.push(block);
        } else {
            block.close().await.unwrap();
        }
        assert_eq!(
            Serving::read(&store).await.unwrap().of("order_summary").unwrap(),
            Generation(1)
        );
    }
    let done = eventually(DEADLINE, async || rebuilt(&store, "order_summary").await.ok()).await;
    assert_eq!((done.generation, done.outcome), (Generation(2), Outcome::Swapped));
    let projections = start(&store).await;
    projections.caught_up().await.unwrap();
    verify(&store, |_| {}).await.unwrap();
    projections.stop().await;
}

/// The database is killed in the middle: the rebuild waits for it and comes to its end.
#[tokio::test(flavor = "multi_thread")]
async fn it_survives_that_the_database_is_killed() {
    let cluster = private_cluster().await;
    let db = cluster.database().await;
    let store = open(&db).await;
    let projections = start(&store).await;
    for partition in 0..16 {
        place(&store, order_in(&store, partition)).await;
    }
    projections.caught_up().await.unwrap();
    projections.stop().await;
    let blocked = block(&db, BLOCKS[1].1).await;
    let process = waiting_at(&db, Step::Load).await;
    let down = cluster.hold_down();
    cluster.kill_9_postgres();
    drop(blocked);
    drop(down);
    cluster.wait_until_up().await;
    let ended = tokio::time::timeout(DEADLINE * 3, process.wait_with_output());
    let ended = ended.await.unwrap().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let serving = Serving::read(&store).await.unwrap();
    assert_eq!(serving.of("order_summary").unwrap(), Generation(2));
    verify(&store, |_| {}).await.unwrap();
    store.close().await;
    drop(db);
    cluster.remove().await;
}

#[tokio::test]
async fn of_two_operators_at_once_the_second_is_told_about_the_first() {
    let (db, store, projections) = shop().await;
    let blocked = block(&db, BLOCKS[3].1).await;
    let mut process = waiting_at(&db, Step::Verify).await;
    let error = rebuilt(&store, "order_summary").await.unwrap_err();
    assert!(
        matches!(
            error,
            RebuildError::Running {
                step: Step::Verify,
                owner: Some(_),
                ..
            }
        ),
        "{error}"
    );
    // Another read model is another matter.
    rebuilt(&store, "order_detail").await.unwrap();
    blocked.close().await.unwrap();
    assert!(process.wait().await.unwrap().success());
    projections.stop().await;
}

#[tokio::test]
async fn an_unknown_read_model_is_told_apart_with_what_there_is() {
    let (_db, store, projections) = shop().await;
    let error = rebuilt(&store, "orders").await.unwrap_err();
    assert!(error.to_string().contains("order_summary"), "{error}");
    let error = wish(&store, "order_summary", Wish::Pause).await.unwrap_err();
    assert!(matches!(error, RebuildError::NotRunning(_)), "{error}");
    projections.stop().await;
}

/// Paused it stands where it is, however long; then it goes on. Called off it leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_paused_goes_on_and_is_called_off() {
    let (db, store, projections) = shop().await;
    let blocked = block(&db, BLOCKS[1].1).await;
    let progress = Progress::new(16);
    let running = {
        let (store, progress) = (store.clone(), progress.clone());
        tokio::spawn(async move { rebuild(&store, "order_summary", SWAP, &progress).await })
    };
    eventually(DEADLINE, async || {
        wish(&store, "order_summary", Wish::Pause).await.ok()
    })
    .await;
    eventually(DEADLINE, async || (progress.held() == Held::Paused).then_some(())).await;
    blocked.close().await.unwrap();
    wish(&store, "order_summary", Wish::Run).await.unwrap();
    assert_eq!(running.await.unwrap().unwrap().outcome, Outcome::Swapped);

    let blocked = block(&db, BLOCKS[1].1).await;
    let running = {
        let store = store.clone();
        tokio::spawn(async move { rebuilt(&store, "order_summary").await })
    };
    eventually(DEADLINE, async || {
        wish(&store, "order_summary", Wish::Cancel).await.ok()
    })
    .await;
    let ended = running.await.unwrap().unwrap();
    assert_eq!(
        (ended.generation, ended.outcome),
        (Generation(3), Outcome::Cancelled)
    );
    blocked.close().await.unwrap();
    assert_eq!(
        tables(&db, "order_summary%").await,
        ["order_summary_g1", "order_summary_g2"]
    );
    projections.stop().await;
}

/// What an operator was told holds: called off while it waits to move the pointer, it moves none, also where it learns of it
/// only then; and nobody wants it otherwise meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn called_off_at_the_last_moment_nothing_is_swapped() {
    let (db, store, projections) = shop().await;
    let blocked = block(&db, BLOCKS[4].1).await;
    let running = {
        let store = store.clone();
        tokio::spawn(async move { rebuilt(&store, "order_summary").await })
    };
    eventually(DEADLINE, async || {
        let all = operations(store.pool()).await.unwrap();
        all.iter().any(|one| one.step == Step::Swap).then_some(())
    })
    .await;
    let cancel =
        "update rebuilds set wish = 'cancel' where projection = 'order_summary' and ended_at is null";
    let wished = sqlx::query(cancel).execute(db.admin()).await.unwrap();
    assert_eq!(wished.rows_affected(), 1);
    let error = wish(&store, "order_summary", Wish::Run).await.unwrap_err();
    assert!(
        matches!(error, RebuildError::CalledOff(_) | RebuildError::NotRunning(_)),
        "{error}"
    );
    blocked.close().await.unwrap();
    assert_eq!(running.await.unwrap().unwrap().outcome, Outcome::Cancelled);
    let serving = Serving::read(&store).await.unwrap();
    assert_eq!(serving.of("order_summary").unwrap(), Generation(1));
    assert_eq!(tables(&db, "order_summary%").await, ["order_summary_g1"]);
    projections.stop().await;
}

/// Paused while it folds the log once more it holds no snapshot, which would keep what is dead in every table.
#[tokio::test(flavor = "multi_thread")]
async fn paused_while_it_is_proved_by_the_log_it_holds_no_snapshot() {
    let (db, store, projections) = shop().await;
    projections.stop().await;
    // What is proved by the log is asked for its dead letters.
    let blocked = block(&db, "lock table dead_letters in access exclusive mode").await;
    let progress = Progress::new(16);
    let running = {
        let (store, progress) = (store.clone(), progress.clone());
        let options = RebuildOptions {
            against_log: true,
            ..SWAP
        };
        tokio::spawn(async move { rebuild(&store, "order_summary", options, &progress).await })
    };
    let sessions = async |condition: &str| -> i64 {
        let sql = format!(
            "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and {condition}"
        );
        sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(db.admin())
            .await
            .unwrap()
    };
    let waiting = "wait_event_type = 'Lock' and query like '%dead_letters%'";
    eventually(DEADLINE, async || (sessions(waiting).await > 0).then_some(())).await;
    assert_eq!(progress.step(), Step::Verify);
    wish(&store, "order_summary", Wish::Pause).await.unwrap();
    eventually(DEADLINE, async || (progress.held() == Held::Paused).then_some(())).await;
    // Who went on would wait here with a snapshot.
    let further = block(&db, "lock table events_p9 in access exclusive mode").await;
    let snapshots = "application_name = 'docket' and backend_xmin is not null";
    assert!(sessions(snapshots).await > 0);
    blocked.close().await.unwrap();
    eventually(DEADLINE, async || (sessions(snapshots).await == 0).then_some(())).await;
    assert!(!running.is_finished());
    further.close().await.unwrap();
    wish(&store, "order_summary", Wish::Run).await.unwrap();
    let ended = running.await.unwrap().unwrap();
    assert_eq!(ended.outcome, Outcome::Swapped);
    assert!(ended.rows > 0);
}

/// One live read model is kept from an event, and a rebuild of another one makes way before it is far behind in events.
#[tokio::test(flavor = "multi_thread")]
async fn it_makes_way_for_a_read_model_that_misses_an_old_event() {
    let (db, store, projections) = shop().await;
    let hold =
        "update checkpoints set held_until = now() + interval '1 hour' where projection = 'payment_ledger'";
    sqlx::query(hold).execute(db.admin()).await.unwrap();
    place(&store, order_in(&store, 3)).await;
    // It lasts until it has looked a few times.
    let blocked = block(&db, BLOCKS[1].1).await;
    let progress = Progress::new(16);
    let running = {
        let (store, progress) = (store.clone(), progress.clone());
        tokio::spawn(async move { rebuild(&store, "order_summary", SWAP, &progress).await })
    };
    eventually(DEADLINE, async || (progress.held() == Held::Yields).then_some(())).await;
    let release = "update checkpoints set held_until = null where projection = 'payment_ledger'";
    sqlx::query(release).execute(db.admin()).await.unwrap();
    eventually(DEADLINE, async || (progress.held() == Held::No).then_some(())).await;
    blocked.close().await.unwrap();
    assert_eq!(running.await.unwrap().unwrap().outcome, Outcome::Swapped);
    projections.stop().await;
}

/// Who calls a rebuild off right after its process was killed waits until its lease has run out, and nothing is left. Until
/// then nobody goes back, and nobody who wants something else takes it over.
#[tokio::test(flavor = "multi_thread")]
async fn called_off_right_after_a_kill_it_leaves_nothing() {
    let (db, store, projections) = shop().await;
    projections.stop().await;
    let blocked = block(&db, BLOCKS[1].1).await;
    let mut process = waiting_at(&db, Step::Load).await;
    process.kill().await.unwrap();
    blocked.close().await.unwrap();
    let back = rollback(&store, "order_summary").await.unwrap_err();
    assert!(matches!(back, RebuildError::Running { .. }), "{back}");
    let other = RebuildOptions {
        purpose: Purpose::VerifyOnly,
        ..SWAP
    };
    let refused = eventually(DEADLINE, async || {
        let error = rebuild(&store, "order_summary", other, &Progress::new(16))
            .await
            .unwrap_err();
        (!matches!(error, RebuildError::Running { .. })).then_some(error)
    })
    .await;
    assert!(matches!(refused, RebuildError::OtherPurpose(_)), "{refused}");
    wish(&store, "order_summary", Wish::Cancel).await.unwrap();
    assert_eq!(tables(&db, "order_summary%").await, ["order_summary_g1"]);
    let gone = wish(&store, "order_summary", Wish::Cancel).await.unwrap_err();
    assert!(matches!(gone, RebuildError::NotRunning(_)), "{gone}");
}

/// Of several who go back at once each moves the pointer that it has seen, or is told that somebody else has.
#[tokio::test(flavor = "multi_thread")]
async fn who_goes_back_at_once_moves_the_pointer_that_they_saw() {
    let (_db, store, projections) = shop().await;
    rebuilt(&store, "order_summary").await.unwrap();
    let (one, other) = tokio::join!(
        rollback(&store, "order_summary"),
        rollback(&store, "order_summary")
    );
    let ends = [one, other].map(|end| end.map_err(|error| error.to_string()));
    let served = Serving::read(&store).await.unwrap().of("order_summary").unwrap();
    // Both, one after the other, or one alone.
    let moved = ends.iter().filter(|end| end.is_ok()).count();
    assert!(moved >= 1, "{ends:?}");
    assert_eq!(served, Generation(if moved == 1 { 1 } else { 2 }), "{ends:?}");
    projections.stop().await;
}

/// Rows that are known to be wrong are replaced by such that the log proves.
#[tokio::test]
async fn damaged_rows_are_replaced_by_what_the_log_proves() {
    let (db, store, projections) = shop().await;
    sqlx::query("update order_summary_g1 set grand = grand + 1")
        .execute(db.admin())
        .await
        .unwrap();
    let proved = RebuildOptions {
        against_log: true,
        ..SWAP
    };
    let done = rebuild(&store, "order_summary", proved, &Progress::new(16))
        .await
        .unwrap();
    assert_eq!((done.outcome, done.rows), (Outcome::Swapped, 6));
    projections.caught_up().await.unwrap();
    verify(&store, |_| {}).await.unwrap();
    projections.stop().await;
}

/// Makes an event of partition 9 one of another type.
pub(crate) fn damage_of(at: Position, from: &str, to: &str) -> String {
    format!(
        "alter table events_p9 disable trigger all;
         update events_p9 set event_type = '{to}' where \"offset\" = {} and event_type = '{from}';
         alter table events_p9 enable trigger all",
        at.offset
    )
}

/// A payload that cannot be read stops the rebuild and names the event; repaired, the same line goes on.
#[tokio::test]
async fn a_payload_that_does_not_parse_is_named_and_the_rest_waits() {
    let (db, store, projections) = shop().await;
    let broken = order_in(&store, 9);
    draft(&store, broken).await;
    let at = add_line(&store, broken).await;
    projections.caught_up().await.unwrap();
    let damage = |from, to| damage_of(at, from, to);
    let admin = db.admin();
    let wrong = damage("order.line_added", "order.line_lost");
    sqlx::raw_sql(AssertSqlSafe(wrong)).execute(admin).await.unwrap();
    let error = rebuilt(&store, "order_summary").await.unwrap_err();
    let RebuildError::Load(LoadError::Event { position, class, .. }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!((*position, *class), (at, StopClass::Decode), "{error}");
    let stands = operations(store.pool()).await.unwrap().remove(0);
    assert_eq!((stands.owner, stands.step), (None, Step::Load));
    assert!(stands.outcome.unwrap().contains(&at.to_string()));
    let right = damage("order.line_lost", "order.line_added");
    sqlx::raw_sql(AssertSqlSafe(right)).execute(admin).await.unwrap();
    assert_eq!(
        rebuilt(&store, "order_summary").await.unwrap().outcome,
        Outcome::Swapped
    );
    projections.stop().await;
}

/// A projector that panics ends its rebuild and nothing else.
#[tokio::test]
async fn a_projector_that_panics_ends_its_rebuild_alone() {
    let (db, store, projections) = shop().await;
    counter::migrate(&db).await;
    let fragile = Counter {
        is_fragile: true,
        ..COUNTER
    };
    let error = rebuild_only(&store, fragile, SWAP, &Progress::new(16))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            RebuildError::Load(LoadError::Event {
                class: StopClass::Panic,
                ..
            })
        ),
        "{error}"
    );
    assert!(error.to_string().contains("one is enough"), "{error}");
    // Mended, it goes on.
    let done = rebuild_only(&store, COUNTER, SWAP, &Progress::new(16))
        .await
        .unwrap();
    assert_eq!(done.outcome, Outcome::Swapped);
    projections.stop().await;
}

/// An old and a new program side by side: the new one builds and serves rows of its version, the old one goes on with its
/// own, which are fed by it all the time.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_and_a_new_version_are_served_side_by_side() {
    let (db, store, projections) = shop().await;
    projections.stop().await;
    counter::migrate(&db).await;
    let new = Counter {
        version: 2,
        ..COUNTER
    };
    let old_program = Projections::start_only(store.clone(), quick(), COUNTER)
        .await
        .unwrap();
    old_program.caught_up().await.unwrap();
    let other = open(&db).await;
    let new_program = Projections::start_only(other.clone(), quick(), new)
        .await
        .unwrap();
    let order = order_in(&store, 5);
    let at = draft(&store, order).await;
    let refused = new_program.wait_for(&["counter"], &[at]).await.unwrap_err();
    assert!(matches!(refused, WaitError::NotServed(_)), "{refused:?}");

    let done = rebuild_only(&other, new, SWAP, &Progress::new(16)).await.unwrap();
    assert_eq!((done.from, done.generation), (Generation(1), Generation(2)));
    let at = add_line(&store, order).await;
    let count = async |program: &Projections, version: i32| {
        eventually(DEADLINE, async || program.serving().of("counter").ok()).await;
        program.wait_for(&["counter"], &[at]).await.unwrap();
        let generation = program.serving().of("counter").unwrap();
        let sql = format!("select events from counter_g{generation} where order_id = $1");
        let events: i32 = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(order.0)
            .fetch_one(db.admin())
            .await
            .unwrap();
        assert_eq!(events, 2 * version);
        generation
    };
    assert_eq!(count(&old_program, 1).await, Generation(1));
    assert_eq!(count(&new_program, 2).await, Generation(2));
    old_program.stop().await;
    new_program.stop().await;
}

/// The disk is full while rows are written: the rebuild says so, tries again, and comes to its end once there is room. What is
/// served is served meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn it_waits_while_the_disk_is_full() {
    let (db, store, projections) = shop().await;
    // As PostgreSQL says it; a sequence counts what a failed transaction takes back.
    sqlx::raw_sql(
        "create table full_disk ();
         create sequence refusals;
         create function refuse() returns trigger language plpgsql as $$
         begin
             if to_regclass('public.full_disk') is not null then
                 perform nextval('public.refusals');
                 raise exception 'could not extend file: No space left on device' using errcode = '53100';
             end if;
             return new;
         end $$;
         create function watch() returns event_trigger language plpgsql as $$
         declare
             made record;
         begin
             for made in select * from pg_event_trigger_ddl_commands()
                          where command_tag = 'CREATE TABLE' and object_identity = 'public.order_detail_g2' loop
                 execute format('create trigger refuse before insert on %s execute function refuse()', made.object_identity);
             end loop;
         end $$;
         create event trigger watch on ddl_command_end when tag in ('CREATE TABLE') execute function watch();
         grant all on sequence refusals to public",
    )
    .execute(db.admin())
    .await
    .unwrap();
    let running = {
        let store = store.clone();
        tokio::spawn(async move { rebuilt(&store, "order_detail").await })
    };
    eventually(DEADLINE, async || {
        let refused: i64 = sqlx::query_scalar("select last_value from refusals")
            .fetch_one(db.admin())
            .await
            .unwrap();
        (refused > 2).then_some(())
    })
    .await;
    let placed = place(&store, order_in(&store, 3)).await;
    projections.wait_for(&["order_detail"], &[placed]).await.unwrap();
    assert_eq!(operations(store.pool()).await.unwrap()[0].step, Step::Load);
    sqlx::raw_sql("drop table full_disk")
        .execute(db.admin())
        .await
        .unwrap();
    let done = running.await.unwrap().unwrap();
    assert_eq!((done.generation, done.outcome), (Generation(2), Outcome::Swapped));
    projections.caught_up().await.unwrap();
    verify(&store, |_| {}).await.unwrap();
    projections.stop().await;
}
