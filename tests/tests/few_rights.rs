//! `serve` under a role that can add to the log and change nothing in it: the grants of the operations manual, word for
//! word, carry an order from its draft to its shipment and let nothing be altered.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use docket_domain::Role;
use docket_tests::{
    TestDatabase, database,
    server::{Server, life, on, token, verb},
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

/// Rebuilds are the owner's; whoever asks a server that may not do them is told so, and nothing is begun.
#[tokio::test]
async fn operators_of_that_role_are_told_that_rebuilds_are_not_its_own() {
    let db = database().await;
    let operator = token(&db, Role::Operator, "o-1").await;
    let (role, url) = granted(&db).await;
    // One that stands still, and one that lies aside.
    for args in [
        &["rebuild", "sales_by_minute"][..],
        &["rebuild", "order_summary", "--what-if"],
    ] {
        let done = verb(on(&db), args).await;
        assert!(done.status.success(), "{done:?}");
    }
    sqlx::query(
        "update rebuilds set ended_at = null, outcome = 'stands' where projection = 'sales_by_minute'",
    )
    .execute(db.admin())
    .await
    .unwrap();
    let left = async || -> serde_json::Value {
        let rebuilds = "select jsonb_build_object(
            'rebuilds', (select jsonb_agg(to_jsonb(r) order by projection) from rebuilds r),
            'generations', (select jsonb_agg(to_jsonb(g) order by projection, generation) from generations g))";
        sqlx::query_scalar(rebuilds).fetch_one(db.admin()).await.unwrap()
    };
    let before = left().await;
    let mut command = on(&db);
    command
        .env("DATABASE_URL", url)
        .env("DOCKET_PROJECTIONS__REBUILDS", "false");
    let server = Server::launch(&mut command).await;
    let client = server.client(operator);
    for (mutation, name) in [
        ("rebuildReadModel", "payment_ledger"),
        ("rollbackReadModel", "order_summary"),
        ("pauseRebuild", "sales_by_minute"),
        ("resumeRebuild", "sales_by_minute"),
        ("cancelRebuild", "sales_by_minute"),
        ("dropSideBuild", "order_summary"),
    ] {
        let query = format!(
            "mutation {{ {mutation}(input: {{name: \"{name}\"}}) {{
                 userErrors {{ __typename code message ... on RebuildRefused {{ name }} }} }} }}"
        );
        let answer = client.run(&query, json!({})).await.json();
        assert!(answer.get("errors").is_none(), "{mutation}: {answer}");
        let refused = &answer["data"][mutation]["userErrors"][0];
        assert_eq!(
            (&refused["__typename"], &refused["code"], &refused["name"]),
            (&json!("RebuildRefused"), &json!("NOT_THIS_SERVERS"), &json!(name)),
            "{mutation}: {answer}"
        );
        assert!(
            refused["message"]
                .as_str()
                .unwrap()
                .contains("as the owner of the tables"),
            "{refused}"
        );
    }
    let unknown = "mutation { pauseRebuild(input: {name: \"orders\"}) { userErrors { code } } }";
    let answer = client.run(unknown, json!({})).await.json();
    assert_eq!(
        answer["data"]["pauseRebuild"]["userErrors"][0]["code"],
        "UNKNOWN_READ_MODEL"
    );
    // How they fare is shown.
    let seen = client
        .run(
            "{ projections(name: \"order_summary\") { rebuild { outcome } } }",
            json!({}),
        )
        .await;
    assert_eq!(seen.data()[0]["rebuild"]["outcome"], "aside");
    assert!(server.stop().await.success());
    assert_eq!(left().await, before);
    gone(&db, &role).await;
}
