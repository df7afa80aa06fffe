//! A client in Rust: cynic, whose operations are compiled against `api/schema.graphql`, over HTTP against the real server.

use cynic::{MutationBuilder, QueryBuilder};
use docket_domain::Role;
use docket_tests::server::{Ask, Client, Server, token};
use docket_tests::{TestDatabase, database};
use futures::future::join_all;
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

#[cynic::schema("docket")]
mod schema {}

/// Lines that are added at once.
const AT_ONCE: usize = 10;

#[derive(cynic::Scalar, Debug, Clone, PartialEq)]
struct BigInt(String);

#[derive(cynic::Scalar, Debug, Clone, PartialEq)]
struct Currency(String);

#[derive(cynic::InputObject, Debug, Clone)]
struct MoneyInput {
    amount_minor: BigInt,
    currency: Currency,
}

#[derive(cynic::InputObject, Debug, Clone)]
struct LineInput {
    sku: String,
    name: String,
    quantity: i32,
    unit_price: MoneyInput,
}

#[derive(cynic::InputObject, Debug, Clone)]
struct CreateOrderInput {
    channel: String,
    currency: Currency,
    locale: String,
    idempotency_key: String,
}

#[derive(cynic::InputObject, Debug, Clone)]
struct AddLineInput {
    order: cynic::Id,
    line: LineInput,
    idempotency_key: Option<String>,
}

#[derive(cynic::QueryVariables)]
struct Create {
    input: CreateOrderInput,
}

#[derive(cynic::QueryVariables)]
struct Add {
    input: AddLineInput,
}

#[derive(cynic::QueryVariables)]
struct Find {
    id: cynic::Id,
}

#[derive(cynic::QueryFragment, Debug)]
struct Money {
    amount_minor: BigInt,
    currency: Currency,
}

#[derive(cynic::QueryFragment, Debug)]
struct OrderTotals {
    grand: Money,
}

#[derive(cynic::QueryFragment, Debug)]
struct OrderLine {
    sku: String,
    quantity: i32,
}

#[derive(cynic::QueryFragment, Debug)]
struct Order {
    id: cynic::Id,
    version: i32,
    totals: Option<OrderTotals>,
    lines: Option<Vec<OrderLine>>,
}

#[derive(cynic::QueryFragment, Debug)]
struct UserError {
    message: String,
}

#[derive(cynic::QueryFragment, Debug)]
struct CreateOrderPayload {
    order: Option<Order>,
    user_errors: Vec<UserError>,
}

#[derive(cynic::QueryFragment, Debug)]
struct AddLinePayload {
    order: Option<Order>,
    user_errors: Vec<UserError>,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(graphql_type = "Mutation", variables = "Create")]
struct CreateOrder {
    #[arguments(input: $input)]
    create_order: Option<CreateOrderPayload>,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(graphql_type = "Mutation", variables = "Add")]
struct AddLine {
    #[arguments(input: $input)]
    add_line: Option<AddLinePayload>,
}

#[derive(cynic::QueryFragment, Debug)]
#[cynic(graphql_type = "Query", variables = "Find")]
struct FindOrder {
    #[arguments(id: $id)]
    order: Option<Order>,
}

/// Runs an operation as cynic writes it, and reads the answer into cynic's types.
async fn run<T: DeserializeOwned, V: Serialize>(client: &Client, operation: cynic::Operation<T, V>) -> T {
    let body = serde_json::to_vec(&operation).unwrap();
    let reply = client.ask(Ask::post(body)).await;
    let answer: cynic::GraphQlResponse<T> = serde_json::from_value(reply.json()).unwrap();
    assert!(answer.errors.is_none(), "{:?}", answer.errors);
    answer.data.unwrap()
}

fn expect_none(errors: &[UserError]) {
    let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    assert!(messages.is_empty(), "{messages:?}");
}

fn line(number: usize) -> LineInput {
    LineInput {
        sku: format!("tea-{number}"),
        name: "Tea".into(),
        quantity: 1,
        unit_price: MoneyInput {
            amount_minor: BigInt("250".into()),
            currency: Currency("EUR".into()),
        },
    }
}

async fn client(db: &TestDatabase, server: &Server) -> Client {
    server.client(token(db, Role::Staff, "s-1").await)
}

/// Nobody named a version, so who loses a race is decided again, inside: no line is lost and nobody has to try again.
#[tokio::test(flavor = "multi_thread")]
async fn ten_lines_added_at_once_all_arrive() {
    let db = database().await;
    let server = Server::start(&db).await;
    let desk = Arc::new(client(&db, &server).await);
    let input = CreateOrderInput {
        channel: "web".into(),
        currency: Currency("EUR".into()),
        locale: "en-GB".into(),
        idempotency_key: "draft".into(),
    };
    let created = run(&desk, CreateOrder::build(Create { input })).await;
    let created = created.create_order.unwrap();
    expect_none(&created.user_errors);
    let draft = created.order.unwrap().id;

    let adding = (0..AT_ONCE).map(|number| {
        let (desk, order) = (Arc::clone(&desk), draft.clone());
        let input = AddLineInput {
            order,
            line: line(number),
            idempotency_key: Some(format!("line-{number}")),
        };
        async move { run(&desk, AddLine::build(Add { input })).await }
    });
    for added in join_all(adding).await {
        let added = added.add_line.unwrap();
        expect_none(&added.user_errors);
        let lines = added.order.unwrap().lines.unwrap();
        assert!((1..=AT_ONCE).contains(&lines.len()), "{lines:?}");
    }

    // What a mutation answers is the log's; the read model comes after it.
    let found = docket_tests::eventually(std::time::Duration::from_secs(20), async || {
        let found = run(&desk, FindOrder::build(Find { id: draft.clone() })).await;
        found.order.filter(|order| order.version == 1 + AT_ONCE as i32)
    })
    .await;
    let lines = found.lines.unwrap().into_iter();
    let mut lines: Vec<(String, i32)> = lines.map(|line| (line.sku, line.quantity)).collect();
    lines.sort();
    let expected: Vec<(String, i32)> = (0..AT_ONCE).map(|number| (format!("tea-{number}"), 1)).collect();
    assert_eq!(lines, expected);
    let grand = found.totals.unwrap().grand;
    assert_eq!(grand.amount_minor, BigInt("2500".into()));
    assert_eq!(grand.currency, Currency("EUR".into()));
}
