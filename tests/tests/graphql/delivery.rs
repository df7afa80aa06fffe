//! What a desk does with goods and money, in single steps, for tests that begin after them.

use crate::desk::{Desk, eur, staff};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

/// A gateway's time, so many seconds ago.
pub(crate) fn ago(seconds: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::seconds(seconds)
}

impl Desk {
    /// The rule that refused a mutation of the desk, with its numbers.
    pub(crate) async fn refusal(&self, mutation: &str, input: Value, numbers: &str) -> Value {
        let name = format!("{}{}", mutation[..1].to_uppercase(), &mutation[1..]);
        let query = format!(
            "mutation($input: {name}Input!) {{ {mutation}(input: $input) {{
                version userErrors {{ code field {numbers} }} }} }}"
        );
        let mut payload = self.data(&staff(), &query, json!({"input": input})).await[mutation].take();
        assert_eq!(payload["version"], Value::Null, "{mutation}: {payload}");
        payload["userErrors"][0].take()
    }

    /// A shipment of some pieces, on its way; its id.
    pub(crate) async fn shipped(&self, order: &str, lines: Value, key: &str) -> String {
        let input = json!({"order": order, "lines": lines});
        let allocated = self.done("allocateFulfillment", input, "shipmentId").await;
        let shipment = allocated["shipmentId"].as_str().unwrap().to_owned();
        let input = json!({"shipment": shipment, "location": "berlin", "idempotencyKey": key});
        self.done("createShipment", input, "").await;
        let tracking = json!({"carrier": "dhl", "trackingNumber": key});
        let label = json!({"shipment": shipment, "parcels": [{"tracking": tracking}]});
        self.done("buyLabel", label, "").await;
        self.done("dispatchShipment", json!({"shipment": shipment}), "")
            .await;
        shipment
    }

    /// It arrived.
    pub(crate) async fn arrived(&self, shipment: &str) {
        let scan = json!({"shipment": shipment, "parcel": 1, "status": "DELIVERED", "at": Utc::now(),
                          "carrierEventId": format!("{shipment}-d")});
        self.done("recordTracking", scan, "").await;
    }

    /// So much of a payment is taken.
    pub(crate) async fn captured(&self, payment: &str, amount: i64, is_final: bool) {
        let input = json!({"payment": payment, "amount": eur(amount), "final": is_final,
                           "idempotencyKey": format!("{payment}-{amount}")});
        let capture = self.done("capturePayment", input, "capture").await["capture"].take();
        let input = json!({"payment": payment, "capture": capture, "reference": "c", "at": ago(30)});
        self.done("recordCapture", input, "").await;
    }

    /// A refund is asked for and done.
    pub(crate) async fn refunded(&self, input: Value) {
        let payment = input["payment"].clone();
        let refund = self.done("refundPayment", input, "refund").await["refund"].take();
        let input = json!({"payment": payment, "refund": refund, "reference": "r", "at": ago(20)});
        self.done("recordRefund", input, "").await;
    }

    /// A confirmed order of two pieces for 10.00 each and 5.00 shipping, all there and paid; order and payment.
    pub(crate) async fn delivered(&self) -> (String, String) {
        let order = self.placed("c-1", "k").await;
        let payment = self.authorized(&order, "MANUAL_MULTIPLE").await;
        self.done("confirmOrder", json!({"order": order, "mode": "AUTOMATIC"}), "")
            .await;
        let shipment = self
            .shipped(&order, json!([{"line": 1, "quantity": 2}]), "s-1")
            .await;
        self.arrived(&shipment).await;
        self.captured(&payment, 2_500, true).await;
        (order, payment)
    }

    /// An order as the read models have it after everything so far.
    pub(crate) async fn read(&self, order: &str, fields: &str) -> Value {
        let query = format!(
            "query($id: ID!, $at: [PositionInput!]) {{ order(id: $id, minPosition: $at) {{ {fields} }} }}"
        );
        let variables = json!({"id": order, "at": self.now()});
        self.data(&staff(), &query, variables).await["order"].take()
    }
}
