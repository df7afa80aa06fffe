//! Cursors that are forged, foreign, too old or ahead of the log are refused with what to do.

use crate::desk::{Desk, code, staff};
use serde_json::{Value, json};

const CHANGED: &str =
    "subscription($after: String) { ordersChanged(after: $after) { cursor event { type } } }";
const UPDATED: &str =
    "subscription($id: ID!, $after: String) { orderUpdated(id: $id, after: $after) { cursor } }";

async fn refused(desk: &Desk, query: &str, variables: Value) -> String {
    let mut stream = desk.follow(&staff(), query, variables);
    let answer = stream.answer().await;
    assert_eq!(code(&answer), "BAD_USER_INPUT");
    assert!(stream.is_over().await);
    answer["errors"][0]["message"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_is_none_is_refused() {
    let desk = Desk::open().await;
    let order = desk.draft("c-1", "k").await;
    let list = "query($after: String) { orders(after: $after) { edges { cursor } } }";
    let page = desk
        .data(
            &staff(),
            "{ orders(minPosition: []) { pageInfo { endCursor } } }",
            json!({}),
        )
        .await;
    let of_stream = desk.follow(&staff(), CHANGED, json!({})).next().await["cursor"].take();
    for forged in [
        json!(""),
        json!("x"),
        json!("AQ"),
        json!("A".repeat(100_000)),
        json!("\u{0}"),
        of_stream,
    ] {
        let answer = desk.ask(&staff(), list, json!({"after": forged})).await;
        assert_eq!(code(&answer), "BAD_USER_INPUT", "{forged:.40}");
    }
    let of_page = page["orders"]["pageInfo"]["endCursor"].clone();
    for forged in [json!("x"), json!("A".repeat(100_000)), of_page] {
        if forged.is_string() {
            refused(&desk, CHANGED, json!({"after": forged})).await;
            refused(&desk, UPDATED, json!({"id": order, "after": forged})).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_log_or_ahead_of_this_one_is_refused_with_the_remedy() {
    let (desk, other) = (Desk::open().await, Desk::open().await);
    let order = desk.draft("c-1", "k").await;
    let cursor = desk.follow(&staff(), CHANGED, json!({})).next().await["cursor"].take();
    // The other log is empty: the cursor is ahead of it.
    let message = refused(&other, CHANGED, json!({"after": cursor})).await;
    assert!(
        message.contains("which ends at 0") && message.contains("query what you show anew"),
        "{message}"
    );
    // Now it has as many events, and they are others.
    let same_id = json!({"order": order, "customer": "c-1", "channel": "web", "currency": "EUR", "locale": "de",
                         "idempotencyKey": "k"});
    other.done("createOrder", same_id, "").await;
    let line = json!({"sku": "tea", "name": "Tea", "quantity": 2, "unitPrice": crate::desk::eur(1_000)});
    other
        .done("addLine", json!({"order": order, "line": line}), "")
        .await;
    let message = refused(&other, CHANGED, json!({"after": cursor})).await;
    assert!(message.contains("holds another event"), "{message}");
    // A cursor over one partition does not say where the others are.
    let narrow = desk.follow(&staff(), UPDATED, json!({"id": order})).next().await["cursor"].take();
    refused(&desk, CHANGED, json!({"after": narrow})).await;
    // One over all of them says where this one is.
    let mut stream = desk.follow(&staff(), UPDATED, json!({"id": order, "after": cursor}));
    assert!(stream.next().await["cursor"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_is_too_old_is_refused_with_the_remedy() {
    let desk = Desk::open().await;
    let order = desk.draft("c-1", "k").await;
    let cursor = desk.follow(&staff(), CHANGED, json!({})).next().await["cursor"].take();
    // A log that has grown by more than a stream goes back.
    sqlx::query("update heads set head = head + 100001 where partition = $1")
        .bind(desk.store.partition_of(order.parse().unwrap()) as i16)
        .execute(desk.db.admin())
        .await
        .unwrap();
    let later = desk.another().await;
    let message = refused(&later, CHANGED, json!({"after": cursor})).await;
    assert!(
        message.contains("is 100001 events old; a stream goes back 100000 at most")
            && message.contains("query what you show anew"),
        "{message}"
    );
}

/// A reader that came back to the last cursor would otherwise read all again that was not for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_which_nothing_happens_says_each_fifteen_seconds_where_it_stands() {
    let desk = Desk::open().await;
    desk.draft("c-1", "k").await;
    let sent =
        "subscription { notifications(recipient: \"customer:c-1\") { cursor notification { number } } }";
    let quiet = async |query: &str| {
        let mut stream = desk.follow(&staff(), query, json!({}));
        let (first, second) = (stream.next().await, stream.next().await);
        assert_eq!(first["cursor"], second["cursor"], "{query}");
        assert!(second["cursor"].is_string(), "{second}");
        assert!(
            second["event"].is_null() && second["notification"].is_null(),
            "{second}"
        );
    };
    tokio::join!(quiet(CHANGED), quiet(sent));
}
