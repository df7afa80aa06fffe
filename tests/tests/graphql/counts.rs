//! A list says how many it has, honestly: exact up to a limit, counted by one bounded statement, and only when asked.

use crate::desk::{Desk, customer, staff};
use serde_json::{Value, json};
use sqlx::Connection;

const COUNT: &str = "query($first: Int, $after: String, $filter: OrderFilter, $at: [PositionInput!]) {
    orders(first: $first, after: $after, filter: $filter, minPosition: $at) {
        edges { cursor } totalCount { count precision } } }";

async fn count(desk: &Desk, caller: &docket::auth::Caller, variables: Value) -> Value {
    desk.data(caller, COUNT, variables).await["orders"]["totalCount"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_is_of_the_whole_list_and_of_what_its_caller_may_see() {
    let desk = Desk::open().await;
    for n in 0..5 {
        desk.draft(if n < 3 { "ada" } else { "bob" }, &format!("k-{n}"))
            .await;
    }
    let at = desk.now();
    let exact = |count: i32| json!({"count": count, "precision": "EXACT"});
    assert_eq!(count(&desk, &staff(), json!({"at": at})).await, exact(5));
    for first in [0, 2, 5] {
        assert_eq!(
            count(&desk, &staff(), json!({"first": first})).await,
            exact(5),
            "{first}"
        );
    }
    let page = desk.data(&staff(), COUNT, json!({"first": 4})).await;
    let last = &page["orders"]["edges"][3]["cursor"];
    assert_eq!(
        count(&desk, &staff(), json!({"first": 4, "after": last})).await,
        exact(5)
    );
    let filter = json!({"first": 1, "filter": {"customer": "ada"}});
    assert_eq!(count(&desk, &staff(), filter.clone()).await, exact(3));
    assert_eq!(
        count(&desk, &customer("ada"), json!({"first": 1})).await,
        exact(3)
    );
    assert_eq!(count(&desk, &customer("bob"), filter).await, exact(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_above_its_limit_says_so() {
    let desk = Desk::open().await;
    desk.draft("ada", "k").await;
    count(&desk, &staff(), json!({"at": desk.now()})).await;
    let mut connection = sqlx::PgConnection::connect_with(&desk.db.connect_options())
        .await
        .unwrap();
    let columns: Vec<String> = sqlx::query_scalar(
        "select column_name::text from information_schema.columns where table_name = 'order_summary_g1'
          and column_name <> 'order_id' order by ordinal_position",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let columns = columns
        .iter()
        .map(|name| format!("\"{name}\""))
        .collect::<Vec<_>>()
        .join(", ");
    let copy = |rows: i32| {
        format!(
            "insert into order_summary_g1 (order_id, {columns})
             select gen_random_uuid(), {columns} from (select * from order_summary_g1 limit 1) o, generate_series(1, {rows})"
        )
    };
    for (rows, expected) in [
        (9_999, json!({"count": 10_000, "precision": "EXACT"})),
        (1, json!({"count": 10_000, "precision": "AT_LEAST"})),
        (5_000, json!({"count": 10_000, "precision": "AT_LEAST"})),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(copy(rows)))
            .execute(&mut connection)
            .await
            .unwrap();
        assert_eq!(count(&desk, &staff(), json!({"first": 1})).await, expected);
    }
}
