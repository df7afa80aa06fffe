//! A whole life of an order as mutations: what a client sends, and sends again under the same keys.

use serde_json::{Value, json};
use uuid::Uuid;

/// The gateway's time; always the same, so that a step that is sent again is the same request.
const AT: &str = "2020-02-02T12:00:00Z";

/// An order of this customer's that is drafted, placed, paid and shipped. Each step has a key of its own and stands on the
/// one before.
pub fn life(order: Uuid, customer: &str, note: &str) -> Vec<(&'static str, Value)> {
    let (payment, shipment) = (format!("{order}-p1"), format!("{order}-s1"));
    let eur = |minor: i64| json!({"amountMinor": minor.to_string(), "currency": "EUR"});
    let address = json!({"name": "Ada Lovelace", "street": ["12 St James's Square"], "postalCode": "SW1Y 4JH",
                         "city": "London", "country": "GB"});
    let line = json!({"sku": "tea", "name": "Tea", "quantity": 2, "unitPrice": eur(1_000), "weightG": 100});
    let steps = [
        (
            "createOrder",
            json!({"order": order, "customer": customer, "name": "Ada Lovelace",
            "email": "ada@example.org", "channel": "web", "currency": "EUR", "locale": "en-GB"}),
        ),
        ("addLine", json!({"order": order, "line": line})),
        (
            "setDetails",
            json!({"order": order, "shippingAddress": address, "note": note,
            "shippingMethod": {"code": "parcel", "price": eur(500)}}),
        ),
        ("placeOrder", json!({"order": order})),
        (
            "initiatePayment",
            json!({"order": order, "amount": eur(2_500), "captureMethod": "MANUAL",
            "method": {"type": "card"}, "gateway": "manual"}),
        ),
        (
            "recordAuthorization",
            json!({"payment": payment, "reference": "a-1", "at": AT}),
        ),
        ("confirmOrder", json!({"order": order, "mode": "AUTOMATIC"})),
        ("allocateFulfillment", json!({"order": order})),
        (
            "createShipment",
            json!({"shipment": shipment, "location": "berlin"}),
        ),
        (
            "buyLabel",
            json!({"shipment": shipment, "parcels": [{"weightG": 300,
            "tracking": {"carrier": "dhl", "trackingNumber": "T-1"}}]}),
        ),
        ("dispatchShipment", json!({"shipment": shipment})),
        ("capturePayment", json!({"payment": payment, "shipment": 1})),
        (
            "recordCapture",
            json!({"payment": payment, "capture": 1, "reference": "c-1", "at": AT}),
        ),
    ];
    let keyed = |(number, (name, mut input)): (usize, (&'static str, Value))| {
        input["idempotencyKey"] = json!(format!("{order}-{number}"));
        (name, input)
    };
    steps.into_iter().enumerate().map(keyed).collect()
}
