//! An order from its first line to its arrival and a refund, by mutations alone, and read back in every way.

use crate::desk::{Desk, customer, eur, staff};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_placed_paid_shipped_delivered_and_refunded() {
    let desk = Desk::open().await;
    let order = desk.placed("c-1", "k-1").await;
    let payment = desk.authorized(&order, "MANUAL").await;

    let confirmed = desk
        .done("confirmOrder", json!({"order": order, "mode": "AUTOMATIC"}), "")
        .await;
    assert_eq!(confirmed["order"]["status"], "CONFIRMED");
    let allocated = desk
        .done(
            "allocateFulfillment",
            json!({"order": order}),
            "shipmentId shipment { id }",
        )
        .await;
    assert_eq!(allocated["shipment"], json!(null));
    let shipment = allocated["shipmentId"].as_str().unwrap();
    let input = json!({"shipment": shipment, "location": "berlin", "idempotencyKey": "ship"});
    desk.done("createShipment", input, "shipment { id }").await;
    let tracking = json!({"carrier": "dhl", "trackingNumber": "T-1"});
    let label =
        json!({"shipment": shipment, "parcels": [{"weightG": 300, "tracking": tracking}], "cost": eur(390)});
    desk.done("buyLabel", label, "").await;
    desk.done("dispatchShipment", json!({"shipment": shipment}), "")
        .await;

    let captured = desk
        .done(
            "capturePayment",
            json!({"payment": payment, "idempotencyKey": "capture"}),
            "capture",
        )
        .await;
    assert_eq!(captured["capture"], 1);
    let now = chrono::Utc::now();
    desk.done(
        "recordCapture",
        json!({"payment": payment, "capture": 1, "reference": "c-1", "at": now}),
        "",
    )
    .await;
    let scan = json!({"shipment": shipment, "parcel": 1, "status": "DELIVERED", "carrierEventId": "e-1", "at": now,
                      "place": "Berlin", "signedBy": "Ada"});
    let delivered = desk
        .done("recordTracking", scan, "shipment { status deliveredAt signedBy }")
        .await;
    assert_eq!(delivered["shipment"]["status"], "DELIVERED");
    assert_eq!(delivered["shipment"]["signedBy"], "Ada");
    let refund =
        json!({"payment": payment, "amount": eur(500), "reason": "late", "idempotencyKey": "refund"});
    assert_eq!(desk.done("refundPayment", refund, "refund").await["refund"], 1);
    let input = json!({"payment": payment, "refund": 1, "reference": "r-1", "at": now});
    let last = desk.done("recordRefund", input, "").await;

    let query = "query($id: ID!, $at: [PositionInput!]) { order(id: $id, minPosition: $at) {
        id number status paymentStatus fulfillmentStatus customer name email forgotten currency
        totals { subtotal { amount amountMinor currency } shipping { amount } grand { amount } } paid { amount }
        shippingAddress { name street city country forgotten }
        lines { line sku quantity allocated shipped delivered total { amount } }
        payments { id status gateway captured { amount } refunded { amount } refundable { amount }
                   captures { number status final ourReference reference } refunds { number status reason } }
        shipments { id status parcels { number status tracking { trackingNumber } lastScan { place } } cost { amount } }
    } }";
    let read = desk
        .data(&staff(), query, json!({"id": order, "at": [last["position"]]}))
        .await["order"]
        .take();
    assert_eq!(read["status"], "CONFIRMED");
    assert_eq!(read["paymentStatus"], "PARTIALLY_REFUNDED");
    assert_eq!(read["fulfillmentStatus"], "DELIVERED");
    assert_eq!(read["number"], "1001");
    assert_eq!(
        (&read["name"], &read["forgotten"]),
        (&json!("Ada"), &json!(false))
    );
    assert_eq!(
        read["totals"]["subtotal"],
        json!({"amount": "20.00", "amountMinor": "2000", "currency": "EUR"})
    );
    assert_eq!(read["totals"]["grand"]["amount"], "25.00");
    assert_eq!(read["paid"]["amount"], "25.00");
    assert_eq!(read["shippingAddress"]["city"], "Berlin");
    assert_eq!(read["lines"][0]["delivered"], 2);
    assert_eq!(read["payments"][0]["refundable"]["amount"], "20.00");
    assert_eq!(
        read["payments"][0]["captures"][0]["ourReference"],
        format!("{payment}-c1")
    );
    assert_eq!(
        read["payments"][0]["refunds"][0],
        json!({"number": 1, "status": "DONE", "reason": "late"})
    );
    assert_eq!(read["shipments"][0]["parcels"][0]["lastScan"]["place"], "Berlin");
    assert_eq!(read["shipments"][0]["cost"]["amount"], "3.90");
    // Its customer sees the same; to another one it does not exist.
    let own = desk.data(&customer("c-1"), query, json!({"id": order})).await["order"].take();
    assert_eq!(own["email"], "ada@example.org");
    assert_eq!(
        desk.data(&customer("c-2"), query, json!({"id": order})).await["order"],
        json!(null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_fills_in_and_places_their_own_order() {
    let desk = Desk::open().await;
    let ada = customer("ada");
    let input = json!({"channel": "web", "currency": "JPY", "locale": "ja", "idempotencyKey": "k"});
    let created = desk.change(&ada, "createOrder", input, "").await;
    let order = created["order"]["id"].as_str().unwrap().to_owned();
    let line = json!({"sku": "a", "name": "A", "quantity": 1, "requiresShipping": false,
                      "unitPrice": {"amountMinor": "500", "currency": "JPY"}});
    desk.done("addLine", json!({"order": order, "line": line}), "")
        .await;
    let set = desk
        .change(
            &ada,
            "setDetails",
            json!({"order": order, "email": "ada@example.org"}),
            "",
        )
        .await;
    assert_eq!(set["userErrors"], json!([]));
    let placed = desk
        .change(
            &ada,
            "placeOrder",
            json!({"order": order, "idempotencyKey": "p"}),
            "",
        )
        .await;
    assert_eq!(placed["order"]["status"], "PLACED");
    let query = "query($id: ID!, $at: [PositionInput!]) { order(id: $id, minPosition: $at) {
        customer totals { grand { amount } } } }";
    let read = desk
        .data(&ada, query, json!({"id": order, "at": [placed["position"]]}))
        .await;
    assert_eq!(
        read["order"],
        json!({"customer": "ada", "totals": {"grand": {"amount": "500"}}})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_reads_as_none_and_says_so() {
    let desk = Desk::open().await;
    let order = desk.placed("c-1", "k").await;
    let subject = "customer:c-1".parse().unwrap();
    assert!(desk.store.vault().destroy(&subject).await.unwrap());
    let query = "query($id: ID!, $at: [PositionInput!]) { order(id: $id, minPosition: $at) {
        name email forgotten customer shippingAddress { city street country forgotten } } }";
    let read = desk
        .data(&staff(), query, json!({"id": order, "at": desk.now()}))
        .await;
    let address = json!({"city": null, "street": [], "country": "DE", "forgotten": true});
    let expected = json!({"name": null, "email": null, "forgotten": true, "customer": "c-1", "shippingAddress": address});
    assert_eq!(read["order"], expected);
}
