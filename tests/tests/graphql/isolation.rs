//! What is somebody else's does not exist: every path is walked before it exists and after, and the answers are the same
//! to the last byte, with their texts and costs.
//!
//! A path is a row: a root field with its arguments. Mutations make their rows from the schema. A root field, or a field
//! that leads to an order, a payment or a shipment, that no row walks fails the test: whoever adds one adds its row.

use crate::{
    desk::{Desk, Messages, code, customer, eur, staff},
    walk::{Named, Schema},
};
use docket::{
    auth::Caller,
    graphql::{self, Api, ApiOptions, Introspection, Rates},
};
use docket_domain::Role;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What must not be seen of somebody else's order: nobody else has such values.
const SECRETS: [&str; 6] = [
    "ada-1815",
    "Countess",
    "lovelace@",
    "St James",
    "SECRET-SKU",
    "SECRET-TRACK",
];
/// What somebody else's things are.
const THINGS: [&str; 4] = ["Order", "Payment", "Shipment", "Node"];

struct World {
    desk: Desk,
    schema: Schema,
    /// The other one's order, which is there or not.
    theirs: String,
    seen: BTreeSet<String>,
}

/// A root field with its arguments.
struct Row {
    parent: &'static str,
    field: String,
    arguments: String,
}

fn row(parent: &'static str, field: &str, arguments: impl Into<String>) -> Row {
    let (field, arguments) = (field.to_owned(), arguments.into());
    Row {
        parent,
        field,
        arguments,
    }
}

impl World {
    async fn open() -> World {
        let mut desk = Desk::open().await;
        // Hundreds of rows are more than a caller may ask for in a minute.
        let usual = Rates::default();
        let rates = Rates {
            customer: usual.service,
            gateway: usual.service,
            ..usual
        };
        let (store, projections) = (desk.store.clone(), desk.projections.clone());
        let options = ApiOptions {
            rates,
            introspection: Introspection::Desk,
            traces: None,
            rebuilds: None,
        };
        desk.api = Api::with(store, projections, options);
        let schema = Schema::of(&desk).await;
        World {
            desk,
            schema,
            theirs: Uuid::new_v4().to_string(),
            seen: BTreeSet::new(),
        }
    }

    fn named(&self) -> Named<'_> {
        Named {
            order: &self.theirs,
            customer: "ada-1815",
            text: "Countess",
        }
    }

    /// The root fields that a role may ask for.
    fn open_to(&self, role: Role) -> Vec<(&'static str, String)> {
        let guards = graphql::guards();
        let admitted = |parent: &str, field: &str| {
            let roles = guards.roles(parent, field);
            roles.is_some_and(|roles| roles.admit(Some(role)))
        };
        let parents = ["Query", "Mutation", "Subscription"].into_iter();
        let fields = parents.flat_map(|parent| {
            self.schema
                .fields(parent)
                .into_iter()
                .map(move |field| (parent, field))
        });
        fields
            .filter(|(parent, field)| admitted(parent, field))
            .map(|(parent, field)| (parent, field.to_owned()))
            .collect()
    }

    /// Mutations of what is theirs, at every version, under their keys and under others.
    fn mutations(&self, role: Role) -> Vec<Row> {
        let mut rows = Vec::new();
        for (parent, field) in self.open_to(role) {
            if parent != "Mutation" || field == "createOrder" {
                continue;
            }
            let input = format!("{}{}Input", field[..1].to_uppercase(), &field[1..]);
            let needed = self.schema.object(&input, &self.named());
            let needed: Vec<_> = needed
                .into_iter()
                .filter(|field| !field.starts_with("idempotencyKey"))
                .collect();
            for more in [
                "idempotencyKey: \"mine\"",
                "idempotencyKey: \"ada-place\"",
                "idempotencyKey: \"1\", expectedVersion: 1",
                "idempotencyKey: \"2\", expectedVersion: 4",
                "idempotencyKey: \"3\", expectedVersion: 99",
            ] {
                rows.push(row(
                    "Mutation",
                    &field,
                    format!("(input: {{{}, {more}}})", needed.join(", ")),
                ));
            }
        }
        rows
    }

    /// The whole answer, as text.
    async fn walk(&mut self, caller: &Caller, row: &Row) -> String {
        let (parent, field) = (row.parent, &row.field);
        let to = self.schema.leads_to(parent, field);
        let selection = match caller.role() {
            Some(Role::Gateway) if to == "Node" => {
                let payment = self.schema.selection("Payment", 2, &mut self.seen);
                format!(" {{ __typename id ... on Payment {{ {payment} }} }}")
            }
            _ if to == "Node" => {
                let order = self.schema.selection("Order", 2, &mut self.seen);
                format!(" {{ __typename id ... on Order {{ {order} }} }}")
            }
            // Twenty orders deep in an answer cost more than they may.
            _ if to == "Customer" => self.schema.selected(parent, field, 3, &mut self.seen),
            _ => self.schema.selected(parent, field, 4, &mut self.seen),
        };
        self.seen.insert(format!("{parent}.{field}"));
        let document = format!(
            "{} {{ {field}{}{selection} }}",
            parent.to_lowercase(),
            row.arguments
        );
        let answer = match parent {
            "Subscription" => self.desk.follow(caller, &document, json!({})).answer().await,
            _ => self.desk.ask(caller, &document, json!({})).await,
        };
        let known = ["none", "NOT_FOUND", "FORBIDDEN", "BAD_USER_INPUT"];
        let coded = answer["errors"][0]["extensions"]["code"].as_str();
        let coded = if answer.get("errors").is_none() {
            Some("none")
        } else {
            coded
        };
        assert!(
            coded.is_some_and(|code| known.contains(&code)),
            "the row is not what the schema takes: {document}\n{answer:#}"
        );
        // A row that the guards refuse sees nothing of what it is there for.
        let said = answer["errors"][0]["message"].as_str().unwrap_or_default();
        assert!(!said.contains("may not use"), "{document}\n{said}");
        without_budget(answer).to_string()
    }

    async fn walk_all(&mut self, caller: &Caller, rows: &[Row]) -> Vec<String> {
        self.desk.caught_up().await;
        let mut answers = Vec::new();
        for row in rows {
            answers.push(self.walk(caller, row).await);
        }
        answers
    }

    /// The other one's order comes into being, is paid through `acme` and sent.
    async fn live(&self) {
        let (desk, order) = (&self.desk, &self.theirs);
        let address = json!({"name": "Countess", "street": ["12 St James's Square"], "postalCode": "SW1Y 4JH",
                             "city": "London", "country": "GB"});
        let line = json!({"sku": "SECRET-SKU", "name": "Engine", "quantity": 2, "unitPrice": eur(1_000), "weightG": 100});
        let (payment, shipment) = (format!("{order}-p1"), format!("{order}-s1"));
        for (mutation, input) in [
            (
                "createOrder",
                json!({"order": order, "customer": "ada-1815", "name": "Countess", "email": "lovelace@example.org",
                "channel": "web", "currency": "EUR", "locale": "en-GB", "idempotencyKey": "ada-create"}),
            ),
            ("addLine", json!({"order": order, "line": line})),
            (
                "setDetails",
                json!({"order": order, "shippingAddress": address,
                "shippingMethod": {"code": "parcel", "price": eur(500)}}),
            ),
            (
                "placeOrder",
                json!({"order": order, "idempotencyKey": "ada-place"}),
            ),
            (
                "initiatePayment",
                json!({"order": order, "amount": eur(2_500), "captureMethod": "MANUAL", "gateway": "acme",
                "method": {"type": "card", "last4": "4242"}, "idempotencyKey": "ada-pay"}),
            ),
        ] {
            desk.done(mutation, input, "").await;
        }
        let acme = Caller::known(Role::Gateway, "acme");
        let authorize =
            "mutation($input: RecordAuthorizationInput!) { recordAuthorization(input: $input) { version } }";
        let input =
            json!({"input": {"payment": payment, "reference": "SECRET-TRACK", "at": "2020-01-01T00:00:00Z"}});
        desk.data(&acme, authorize, input).await;
        for (mutation, input) in [
            ("confirmOrder", json!({"order": order, "mode": "MANUAL"})),
            ("allocateFulfillment", json!({"order": order})),
            (
                "createShipment",
                json!({"shipment": shipment, "location": "main", "idempotencyKey": "ada-ship"}),
            ),
            (
                "buyLabel",
                json!({"shipment": shipment, "parcels": [{"weightG": 300,
                "tracking": {"carrier": "dhl", "trackingNumber": "SECRET-TRACK"}}]}),
            ),
            ("dispatchShipment", json!({"shipment": shipment})),
        ] {
            desk.done(mutation, input, "").await;
        }
    }

    /// Every path before and after.
    async fn compare(&mut self, caller: &Caller, rows: &[Row]) {
        self.schema.close_to(caller.role().unwrap());
        let before = self.walk_all(caller, rows).await;
        self.live().await;
        let after = self.walk_all(caller, rows).await;
        for ((before, after), row) in before.iter().zip(&after).zip(rows) {
            let Row {
                parent,
                field,
                arguments,
            } = row;
            assert_eq!(
                before, after,
                "{parent}.{field}{arguments} tells whether it is there"
            );
            for secret in SECRETS {
                // What was asked for may stand in the answer that refuses it.
                let shown = after.contains(secret) && !arguments.contains(secret);
                assert!(!shown, "{parent}.{field}{arguments} shows {secret}: {after}");
            }
        }
    }

    /// Every root field that a role may ask for has a row, and so has every field that leads to a thing.
    fn all_walked(&self, role: Role, apart: &[&str]) {
        let open = self.open_to(role);
        let roots: Vec<(&str, &str)> = open
            .iter()
            .map(|(parent, field)| (*parent, field.as_str()))
            .collect();
        let is_walked = |path: &String| self.seen.contains(path) || apart.contains(&path.as_str());
        let missing: Vec<String> = roots
            .iter()
            .map(|(parent, field)| format!("{parent}.{field}"))
            .filter(|path| !is_walked(path))
            .collect();
        assert!(missing.is_empty(), "no row walks {missing:?}: add one for {role}");
        let guards = graphql::guards();
        let admits = |parent: &str, field: &str| {
            let roles = guards.roles(parent, field);
            roles.is_some_and(|roles| roles.admit(Some(role)))
        };
        // Where a type is closed to a role, the ways that lead to it are.
        let admitted = |path: &String| {
            let (parent, field) = path.split_once('.').unwrap();
            let to = self.schema.leads_to(parent, field);
            admits(parent, field) && admits(to, self.schema.fields(to)[0])
        };
        let leading = self.schema.leading_to(&roots, &THINGS);
        let open = leading.into_iter().filter(admitted);
        let missing: Vec<String> = open.filter(|path| !is_walked(path)).collect();
        assert!(
            missing.is_empty(),
            "no row asks for {missing:?}: add one for {role}"
        );
    }
}

/// The values that each field of a filter has in the other one's order.
fn filter_value(field: &str) -> &'static str {
    match field {
        "number" => "\"1002\"",
        "customer" => "\"ada-1815\"",
        "channel" => "\"web\"",
        "currency" => "\"EUR\"",
        "status" => "[CONFIRMED]",
        "paymentStatus" => "[AUTHORIZED]",
        "fulfillmentStatus" => "[SHIPPED]",
        "onHold" => "false",
        "createdFrom" | "placedFrom" => "\"2020-01-01T00:00:00Z\"",
        "createdBefore" | "placedBefore" => "\"2999-01-01T00:00:00Z\"",
        "totalFrom" => "\"2500\"",
        "totalTo" => "\"2500\"",
        other => {
            panic!("the filter has a new field {other}: say here which value finds the other one's order")
        }
    }
}

fn queries(world: &World) -> Vec<Row> {
    let order = &world.theirs;
    let mut rows = vec![
        row("Query", "order", format!("(id: \"{order}\")")),
        row("Query", "order", format!("(id: \"{order}\", atVersion: 1)")),
        row("Query", "order", format!("(id: \"{order}\", atVersion: 4)")),
        row("Query", "order", format!("(id: \"{order}\", atVersion: 999)")),
        row("Query", "order", format!("(id: \"{order}\", atVersion: -1)")),
        row(
            "Query",
            "order",
            format!("(id: \"{order}\", asOf: \"2000-01-01T00:00:00Z\")"),
        ),
        row(
            "Query",
            "order",
            format!("(id: \"{order}\", asOf: \"2999-01-01T00:00:00Z\")"),
        ),
        row("Query", "order", format!("(id: \"{order}-p1\")")),
        row(
            "Query",
            "nodes",
            format!("(ids: [\"{order}\", \"{order}-p1\", \"{order}-s1\", \"{order}-s9\"])"),
        ),
        row("Query", "orders", "(first: 3)"),
        row("Query", "orders", "(last: 3)"),
        row("Subscription", "orderUpdated", format!("(id: \"{order}\")")),
        row(
            "Subscription",
            "orderUpdated",
            format!("(id: \"{order}\", after: \"AWwAAA\")"),
        ),
        row(
            "Subscription",
            "ordersChanged",
            "(filter: {customer: \"ada-1815\"})",
        ),
    ];
    for words in ["Countess", "lovelace@example.org", "1002", "Coun", "ada-1815"] {
        rows.push(row("Query", "orders", format!("(first: 3, search: \"{words}\")")));
    }
    for whose in ["ada-1815", "eve", "nobody"] {
        rows.push(row("Query", "customer", format!("(id: \"{whose}\")")));
    }
    for whose in ["customer:ada-1815", &format!("order:{order}"), "customer:eve"] {
        let recipient = format!("recipient: \"{whose}\"");
        rows.push(row("Query", "notifications", format!("(first: 3, {recipient})")));
        rows.push(row("Subscription", "notifications", format!("({recipient})")));
    }
    for id in ["-s1", "-s9"] {
        rows.push(row(
            "Subscription",
            "shipmentTracking",
            format!("(id: \"{order}{id}\")"),
        ));
    }
    for id in ["", "-p1", "-p9", "-s1", "-s9"] {
        rows.push(row("Query", "node", format!("(id: \"{order}{id}\")")));
    }
    for (field, _) in world.schema.inputs("OrderFilter") {
        let value = filter_value(field);
        rows.push(row(
            "Query",
            "orders",
            format!("(first: 3, filter: {{{field}: {value}}})"),
        ));
    }
    for field in ["CREATED_AT", "PLACED_AT", "NUMBER", "TOTAL"] {
        for descending in [true, false] {
            let sort = format!("sort: {{field: {field}, descending: {descending}}}");
            rows.push(row("Query", "orders", format!("(first: 1, {sort})")));
            rows.push(row("Query", "orders", format!("(last: 1, {sort})")));
        }
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_answers_a_customer_as_if_the_others_order_did_not_exist() {
    let mut world = World::open().await;
    world.desk.placed("eve", "eve").await;
    let mut rows = queries(&world);
    rows.extend(world.mutations(Role::Customer));
    rows.push(row(
        "Mutation",
        "createOrder",
        "(input: {customer: \"ada-1815\", channel: \"web\", currency: \"EUR\", locale: \"de\", idempotencyKey: \"ada-create\"})",
    ));
    world.compare(&customer("eve"), &rows).await;
    world.all_walked(Role::Customer, &["Subscription.ordersChanged"]);
}

/// A gateway and the payments of another one.
#[tokio::test(flavor = "multi_thread")]
async fn every_path_answers_a_gateway_as_if_the_others_payment_did_not_exist() {
    let mut world = World::open().await;
    let order = &world.theirs;
    let mut rows = vec![row(
        "Query",
        "nodes",
        format!("(ids: [\"{order}\", \"{order}-p1\", \"{order}-s1\"])"),
    )];
    for id in ["", "-p1", "-p9", "-s1"] {
        rows.push(row("Query", "node", format!("(id: \"{order}{id}\")")));
    }
    rows.extend(world.mutations(Role::Gateway));
    let stripe = Caller::known(Role::Gateway, "stripe");
    world.compare(&stripe, &rows).await;
    world.all_walked(Role::Gateway, &[]);
    // Its own it sees: the rows were not blind.
    let acme = Caller::known(Role::Gateway, "acme");
    let own = row("Query", "node", format!("(id: \"{}-p1\")", world.theirs));
    let own = world.walk(&acme, &own).await;
    assert!(own.contains("AUTHORIZED"), "{own}");
}

/// A page's cursor and a stream's cursor lead nowhere else in another's hands.
#[tokio::test(flavor = "multi_thread")]
async fn the_others_cursors_lead_a_customer_to_their_own_orders_alone() {
    let world = World::open().await;
    let (desk, eve, ada) = (&world.desk, customer("eve"), customer("ada-1815"));
    let own = desk.placed("eve", "eve").await;
    let mut first = desk.follow(&ada, "subscription { ordersChanged { cursor } }", json!({}));
    let their_cursor = first.next().await["cursor"].take();
    world.live().await;
    let own_later = desk.placed("eve", "eve-2").await;
    desk.caught_up().await;

    for sort in ["CREATED_AT", "PLACED_AT", "NUMBER", "TOTAL"] {
        let list =
            "query($f: OrderSortField!) { orders(sort: {field: $f}) { edges { cursor node { id } } } }";
        let theirs = desk.data(&ada, list, json!({"f": sort})).await["orders"]["edges"].take();
        assert_eq!(theirs.as_array().map(Vec::len), Some(1));
        for end in ["first: 10, after", "last: 10, before"] {
            let query = format!(
                "query($f: OrderSortField!, $c: String!) {{ orders({end}: $c, sort: {{field: $f}}) {{
                totalCount {{ count }} nodes {{ id customer }} edges {{ node {{ id name }} }} }} }}"
            );
            let page = desk
                .data(&eve, &query, json!({"f": sort, "c": theirs[0]["cursor"]}))
                .await;
            let nodes = page["orders"]["nodes"].as_array().unwrap();
            assert!(
                nodes.iter().all(|node| node["customer"] == "eve"),
                "{sort} {end}: {page}"
            );
            is_silent_about(&world.theirs, &page);
        }
    }
    let selection =
        "cursor orderId position { partition offset } event { type } order { id customer name number }";
    let mut filters = vec!["".to_owned(), "filter: {channel: \"web\"}, ".to_owned()];
    filters.push("filter: {types: [\"order.placed\"]}, ".to_owned());
    filters.push("filter: {currency: \"EUR\"}, ".to_owned());
    for filter in filters {
        let query =
            format!("subscription($c: String!) {{ ordersChanged({filter}after: $c) {{ {selection} }} }}");
        let mut stream = desk.follow(&eve, &query, json!({"c": their_cursor}));
        // Their whole life lies between the cursor and this order's.
        let mut shown = 0;
        while shown < 1 {
            let message = stream.next().await;
            is_silent_about(&world.theirs, &message);
            if !message["event"].is_null() {
                assert_eq!(message["orderId"], json!(own_later), "{message}");
                assert_eq!(message["order"]["customer"], "eve");
                shown += usize::from(message["event"]["type"] == "order.placed");
            }
        }
    }
    let query = "subscription($id: ID!, $c: String!) { orderUpdated(id: $id, after: $c) { cursor event { type } orderId } }";
    let mut stream: Messages = desk.follow(&eve, query, json!({"id": own, "c": their_cursor}));
    is_silent_about(&world.theirs, &stream.next().await);
    assert!(stream.is_silent().await, "nothing happened to it since");
    let mut refused = desk.follow(&eve, query, json!({"id": world.theirs, "c": their_cursor}));
    assert_eq!(code(&refused.answer().await), "NOT_FOUND");
}

fn is_silent_about(order: &str, answer: &Value) {
    let text = answer.to_string();
    for secret in SECRETS.iter().copied().chain([order]) {
        assert!(!text.contains(secret), "{secret} is shown: {text}");
    }
}

/// What is left of a caller's own budget changes with every question; what the question costs does not.
fn without_budget(mut answer: Value) -> Value {
    if let Some(cost) = answer["extensions"]["cost"].as_object_mut() {
        cost.remove("throttleStatus");
    }
    answer
}

/// An id can be had once. Whoever names one that is taken learns that, and nothing of what it is.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_taken_tells_nothing_of_whose_it_is() {
    let world = World::open().await;
    world.live().await;
    let other = Uuid::new_v4().to_string();
    let input =
        json!({"order": other, "channel": "pos", "currency": "JPY", "locale": "ja", "idempotencyKey": "k"});
    world.desk.done("createOrder", input, "").await;
    let eve = customer("eve");
    let create =
        "mutation($input: CreateOrderInput!) { createOrder(input: $input) { order { id customer name }
        version position { offset } userErrors { __typename message code field } } }";
    let mut answers = Vec::new();
    for order in [&world.theirs, &other] {
        for key in ["new", "ada-create"] {
            let input = json!({"order": order, "channel": "web", "currency": "EUR", "locale": "de",
                               "idempotencyKey": format!("{key}-{}", answers.len() % 2)});
            let answer = world.desk.ask(&eve, create, json!({"input": input})).await;
            assert!(answer["data"]["createOrder"]["order"].is_null(), "{answer}");
            answers.push(
                without_budget(answer)
                    .to_string()
                    .replace(order.as_str(), "the order"),
            );
        }
        // Nor whether somebody works on it just now.
        let input = json!({"order": order, "channel": "web", "currency": "EUR", "locale": "de",
                           "idempotencyKey": format!("v-{}", answers.len()), "expectedVersion": 0});
        let answer = world.desk.ask(&eve, create, json!({"input": input})).await;
        answers.push(
            without_budget(answer)
                .to_string()
                .replace(order.as_str(), "the order"),
        );
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    assert_eq!(
        world
            .desk
            .data(
                &staff(),
                "query($id: ID!) { order(id: $id) { customer } }",
                json!({"id": world.theirs})
            )
            .await["order"]["customer"],
        "ada-1815"
    );
}
