//! An order desk to test with: a log, its read models, and the schema over them.

use async_graphql::{Executor, Request, Variables};
use docket::{
    auth::Caller,
    graphql::Api,
    json::{self, TakesJson},
};
use docket_domain::Role;
use docket_event_store::{MasterKey, Store, StoreConfig, migrate};
use docket_projections::{Projections, ProjectionsConfig};
use docket_tests::{TestDatabase, database};
use futures::{Stream, StreamExt};
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use std::{sync::Arc, time::Duration};

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Desk {
    pub(crate) store: Store,
    pub(crate) projections: Projections,
    pub(crate) api: Api,
    pub(crate) db: Arc<TestDatabase>,
}

pub(crate) fn staff() -> Caller {
    Caller::known(Role::Staff, "s-1")
}

pub(crate) fn customer(id: &str) -> Caller {
    Caller::known(Role::Customer, id)
}

pub(crate) fn eur(amount: i64) -> Value {
    json!({"amountMinor": amount.to_string(), "currency": "EUR"})
}

/// The first error's code.
pub(crate) fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"]
        .as_str()
        .unwrap_or_else(|| panic!("no coded error in {answer}"))
}

impl Desk {
    pub(crate) async fn open() -> Desk {
        Self::open_waiting(Duration::from_secs(10)).await
    }

    /// One whose queries wait so long for a position.
    pub(crate) async fn open_waiting(wait: Duration) -> Desk {
        let db = database().await;
        migrate(&db.connect_options(), None).await.unwrap();
        Self::over(Arc::new(db), wait).await
    }

    /// Another process on the same log.
    pub(crate) async fn another(&self) -> Desk {
        Self::over(Arc::clone(&self.db), Duration::from_secs(10)).await
    }

    async fn over(db: Arc<TestDatabase>, wait: Duration) -> Desk {
        let key = MasterKey::from_hex(&"5a".repeat(32)).unwrap();
        // Reported, so that a test can count statements.
        let options = db.connect_options().log_statements("debug".parse().unwrap());
        let store = Store::open(StoreConfig::new(options, key)).await.unwrap();
        let config = ProjectionsConfig {
            wait,
            ..ProjectionsConfig::default()
        };
        let projections = Projections::start(store.clone(), config).await.unwrap();
        let api = Api::new(store.clone(), projections.clone());
        Desk {
            store,
            projections,
            api,
            db,
        }
    }

    /// The whole answer, as the transports give it.
    pub(crate) async fn ask(&self, caller: &Caller, query: &str, variables: Value) -> Value {
        let request = Request::new(query).variables(Variables::from_json(variables));
        self.run(caller, request).await
    }

    /// The answer of one operation of a document.
    pub(crate) async fn operation(&self, document: &str, name: &str, variables: Value) -> Value {
        let request = Request::new(document).operation_name(name);
        self.run(&staff(), request.variables(Variables::from_json(variables)))
            .await
    }

    async fn run(&self, caller: &Caller, request: Request) -> Value {
        let request = request.data(caller.clone()).data(TakesJson);
        let mut response = self.api.execute(request).await;
        let data = std::mem::take(&mut response.data);
        let mut answer = serde_json::to_value(response).unwrap();
        let mut text = Vec::new();
        json::write(&data, &mut text).unwrap();
        answer["data"] = serde_json::from_slice(&text).unwrap();
        answer
    }

    /// The data of an answer without errors.
    pub(crate) async fn data(&self, caller: &Caller, query: &str, variables: Value) -> Value {
        let mut answer = self.ask(caller, query, variables).await;
        assert!(answer.get("errors").is_none(), "{query}\n{answer:#}");
        answer["data"].take()
    }

    /// The same for a caller and variables of its own.
    pub(crate) async fn data_of(&self, caller: Caller, query: &str, variables: Value) -> Value {
        self.data(&caller, query, variables).await
    }

    /// A mutation's payload: the order's id, the version, the position, the errors and what else is selected.
    pub(crate) async fn change(&self, caller: &Caller, mutation: &str, input: Value, more: &str) -> Value {
        let name = format!("{}{}", mutation[..1].to_uppercase(), &mutation[1..]);
        let query = format!(
            "mutation($input: {name}Input!) {{ {mutation}(input: $input) {{
                order {{ id version status }} version position {{ partition offset }} {more}
                userErrors {{ __typename message code field }} }} }}"
        );
        self.data(caller, &query, json!({"input": input})).await[mutation].take()
    }

    /// The same, which no rule refuses.
    pub(crate) async fn done(&self, mutation: &str, input: Value, more: &str) -> Value {
        let payload = self.change(&staff(), mutation, input, more).await;
        assert_eq!(payload["userErrors"], json!([]), "{mutation}");
        payload
    }

    /// A draft of a customer with two pieces for 10.00 each; its id.
    pub(crate) async fn draft(&self, customer: &str, key: &str) -> String {
        let input = json!({"customer": customer, "email": "ada@example.org", "name": "Ada", "channel": "web",
                           "currency": "EUR", "locale": "de-DE", "idempotencyKey": key});
        let order = self.done("createOrder", input, "").await["order"]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let line =
            json!({"sku": "tea", "name": "Tea", "quantity": 2, "unitPrice": eur(1_000), "weightG": 100});
        self.done("addLine", json!({"order": order, "line": line}), "")
            .await;
        order
    }

    /// A placed order of 25.00; its id.
    pub(crate) async fn placed(&self, customer: &str, key: &str) -> String {
        let order = self.draft(customer, key).await;
        let address = json!({"name": "Ada", "street": ["1 Main Street"], "postalCode": "10115", "city": "Berlin",
                             "country": "DE"});
        let method = json!({"code": "parcel", "price": eur(500)});
        let details = json!({"order": order, "shippingAddress": address, "shippingMethod": method});
        self.done("setDetails", details, "").await;
        self.done(
            "placeOrder",
            json!({"order": order, "idempotencyKey": format!("{key}-place")}),
            "",
        )
        .await;
        order
    }

    /// A payment of a placed order, authorized; its id.
    pub(crate) async fn authorized(&self, order: &str, method: &str) -> String {
        let input = json!({"order": order, "amount": eur(2_500), "captureMethod": method, "gateway": "manual",
                           "method": {"type": "transfer"}, "idempotencyKey": format!("pay-{order}")});
        let payload = self.done("initiatePayment", input, "payment { id status }").await;
        assert_eq!(payload["payment"]["status"], "INITIATED");
        let payment = payload["payment"]["id"].as_str().unwrap().to_owned();
        let input = json!({"payment": payment, "reference": "a-1", "at": chrono::Utc::now()});
        self.done("recordAuthorization", input, "").await;
        payment
    }

    /// A stream of messages, as JSON.
    pub(crate) fn follow(&self, caller: &Caller, query: &str, variables: Value) -> Messages {
        let request = Request::new(query)
            .variables(Variables::from_json(variables))
            .data(caller.clone());
        let stream = self.api.execute_stream(request, None);
        Messages(Box::pin(
            stream.map(|response| serde_json::to_value(response).unwrap()),
        ))
    }

    /// Returns when every read model has all that there is.
    pub(crate) async fn caught_up(&self) {
        let caught_up = tokio::time::timeout(DEADLINE, self.projections.caught_up()).await;
        caught_up.expect("it catches up in time").unwrap();
    }

    /// The position of everything so far, for `minPosition`.
    pub(crate) fn now(&self) -> Value {
        let heads = self.store.feed().heads();
        let positions = heads.iter().enumerate();
        positions
            .map(|(partition, head)| json!({"partition": partition, "offset": head.to_string()}))
            .collect()
    }
}

/// Messages of a subscription.
pub(crate) struct Messages(std::pin::Pin<Box<dyn Stream<Item = Value> + Send>>);

impl Messages {
    /// The next answer.
    pub(crate) async fn answer(&mut self) -> Value {
        let next = tokio::time::timeout(DEADLINE, self.0.next()).await;
        next.expect("a message within the deadline")
            .expect("the stream goes on")
    }

    /// The next message without errors: what the one field holds.
    pub(crate) async fn next(&mut self) -> Value {
        let mut answer = self.answer().await;
        assert!(answer.get("errors").is_none(), "{answer:#}");
        let data = answer["data"]
            .as_object_mut()
            .and_then(|data| data.values_mut().next());
        data.unwrap_or_else(|| panic!("a message has one field")).take()
    }

    /// Nothing comes within a moment.
    pub(crate) async fn is_silent(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(200), self.0.next())
            .await
            .is_err()
    }

    /// The stream is over.
    pub(crate) async fn is_over(&mut self) -> bool {
        let next = tokio::time::timeout(DEADLINE, self.0.next()).await;
        matches!(next, Ok(None))
    }
}
