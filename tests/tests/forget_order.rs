//! `docket forget` as it is run: whose key goes, what the orders say of it, and what it refuses before anything is gone.

use docket_domain::Role;
use docket_tests::{
    TestDatabase, database,
    server::{Reply, Server, on, token, verb},
};
use serde_json::{Value, json};

/// The exit status, the report and what was said of an error.
async fn forget(db: &TestDatabase, subject: &str) -> (Option<i32>, Value, String) {
    let ran = verb(on(db), &["forget", subject]).await;
    let report = serde_json::from_slice(&ran.stdout).unwrap_or_default();
    (
        ran.status.code(),
        report,
        String::from_utf8_lossy(&ran.stderr).into_owned(),
    )
}

/// A server with drafts in it: whose each is, and its id.
async fn drafts(db: &TestDatabase, customers: &[Option<&str>]) -> (Server, Vec<String>) {
    let server = Server::start(db).await;
    let staff = server.client(token(db, Role::Staff, "s-1").await);
    let mut orders = Vec::new();
    for customer in customers {
        let input = json!({"customer": customer, "name": "Ann Lee", "channel": "web", "currency": "EUR",
                           "locale": "en-GB", "idempotencyKey": orders.len().to_string()});
        let created = staff.mutate("createOrder", input).await.data();
        orders.push(created["order"]["id"].as_str().unwrap().to_owned());
    }
    (server, orders)
}

async fn living_keys(db: &TestDatabase) -> i64 {
    let living = "select count(*) from personal_keys where wrapped_key is not null";
    sqlx::query_scalar(living).fetch_one(db.admin()).await.unwrap()
}

/// How many events say of this order that somebody was forgotten.
async fn said(db: &TestDatabase, order: &str) -> i64 {
    let said = "select count(*) from events where order_id = $1::uuid and event_type like 'order.personal%'";
    sqlx::query_scalar(said)
        .bind(order)
        .fetch_one(db.admin())
        .await
        .unwrap()
}

async fn shown(db: &TestDatabase, server: &Server, order: &str) -> Value {
    let staff = server.client(token(db, Role::Staff, "s-1").await);
    let query = "query($id: ID!) { order(id: $id) { name forgotten } }";
    let reply: Reply = staff.run(query, json!({"id": order})).await;
    reply.data()
}

#[tokio::test]
async fn a_customer_is_forgotten_in_all_their_orders_and_once() {
    let db = database().await;
    let (server, orders) = drafts(&db, &[Some("c-1"), Some("c-1"), Some("c-2"), None]).await;
    assert!(server.stop().await.success());
    let (status, report, _) = forget(&db, "customer:c-1").await;
    let first =
        json!({"subject": "customer:c-1", "keyDestroyed": true, "orders": 2, "failed": [], "searched": []});
    assert_eq!((status, report), (Some(0), first));
    let (status, report, _) = forget(&db, "customer:c-1").await;
    let again =
        json!({"subject": "customer:c-1", "keyDestroyed": false, "orders": 2, "failed": [], "searched": []});
    assert_eq!((status, report), (Some(0), again));
    assert_eq!(living_keys(&db).await, 2);
    let server = Server::start(&db).await;
    for (order, gone) in orders.iter().zip([true, true, false, false]) {
        let name = if gone { Value::Null } else { json!("Ann Lee") };
        assert_eq!(
            shown(&db, &server, order).await,
            json!({"name": name, "forgotten": gone})
        );
        assert_eq!(said(&db, order).await, i64::from(gone), "{order}");
    }
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn an_order_without_a_customer_is_forgotten_by_its_own_name_and_no_other_is() {
    let db = database().await;
    let (server, orders) = drafts(&db, &[Some("c-1"), None]).await;
    assert!(server.stop().await.success());
    let absent = uuid::Uuid::new_v4().to_string();
    for (order, reason) in [(&orders[0], "customer:c-1"), (&absent, "there is no order")] {
        let (status, report, error) = forget(&db, &format!("order:{order}")).await;
        assert_eq!((status, report), (Some(1), Value::Null));
        assert!(
            error.contains(reason) && error.contains("nothing was destroyed"),
            "{error}"
        );
    }
    assert_eq!((living_keys(&db).await, said(&db, &orders[0]).await), (2, 0));
    let (status, report, _) = forget(&db, &format!("order:{}", orders[1])).await;
    assert_eq!(
        (status, &report["keyDestroyed"], &report["orders"]),
        (Some(0), &json!(true), &json!(1))
    );
    assert_eq!((living_keys(&db).await, said(&db, &orders[1]).await), (1, 1));
}

#[tokio::test]
async fn an_order_that_cannot_be_told_does_not_keep_the_others_from_it() {
    let db = database().await;
    let (server, orders) = drafts(&db, &[Some("c-1"), Some("c-1"), Some("c-1")]).await;
    assert!(server.stop().await.success());
    assert!(verb(on(&db), &["verify"]).await.status.success());
    // Folded by the read models already, and then out of order.
    sqlx::raw_sql(
        "do $$ declare part regclass; begin
           for part in select inhrelid from pg_inherits where inhparent = 'events'::regclass loop
             execute format('alter table %s disable trigger all', part);
           end loop;
         end $$; alter table events disable trigger all",
    )
    .execute(db.admin())
    .await
    .unwrap();
    let harm = "update events set payload = '{}' where order_id = $1::uuid";
    sqlx::query(harm)
        .bind(&orders[0])
        .execute(db.admin())
        .await
        .unwrap();
    let (status, report, _) = forget(&db, "customer:c-1").await;
    assert_eq!(status, Some(1), "{report}");
    assert_eq!(
        (&report["keyDestroyed"], &report["orders"]),
        (&json!(true), &json!(2)),
        "{report}"
    );
    assert_eq!(report["failed"][0]["order"], orders[0].as_str(), "{report}");
    assert_eq!(report["failed"].as_array().unwrap().len(), 1);
    for (order, told) in orders.iter().zip([0, 1, 1]) {
        assert_eq!(said(&db, order).await, told, "{order}");
    }
}
