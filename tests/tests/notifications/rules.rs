//! What each rule says, and to whom.

use crate::shop::{
    asked, customer, eur, facts, placing, promising, run, run_all, run_as, sending, start, taking, told,
    whole,
};
use docket_domain::Subject;
use docket_event_store::Origin;
use docket_projections::reactors::notifications::Fact;
use docket_tests::{database, orders::new_order};
use serde_json::json;

fn is_paid(fact: &Fact, of: i64) -> bool {
    matches!(fact, Fact::OrderPaid { amount, .. } if *amount == of)
}

fn is_shipped(fact: &Fact, number: u16, all: bool) -> bool {
    matches!(fact, Fact::OrderShipped { shipment, complete, .. } if (*shipment, *complete) == (number, all))
}

/// Neither a promise nor a part of the money is a payment, and money that goes back does not make it one again.
#[tokio::test]
async fn an_order_is_paid_once_what_was_taken_covers_what_is_due() {
    let db = database().await;
    let store = db.store().await;
    let projections = start(&store).await;
    let (order, ada) = (new_order(), customer("ada"));
    run_all(&store, placing(order, Some("ada"))).await;
    run_all(&store, promising(order)).await;
    run_all(&store, taking(order, 1, 2_000)).await;
    asked(&projections, &store).await;
    assert_eq!(told(&store, &ada).await, []);

    let at = run_all(&store, taking(order, 2, 2_500)).await;
    asked(&projections, &store).await;
    let rows = told(&store, &ada).await;
    assert!(is_paid(&rows[0].fact, 4_500), "{rows:?}");
    assert_eq!(
        (rows.len(), rows[0].number, rows[0].order, rows[0].position),
        (1, 1, order, at)
    );

    let payment = format!("{order}-p1");
    for command in [
        json!({"command": "refundPayment", "payment": payment, "amount": eur(1_000), "reason": "late"}),
        json!({"command": "recordRefund", "payment": payment, "refund": 1, "reference": "r-1", "at": chrono::Utc::now()}),
    ] {
        run(&store, command).await;
    }
    asked(&projections, &store).await;
    assert_eq!(told(&store, &ada).await, rows);
    projections.stop().await;
}

/// What was taken covers the order also when its rest is cancelled.
#[tokio::test]
async fn an_order_is_paid_when_its_unpaid_rest_is_cancelled() {
    let db = database().await;
    let store = db.store().await;
    let projections = start(&store).await;
    let order = new_order();
    run_all(&store, placing(order, Some("ada"))).await;
    run_all(&store, promising(order)).await;
    run_all(&store, taking(order, 1, 3_500)).await;
    let lines = json!([{"line": 1, "quantity": 1}]);
    run(
        &store,
        json!({"command": "cancelLines", "order": order, "lines": lines, "reason": "sold out"}),
    )
    .await;
    asked(&projections, &store).await;
    let rows = told(&store, &customer("ada")).await;
    assert!(rows.len() == 1 && is_paid(&rows[0].fact, 3_500), "{rows:?}");
    projections.stop().await;
}

#[tokio::test]
async fn each_shipment_is_told_and_the_last_one_says_so() {
    let db = database().await;
    let store = db.store().await;
    let projections = start(&store).await;
    let order = new_order();
    run_all(&store, placing(order, Some("ada"))).await;
    run_all(&store, promising(order)).await;
    run_all(&store, sending(order, 1, 1)).await;
    run_all(&store, sending(order, 2, 3)).await;
    asked(&projections, &store).await;
    let rows = told(&store, &customer("ada")).await;
    assert!(
        rows.len() == 2 && is_shipped(&rows[0].fact, 1, false) && is_shipped(&rows[1].fact, 2, true),
        "{rows:?}"
    );
    projections.stop().await;
}

/// The rules see an order as it was at the event, also where the reactor comes by long after, with an empty memory.
#[tokio::test]
async fn what_is_said_does_not_depend_on_when_the_reactor_comes_by() {
    let db = database().await;
    let store = db.store().await;
    let orders = [new_order(), new_order()];
    let commands = |customer| {
        move |order| {
            [
                placing(order, Some(customer)),
                promising(order),
                sending(order, 1, 1),
                taking(order, 1, 2_000),
                sending(order, 2, 3),
                taking(order, 2, 2_500),
            ]
            .concat()
        }
    };
    let projections = start(&store).await;
    for command in commands("live")(orders[0]) {
        run(&store, command).await;
        asked(&projections, &store).await;
    }
    projections.stop().await;
    run_all(&store, commands("late")(orders[1])).await;
    let projections = start(&store).await;
    asked(&projections, &store).await;
    let without_number = |rows: Vec<_>| -> Vec<String> {
        facts(&rows)
            .iter()
            .map(|fact| format!("{fact:?}").split(", number").next().unwrap().to_owned())
            .collect()
    };
    let live = without_number(told(&store, &customer("live")).await);
    assert_eq!(live.len(), 3);
    assert_eq!(live, without_number(told(&store, &customer("late")).await));
    projections.stop().await;
}

/// An order without a customer speaks to whoever that one order is for.
#[tokio::test]
async fn an_order_without_a_customer_has_itself_as_the_recipient() {
    let db = database().await;
    let store = db.store().await;
    let projections = start(&store).await;
    let order = new_order();
    run_all(&store, whole(order, None)).await;
    asked(&projections, &store).await;
    assert_eq!(told(&store, &Subject::Order(order)).await.len(), 2);
    projections.stop().await;
}

/// What happened elsewhere has had its effects there; what happens here to such an order has them here.
#[tokio::test]
async fn imported_history_says_nothing_and_what_follows_it_does() {
    let db = database().await;
    let store = db.store().await;
    let projections = start(&store).await;
    let order = new_order();
    for command in [
        placing(order, Some("ada")),
        promising(order),
        taking(order, 1, 4_500),
        sending(order, 1, 1),
    ]
    .concat()
    {
        run_as(&store, Origin::Imported, command).await;
    }
    asked(&projections, &store).await;
    assert_eq!(told(&store, &customer("ada")).await, []);
    run_all(&store, sending(order, 2, 3)).await;
    asked(&projections, &store).await;
    let rows = told(&store, &customer("ada")).await;
    assert!(rows.len() == 1 && is_shipped(&rows[0].fact, 2, true), "{rows:?}");
    projections.stop().await;
}

/// The ledger is kept for ever, so nothing in it is sealed or has to be.
#[tokio::test]
async fn the_ledger_holds_nothing_personal() {
    let db = database().await;
    let store = db.store().await;
    let projections = start(&store).await;
    run_all(&store, whole(new_order(), Some("ada"))).await;
    asked(&projections, &store).await;
    let rows: Vec<String> = sqlx::query_scalar("select n::text from notifications n")
        .fetch_all(db.admin())
        .await
        .unwrap();
    assert_eq!(rows.len(), 2);
    for personal in [
        "example.org",
        "Ada",
        "Lovelace",
        "Main Street",
        "10115",
        "Berlin",
        "T-1",
    ] {
        assert!(
            rows.iter().all(|row| !row.contains(personal)),
            "{personal} in {rows:?}"
        );
    }
    projections.stop().await;
}
