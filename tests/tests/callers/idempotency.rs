//! A caller is its kind and its id, not its token: who comes back with another token is the same.

use crate::door::{Door, create};
use docket_domain::Role;
use docket_tests::identity_provider::{SigningKey, claims};
use serde_json::{Value, json};

#[tokio::test]
async fn a_renewed_token_meets_its_earlier_command() {
    let key = SigningKey::es256("k");
    let (door, _provider) = Door::with(&[&key]).await;
    let at = |seconds: i64| {
        let mut claims = claims("ada", json!("customer"));
        claims["exp"] = json!(chrono::Utc::now().timestamp() + seconds);
        key.token(&claims)
    };
    let (first, renewed) = (at(60), at(600));
    assert_ne!(first, renewed);
    let made = async |token: &str| {
        door.client(token)
            .mutate("createOrder", create("ada", "once"))
            .await
            .data()
    };
    let order = made(&first).await;
    assert_eq!(made(&renewed).await, order);
    // The same person with a token of the shop's own.
    let known = door.known(Role::Customer, "ada").await;
    assert_eq!(
        known.mutate("createOrder", create("ada", "once")).await.data(),
        order
    );
    let written = json!({"at": [order["position"]]});
    let orders =
        "query($at: [PositionInput!]) { orders(minPosition: $at) { edges { node { id customer } } } }";
    let listed = door.client(&renewed).run(orders, written).await;
    assert_eq!(listed.data()["edges"].as_array().map(Vec::len), Some(1));

    // Somebody else's key of the same name is another one, also where only the role differs.
    let other = door.client(key.token(&claims("eve", json!("customer"))));
    let others = other.mutate("createOrder", create("eve", "once")).await.data();
    assert_ne!(others["order"]["id"], order["order"]["id"]);
    let staff = door.client(key.token(&claims("ada", json!("staff"))));
    let theirs = staff.mutate("createOrder", create("ada", "once")).await.data();
    assert_ne!(theirs["order"]["id"], order["order"]["id"]);
}

/// The same walls as with the shop's own tokens.
#[tokio::test]
async fn a_customer_of_the_provider_sees_their_own_orders_alone() {
    let key = SigningKey::ed25519("k");
    let (door, _provider) = Door::with(&[&key]).await;
    let customer = |id: &str| door.client(key.token(&claims(id, json!("customer"))));
    let (ada, eve) = (customer("ada"), customer("eve"));
    let order = ada.mutate("createOrder", create("ada", "k")).await.data();
    let id = order["order"]["id"].clone();
    let query = "query($id: ID!, $at: [PositionInput!]) { order(id: $id, minPosition: $at) { id customer } }";
    let asked = json!({"id": id, "at": [order["position"]]});
    assert_eq!(ada.run(query, asked.clone()).await.data()["customer"], "ada");
    assert_eq!(eve.run(query, asked).await.data(), Value::Null);
    let cancelled = eve
        .mutate("cancelOrder", json!({"order": id, "reason": "r"}))
        .await;
    assert_eq!(cancelled.code(), "NOT_FOUND");
}
