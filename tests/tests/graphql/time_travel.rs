//! An order as it was: at a version of its stream, and at an instant.

use crate::desk::{DEADLINE, Desk, code, customer, staff};
use docket::graphql::limits;
use docket_tests::eventually;
use serde_json::{Value, json};
use std::time::Duration;

const AT: &str =
    "query($id: ID!, $version: Int, $at: DateTime) { order(id: $id, atVersion: $version, asOf: $at) {
    version status name totals { grand { amount } } payments { status } } }";

async fn at_version(desk: &Desk, order: &str, version: i32) -> Value {
    desk.data(&staff(), AT, json!({"id": order, "version": version}))
        .await["order"]
        .take()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_shown_at_every_version_of_its_stream() {
    let desk = Desk::open().await;
    let order = desk.placed("c-1", "k").await;
    desk.authorized(&order, "MANUAL").await;
    let drafted = at_version(&desk, &order, 1).await;
    assert_eq!(drafted["status"], "DRAFT");
    assert_eq!(drafted["name"], "Ada");
    assert_eq!(drafted["totals"]["grand"]["amount"], "0.00");
    assert_eq!(
        at_version(&desk, &order, 2).await["totals"]["grand"]["amount"],
        "20.00"
    );
    assert_eq!(
        at_version(&desk, &order, 3).await["totals"]["grand"]["amount"],
        "25.00"
    );
    let placed = at_version(&desk, &order, 4).await;
    assert_eq!(
        (&placed["status"], &placed["payments"]),
        (&json!("PLACED"), &json!([]))
    );
    // What the attaching command did happened at once; the authorization came later.
    assert_eq!(
        at_version(&desk, &order, 5).await["payments"],
        json!([{"status": "INITIATED"}])
    );
    for version in [0, -1] {
        let answer = desk
            .ask(&staff(), AT, json!({"id": order, "version": version}))
            .await;
        assert_eq!(code(&answer), "BAD_USER_INPUT", "{version}");
    }
    // What is not there yet, not there at all or somebody else's looks the same.
    assert_eq!(at_version(&desk, &order, 6).await, Value::Null);
    let absent = uuid::Uuid::new_v4().to_string();
    assert_eq!(at_version(&desk, &absent, 1).await, Value::Null);
    for (caller, status) in [("c-1", json!("DRAFT")), ("c-2", Value::Null)] {
        let read = desk
            .data(&customer(caller), AT, json!({"id": order, "version": 1}))
            .await;
        assert_eq!(read["order"]["status"], status, "{caller}");
    }
}

/// Orders are folded for time travel by the few, whatever there is of queries.
#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_orders_are_folded_at_once() {
    let desk = Desk::open().await;
    let order = desk.draft("c-1", "k").await;
    // Whoever reads the order's stream stands still.
    let mut lock = desk.db.admin().begin().await.unwrap();
    sqlx::query("lock table events in access exclusive mode")
        .execute(&mut *lock)
        .await
        .unwrap();
    let reading =
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%order by version limit%'
                   and datname = current_database()";
    let reading = async || {
        let count: i64 = sqlx::query_scalar(reading)
            .fetch_one(desk.db.admin())
            .await
            .unwrap();
        count
    };
    let (before, most) = (reading().await, limits::MAX_FOLDS_AT_ONCE as i64);
    let asked = (0..most + 3).map(|_| at_version(&desk, &order, 2));
    let watched = async {
        eventually(DEADLINE, async || {
            (reading().await == before + most).then_some(())
        })
        .await;
        // The others have had as long as these to come so far.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(reading().await, before + most);
        lock.rollback().await.unwrap();
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(asked), watched);
    for answer in answers {
        assert_eq!(answer["version"], 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_shown_as_it_was_recorded_at_an_instant() {
    let desk = Desk::open().await;
    let order = desk.placed("c-1", "k").await;
    let partition = desk.store.partition_of(order.parse().unwrap());
    let events = desk.store.feed().read(partition, 0, 10).await.unwrap();
    let instants: Vec<_> = events.iter().map(|event| event.recorded_at).collect();
    let read =
        async |at: Value| desk.data(&staff(), AT, json!({"id": order, "at": at})).await["order"].take();
    let before = instants[0] - chrono::TimeDelta::microseconds(1);
    assert_eq!(read(json!(before)).await, Value::Null);
    for (at, version) in instants.iter().zip(1..) {
        assert_eq!(read(json!(at)).await["version"], version);
    }
    assert_eq!(read(json!("2999-01-01T00:00:00Z")).await["status"], "PLACED");
    let both = desk
        .ask(
            &staff(),
            AT,
            json!({"id": order, "at": instants[0], "version": 1}),
        )
        .await;
    assert_eq!(code(&both), "BAD_USER_INPUT");
    let other = desk
        .data(&customer("c-2"), AT, json!({"id": order, "at": instants[0]}))
        .await;
    assert_eq!(other["order"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_is_read_by_stream_and_by_partition() {
    let desk = Desk::open().await;
    let order = desk.placed("c-1", "k").await;
    let query = "query($stream: String, $partition: Int, $first: Int, $after: String) {
        events(stream: $stream, partition: $partition, first: $first, after: $after) {
            events { type version position { offset } payload actorId } endCursor hasNextPage } }";
    for scope in [
        json!({"stream": order}),
        json!({"partition": desk.store.partition_of(order.parse().unwrap())}),
    ] {
        let (mut seen, mut after) = (Vec::new(), Value::Null);
        loop {
            let mut variables = scope.clone();
            (variables["first"], variables["after"]) = (json!(3), after);
            let page = desk.data(&staff(), query, variables).await["events"].take();
            let events = page["events"].as_array().unwrap();
            seen.extend(
                events
                    .iter()
                    .map(|event| event["type"].as_str().unwrap().to_owned()),
            );
            assert!(
                events
                    .iter()
                    .all(|event| !event["payload"].as_str().unwrap().contains("ada@example.org"))
            );
            after = page["endCursor"].clone();
            if page["hasNextPage"] == json!(false) {
                break;
            }
        }
        assert_eq!(
            seen,
            [
                "order.drafted",
                "order.line_added",
                "order.details_set",
                "order.placed"
            ],
            "{scope}"
        );
    }
}
