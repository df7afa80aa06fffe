//! The few orders that `docket serve --demo` begins with: real commands, in each stage of an order's life. Their keys
//! are fixed, so a second start adds nothing.

use docket_domain::{Actor, Command, Role};
use docket_event_store::{ExecuteError, Origin, Request, RequestHash, Store, command_id};
use serde_json::{Value, json};

/// Why the demo's orders are not there.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The log did not take a command.
    #[error("the demo's command {key} was not taken")]
    Execute {
        /// Its key.
        key: String,
        /// Why.
        #[source]
        source: Box<ExecuteError>,
    },
    /// A command of the demo does not read: a bug.
    #[error("the demo's command {key} does not read")]
    Read {
        /// Its key.
        key: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// How far each order goes; every step stands on the one before.
const ORDERS: [(&str, &str, usize); 5] = [
    ("Ada Lovelace", "ada", STEPS),
    ("Grace Hopper", "grace", STEPS),
    ("Mary Somerville", "mary", 9),
    ("Emmy Noether", "emmy", 5),
    ("Hypatia", "hypatia", 3),
];
const STEPS: usize = 14;

/// Writes the demo's orders, unless they are there. The id of the first.
pub(crate) async fn seed(store: &Store) -> Result<docket_domain::OrderId, DemoError> {
    let actor = Actor::new(Role::Staff, "demo");
    let mut first = None;
    for (name, customer, steps) in ORDERS {
        let create = format!("demo-{customer}-0");
        let order = command_id::order_of(&actor, command_id::derive(&actor, &create));
        first.get_or_insert(order);
        for (step, command) in life(name, customer, &order.to_string())
            .into_iter()
            .take(steps)
            .enumerate()
        {
            run(store, &actor, format!("demo-{customer}-{step}"), command).await?;
        }
    }
    Ok(first.unwrap_or(docket_domain::OrderId::NIL))
}

async fn run(store: &Store, actor: &Actor, key: String, command: Value) -> Result<(), DemoError> {
    let read: Command = match serde_json::from_value(command.clone()) {
        Ok(read) => read,
        Err(source) => return Err(DemoError::Read { key, source }),
    };
    let request = Request {
        command_id: command_id::derive(actor, &key),
        request_hash: RequestHash::of(read.name(), &command_id::canonical_json(&command)),
        command: read,
        actor: actor.clone(),
        expected_version: None,
        occurred_at: None,
        origin: Origin::Live,
        causation_id: None,
        traceparent: None,
    };
    let done = store.execute(request).await;
    done.map(drop).map_err(|source| DemoError::Execute {
        key,
        source: Box::new(source),
    })
}

/// An order's whole life as commands.
fn life(name: &str, customer: &str, order: &str) -> Vec<Value> {
    let (payment, shipment) = (format!("{order}-p1"), format!("{order}-s1"));
    let eur = |amount: i64| json!({"amountMinor": amount, "currency": "EUR"});
    let address = json!({
        "name": name, "street": ["12 St James's Square"], "postalCode": "SW1Y 4JH", "city": "London", "country": "GB",
    });
    // 2 x 19.99 and 24.50, 7 % tax, 4.90 shipping.
    let total = 3998 + 280 + 2450 + 172 + 490;
    // Fixed like everything else in it: a key stands for one request.
    let at = "2026-01-01T09:00:00Z";
    vec![
        json!({"command": "createOrder", "customer": customer, "name": name, "email": format!("{customer}@example.org"),
               "channel": "web", "currency": "EUR", "locale": "en-GB"}),
        json!({"command": "addLine", "order": order, "line": {"sku": "TEA-500", "name": "Assam, whole leaf, 500 g",
               "quantity": 2, "unitPrice": eur(1999), "taxRateBp": 700, "weightG": 540}}),
        json!({"command": "addLine", "order": order, "line": {"sku": "POT-1", "name": "Teapot, cast iron",
               "quantity": 1, "unitPrice": eur(2450), "taxRateBp": 700, "weightG": 1300}}),
        json!({"command": "setDetails", "order": order, "shippingAddress": address,
               "shippingMethod": {"code": "standard", "name": "Standard", "price": eur(490)}}),
        json!({"command": "placeOrder", "order": order}),
        json!({"command": "initiatePayment", "order": order, "amount": eur(total), "captureMethod": "manual",
               "method": {"type": "card", "brand": "visa", "last4": "4242"}, "gateway": "manual"}),
        json!({"command": "recordAuthorization", "payment": payment, "amount": eur(total), "reference": "auth-1", "at": at}),
        json!({"command": "confirmOrder", "order": order, "mode": "automatic"}),
        json!({"command": "allocateFulfillment", "order": order}),
        json!({"command": "createShipment", "shipment": shipment, "location": "main"}),
        json!({"command": "buyLabel", "shipment": shipment, "parcels": [{"weightG": 2400, "tracking": {"carrier": "royal-mail",
               "trackingNumber": "RM123456785GB"}}]}),
        json!({"command": "dispatchShipment", "shipment": shipment}),
        json!({"command": "capturePayment", "payment": payment, "amount": eur(total), "final": true}),
        json!({"command": "recordCapture", "payment": payment, "capture": 1, "reference": "cap-1", "at": at}),
    ]
}
