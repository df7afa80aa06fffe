//! `serve` under a role that can add to the log and change nothing in it: the grants of the operations manual, word for
//! word, carry an order from its draft to its shipment and let nothing be altered.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use docket_domain::Role;
use docket_tests::{
    TestDatabase, database,
    server::{Server, life, on, token},
};
use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use uuid::Uuid;

const MANUAL: &str = include_str!("../../docs/operations.md");
const ORDER: &str = "query($id: ID!, $at: [PositionInput!]) { order(id: $id, minPosition: $at) { status fulfillmentStatus } }";

/// A role with what the manual grants, and the address of a session that has taken it on: the cluster lets nobody in but
/// its own users, and who takes on a role keeps no right but that role's.
async fn granted(db: &TestDatabase) -> (String, String) {
    let role = format!("few_rights_{}", Uuid::new_v4().simple());
    let (_, after) = MANUAL.split_once("### A role with few rights").unwrap();
    let (_, after) = after.split_once("```sql\n").unwrap();
    let (grants, _) = after.split_once("```").unwrap();
    let grants = grants.replace("docket_serve", &role);
    sqlx::raw_sql(AssertSqlSafe(format!("create role {role} login; {grants}")))
        .execute(db.admin())
        .await
        .unwrap();
    let options = db.admin().connect_options();
    let url = format!("{}&options[role]={role}", options.to_url_lossy());
    (role, url)
}

/// A role outlives its database, unless what it was granted goes first.
async fn gone(db: &TestDatabase, role: &str) {
    sqlx::raw_sql(AssertSqlSafe(format!("drop owned by {role}; drop role {role}")))
        .execute(db.admin())
        .await
        .unwrap();
}

#[tokio::test]
async fn an_order_is_placed_paid_and_shipped_under_the_grants_of_the_manual() {
    let db = database().await;
    let staff = token(&db, Role::Staff, "shop").await;
    let (role, url) = granted(&db).await;
    let mut command = on(&db);
    command.env("DATABASE_URL", url);
    let server = Server::launch(&mut command).await;
    let client = server.client(staff);
    let order = Uuid::now_v7();
    let mut last = json!(null);
    for (name, input) in life(order, "ada", "by the door") {
        let reply = client.mutate(name, input).await;
        assert_eq!(reply.code(), "none", "{name}: {reply:?}");
        last = reply.data()["position"].clone();
    }
    let at = json!([{"partition": last["partition"], "offset": last["offset"]}]);
    let reply = client.run(ORDER, json!({"id": order, "at": at})).await;
    assert_eq!(reply.data()["fulfillmentStatus"], "SHIPPED", "{reply:?}");
    assert_eq!(client.ready().await.0, 200);
    assert!(server.stop().await.success());
    gone(&db, &role).await;
}

#[tokio::test]
async fn that_role_can_change_nothing_in_the_log() {
    let db = database().await;
    let (role, url) = granted(&db).await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    for damage in [
        "update events set version = 7",
        "delete from events",
        "truncate events",
        "truncate events_p0",
        "insert into events_p0 select * from events_p0",
        "delete from heads",
        "update command_ids set events = 7",
        "delete from command_ids",
        "update docket set partitions = 8",
        "drop table events",
        "alter table events disable trigger all",
        "create table mine (n integer)",
        "insert into api_tokens select * from api_tokens",
    ] {
        let refused = sqlx::query(damage).execute(&mut connection).await.unwrap_err();
        let code = refused.as_database_error().and_then(|error| error.code());
        assert_eq!(code.as_deref(), Some("42501"), "{damage}: {refused}");
    }
    connection.close().await.unwrap();
    gone(&db, &role).await;
}
