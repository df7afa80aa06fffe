//! A server with a shop in it, and the questions that every attack ends with.

use docket_domain::Role;
use docket_tests::server::{Client, Reply, Server, on, token};
use docket_tests::{TestDatabase, database};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) struct Shop {
    pub(crate) db: TestDatabase,
    pub(crate) server: Server,
    pub(crate) staff: Client,
}

impl Shop {
    pub(crate) async fn open() -> Shop {
        Shop::with(&[]).await
    }

    /// With settings of its own.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Shop {
        let db = database().await;
        let server = Server::launch(on(&db).envs(settings.iter().copied())).await;
        let staff = server.client(token(&db, Role::Staff, "s-1").await);
        Shop { db, server, staff }
    }

    pub(crate) async fn client(&self, role: Role, actor: &str) -> Client {
        self.server.client(token(&self.db, role, actor).await)
    }

    /// A draft of this customer's.
    pub(crate) async fn draft(&self, customer: &str) -> String {
        let order = self.staff.mutate("createOrder", create(customer)).await.data();
        order["order"]["id"].as_str().unwrap().to_owned()
    }

    /// A placed order of 25.00 EUR.
    pub(crate) async fn placed(&self, customer: &str) -> String {
        let order = self.draft(customer).await;
        self.staff
            .mutate("addLine", json!({"order": order, "line": line()}))
            .await
            .data();
        self.staff.mutate("setDetails", details(&order)).await.data();
        self.staff
            .mutate("placeOrder", json!({"order": order, "idempotencyKey": key()}))
            .await
            .data();
        order
    }

    /// A placed order with a payment that is authorized.
    pub(crate) async fn paid(&self, customer: &str) -> String {
        let order = self.placed(customer).await;
        let initiate = json!({"order": order, "amount": eur(2_500), "captureMethod": "MANUAL",
                              "method": {"type": "card"}, "gateway": "manual", "idempotencyKey": key()});
        self.staff.mutate("initiatePayment", initiate).await.data();
        let at = chrono::Utc::now();
        let authorize = json!({"payment": format!("{order}-p1"), "reference": "a-1", "at": at});
        self.staff.mutate("recordAuthorization", authorize).await.data();
        order
    }

    /// Everything that the log and its neighbours hold.
    pub(crate) async fn written(&self) -> (i64, i64, i64) {
        let counts = "select (select count(*) from events), (select count(*) from command_ids),
                             (select sum(head)::bigint from heads)";
        sqlx::query_as(counts).fetch_one(self.db.admin()).await.unwrap()
    }

    /// Each of these requests is refused with its code, and nothing is written.
    #[track_caller]
    pub(crate) fn refused(reply: &Reply, code: &str, what: &str) {
        assert_eq!(reply.code(), code, "{what}: {reply:?}");
        let text = &reply.body;
        for inner in [
            "sqlx",
            "postgres",
            "panicked",
            "src/",
            "select ",
            "docket_event_store",
        ] {
            assert!(!text.contains(inner), "{what} shows {inner:?}: {text}");
        }
    }

    /// Ends a test: nothing was written since `before`, and the server is the same and well.
    pub(crate) async fn unharmed(mut self, before: (i64, i64, i64)) {
        assert_eq!(self.written().await, before, "something was half done");
        assert!(self.server.lives(), "{}", self.server.said());
        assert_eq!(self.staff.ready().await, (200, json!([])));
        let said = self.server.said();
        assert!(!said.contains("panicked"), "{said}");
        assert!(!said.contains("fault of ours"), "{said}");
        assert!(self.server.stop().await.success());
    }
}

pub(crate) fn key() -> String {
    Uuid::new_v4().to_string()
}

pub(crate) fn eur(minor: i64) -> Value {
    json!({"amountMinor": minor.to_string(), "currency": "EUR"})
}

pub(crate) fn create(customer: &str) -> Value {
    json!({"customer": customer, "channel": "web", "currency": "EUR", "locale": "de-DE", "idempotencyKey": key()})
}

pub(crate) fn line() -> Value {
    json!({"sku": "tea", "name": "Tea", "quantity": 2, "unitPrice": eur(1_000), "weightG": 100})
}

pub(crate) fn details(order: &str) -> Value {
    let address = json!({"name": "Ada", "street": ["1 Main Street"], "postalCode": "10115", "city": "Berlin",
                         "country": "DE"});
    json!({"order": order, "shippingAddress": address, "shippingMethod": {"code": "parcel", "price": eur(500)}})
}

/// The value with another one at a path of fields.
pub(crate) fn with(mut value: Value, path: &[&str], other: Value) -> Value {
    let at = path.iter().fold(&mut value, |at, field| &mut at[*field]);
    *at = other;
    value
}
