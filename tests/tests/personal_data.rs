//! Personal data is sealed in the log and everywhere else in the database, with its subject's key; who is forgotten is
//! forgotten in every process, and a key that does not fit is refused before it can do harm.

use docket_domain::{
    Actor, CustomerId, Event, OrderId, Personal, Role, SealedValue, Subject, order::OrderEvent,
};
use docket_event_store::{
    ExecuteError, MasterKey, PersonalError, RecordedEvent, Request, Store, StoreError, limits,
};
use docket_tests::{
    TestDatabase, database, eventually,
    orders::{done, fresh, labelled, new_order, set_quantity, store_config},
};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::time::Duration;

/// Well below the lifetime of a cached key: it was dropped, it did not run out.
const SOON: Duration = Duration::from_secs(10);
const _: () = assert!(SOON.as_secs() * 2 < limits::KEY_LIFETIME.as_secs());

fn create_for(order: OrderId, customer: &str, name: &str) -> Value {
    json!({"command": "createOrder", "order": order, "customer": customer, "name": name, "channel": "web",
           "currency": "EUR", "locale": "de-DE"})
}

fn subject(customer: &str) -> Subject {
    Subject::of(OrderId::NIL, Some(&CustomerId::try_new(customer).unwrap()))
}

/// The name that an order was drafted with, as the log holds it.
fn sealed_name(event: &RecordedEvent) -> SealedValue {
    match &event.event {
        Ok(Event::Order(OrderEvent::Drafted(drafted))) => match &drafted.name {
            Some(Personal::Sealed(sealed)) => sealed.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

async fn opened(store: &Store, sealed: &SealedValue) -> Option<String> {
    let opener = store.vault().opener([sealed]).await.unwrap();
    opener
        .open(sealed)
        .map(|clear| serde_json::from_slice(&clear).unwrap())
}

async fn draft_for(store: &Store, customer: &str, name: &str) -> (OrderId, SealedValue) {
    let order = new_order();
    let executed = done(store, create_for(order, customer, name)).await;
    (order, sealed_name(&executed.events[0]))
}

/// Everything that the database holds, as text.
async fn whole_database(db: &TestDatabase) -> String {
    let tables = "select format('%I', relname) from pg_class where relnamespace = 'public'::regnamespace
                  and relkind = 'r' order by 1";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(db.admin()).await.unwrap();
    let mut text = String::new();
    for table in tables {
        let rows = AssertSqlSafe(format!("select t::text from {table} t"));
        let rows: Vec<String> = sqlx::query_scalar(rows).fetch_all(db.admin()).await.unwrap();
        text.extend(rows.iter().map(|row| format!("{table} {row}\n")));
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_of_the_database_shows_personal_data_in_clear() {
    let db = database().await;
    let store = db.store().await;
    let order = new_order();
    labelled(&store, order).await;
    let (long, _) = draft_for(&store, "c-2", "Ann Lee").await;
    done(&store, docket_tests::orders::add_line(long, 1)).await;
    // Long enough for a snapshot.
    for round in 0..limits::SNAPSHOT_EVERY {
        done(&store, set_quantity(long, 2 + round as u32 % 2)).await;
    }
    let snapshots = "select count(*) from snapshots";
    let kept = async || {
        let count: i64 = sqlx::query_scalar(snapshots).fetch_one(db.admin()).await.unwrap();
        (count > 0).then_some(())
    };
    eventually(SOON, kept).await;
    let text = whole_database(&db).await;
    for needed in ["order.drafted", "shipment.created", "snapshots", "c-2", "GB"] {
        assert!(text.contains(needed), "{needed}");
    }
    for clear in [
        "Ann Lee",
        "Ann",
        "ann@example.org",
        "example.org",
        "High Street",
        "Leeds",
    ] {
        let found = text.lines().find(|row| row.contains(clear));
        assert_eq!(found, None, "{clear}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_values_of_a_subject_have_equal_bytes_in_every_process_and_others_do_not() {
    let db = database().await;
    let (one, other) = (db.store().await, db.store().await);
    let (_, first) = draft_for(&one, "c-1", "Ann Lee").await;
    let (_, again) = draft_for(&other, "c-1", "Ann Lee").await;
    let (_, else_named) = draft_for(&other, "c-1", "Ann Lea").await;
    let (_, else_who) = draft_for(&other, "c-2", "Ann Lee").await;
    assert_eq!(first, again);
    assert_ne!(first, else_named);
    assert_ne!(first, else_who);
    for (sealed, name) in [
        (&first, "Ann Lee"),
        (&else_named, "Ann Lea"),
        (&else_who, "Ann Lee"),
    ] {
        assert_eq!(opened(&one, sealed).await.as_deref(), Some(name));
        assert_eq!(opened(&other, sealed).await.as_deref(), Some(name));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_meet_a_subject_for_the_first_time_at_once_agree_on_its_key() {
    let db = database().await;
    let stores = [db.store().await, db.store().await];
    for round in 0..10 {
        let customer = format!("c-{round}");
        let (one, other) = tokio::join!(
            draft_for(&stores[0], &customer, "Ann Lee"),
            draft_for(&stores[1], &customer, "Ann Lee")
        );
        assert_eq!(one.1, other.1);
    }
    let living = "select count(*) from personal_keys where wrapped_key is not null";
    let living: i64 = sqlx::query_scalar(living).fetch_one(db.admin()).await.unwrap();
    assert_eq!(living, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_forgotten_opens_as_the_mark_here_at_once_and_elsewhere_soon() {
    let db = database().await;
    let (one, other) = (db.store().await, db.store().await);
    let (order, sealed) = draft_for(&one, "c-1", "Ann Lee").await;
    let (_, neighbour) = draft_for(&one, "c-2", "Bob Ray").await;
    assert_eq!(opened(&other, &sealed).await.as_deref(), Some("Ann Lee"));

    assert!(one.vault().destroy(&subject("c-1")).await.unwrap());
    assert!(!one.vault().destroy(&subject("c-1")).await.unwrap());
    assert_eq!(opened(&one, &sealed).await, None);
    let forget = Request {
        actor: Actor::new(Role::Operator, "root"),
        ..fresh(json!({"command": "forgetPersonalData", "order": order}))
    };
    one.execute(forget).await.unwrap();
    // The event tells the other process to read its keys again.
    eventually(SOON, async || {
        opened(&other, &sealed).await.is_none().then_some(())
    })
    .await;
    for store in [&one, &other] {
        assert_eq!(opened(store, &neighbour).await.as_deref(), Some("Bob Ray"));
    }
    let restarted = db.store().await;
    assert_eq!(opened(&restarted, &sealed).await, None);
    // A customer who comes back gets a new key; the old values stay closed.
    let (_, anew) = draft_for(&other, "c-1", "Ann Lee").await;
    assert_ne!(anew, sealed);
    assert_eq!(opened(&one, &anew).await.as_deref(), Some("Ann Lee"));
    assert_eq!(opened(&one, &sealed).await, None);
}

/// No event says so, because there is no order to say it of; what the other process writes next must stay readable.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_forgotten_without_an_order_gets_a_new_key_everywhere() {
    let db = database().await;
    let (one, other) = (db.store().await, db.store().await);
    let seal = async || {
        let key = other.vault().key_of(&subject("c-1")).await.unwrap();
        key.seal(b"Ann Lee").unwrap()
    };
    let sealed = seal().await;
    assert!(one.vault().destroy(&subject("c-1")).await.unwrap());
    // Under one key the same value has the same bytes.
    eventually(SOON, async || (seal().await != sealed).then_some(())).await;
}

/// The hint is lost with the connection that should have brought it: who listens again reads the keys again.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_forgotten_while_a_process_is_cut_off_gets_a_new_key_there_too() {
    let db = database().await;
    let proxy = db.proxy();
    let one = db.store().await;
    let other = Store::open(store_config(proxy.connect_options())).await.unwrap();
    let seal = async || {
        let key = other.vault().key_of(&subject("c-1")).await.ok()?;
        Some(key.seal(b"Ann Lee").unwrap())
    };
    let sealed = seal().await.unwrap();
    proxy.refuse();
    assert!(one.vault().destroy(&subject("c-1")).await.unwrap());
    // Longer than one wait for a hint, so that nothing is left of the connection that broke.
    tokio::time::sleep(2 * limits::POLL_INTERVAL).await;
    proxy.pass();
    eventually(SOON, async || seal().await.filter(|anew| *anew != sealed)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_this_log_did_not_seal_opens_as_the_mark_and_not_as_an_error() {
    let db = database().await;
    let store = db.store().await;
    let (_, sealed) = draft_for(&store, "c-1", "Ann Lee").await;
    let bytes = sealed.as_bytes();
    let mut turned = bytes.to_vec();
    for i in 0..turned.len() {
        turned[i] ^= 1;
        assert_eq!(
            opened(&store, &SealedValue::new(turned.clone())).await,
            None,
            "byte {i}"
        );
        turned[i] ^= 1;
    }
    for length in 0..bytes.len() {
        assert_eq!(
            opened(&store, &SealedValue::new(&bytes[..length])).await,
            None,
            "{length} bytes"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_key_that_does_not_fit_is_refused() {
    let db = database().await;
    let wrong = MasterKey::from_hex(&"ab".repeat(32)).unwrap();
    let mut config = store_config(db.connect_options());
    // Opened before there is any key to tell by.
    config.master_key = wrong;
    let early = Store::open(config.clone()).await.unwrap();
    let (_, sealed) = draft_for(&db.store().await, "c-1", "Ann Lee").await;
    let refused = early
        .execute(fresh(create_for(new_order(), "c-1", "Ann Lee")))
        .await;
    assert!(
        matches!(
            refused,
            Err(ExecuteError::Personal(PersonalError::WrongMasterKey))
        ),
        "{refused:?}"
    );
    let refused = early.vault().opener([&sealed]).await;
    assert!(matches!(refused, Err(PersonalError::WrongMasterKey)));
    // From then on nobody gets in with it, or it would wrap new keys that the right one does not open.
    let refused = Store::open(config).await.map(|_| ());
    assert!(
        matches!(refused, Err(StoreError::Personal(PersonalError::WrongMasterKey))),
        "{refused:?}"
    );
}
