//! What callers see of an order whose events wait among dead letters: `PARKED` where they name its position, what is there
//! where they do not, and everything else as always.

use crate::desk::{Desk, code, staff};
use docket_tests::eventually;
use serde_json::{Value, json};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(20);
const ONE: &str =
    "query($id: ID!, $at: [PositionInput!]) { order(id: $id, minPosition: $at) { lines { quantity } } }";
const LIST: &str = "{ orders { nodes { id lines { quantity } } } }";

async fn refuse(desk: &Desk, order: &str) {
    let refuse = format!(
        "create function refuse() returns trigger language plpgsql as $$
         begin raise exception 'no such thing' using errcode = '22003'; end $$;
         create trigger refuse before insert or update on order_detail_g1 for each row
         when (new.order_id = '{order}') execute function refuse()"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(refuse))
        .execute(desk.db.admin())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_order_is_told_and_no_other_is_touched() {
    let desk = Desk::open().await;
    let order = desk.draft("c-1", "k1").await;
    desk.caught_up().await;
    refuse(&desk, &order).await;
    let mut live = desk.follow(
        &staff(),
        "subscription($id: ID!) { orderUpdated(id: $id) { event { type } order { version } } }",
        json!({"id": order}),
    );
    live.next().await;
    let line = json!({"order": order, "line": 1, "quantity": 7});
    desk.done("setLineQuantity", line, "").await;
    let at = eventually(WITHIN, async || {
        let found: Option<(i16, i64)> = sqlx::query_as(
            r#"select partition, "offset" from dead_letters where projection = 'order_detail' and class is not null"#,
        )
        .fetch_optional(desk.db.admin())
        .await
        .unwrap();
        found
    })
    .await;
    let at = json!([{"partition": at.0, "offset": at.1.to_string()}]);

    let told = desk.ask(&staff(), ONE, json!({"id": order, "at": at})).await;
    assert_eq!(code(&told), "PARKED", "{told}");
    assert_eq!(told["errors"][0]["extensions"]["readModel"], "order_detail");
    assert_eq!(told["errors"][0]["extensions"]["offset"], at[0]["offset"]);
    let there = desk.data(&staff(), ONE, json!({"id": order})).await;
    assert_eq!(there["order"]["lines"][0]["quantity"], 2, "{there}");
    let listed = desk.data(&staff(), LIST, json!({})).await;
    assert_eq!(listed["orders"]["nodes"][0]["id"], json!(order), "{listed}");

    // Whoever follows is told of the event, and that the order cannot be shown; the stream goes on.
    let message = live.answer().await;
    assert_eq!(code(&message), "PARKED", "{message}");
    let other = desk.draft("c-2", "k2").await;
    let five = json!({"order": other, "line": 1, "quantity": 5});
    let done = desk
        .done("setLineQuantity", five, "position { partition offset }")
        .await;
    let fine = json!({"id": other, "at": [done["position"]]});
    let fine = desk.data(&staff(), ONE, fine).await;
    assert_eq!(fine["order"]["lines"][0]["quantity"], 5, "{fine}");

    sqlx::raw_sql("drop trigger refuse on order_detail_g1")
        .execute(desk.db.admin())
        .await
        .unwrap();
    docket_projections::dead_letter::retry(desk.db.admin(), "order_detail", None)
        .await
        .unwrap();
    eventually(WITHIN, async || {
        let shown = desk.ask(&staff(), ONE, json!({"id": order, "at": at})).await;
        (shown["data"]["order"]["lines"][0]["quantity"] == 7).then_some(())
    })
    .await;
    let last: Value = desk
        .done(
            "setLineQuantity",
            json!({"order": order, "line": 1, "quantity": 9}),
            "",
        )
        .await;
    assert!(last.is_object(), "{last}");
    let message = live.next().await;
    assert_eq!(
        message["event"]["type"], "order.line_quantity_changed",
        "{message}"
    );
}
