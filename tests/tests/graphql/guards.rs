//! Who may ask for what: every root field as every role, and what a role must not reach through what it may ask for.

use crate::desk::{Desk, code};
use docket::{auth::Caller, graphql};
use docket_domain::Role;
use serde_json::{Value, json};

const ROLES: [Option<Role>; 6] = [
    None,
    Some(Role::Customer),
    Some(Role::Staff),
    Some(Role::Operator),
    Some(Role::Service),
    Some(Role::Gateway),
];

/// Each role asks for each root field; the guard answers before the field does.
#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_a_role_does_not_have_is_refused_before_anything_runs() {
    let desk = Desk::open().await;
    let guards = graphql::guards();
    for role in ROLES {
        let caller = role.map_or(Caller::Anonymous, |role| Caller::known(role, "x"));
        for parent in ["Mutation", "Query", "Subscription"] {
            for field in guards.fields_of(parent) {
                // Without its arguments: what the guard lets through, the engine refuses.
                let query = format!("{} {{ {field} {{ __typename }} }}", parent.to_lowercase());
                let answer = match parent {
                    "Subscription" => desk.follow(&caller, &query, json!({})).answer().await,
                    _ => desk.ask(&caller, &query, json!({})).await,
                };
                let code = answer["errors"][0]["extensions"]["code"].as_str();
                let admitted = guards.roles(parent, field).is_some_and(|roles| roles.admit(role));
                let denied = if role.is_none() {
                    "UNAUTHENTICATED"
                } else {
                    "FORBIDDEN"
                };
                assert_eq!(
                    code == Some(denied),
                    !admitted,
                    "{role:?} {parent}.{field}: {answer}"
                );
            }
        }
    }
    assert!(desk.store.feed().heads().iter().all(|head| *head == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_is_not_passed_by_an_alias_a_fragment_or_a_second_operation() {
    let desk = Desk::open().await;
    let customer = Caller::known(Role::Customer, "c-1");
    for query in [
        "{ mine: events(partition: 0) { endCursor } }",
        "{ ... { events(partition: 0) { endCursor } } }",
        "{ ... on Query { ...f } } fragment f on Query { events(partition: 0) { endCursor } }",
        "{ orders { pageInfo { hasNextPage } } events(partition: 0) @skip(if: true) { endCursor } }",
    ] {
        let answer = desk.ask(&customer, query, json!({})).await;
        assert_eq!(code(&answer), "FORBIDDEN", "{query}");
        assert_eq!(answer["data"], Value::Null, "{query}");
    }
    // What is not run is not asked for.
    let two = async_graphql::Request::new(
        "query a { orders { pageInfo { hasNextPage } } } query b { events { endCursor } }",
    );
    let answer = async_graphql::Executor::execute(&desk.api, two.operation_name("a").data(customer)).await;
    assert!(answer.errors.is_empty(), "{:?}", answer.errors);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_sees_its_payment_and_never_the_order_behind_it() {
    let desk = Desk::open().await;
    let order = desk.placed("c-1", "k").await;
    let input = json!({"order": order, "amount": crate::desk::eur(2_500), "captureMethod": "MANUAL", "gateway": "acme",
                       "method": {"type": "card", "last4": "4242", "token": "tok_secret"}, "idempotencyKey": "p"});
    let payment = desk.done("initiatePayment", input, "payment { id }").await["payment"]["id"].take();
    let acme = Caller::known(Role::Gateway, "acme");
    let input = json!({"input": {"payment": payment, "reference": "a-1", "at": chrono::Utc::now()}});
    let with_order = "mutation($input: RecordAuthorizationInput!) {
        recordAuthorization(input: $input) { order { name } version } }";
    assert_eq!(
        code(&desk.ask(&acme, with_order, input.clone()).await),
        "FORBIDDEN"
    );
    let with_payment = "mutation($input: RecordAuthorizationInput!) { recordAuthorization(input: $input) {
        payment { status method { type last4 } authorized { amount } } userErrors { message } } }";
    let answer = desk.data(&acme, with_payment, input.clone()).await;
    let method = json!({"type": "card", "last4": "4242"});
    let expected = json!({"status": "AUTHORIZED", "method": method, "authorized": {"amount": "25.00"}});
    assert_eq!(answer["recordAuthorization"]["payment"], expected);
    let staff = desk.ask(&crate::desk::staff(), with_payment, input).await;
    assert_eq!(
        code(&staff),
        "FORBIDDEN",
        "the desk does not speak for a gateway: {staff}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_type_system_is_open_to_everybody_and_to_the_standard_tools() {
    let desk = Desk::open().await;
    let answer = desk.data(&Caller::Anonymous, INTROSPECTION, json!({})).await;
    assert_eq!(answer["__schema"]["queryType"]["name"], "Query");
    assert_eq!(answer["__typename"], "Query");
}

/// As graphql-js writes it.
const INTROSPECTION: &str = "query IntrospectionQuery { __typename __schema { description queryType { name kind } mutationType { name kind } subscriptionType { name kind } types { ...FullType } directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } } } }
fragment FullType on __Type { kind name description specifiedByURL isOneOf fields(includeDeprecated: true) { name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason } inputFields(includeDeprecated: true) { ...InputValue } interfaces { ...TypeRef } enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } possibleTypes { ...TypeRef } }
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } } }";
