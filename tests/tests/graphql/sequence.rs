//! An answer has its fields in the order in which the query names them, however long each took.

use crate::desk::{Desk, staff};
use async_graphql::{Executor, Request, Variables};
use docket::json::{self, TakesJson};
use serde_json::{Value, json};

/// The text of an answer's data, as it goes to the caller: the same whether it was made by way of values or not.
pub(crate) async fn text(desk: &Desk, query: &str, variables: Value) -> String {
    let request = || {
        Request::new(query)
            .variables(Variables::from_json(variables.clone()))
            .data(staff())
    };
    let values = desk.api.execute(request()).await;
    let values = serde_json::to_string(&values.data).unwrap();
    let json = desk.api.execute(request().data(TakesJson)).await;
    let mut text = Vec::new();
    json::write(&json.data, &mut text).unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), values);
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_wait_for_the_database_keep_their_place() {
    let desk = Desk::open().await;
    let id = desk.draft("ada", "k").await;
    let at = json!({"id": id, "at": desk.now()});
    let caught_up = "query($id: ID!, $at: [PositionInput!]) { order(id: $id, minPosition: $at) { id }
        orders(minPosition: $at) { totalCount { count } } }";
    desk.data(&staff(), caught_up, at.clone()).await;
    // The engine knows the names of types at once, and everything else later.
    let query = "query($id: ID!, $at: [PositionInput!]) {
        order(id: $id, minPosition: $at) { version } a: __typename
        ...f b: __typename ... { __typename } }
        fragment f on Query { node(id: $id) { id } orders { totalCount { count } edges { node { status version } } } }";
    assert_eq!(
        text(&desk, query, at.clone()).await,
        format!(
            r#"{{"order":{{"version":2}},"a":"Query","node":{{"id":"{id}"}},"orders":{{"totalCount":{{"count":1}},"edges":[{{"node":{{"status":"DRAFT","version":2}}}}]}},"b":"Query","__typename":"Query"}}"#
        )
    );
    // A field that failed stands where it was asked for, and one that was skipped does not stand anywhere.
    let query = "query($id: ID!) { bad: node(id: \"x\") { id } gone: __typename @skip(if: true) a: __typename
        order(id: $id) { version ...v id } order(id: $id) { status } } fragment v on Order { status number }";
    assert_eq!(
        text(&desk, query, at).await,
        format!(
            r#"{{"bad":null,"a":"Query","order":{{"version":2,"status":"DRAFT","number":null,"id":"{id}"}}}}"#
        )
    );
    // What is asked for in several places is one answer: the same leaf, and the fields of an object from all of them.
    let query = "query($id: ID!) { order(id: $id) { id ...g totals { grand { amountMinor } }
        ... on Node { id } other: id lines { sku } lines { line sku } } }
        fragment g on Order { id totals { grand { currency } shipping { amountMinor } } }";
    assert_eq!(
        text(&desk, query, json!({"id": id})).await,
        format!(
            r#"{{"order":{{"id":"{id}","totals":{{"grand":{{"currency":"EUR","amountMinor":"2000"}},"shipping":{{"amountMinor":"0"}}}},"other":"{id}","lines":[{{"sku":"tea","line":1}}]}}}}"#
        )
    );
    // A selection of which everything is skipped is an empty object, and is merged as any other.
    let query = "query($id: ID!) { order(id: $id) { lines { sku @skip(if: true) } lines { name } totals { tax @include(if: false) { currency } } } }";
    assert_eq!(
        text(&desk, query, json!({"id": id})).await,
        r#"{"order":{"lines":[{"name":"Tea"}],"totals":{}}}"#
    );
    let query = "query($id: ID!) { order(id: $id) { lines { ...l ... @skip(if: true) { sku } } } }
        fragment l on OrderLine { quantity line @include(if: false) unitPrice { amountMinor @skip(if: true) currency } }";
    assert_eq!(
        text(&desk, query, json!({"id": id})).await,
        r#"{"order":{"lines":[{"quantity":2,"unitPrice":{"currency":"EUR"}}]}}"#
    );
    // In the answer of a mutation, too: the order is read after the rest is known.
    let query = "mutation($input: SetLineQuantityInput!) { setLineQuantity(input: $input) {
        order { version id } version userErrors { code } } }";
    let input = json!({"input": {"order": id, "line": 1, "quantity": 3}});
    assert_eq!(
        text(&desk, query, input).await,
        format!(
            r#"{{"setLineQuantity":{{"order":{{"version":3,"id":"{id}"}},"version":3,"userErrors":[]}}}}"#
        )
    );
}
