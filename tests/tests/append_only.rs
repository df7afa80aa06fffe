//! The database itself keeps the log: what is there is never changed or removed, also not by its owner and not under
//! `session_replication_role = replica`; and no program uses a database that is not its own.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking, its helpers too"
)]

use docket_event_store::{AppendOutcome, Store, StoreError, migrate, postgres::migrate::OpenError};
use docket_tests::{
    TestDatabase,
    appends::append,
    database, empty_database,
    history::{History, Log},
    orders::{new_order_in, store_config},
};
use futures::future::join_all;
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};

const PARTITIONS: u16 = 16;

/// A log with an event in each partition.
async fn filled() -> (TestDatabase, Store) {
    let db = database().await;
    let store = db.store().await;
    for partition in 0..PARTITIONS {
        let outcome = store.append(append(new_order_in(&store, partition), 0)).await;
        assert!(matches!(outcome, Ok(AppendOutcome::Appended { .. })));
    }
    (db, store)
}

/// Everything that would change or remove what the log holds.
fn damage() -> Vec<String> {
    let mut all = Vec::new();
    let children = (0..PARTITIONS).map(|partition| format!("events_p{partition}"));
    for table in children.chain(["events".to_owned()]) {
        all.push(format!("update {table} set version = version + 1"));
        all.push(format!(
            "update {table} set payload = '{{}}' where \"offset\" = 1"
        ));
        all.push(format!("update {table} set partition = (partition + 1) % 16"));
        all.push(format!("delete from {table}"));
        all.push(format!("delete from {table} where \"offset\" = 1"));
        all.push(format!("truncate {table}"));
        all.push(format!(
            "merge into {table} e using (select 1::bigint as o) s on e.\"offset\" = s.o when matched then delete"
        ));
    }
    for table in ["command_ids", "docket"] {
        all.push(format!("delete from {table}"));
        all.push(format!("truncate {table}"));
    }
    all.push("update command_ids set \"offset\" = \"offset\" + 1".to_owned());
    all.push("update docket set partitions = 8".to_owned());
    all.push(
        "insert into command_ids select * from command_ids on conflict (id) do update set events = 7"
            .to_owned(),
    );
    all.push("delete from heads where partition = 3".to_owned());
    all.push("truncate heads".to_owned());
    all.push("truncate heads, events, command_ids, docket cascade".to_owned());
    all
}

async fn refused_to(options: &PgConnectOptions, role: &str) -> usize {
    let mut connection = PgConnection::connect_with(options).await.unwrap();
    let set = format!("set session_replication_role = {role}");
    if role != "origin" {
        sqlx::raw_sql(AssertSqlSafe(set))
            .execute(&mut connection)
            .await
            .unwrap();
    }
    for statement in damage() {
        let outcome = sqlx::raw_sql(AssertSqlSafe(statement.clone()))
            .execute(&mut connection)
            .await;
        let error = outcome.expect_err(&statement);
        let code = error
            .as_database_error()
            .and_then(|error| error.code().map(|code| code.into_owned()));
        assert_eq!(code.as_deref(), Some("23001"), "{statement}: {error}");
    }
    damage().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_can_neither_change_nor_remove_what_the_log_holds() {
    let (db, _store) = filled().await;
    let before = Log::read(db.admin()).await;
    assert!(refused_to(&db.connect_options(), "origin").await > 100);
    assert_eq!(Log::read(db.admin()).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_superuser_cannot_by_accident_not_even_as_a_replica() {
    let (db, store) = filled().await;
    let before = Log::read(db.admin()).await;
    for role in ["origin", "local", "replica"] {
        refused_to(db.admin().connect_options().as_ref(), role).await;
    }
    let after = Log::read(db.admin()).await;
    assert_eq!(after, before);
    History::default().judge(&after);
    let outcome = store.append(append(new_order_in(&store, 1), 0)).await;
    assert!(
        matches!(outcome, Ok(AppendOutcome::Appended { .. })),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_partitions_is_refused_with_what_it_would_break() {
    let db = empty_database().await;
    let options = db.connect_options();
    assert_eq!(migrate(&options, Some(7)).await.unwrap().count(), 7);
    for (again, configured) in [
        (migrate(&options, Some(16)).await.map(|_| ()), 16),
        (open(&db, Some(8)).await, 8),
    ] {
        let error = again.unwrap_err();
        assert!(
            matches!(error, OpenError::PartitionsChanged { configured: c, actual: 7 } if c == configured),
            "{error:?}"
        );
        let text = error.to_string();
        assert!(
            text.contains("another partition than its old ones") && text.contains("set it to 7"),
            "{text}"
        );
    }
    for fits in [None, Some(7)] {
        assert_eq!(migrate(&options, fits).await.unwrap().count(), 7);
        open(&db, fits).await.unwrap();
    }
    // It is a log like any other.
    let store = db.store().await;
    for partition in 0..7 {
        let outcome = store.append(append(new_order_in(&store, partition), 0)).await;
        assert!(
            matches!(outcome, Ok(AppendOutcome::Appended { .. })),
            "{outcome:?}"
        );
    }
    History::default().judge(&Log::read(db.admin()).await);
}

async fn open(db: &TestDatabase, partitions: Option<u16>) -> Result<(), OpenError> {
    let mut config = store_config(db.connect_options());
    config.partitions = partitions;
    match Store::open(config).await {
        Ok(_) => Ok(()),
        Err(StoreError::Open(error)) => Err(error),
        Err(other) => panic!("{other:?}"),
    }
}

async fn tables(db: &TestDatabase) -> Vec<String> {
    let tables = "select relname::text from pg_class where relnamespace = 'public'::regnamespace order by 1";
    sqlx::query_scalar(tables).fetch_all(db.admin()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_programs_database_is_refused_and_left_as_it_is() {
    for theirs in [
        "create table customers (id int)",
        "create view v as select 1",
        "create table events (id int)",
    ] {
        let db = empty_database().await;
        sqlx::raw_sql(theirs).execute(db.admin()).await.unwrap();
        let before = tables(&db).await;
        let error = migrate(&db.connect_options(), None).await.unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains("another program's tables") && text.contains("DATABASE_URL"),
            "{text}"
        );
        assert_eq!(tables(&db).await, before);
        let error = open(&db, None).await.unwrap_err();
        assert!(matches!(error, OpenError::NotMigrated), "{error:?}");
    }
}

/// Databases that are rented often come with an extension whose views lie beside the tables.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_extension_brought_along_is_not_taken_for_another_program() {
    let db = empty_database().await;
    let available = "select exists (select from pg_available_extensions where name = 'pg_stat_statements')";
    if sqlx::query_scalar(available).fetch_one(db.admin()).await.unwrap() {
        let create = "create extension pg_stat_statements schema public";
        sqlx::raw_sql(create).execute(db.admin()).await.unwrap();
    }
    migrate(&db.connect_options(), None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_empty_is_not_used_before_it_is_migrated() {
    let db = empty_database().await;
    let error = open(&db, None).await.unwrap_err();
    assert!(matches!(error, OpenError::NotMigrated), "{error:?}");
    assert!(tables(&db).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_migrate_at_the_same_time_all_succeed() {
    for _ in 0..5 {
        let db = empty_database().await;
        let options = db.connect_options();
        for migrated in join_all((0..6).map(|_| migrate(&options, Some(4)))).await {
            assert_eq!(migrated.unwrap().count(), 4);
        }
        open(&db, Some(4)).await.unwrap();
    }
}

/// Two deployments that do not agree: one creates the log, and the other is told.
#[tokio::test(flavor = "multi_thread")]
async fn of_processes_that_create_the_log_with_different_numbers_of_partitions_only_one_sort_succeeds() {
    let db = empty_database().await;
    let (options, wanted) = (db.connect_options(), [4, 8, 4, 8]);
    let mut created = Vec::new();
    let migrated = join_all(wanted.map(|partitions| migrate(&options, Some(partitions)))).await;
    for (wanted, migrated) in wanted.into_iter().zip(migrated) {
        match migrated {
            Ok(partitions) => created.push(partitions.count()),
            Err(OpenError::PartitionsChanged { configured, .. }) => assert_eq!(configured, wanted),
            Err(other) => panic!("{other:?}"),
        }
    }
    created.dedup();
    assert_eq!(created.len(), 1, "{created:?}");
}
