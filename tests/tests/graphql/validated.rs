//! A document that is known to be valid is as strict about its variables as one that is seen for the first time.

use crate::desk::{Desk, staff};
use serde_json::{Value, json};

const LIST: &str = "query($first: Int = 2, $filter: OrderFilter, $sort: OrderSort, $show: Boolean!) {
    orders(first: $first, filter: $filter, sort: $sort) { nodes { id version @include(if: $show) } } }";
const BY_IDS: &str = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
const CHANGE: &str = "mutation($input: SetLineQuantityInput!) {
    setLineQuantity(input: $input) { version userErrors { code } } }";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_variables_is_said_however_often_a_document_came() {
    let desk = Desk::open().await;
    let order = desk.draft("ada", "k").await;
    let line = json!({"order": order, "line": 1, "quantity": 2});
    let cases: [(&str, Value, &[Value]); 3] = [
        (
            LIST,
            json!({"show": true, "filter": {"status": ["DRAFT"]}}),
            &[
                json!({}),
                json!({"show": null}),
                json!({"show": "yes"}),
                json!({"show": true, "first": "2"}),
                json!({"show": true, "first": 1.5}),
                json!({"show": true, "first": 5_000_000_000_i64}),
                json!({"show": true, "filter": {"status": ["DRAFTED"]}}),
                json!({"show": true, "filter": {"state": "DRAFT"}}),
                json!({"show": true, "filter": {"createdFrom": "yesterday"}}),
                json!({"show": true, "filter": "DRAFT"}),
                json!({"show": true, "sort": {"field": 1}}),
            ],
        ),
        (
            BY_IDS,
            json!({"ids": [order]}),
            &[
                json!({}),
                json!({"ids": null}),
                json!({"ids": [null]}),
                json!({"ids": [true]}),
                json!({"ids": {"id": order}}),
            ],
        ),
        (
            CHANGE,
            json!({"input": line}),
            &[
                json!({"input": {"order": order, "line": 1}}),
                json!({"input": {"order": order, "line": 1, "quantity": null}}),
                json!({"input": {"order": order, "line": "1", "quantity": 2}}),
                json!({"input": {"order": order, "line": 1, "quantity": 2, "price": 1}}),
                json!({"input": [line]}),
            ],
        ),
    ];
    for (query, good, bad) in cases {
        let mut first = Vec::new();
        for variables in bad {
            let answer = desk.ask(&staff(), query, variables.clone()).await;
            assert!(answer["errors"].is_array(), "{variables}: {answer}");
            first.push(answer["errors"].clone());
        }
        let data = desk.data(&staff(), query, good.clone()).await;
        for (variables, first) in bad.iter().zip(first) {
            let again = desk.ask(&staff(), query, variables.clone()).await;
            assert_eq!(again["errors"], first, "{variables}");
            assert_eq!(again["data"], Value::Null, "{variables}");
        }
        let again = desk.data(&staff(), query, good).await;
        assert_eq!(again.as_object().unwrap().len(), data.as_object().unwrap().len());
    }
    // Where a variable has no value the engine does not look at the argument that it stands in.
    let mixed = "query($customer: ID, $first: Int) { orders(first: $first, filter: {state: 1, customer: $customer}) { nodes { id } } }";
    desk.ask(&staff(), mixed, json!({})).await;
    let whole = desk
        .ask(&staff(), mixed, json!({"customer": "ada", "first": 1}))
        .await;
    assert!(whole["errors"].is_array(), "there is no `state`: {whole}");
    // One with a default may stand where there must be a value; null is none.
    let skipped =
        "query($skip: Boolean = true) { orders(first: 1) { nodes { id @skip(if: $skip) version } } }";
    desk.data(&staff(), skipped, json!({"skip": false})).await;
    let none = desk.ask(&staff(), skipped, json!({"skip": null})).await;
    assert!(none["errors"].is_array(), "{none}");
    // One value stands for a list of one, and a variable that may be left out is.
    let one = desk.data(&staff(), BY_IDS, json!({"ids": order})).await;
    assert_eq!(one["nodes"][0]["id"], json!(order));
    let list = desk.data(&staff(), LIST, json!({"show": false})).await;
    assert_eq!(list["orders"]["nodes"], json!([{"id": order}]));
}

/// The operations of one document are each known by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn a_document_with_two_operations_runs_the_one_that_is_named() {
    let desk = Desk::open().await;
    let order = desk.draft("ada", "k").await;
    let query = "query A($id: ID!) { order(id: $id, minPosition: []) { id } }
        query B { orders { nodes { version } } }";
    desk.caught_up().await;
    for _ in 0..3 {
        let a = desk.operation(query, "A", json!({"id": order})).await;
        assert_eq!(a["data"], json!({"order": {"id": order}}), "{a}");
        let b = desk.operation(query, "B", json!({})).await;
        assert_eq!(b["data"], json!({"orders": {"nodes": [{"version": 2}]}}), "{b}");
        let none = desk.operation(query, "A", json!({})).await;
        assert!(none["errors"].is_array(), "{none}");
    }
}
