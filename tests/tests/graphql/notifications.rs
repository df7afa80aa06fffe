//! What people were told: an inbox to page through and a stream that goes on from it, each recipient's own.

use crate::desk::{Desk, code, customer, staff};
use serde_json::{Value, json};
use std::time::Duration;

const FOLLOW: &str = "subscription($of: String, $after: String) { notifications(recipient: $of, after: $after) {
    cursor position { partition offset }
    notification { number kind orderId orderNumber paid { amount { amount currency } } shipped { shipmentId complete }
                   position { partition offset } createdAt order { id number paymentStatus fulfillmentStatus } } } }";
const INBOX: &str = "query($of: String, $first: Int, $after: String, $at: [PositionInput!]) {
    notifications(recipient: $of, first: $first, after: $after, minPosition: $at) {
        totalCount pageInfo { hasNextPage hasPreviousPage endCursor }
        edges { cursor node { number kind order { id paymentStatus } } } } }";

impl Desk {
    /// A placed order of this customer that is paid and then shipped; its id.
    async fn sold(&self, customer: &str, key: &str) -> String {
        let order = self.placed(customer, key).await;
        let payment = self.authorized(&order, "MANUAL").await;
        let shipment = format!("{order}-s1");
        let now = chrono::Utc::now();
        for (name, input) in [
            ("confirmOrder", json!({"order": order, "mode": "AUTOMATIC"})),
            ("capturePayment", json!({"payment": payment})),
            (
                "recordCapture",
                json!({"payment": payment, "capture": 1, "reference": "c-1", "at": now}),
            ),
            ("allocateFulfillment", json!({"order": order})),
            (
                "createShipment",
                json!({"shipment": shipment, "location": "berlin"}),
            ),
            (
                "buyLabel",
                json!({"shipment": shipment, "parcels": [{"tracking": {"carrier": "dhl", "trackingNumber": "T-1"}}]}),
            ),
            ("dispatchShipment", json!({"shipment": shipment})),
        ] {
            let mut input = input;
            // Where a mutation needs a key; the others take one.
            input["idempotencyKey"] = json!(format!("{name}-{order}"));
            self.done(name, input, "").await;
        }
        order
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_told_that_the_order_is_paid_and_that_it_is_shipped() {
    let desk = Desk::open().await;
    let mut stream = desk.follow(&customer("ada"), FOLLOW, json!({}));
    let first = stream.next().await;
    assert!(first["cursor"].is_string());
    assert_eq!(
        (&first["notification"], &first["position"]),
        (&Value::Null, &Value::Null)
    );
    let order = desk.sold("ada", "a").await;
    let paid = stream.next().await;
    let told = &paid["notification"];
    assert_eq!(
        (
            &told["number"],
            &told["kind"],
            &told["orderId"],
            &told["order"]["id"]
        ),
        (&json!("1"), &json!("ORDER_PAID"), &json!(order), &json!(order))
    );
    assert_eq!(
        told["paid"],
        json!({"amount": {"amount": "25.00", "currency": "EUR"}})
    );
    assert_eq!(
        (&told["shipped"], &told["order"]["paymentStatus"]),
        (&Value::Null, &json!("PAID"))
    );
    assert_eq!(told["orderNumber"], told["order"]["number"]);
    assert_eq!(told["position"], paid["position"]);
    let shipped = stream.next().await;
    let told = &shipped["notification"];
    assert_eq!(
        told["shipped"],
        json!({"shipmentId": format!("{order}-s1"), "complete": true})
    );
    assert_eq!(
        (&told["number"], &told["order"]["fulfillmentStatus"]),
        (&json!("2"), &json!("SHIPPED"))
    );
    assert!(stream.is_silent().await);

    // From where the first message left off, nothing is missed and nothing repeated.
    let mut again = desk.follow(&customer("ada"), FOLLOW, json!({"after": paid["cursor"]}));
    assert_eq!(again.next().await["cursor"], paid["cursor"]);
    assert_eq!(again.next().await, shipped);
    assert!(again.is_silent().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inbox_is_paged_by_number_and_followed_from_its_newest() {
    let desk = Desk::open().await;
    for n in 0..3 {
        desk.sold("ada", &format!("a-{n}")).await;
    }
    desk.sold("bob", "b").await;
    let ada = customer("ada");
    let (mut numbers, mut after, mut newest) = (Vec::new(), Value::Null, Value::Null);
    loop {
        let variables = json!({"first": 4, "after": after, "at": desk.now()});
        let page = desk.data(&ada, INBOX, variables).await["notifications"].take();
        assert_eq!(page["totalCount"], "6");
        assert_eq!(page["pageInfo"]["hasPreviousPage"], json!(!after.is_null()));
        for edge in page["edges"].as_array().unwrap() {
            if newest.is_null() {
                newest = edge["cursor"].clone();
            }
            assert_eq!(edge["node"]["order"]["paymentStatus"], "PAID");
            numbers.push(edge["node"]["number"].as_str().unwrap().to_owned());
        }
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(numbers, ["6", "5", "4", "3", "2", "1"]);
    let mut stream = desk.follow(&ada, FOLLOW, json!({"after": newest}));
    assert_eq!(stream.next().await["cursor"], newest);
    assert!(stream.is_silent().await);
    desk.sold("ada", "more").await;
    assert_eq!(stream.next().await["notification"]["number"], "7");
}

/// By the stream, the inbox, a recipient that is named, somebody else's cursor: nobody sees what others were told.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_what_others_were_told() {
    let desk = Desk::open().await;
    desk.sold("ada", "a").await;
    let at = desk.now();
    let whose = json!({"of": "customer:ada", "at": at});
    let page = desk.data(&staff(), INBOX, whose.clone()).await["notifications"].take();
    let cursor = page["edges"][0]["cursor"].clone();
    assert_eq!(page["totalCount"], "2");

    let bob = customer("bob");
    let own = desk.data(&bob, INBOX, json!({"at": at})).await["notifications"].take();
    assert_eq!((&own["totalCount"], &own["edges"]), (&json!("0"), &json!([])));
    assert_eq!(code(&desk.ask(&bob, INBOX, whose.clone()).await), "FORBIDDEN");
    let named = desk.follow(&bob, FOLLOW, whose.clone()).answer().await;
    assert_eq!(code(&named), "FORBIDDEN");
    let foreign = desk.follow(&bob, FOLLOW, json!({"after": cursor})).answer().await;
    assert_eq!(code(&foreign), "BAD_USER_INPUT");
    let mut stream = desk.follow(&bob, FOLLOW, json!({}));
    stream.next().await;
    desk.sold("ada", "b").await;
    assert!(stream.is_silent().await);

    // The desk has no notifications of its own, and follows whomever it names.
    assert_eq!(
        code(&desk.ask(&staff(), INBOX, json!({})).await),
        "BAD_USER_INPUT"
    );
    assert_eq!(
        code(&desk.ask(&staff(), INBOX, json!({"of": "ada"})).await),
        "BAD_USER_INPUT"
    );
    let mut stream = desk.follow(&staff(), FOLLOW, json!({"of": "customer:ada", "after": cursor}));
    assert_eq!(stream.next().await["notification"], Value::Null);
    assert_eq!(stream.next().await["notification"]["number"], "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_back_so_far_and_a_cursor_must_be_one_of_the_ledger() {
    let desk = Desk::open().await;
    desk.sold("ada", "a").await;
    let ada = customer("ada");
    let page = desk.data(&ada, INBOX, json!({"at": desk.now()})).await["notifications"].take();
    let oldest = page["edges"][1]["cursor"].clone();
    let events = "{ events(partition: 0) { endCursor } }";
    let of_log = desk.data(&staff(), events, json!({})).await["events"]["endCursor"].take();
    for wrong in [
        json!("AAAA"),
        json!(""),
        of_log,
        page["edges"][0]["node"]["number"].clone(),
    ] {
        if wrong.is_null() {
            continue;
        }
        for query in [FOLLOW, INBOX] {
            let answer = match query {
                FOLLOW => desk.follow(&ada, query, json!({"after": wrong})).answer().await,
                _ => desk.ask(&ada, query, json!({"after": wrong})).await,
            };
            assert_eq!(code(&answer), "BAD_USER_INPUT", "{wrong}");
        }
    }
    // 1,000 more than the oldest one: the last one that still is near enough, and the first one too far.
    let more = r#"insert into notifications
        select 2 + g, "offset", created_at, gen_random_uuid(), order_id, partition, recipient, rule, facts
          from notifications, generate_series(1, $1) g where number = 2 and recipient = 'customer:ada'"#;
    let newest = "update notification_recipients set newest = $1 where recipient = 'customer:ada'";
    let add = async |from: i64, count: i64| {
        let rows = more.replace("2 + g", &format!("{from} + g"));
        let rows = sqlx::query(sqlx::AssertSqlSafe(rows)).bind(count as i32);
        rows.execute(desk.db.admin()).await.unwrap();
        let newest = sqlx::query(newest).bind(from + count);
        newest.execute(desk.db.admin()).await.unwrap();
    };
    add(2, 999).await;
    let mut stream = desk.follow(&ada, FOLLOW, json!({"after": oldest}));
    for number in 1..=1_001_i64 {
        let message = stream.next().await;
        if number > 1 {
            assert_eq!(message["notification"]["number"], json!(number.to_string()));
        }
    }
    drop(stream);
    add(1_001, 1).await;
    let refused = desk.follow(&ada, FOLLOW, json!({"after": oldest})).answer().await;
    let extensions = &refused["errors"][0]["extensions"];
    assert_eq!(
        (&extensions["code"], &extensions["behind"], &extensions["limit"]),
        (&json!("BAD_USER_INPUT"), &json!(1_001), &json!(1_000)),
        "{refused}"
    );
}

/// The order is sold through one process and followed at another; whichever of them has the rule's partition.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_says_is_followed_at_another() {
    let desk = Desk::open().await;
    let other = desk.another().await;
    let mut streams = [
        desk.follow(&customer("ada"), FOLLOW, json!({})),
        other.follow(&customer("ada"), FOLLOW, json!({})),
    ];
    for stream in &mut streams {
        stream.next().await;
    }
    for n in 0..8 {
        desk.sold("ada", &format!("a-{n}")).await;
    }
    for stream in &mut streams {
        for number in 1..=16 {
            let message = stream.next().await;
            assert_eq!(message["notification"]["number"], json!(number.to_string()));
        }
        assert!(stream.is_silent().await);
    }
}

/// A stream is cut at arbitrary messages and resumed, each time at the other of two processes, while orders are sold.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_resumed_misses_nothing_and_repeats_nothing() {
    const ORDERS: usize = 25;
    let desk = Desk::open().await;
    let other = desk.another().await;
    let ada = customer("ada");
    let mut stream = desk.follow(&ada, FOLLOW, json!({}));
    let mut cursor = stream.next().await["cursor"].take();
    let keys: Vec<String> = (0..ORDERS).map(|n| format!("k-{n}")).collect();
    let sell = futures::future::join_all(keys.iter().map(|key| desk.sold("ada", key)));
    let read = async {
        let (mut last, mut until_break, mut breaks) = (0, 1, 0);
        while last < 2 * ORDERS {
            let message = stream.next().await;
            cursor = message["cursor"].clone();
            let Some(number) = message["notification"]["number"].as_str() else {
                continue;
            };
            last += 1;
            assert_eq!(number, last.to_string(), "missed, repeated or out of order");
            until_break -= 1;
            if until_break == 0 {
                breaks += 1;
                until_break = 1 + (breaks * 7) % 5;
                let at = if breaks % 2 == 0 { &desk } else { &other };
                stream = at.follow(&ada, FOLLOW, json!({"after": cursor}));
            }
        }
        assert!(stream.is_silent().await);
        breaks
    };
    let (_, breaks) = futures::join!(sell, read);
    assert!(breaks > 8, "{breaks} breaks");
}

/// However many follow, the ledger is read by one: what it is asked while nothing happens does not grow with them.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_followers_cost_the_database_no_more_than_one() {
    const FOLLOWERS: usize = 1_000;
    let desk = Desk::open().await;
    let mut streams: Vec<_> = (0..FOLLOWERS)
        .map(|n| desk.follow(&customer(&format!("c-{n}")), FOLLOW, json!({})))
        .collect();
    for stream in &mut streams {
        stream.next().await;
    }
    let scans = async || -> i64 {
        let sql = "select coalesce(sum(coalesce(seq_scan, 0) + coalesce(idx_scan, 0)), 0)::bigint
                     from pg_stat_user_tables where relname like 'notification%'";
        sqlx::query_scalar(sql).fetch_one(desk.db.admin()).await.unwrap()
    };
    // The counters follow the work by about a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = scans().await;
    let began = tokio::time::Instant::now();
    desk.sold("c-7", "a").await;
    for number in ["1", "2"] {
        assert_eq!(streams[7].next().await["notification"]["number"], number);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asked = scans().await - before;
    // Each look of the one reader is a scan for each of 16 partitions: one look a second, and some for what was said.
    let looks = began.elapsed().as_secs() as i64 + 30;
    println!("{asked} scans for {FOLLOWERS} followers");
    assert!(asked < 16 * looks, "{asked} scans");
}
