//! What does not go as planned: holds, corrections, pieces that are taken out, money that is adjusted or runs out,
//! parcels that are lost.

use crate::desk::{Desk, eur, staff};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

/// The code of the rule that refused a mutation of the desk.
async fn refused(desk: &Desk, mutation: &str, input: Value) -> String {
    let payload = desk.change(&staff(), mutation, input, "").await;
    let code = payload["userErrors"][0]["code"].as_str();
    code.unwrap_or_else(|| panic!("{mutation} was not refused: {payload}"))
        .to_owned()
}

async fn confirmed(desk: &Desk) -> (String, String) {
    let order = desk.placed("c-1", "k").await;
    let payment = desk.authorized(&order, "MANUAL_MULTIPLE").await;
    desk.done("confirmOrder", json!({"order": order, "mode": "AUTOMATIC"}), "")
        .await;
    (order, payment)
}

/// A shipment of one piece of the order's only line, with a label on it; its id.
async fn labelled(desk: &Desk, order: &str, key: &str) -> String {
    let input = json!({"order": order, "lines": [{"line": 1, "quantity": 1}]});
    let allocated = desk.done("allocateFulfillment", input, "shipmentId").await;
    let shipment = allocated["shipmentId"].as_str().unwrap().to_owned();
    let input = json!({"shipment": shipment, "location": "berlin", "idempotencyKey": key});
    desk.done("createShipment", input, "").await;
    let tracking = json!({"carrier": "dhl", "trackingNumber": key});
    let label = json!({"shipment": shipment, "parcels": [{"tracking": tracking}]});
    desk.done("buyLabel", label, "").await;
    shipment
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_on_hold_stands_until_each_reason_is_released() {
    let desk = Desk::open().await;
    let (order, _) = confirmed(&desk).await;
    let holds = "held: order { onHold holds }";
    for (reason, holding) in [("FRAUD", json!(["FRAUD"])), ("STOCK", json!(["FRAUD", "STOCK"]))] {
        let held = desk
            .done("placeHold", json!({"order": order, "reason": reason}), holds)
            .await;
        assert_eq!(held["held"], json!({"onHold": true, "holds": holding}));
    }
    let again = desk
        .done("placeHold", json!({"order": order, "reason": "FRAUD"}), holds)
        .await;
    assert_eq!(again["held"]["holds"], json!(["FRAUD", "STOCK"]));
    let allocate = json!({"order": order});
    assert_eq!(
        refused(&desk, "allocateFulfillment", allocate.clone()).await,
        "ON_HOLD"
    );
    desk.done("releaseHold", json!({"order": order, "reason": "FRAUD"}), holds)
        .await;
    assert_eq!(
        refused(&desk, "allocateFulfillment", allocate.clone()).await,
        "ON_HOLD"
    );
    let free = desk
        .done("releaseHold", json!({"order": order, "reason": "STOCK"}), holds)
        .await;
    assert_eq!(free["held"], json!({"onHold": false, "holds": []}));
    desk.done("allocateFulfillment", allocate, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_put_right_until_something_is_dispatched() {
    let desk = Desk::open().await;
    let (order, _) = confirmed(&desk).await;
    let address = json!({"name": "Ada", "street": ["2 Side Street"], "postalCode": "20095", "city": "Hamburg",
                         "country": "DE"});
    let input = json!({"order": order, "which": "SHIPPING", "address": address});
    let city = "sent: order { shippingAddress { city } }";
    let corrected = desk.done("correctAddress", input.clone(), city).await;
    assert_eq!(corrected["sent"]["shippingAddress"]["city"], "Hamburg");
    let shipment = labelled(&desk, &order, "s").await;
    desk.done("dispatchShipment", json!({"shipment": shipment}), "")
        .await;
    let mut late = input;
    late["address"]["city"] = json!("Kiel");
    assert_eq!(refused(&desk, "correctAddress", late).await, "ALREADY_DISPATCHED");
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_are_taken_out_and_given_back_and_never_more_than_are_open() {
    let desk = Desk::open().await;
    let (order, _) = confirmed(&desk).await;
    let shipment = labelled(&desk, &order, "s").await;
    let lines =
        |quantity: u32| json!({"order": order, "lines": [{"line": 1, "quantity": quantity}], "reason": "r"});
    assert_eq!(refused(&desk, "cancelLines", lines(2)).await, "EXCEEDS_OPEN");
    let progress = "after: order { cancelledValue { amount } lines { cancelled allocated } }";
    let cancelled = desk.done("cancelLines", lines(1), progress).await;
    assert_eq!(cancelled["after"]["cancelledValue"]["amount"], "10.00");
    assert_eq!(
        cancelled["after"]["lines"][0],
        json!({"cancelled": 1, "allocated": 1})
    );

    let release = json!({"shipment": shipment});
    assert_eq!(
        refused(&desk, "releaseFulfillment", release.clone()).await,
        "SHIPMENT_LIVE"
    );
    desk.done("cancelShipment", json!({"shipment": shipment, "reason": "r"}), "")
        .await;
    let released = desk.done("releaseFulfillment", release, progress).await;
    assert_eq!(
        released["after"]["lines"][0],
        json!({"cancelled": 1, "allocated": 0})
    );
    desk.done("cancelLines", lines(1), progress).await;
}

/// A shipment takes less than was set aside for it: the rest is not lost.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_shipment_does_not_take_is_given_back_and_sent_by_another() {
    let desk = Desk::open().await;
    let (order, _) = confirmed(&desk).await;
    desk.done("allocateFulfillment", json!({"order": order}), "")
        .await;
    let shipment = format!("{order}-s1");
    let less = json!({"shipment": shipment, "location": "main", "lines": [{"line": 1, "quantity": 1}], "idempotencyKey": "s"});
    desk.done("createShipment", less, "").await;
    let progress = "after: order { lines { allocated } allocations { released lines { quantity } } }";
    let released = desk
        .done("releaseFulfillment", json!({"shipment": shipment}), progress)
        .await;
    assert_eq!(
        released["after"],
        json!({"lines": [{"allocated": 1}], "allocations": [{"released": false, "lines": [{"quantity": 1}]}]})
    );
    assert_eq!(
        refused(&desk, "releaseFulfillment", json!({"shipment": shipment})).await,
        "SHIPMENT_LIVE"
    );
    let rest = desk
        .done("allocateFulfillment", json!({"order": order}), progress)
        .await;
    assert_eq!(rest["after"]["lines"], json!([{"allocated": 2}]));
    let board = "query($at: [PositionInput!]) { shipments(minPosition: $at, sort: {field: ALLOCATED_AT}) {
        nodes { status pieces } } }";
    let board = desk.data(&staff(), board, json!({"at": desk.now()})).await;
    assert_eq!(
        board["shipments"]["nodes"],
        json!([{"status": "CREATED", "pieces": 1}, {"status": "ALLOCATED", "pieces": 1}])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_is_adjusted_and_runs_out() {
    let desk = Desk::open().await;
    let (_, payment) = confirmed(&desk).await;
    let money = "payment { status authorized { amount } capturable { amount } expired { amount } }";
    let more = json!({"payment": payment, "amount": eur(3_000)});
    let adjusted = desk.done("adjustAuthorization", more, money).await;
    assert_eq!(adjusted["payment"]["authorized"]["amount"], "30.00");
    let capture = json!({"payment": payment, "amount": eur(1_000), "idempotencyKey": "c"});
    desk.done("capturePayment", capture, "").await;
    let less = json!({"payment": payment, "amount": eur(999)});
    assert_eq!(
        refused(&desk, "adjustAuthorization", less).await,
        "AUTHORIZATION_BELOW_CAPTURED"
    );
    let ended = desk
        .done("expireAuthorization", json!({"payment": payment}), money)
        .await;
    assert_eq!(ended["payment"]["expired"]["amount"], "20.00");
    // What is being captured may still be.
    assert_eq!(ended["payment"]["capturable"]["amount"], "10.00");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_payer_is_asked_to_act_and_an_order_does_not_expire_before_its_payment_is_due() {
    let desk = Desk::open().await;
    let order = desk.placed("c-1", "k").await;
    let input = json!({"order": order, "amount": eur(2_500), "captureMethod": "MANUAL", "gateway": "manual",
                       "method": {"type": "card"}, "idempotencyKey": "p"});
    let payment = desk.done("initiatePayment", input, "payment { id }").await["payment"]["id"].take();
    let until = Utc::now() + TimeDelta::minutes(5);
    let action = json!({"payment": payment, "kind": "3ds", "at": Utc::now(), "expiresAt": until});
    let asked = desk
        .done("requireAction", action, "payment { status action { kind } }")
        .await;
    assert_eq!(
        asked["payment"],
        json!({"status": "ACTION_REQUIRED", "action": {"kind": "3ds"}})
    );
    assert_eq!(
        refused(&desk, "expireOrder", json!({"order": order})).await,
        "NOT_DUE"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_in_two_shipments_of_which_one_is_lost_is_completed_when_all_is_there_and_paid() {
    let desk = Desk::open().await;
    let (order, payment) = confirmed(&desk).await;
    let lost = labelled(&desk, &order, "s-1").await;
    let second = labelled(&desk, &order, "s-2").await;
    for shipment in [&lost, &second] {
        desk.done("dispatchShipment", json!({"shipment": shipment}), "")
            .await;
    }
    let input = json!({"shipment": lost, "reason": "burnt"});
    let failed = desk
        .done("markShipmentFailed", input, "shipment { status reason }")
        .await;
    assert_eq!(failed["shipment"], json!({"status": "FAILED", "reason": "burnt"}));
    desk.done("releaseFulfillment", json!({"shipment": lost}), "")
        .await;
    let third = labelled(&desk, &order, "s-3").await;
    desk.done("dispatchShipment", json!({"shipment": third}), "")
        .await;
    let complete = json!({"order": order});
    assert_eq!(
        refused(&desk, "completeOrder", complete.clone()).await,
        "NOT_DELIVERED"
    );
    for shipment in [&second, &third] {
        let scan = json!({"shipment": shipment, "parcel": 1, "status": "DELIVERED", "at": Utc::now(),
                          "carrierEventId": format!("{shipment}-d")});
        desk.done("recordTracking", scan, "").await;
    }
    assert_eq!(
        refused(&desk, "completeOrder", complete.clone()).await,
        "NOT_SETTLED"
    );
    for (number, amount) in [(1, 1_000), (2, 1_500)] {
        let input = json!({"payment": payment, "amount": eur(amount), "final": number == 2,
                           "idempotencyKey": format!("c-{number}")});
        desk.done("capturePayment", input, "").await;
        let input = json!({"payment": payment, "capture": number, "reference": "r", "at": Utc::now()});
        desk.done("recordCapture", input, "").await;
    }
    let completed = desk
        .done("completeOrder", complete, "position { partition offset }")
        .await;
    assert_eq!(completed["order"]["status"], "COMPLETED");
    // The read model says the same, not only the fold.
    let query = "query($id: ID!, $at: [PositionInput!]) { order(id: $id, minPosition: $at) {
        status paymentStatus fulfillmentStatus completedAt } }";
    let read = desk
        .data(
            &staff(),
            query,
            json!({"id": order, "at": [completed["position"]]}),
        )
        .await;
    assert_eq!(read["order"]["status"], "COMPLETED");
    assert_eq!(read["order"]["paymentStatus"], "PAID");
    assert_ne!(read["order"]["completedAt"], Value::Null);
}
