//! `kill -9` of the server while orders are placed, paid and shipped over HTTP: whoever sends each request again under
//! its key until it is answered has every step done, and none twice.

use docket_domain::Role;
use docket_tests::server::{Client, SERVE, Server, embedded, life, mutation, on, signal, token, verb};
use docket_tests::{Seed, TestDatabase, database};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::watch;
use uuid::Uuid;

const SHOPPERS: usize = 6;
const WITHIN: Duration = Duration::from_secs(120);

/// What an order's life writes, in the order of its events.
const WHOLE: [&str; 14] = [
    "order.drafted",
    "order.line_added",
    "order.details_set",
    "order.placed",
    "order.payment_attached",
    "payment.initiated",
    "payment.authorized",
    "order.confirmed",
    "order.fulfillment_allocated",
    "shipment.created",
    "shipment.label_purchased",
    "shipment.dispatched",
    "payment.capture_requested",
    "payment.captured",
];

/// Sends every step of an order's life until it is done, wherever the server is by then.
async fn shop(mut server: watch::Receiver<Client>, order: Uuid, done: Arc<AtomicUsize>) -> Vec<Value> {
    let started = Instant::now();
    let mut positions = Vec::new();
    for (name, input) in life(order, "ada", "by the door") {
        loop {
            assert!(started.elapsed() < WITHIN, "{name} of {order} was never answered");
            let client = server.borrow_and_update().clone();
            let answered = client.attempt(mutation(name, input.clone())).await;
            match answered.map(|reply| (reply.code(), reply)) {
                Ok((code, reply)) if code == "none" => {
                    positions.push(reply.data()["position"].clone());
                    break;
                }
                Ok((code, _))
                    if ["UNAVAILABLE", "OUTCOME_UNKNOWN", "OVERLOADED"].contains(&code.as_str()) => {}
                Ok((code, reply)) => panic!("{name}: {code}: {reply:?}"),
                // The server is gone. Nothing says whether it had done it.
                Err(_) => drop(tokio::time::timeout(Duration::from_secs(1), server.changed()).await),
            }
        }
    }
    done.fetch_add(1, Ordering::SeqCst);
    positions
}

/// Has shoppers shop while the server is killed again and again, at least `kills` times and until all are done.
async fn under_kills(
    mut server: Server,
    token: &str,
    kills: usize,
    start: impl AsyncFn() -> Server,
) -> (Server, Vec<Uuid>) {
    let mut random = Seed::of_this_run();
    let (here, seen) = watch::channel(server.client(token));
    let done = Arc::new(AtomicUsize::new(0));
    let (mut orders, mut shoppers) = (Vec::new(), Vec::new());
    let mut killed = 0;
    while killed < kills || done.load(Ordering::SeqCst) < orders.len() {
        while killed < kills && orders.len() < done.load(Ordering::SeqCst) + SHOPPERS {
            let order = Uuid::new_v4();
            orders.push(order);
            shoppers.push(tokio::spawn(shop(seen.clone(), order, Arc::clone(&done))));
        }
        // The only sleep, and the point of the test: where in its work the server is killed is left to chance.
        tokio::time::sleep(Duration::from_micros(random.below(150_000))).await;
        if killed < kills {
            server.kill_9().await;
            server = start().await;
            here.send_replace(server.client(token));
            killed += 1;
        }
        if let Some(failed) = shoppers.iter().position(|shopper| shopper.is_finished()) {
            let positions = shoppers.swap_remove(failed).await.unwrap();
            assert!(positions.iter().all(Value::is_object), "{positions:?}");
        }
    }
    for shopper in shoppers {
        shopper.await.unwrap();
    }
    println!("{} orders, {killed} kills", orders.len());
    (server, orders)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_is_done_once_however_often_the_server_is_killed() {
    let db: TestDatabase = database().await;
    let token = token(&db, Role::Staff, "s-1").await;
    let start = async || Server::start(&db).await;
    let (server, orders) = under_kills(start().await, &token, 15, start).await;
    for order in &orders {
        let types: Vec<String> =
            sqlx::query_scalar(r#"select event_type from events where order_id = $1 order by "offset""#)
                .bind(order)
                .fetch_all(db.admin())
                .await
                .unwrap();
        assert_eq!(types, WHOLE, "{order}");
    }
    let all: i64 = sqlx::query_scalar("select count(*) from events")
        .fetch_one(db.admin())
        .await
        .unwrap();
    assert_eq!(all as usize, orders.len() * WHOLE.len());
    assert!(server.stop().await.success());
    let verified = verb(docket_tests::server::on(&db), &["verify"]).await;
    assert!(verified.status.success(), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_database_outlives_its_server() {
    let folder = docket_tests::scratch("kill");
    let made = async |path: &Path| {
        let args = ["token", "create", "--role", "staff", "--actor", "s-1"];
        let made = verb(embedded(path), &args).await;
        let said: Value = serde_json::from_slice(&made.stdout).unwrap_or_else(|_| panic!("{made:?}"));
        said["token"].as_str().unwrap().to_owned()
    };
    let token = made(folder.path()).await;
    let start = async || Server::start_embedded(folder.path()).await;
    let (server, orders) = under_kills(start().await, &token, 6, start).await;
    let client = server.client(&token);
    for order in &orders {
        let query = format!("{{events(stream:\"{order}\",first:100){{events{{version type}}}}}}");
        let events = client.run(&query, Value::Null).await.data();
        let types: Vec<&str> = events["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["type"].as_str().unwrap())
            .collect();
        let whole: Vec<&str> = WHOLE
            .into_iter()
            .filter(|name| name.starts_with("order."))
            .collect();
        assert_eq!(types, whole, "{order}");
    }
    assert!(server.stop().await.success());
    let verified = verb(embedded(folder.path()), &["verify"]).await;
    assert!(verified.status.success(), "{verified:?}");
}

/// A database that takes the connection and says nothing: the server must not have to be killed.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_to_stop_while_it_waits_for_its_database_stops() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://docket@{}/docket", silent.local_addr().unwrap());
    let db = database().await;
    let mut waiting = on(&db)
        .env("DATABASE_URL", url)
        .args(SERVE)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // It has been told whom to ask and asks.
    let _connection = silent.accept().await.unwrap();
    signal(waiting.id().unwrap(), "TERM");
    let ended = tokio::time::timeout(WITHIN, waiting.wait()).await;
    assert!(ended.expect("it stops").unwrap().success());
}

/// A killed server's leases hold for some seconds more, and so its partitions stand still: the demo that is started next
/// waits for them, and then greets.
#[tokio::test(flavor = "multi_thread")]
async fn the_demo_waits_for_the_leases_of_a_killed_server() {
    let db = database().await;
    docket_event_store::migrate(&db.connect_options(), None)
        .await
        .unwrap();
    // As the dead one leaves it, and long enough for any start.
    sqlx::query(
        "update checkpoints set owner = gen_random_uuid(), lease_until = clock_timestamp() + interval '8 seconds'",
    )
    .execute(db.admin())
    .await
    .unwrap();
    let mut demo = on(&db)
        .args(SERVE)
        .arg("--demo")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(demo.stdout.take().unwrap()).lines();
    let greeted = async {
        while let Some(line) = said.next_line().await.unwrap() {
            if line.starts_with("Docket is at ") {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(WITHIN, greeted).await.unwrap(), "it gave up");
    demo.kill().await.unwrap();
}
