//! Commands on orders as callers send them, so that a test says only what matters to it.

use docket_domain::{Actor, Command, CommandId, OrderId, Role, ShipmentId, Version};
use docket_event_store::{
    ExecuteError, Executed, MasterKey, Origin, Request, RequestHash, Store, StoreConfig, command_id,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::database::TestDatabase;

/// The master key of every test's database.
pub const MASTER_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// How a process opens a log, with the tests' key.
pub fn store_config(database: sqlx::postgres::PgConnectOptions) -> StoreConfig {
    let key = MasterKey::from_hex(MASTER_KEY).expect("the key has its form");
    StoreConfig::new(database, key)
}

impl TestDatabase {
    /// A store on this database: lanes, feed, caches and keys of its own, as another process has them.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn store(&self) -> Store {
        self.store_with(|_| ()).await
    }

    /// A store with other settings.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn store_with(&self, change: impl FnOnce(&mut StoreConfig)) -> Store {
        let mut config = store_config(self.connect_options());
        change(&mut config);
        Store::open(config).await.expect("the store opens")
    }
}

/// Someone at the order desk.
pub fn staff() -> Actor {
    Actor::new(Role::Staff, "ann")
}

/// An order that does not exist yet.
pub fn new_order() -> OrderId {
    OrderId(Uuid::new_v4())
}

/// An order that does not exist yet and that will live in `partition`.
pub fn new_order_in(store: &Store, partition: u16) -> OrderId {
    let any = std::iter::repeat_with(new_order);
    any.into_iter()
        .find(|order| store.partition_of(*order) == partition)
        .unwrap_or(OrderId::NIL)
}

/// A request of the desk with an idempotency key.
///
/// # Panics
/// When `input` is not a command.
pub fn request(key: &str, input: Value) -> Request {
    let command: Command = serde_json::from_value(input.clone()).expect("a command");
    let actor = staff();
    Request {
        command_id: command_id::derive(&actor, key),
        request_hash: RequestHash::of(command.name(), &command_id::canonical_json(&input)),
        command,
        actor,
        expected_version: None,
        occurred_at: None,
        origin: Origin::Live,
        causation_id: None,
        traceparent: None,
    }
}

/// A request of the desk that is never repeated.
pub fn fresh(input: Value) -> Request {
    request(&Uuid::new_v4().to_string(), input)
}

/// The same at a version that the caller names.
pub fn at_version(request: Request, version: i32) -> Request {
    Request {
        expected_version: Some(Version(version)),
        ..request
    }
}

/// Does one thing that must succeed.
///
/// # Panics
/// When it does not.
pub async fn done(store: &Store, input: Value) -> Executed {
    let request = fresh(input);
    let name = request.command.name();
    let outcome: Result<_, ExecuteError> = store.execute(request).await;
    outcome.unwrap_or_else(|error| panic!("{name}: {error:?}"))
}

/// The id of the command that the desk calls `key`.
pub fn id_of(key: &str) -> CommandId {
    command_id::derive(&staff(), key)
}

/// Begins an order of a customer.
pub fn create(order: OrderId) -> Value {
    json!({"command": "createOrder", "order": order, "customer": "c-1", "channel": "web", "currency": "EUR",
           "locale": "de-DE"})
}

/// Adds a line of this many pieces.
pub fn add_line(order: OrderId, quantity: u32) -> Value {
    json!({"command": "addLine", "order": order,
           "line": {"sku": "TEA-500", "name": "Assam, 500 g", "quantity": quantity,
                    "unitPrice": {"amountMinor": 1999, "currency": "EUR"}, "taxRateBp": 700}})
}

/// Sets the first line's quantity.
pub fn set_quantity(order: OrderId, quantity: u32) -> Value {
    json!({"command": "setLineQuantity", "order": order, "line": 1, "quantity": quantity})
}

/// Cancels an order.
pub fn cancel(order: OrderId) -> Value {
    json!({"command": "cancelOrder", "order": order, "reason": "changed their mind"})
}

/// Hands the order's first shipment to its carrier.
pub fn dispatch(order: OrderId) -> Value {
    json!({"command": "dispatchShipment", "shipment": ShipmentId::new(order, 1)})
}

/// A draft with one line.
pub async fn draft(store: &Store) -> OrderId {
    let order = new_order();
    done(store, create(order)).await;
    done(store, add_line(order, 2)).await;
    order
}

/// An order that is confirmed and whose first shipment only waits to be dispatched.
pub async fn labelled(store: &Store, order: OrderId) {
    done(store, create(order)).await;
    done(store, add_line(order, 2)).await;
    let address = json!({"name": "Ann Lee", "street": ["High Street 1"], "city": "Leeds", "country": "GB"});
    let details = json!({"command": "setDetails", "order": order, "shippingAddress": address,
                         "billingAddress": address, "email": "ann@example.org", "name": "Ann Lee",
                         "shippingMethod": {"code": "post", "price": {"amountMinor": 0, "currency": "EUR"}}});
    done(store, details).await;
    done(store, json!({"command": "placeOrder", "order": order})).await;
    done(
        store,
        json!({"command": "confirmOrder", "order": order, "mode": "manual"}),
    )
    .await;
    done(store, json!({"command": "allocateFulfillment", "order": order})).await;
    let shipment = ShipmentId::new(order, 1);
    done(
        store,
        json!({"command": "createShipment", "shipment": shipment, "location": "leeds"}),
    )
    .await;
    let label = json!({"command": "buyLabel", "shipment": shipment,
                       "parcels": [{"tracking": {"carrier": "post", "trackingNumber": "AB123"}}]});
    done(store, label).await;
}
