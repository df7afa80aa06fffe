//! Lists page by key, filter, and cost the same number of statements whatever the page's size.

use crate::desk::{Desk, code, customer, staff};
use serde_json::{Value, json};
use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};
use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::NoSubscriber,
};

const LIST: &str = "query($first: Int, $after: String, $last: Int, $before: String, $filter: OrderFilter,
        $sort: OrderSort, $at: [PositionInput!]) {
    orders(first: $first, after: $after, last: $last, before: $before, filter: $filter, sort: $sort, minPosition: $at) {
        edges { cursor node { id status customer } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";

fn ids(page: &Value) -> Vec<String> {
    let edges = page["orders"]["edges"].as_array().expect("a page");
    edges
        .iter()
        .map(|edge| edge["node"]["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_forward_and_backward() {
    let desk = Desk::open().await;
    let mut drafts = Vec::new();
    for n in 0..7 {
        drafts.push(desk.draft("c-1", &format!("k-{n}")).await);
    }
    drafts.reverse();
    let mut variables = json!({"first": 3, "at": desk.now()});
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let page = desk.data(&staff(), LIST, variables.clone()).await;
        assert_eq!(page["orders"]["pageInfo"]["hasPreviousPage"], json!(pages > 0));
        seen.extend(ids(&page));
        pages += 1;
        if page["orders"]["pageInfo"]["hasNextPage"] == json!(false) {
            let before = &page["orders"]["pageInfo"]["startCursor"];
            let back = desk
                .data(&staff(), LIST, json!({"last": 2, "before": before}))
                .await;
            assert_eq!(ids(&back), drafts[4..6]);
            assert_eq!(back["orders"]["pageInfo"]["hasPreviousPage"], json!(true));
            break;
        }
        variables["after"] = page["orders"]["pageInfo"]["endCursor"].clone();
    }
    assert_eq!((seen, pages), (drafts, 3));
    let cursor = &variables["after"];
    let other = json!({"after": cursor, "sort": {"field": "TOTAL"}});
    assert_eq!(code(&desk.ask(&staff(), LIST, other).await), "BAD_USER_INPUT");
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_list_their_own_orders_only() {
    let desk = Desk::open().await;
    let own = desk.draft("ada", "a").await;
    desk.draft("bob", "b").await;
    let at = desk.now();
    assert_eq!(
        ids(&desk.data(&customer("ada"), LIST, json!({"at": at})).await),
        [own]
    );
    let theirs = json!({"filter": {"customer": "bob"}});
    assert_eq!(
        ids(&desk.data(&customer("ada"), LIST, theirs.clone()).await),
        [""; 0]
    );
    assert_eq!(ids(&desk.data(&staff(), LIST, theirs).await).len(), 1);
    let none = json!({"filter": {"status": ["PLACED"], "channel": "a\u{0}"}});
    assert_eq!(ids(&desk.data(&staff(), LIST, none).await), [""; 0]);
}

/// Everything of every order on the page: rows, documents, keys.
const DEEP: &str =
    "query($first: Int) { orders(first: $first) { totalCount { count } edges { node { id name email status
    shippingAddress { city } lines { name } payments { id captures { number } }
    shipments { id shipTo { city } parcels { number } } } } } }";

/// One thread, because the statements of this test are counted by what its thread says of them.
#[tokio::test]
async fn a_page_takes_as_many_statements_whatever_its_size() {
    let counted = Statements::default();
    // With one subscriber alone, tracing asks whichever thread meets a statement first whether it is wanted, and that of
    // another test says no for all. With two it asks both.
    let _second = Dispatch::new(NoSubscriber::default());
    let _listening = tracing::subscriber::set_default(counted.clone());
    let desk = Desk::open().await;
    for n in 0..21 {
        // Each customer has a key of their own.
        let order = desk.placed(&format!("c-{n}"), &format!("k-{n}")).await;
        desk.authorized(&order, "MANUAL").await;
        for (mutation, input) in [
            ("confirmOrder", json!({"order": order, "mode": "AUTOMATIC"})),
            ("allocateFulfillment", json!({"order": order})),
            (
                "createShipment",
                json!({"shipment": format!("{order}-s1"), "location": "main", "idempotencyKey": format!("s-{n}")}),
            ),
        ] {
            desk.done(mutation, input, "").await;
        }
    }
    let others = [
        "query($first: Int) { shipments(first: $first) { edges { node { shipmentId order { number } } } } }",
        "query($first: Int) { payments(first: $first) { edges { node { paymentId order { number } } } } }",
        "query($first: Int) { orders(first: $first) { nodes { timeline { edges { node { text } } } } } }",
    ];
    let mut taken_by_others = Vec::new();
    let all = json!({"first": 21, "at": desk.now()});
    assert_eq!(ids(&desk.data(&staff(), LIST, all).await).len(), 21);
    for first in [1, 20] {
        // A process that has unwrapped no key yet.
        let fresh = desk.another().await;
        counted.take();
        let page = fresh.data(&staff(), DEEP, json!({"first": first})).await;
        let statements = counted.take();
        assert_eq!(page["orders"]["totalCount"]["count"], 21);
        assert_eq!(ids(&page).len(), first);
        for edge in page["orders"]["edges"].as_array().unwrap() {
            let node = &edge["node"];
            assert_eq!(
                (&node["name"], &node["lines"][0]["name"]),
                (&json!("Ada"), &json!("Tea"))
            );
            let parts = ["payments", "shipments"].map(|part| node[part].as_array().map(Vec::len));
            assert_eq!(parts, [Some(1), Some(1)], "{node}");
            assert_eq!(node["shipments"][0]["shipTo"]["city"], "Berlin");
        }
        assert_eq!(
            statements.len(),
            3,
            "rows with their documents, keys and the count: {statements:#?}"
        );
        let nodes = "query($first: Int) { orders(first: $first) { ...p } }
            fragment p on OrderConnection { nodes { ... on Order { phone } } }";
        fresh.data(&staff(), nodes, json!({"first": first})).await;
        assert_eq!(counted.take().len(), 1, "the keys are known by now");
        fresh.data(&staff(), LIST, json!({"first": first})).await;
        assert_eq!(counted.take().len(), 1, "a list of summaries reads rows alone");
        let ids: Vec<Value> = page["orders"]["edges"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["node"]["id"].clone())
            .collect();
        let by_id = "query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Order { name payments { id } } } }";
        fresh.data(&staff(), by_id, json!({"ids": ids})).await;
        assert_eq!(counted.take().len(), 1, "all documents at once");
        let mut taken = Vec::new();
        for query in others {
            fresh.data(&staff(), query, json!({"first": first})).await;
            taken.push(counted.take().len());
        }
        taken_by_others.push(taken);
    }
    assert_eq!(taken_by_others, [[2, 2, 2], [2, 2, 2]], "for one and for twenty");
}

/// Many ask while the database is busy: then a few statements read for all, and everybody gets what they may see.
#[tokio::test]
async fn what_is_asked_for_together_is_read_together() {
    let counted = Statements::default();
    let _second = Dispatch::new(NoSubscriber::default());
    let _listening = tracing::subscriber::set_default(counted.clone());
    let desk = Desk::open().await;
    let mut orders = Vec::new();
    for n in 0..20 {
        orders.push(desk.placed(&format!("c-{n}"), &format!("k-{n}")).await);
    }
    desk.caught_up().await;
    let mut busy = Vec::new();
    for _ in 0..docket_event_store::limits::QUERIES {
        busy.push(desk.store.query_connection().await.unwrap());
    }
    counted.take();
    let query = "query($id: ID!) { order(id: $id) { id name customer } }";
    let asked = orders.iter().enumerate().flat_map(|(n, order)| {
        let (desk, variables) = (&desk, json!({"id": order}));
        // Each customer, the next one, and staff.
        [
            customer(&format!("c-{n}")),
            customer(&format!("c-{}", n + 1)),
            staff(),
        ]
        .map(|caller| desk.data_of(caller, query, variables.clone()))
    });
    let asked = futures::future::join_all(asked);
    let free = async {
        // Each turn lets all others go as far as they come, and they come no further than to wait.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        busy.clear();
    };
    let (answers, ()) = tokio::join!(asked, free);
    for (n, answers) in answers.chunks(3).enumerate() {
        let own = json!({"order": {"id": orders[n], "name": "Ada", "customer": format!("c-{n}")}});
        assert_eq!(answers, [own.clone(), json!({"order": null}), own]);
    }
    let statements = counted.take();
    // Those who came first, each lane's, and then all others together; keys likewise.
    assert!(
        statements.len() <= 8,
        "documents and keys for 60 that ask: {statements:#?}"
    );
}

/// The statements that read what a page shows, as the driver reports them.
#[derive(Clone, Default)]
struct Statements(Arc<Mutex<Vec<String>>>);

impl Statements {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Subscriber for Statements {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn event(&self, event: &Event<'_>) {
        /// The whole statement where it is long, else its beginning, which is all of it.
        #[derive(Default)]
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                if matches!(field.name(), "summary" | "db.statement") {
                    self.0.push_str(&format!("{value:?}"));
                }
            }
        }
        let mut text = Text::default();
        event.record(&mut text);
        let tables = [
            "order_summary",
            "order_detail",
            "order_timeline",
            "shipment_board",
            "payment_ledger",
            "personal_keys",
        ];
        if tables.iter().any(|table| text.0.contains(table)) {
            self.0.lock().unwrap().push(text.0);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_names_a_position_never_gets_an_older_row() {
    let desk = Desk::open_waiting(Duration::from_millis(300)).await;
    let order = desk.draft("c-1", "k").await;
    let query = "query($id: ID!, $at: [PositionInput!]) { order(id: $id, minPosition: $at) { version } }";
    let node = "query($id: ID!, $at: [PositionInput!]) {
        order: node(id: $id, minPosition: $at) { ... on Order { version } }
        nodes(ids: [$id], minPosition: $at) { id } }";
    for version in 3..30 {
        let line = json!({"order": order, "line": 1, "quantity": version});
        let position = desk.done("setLineQuantity", line, "").await["position"].take();
        let query = [query, node][version % 2];
        let read = desk
            .data(&staff(), query, json!({"id": order, "at": [position]}))
            .await;
        assert_eq!(read["order"]["version"], version);
    }
    let partition = desk.store.partition_of(order.parse().unwrap());
    let ahead = json!([{"partition": partition, "offset": "1000000"}]);
    for (query, variables) in [
        (query, json!({"id": order, "at": ahead})),
        (
            "query($id: ID!, $at: [PositionInput!]) { order(id: $id, atVersion: 1, minPosition: $at) { version } }",
            json!({"id": order, "at": ahead}),
        ),
        (node, json!({"id": order, "at": ahead})),
        (LIST, json!({"at": ahead})),
        (
            "query($at: [PositionInput!]) { events(partition: 0, minPosition: $at) { endCursor } }",
            json!({"at": ahead}),
        ),
    ] {
        let answer = desk.ask(&staff(), query, variables).await;
        assert_eq!(code(&answer), "STALE", "{answer}");
        assert_eq!(answer["errors"][0]["extensions"]["wanted"], "1000000");
        assert!(answer["errors"][0]["extensions"]["reached"].is_string());
    }
}

/// Rows and documents are folded apart. Whoever sees what a command did in a row sees it in the document beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_never_shows_a_document_that_is_older_than_its_row() {
    let desk = Desk::open().await;
    let order = desk.draft("c-1", "k").await;
    desk.data(&staff(), LIST, json!({"at": desk.now()})).await;
    let mut holder = desk.db.admin().acquire().await.unwrap();
    sqlx::raw_sql("begin; select from order_detail_g1 for update")
        .execute(&mut *holder)
        .await
        .unwrap();
    let line = json!({"order": order, "line": 1, "quantity": 7});
    desk.done("setLineQuantity", line, "").await;
    // The row has it.
    let listed = desk.data(&staff(), LIST, json!({"at": desk.now()})).await;
    assert_eq!(ids(&listed), [order.as_str()]);

    let query = "{ orders { nodes { version lines { quantity } } } }";
    let reader = staff();
    let mut page = Box::pin(desk.data(&reader, query, json!({})));
    let early = tokio::time::timeout(Duration::from_millis(200), &mut page).await;
    assert!(early.is_err(), "the document is older: {early:?}");
    sqlx::raw_sql("rollback").execute(&mut *holder).await.unwrap();
    let page = page.await;
    assert_eq!(page["orders"]["nodes"][0]["lines"][0]["quantity"], 7, "{page}");
}
