//! A stream that is cut and resumed from its cursor misses nothing and repeats nothing, across all partitions and under
//! load; a client that does not read and a token that ends are told so.

use docket::auth::create_token;
use docket_domain::Role;
use docket_tests::server::{Client, Server, life, token};
use docket_tests::{Seed, TestDatabase, database, eventually};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use uuid::Uuid;

const WRITERS: usize = 6;
const LIVES: usize = 4;
const FOLLOW: &str = "subscription($c: String) { ordersChanged(after: $c) { cursor position { partition offset } event { id } } }";

struct World {
    db: TestDatabase,
    server: Server,
    staff: Client,
}

impl World {
    async fn open() -> World {
        let db = database().await;
        let server = Server::start(&db).await;
        let staff = server.client(token(&db, Role::Staff, "s-1").await);
        World { db, server, staff }
    }

    /// Writers of whole lives, and a sign that they are done.
    fn load(&self) -> Arc<AtomicBool> {
        let done = Arc::new(AtomicBool::new(false));
        let write = |_| {
            let staff = self.staff.clone();
            tokio::spawn(async move {
                for _ in 0..LIVES {
                    for (name, input) in life(Uuid::new_v4(), "ada", "by the door") {
                        staff.mutate(name, input).await.data();
                    }
                }
            })
        };
        let writers: Vec<_> = (0..WRITERS).map(write).collect();
        let over = Arc::clone(&done);
        tokio::spawn(async move {
            futures::future::try_join_all(writers).await.unwrap();
            over.store(true, Ordering::SeqCst);
        });
        done
    }

    async fn cursor(&self) -> String {
        let mut stream = self.staff.follow(FOLLOW, Value::Null).await;
        let message = stream.next().await.unwrap();
        message["data"]["ordersChanged"]["cursor"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    async fn log(&self) -> Vec<(i64, i64, String)> {
        let all = r#"select partition::bigint, "offset", event_id::text from events order by 1, 2"#;
        sqlx::query_as(all).fetch_all(self.db.admin()).await.unwrap()
    }
}

/// What a follower was shown, in the order in which it was shown.
#[derive(Default)]
struct Shown(Vec<(i64, i64, String)>);

impl Shown {
    /// The cursor of a message, noted with what it shows.
    fn note(&mut self, message: &Value) -> String {
        let payload = &message["data"]["ordersChanged"];
        if !payload["event"].is_null() {
            let position = &payload["position"];
            let offset = position["offset"].as_str().unwrap().parse().unwrap();
            let id = payload["event"]["id"].as_str().unwrap().to_owned();
            self.0.push((position["partition"].as_i64().unwrap(), offset, id));
        }
        payload["cursor"]
            .as_str()
            .unwrap_or_else(|| panic!("{message}"))
            .to_owned()
    }

    /// Dense from 1 in every partition, in the order shown, and all of the log.
    fn judge(mut self, log: &[(i64, i64, String)]) {
        let mut next: HashMap<i64, i64> = HashMap::new();
        for (partition, offset, _) in &self.0 {
            let expected = next.entry(*partition).or_insert(1);
            assert_eq!(
                offset, expected,
                "partition {partition}: missed, repeated or out of order"
            );
            *expected += 1;
        }
        self.0.sort();
        assert_eq!(self.0, log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_sent_events_cut_at_random_and_resumed_show_the_whole_log() {
    let world = World::open().await;
    let (mut random, mut shown, mut cuts) = (Seed::of_this_run(), Shown::default(), 0);
    let mut cursor = world.cursor().await;
    let done = world.load();
    loop {
        let mut stream = world.staff.follow(FOLLOW, json!({"c": cursor})).await;
        for _ in 0..=random.below(40) {
            // The cut may come while a message is on its way: what was not read was not shown.
            let read = tokio::time::timeout(Duration::from_millis(300), stream.next());
            let Ok(message) = read.await else { break };
            cursor = shown.note(&message.unwrap());
        }
        drop(stream);
        cuts += 1;
        if done.load(Ordering::SeqCst) && shown.0.len() >= world.log().await.len() {
            break;
        }
    }
    println!("{cuts} cuts, {} events", shown.0.len());
    assert!(cuts > 5);
    shown.judge(&world.log().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_cut_at_random_and_resumed_shows_the_whole_log() {
    let world = World::open().await;
    let (mut random, mut shown, mut cuts) = (Seed::of_this_run(), Shown::default(), 0);
    let mut cursor = world.cursor().await;
    let done = world.load();
    while !(done.load(Ordering::SeqCst) && shown.0.len() >= world.log().await.len()) {
        let mut socket = world.staff.socket(&[]).await.unwrap();
        socket.init(world.staff.token()).await;
        socket.subscribe("1", FOLLOW, json!({"c": cursor})).await;
        for _ in 0..=random.below(40) {
            let read = tokio::time::timeout(Duration::from_millis(300), socket.next());
            let Ok(message) = read.await else { break };
            let message = message.unwrap();
            assert_eq!(message["type"], "next", "{message}");
            cursor = shown.note(&message["payload"]);
        }
        cuts += 1;
    }
    println!("{cuts} cuts, {} events", shown.0.len());
    assert!(cuts > 5);
    shown.judge(&world.log().await);
}

/// The server itself is cut: a follower comes back to another process and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_at_another_process() {
    let world = World::open().await;
    let other = Server::start(&world.db).await;
    let elsewhere = world.staff.at(other.address());
    let mut shown = Shown::default();
    let mut cursor = world.cursor().await;
    let done = world.load();
    let mut turn = 0;
    while !(done.load(Ordering::SeqCst) && shown.0.len() >= world.log().await.len()) {
        let client = if turn % 2 == 0 { &elsewhere } else { &world.staff };
        turn += 1;
        let mut stream = client.follow(FOLLOW, json!({"c": cursor})).await;
        for _ in 0..25 {
            let Ok(message) = tokio::time::timeout(Duration::from_millis(300), stream.next()).await else {
                break;
            };
            cursor = shown.note(&message.unwrap());
        }
    }
    shown.judge(&world.log().await);
    // A stream that is open when its server stops ends without a word, which clients take for a lost connection.
    let mut open = elsewhere.follow(FOLLOW, json!({"c": cursor})).await;
    open.next().await.unwrap();
    assert!(other.stop().await.success());
    assert_eq!(open.next().await, None);
}

/// Clients that read nothing: each is told why it is cut off, and none of them costs much.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_closed_and_memory_stays_bounded() {
    const SLOW: usize = 20;
    let world = World::open().await;
    let cursor = world.cursor().await;
    let note = "x".repeat(3_900);
    for _ in 0..20 {
        for (name, input) in life(Uuid::new_v4(), "ada", &note).into_iter().take(8) {
            world.staff.mutate(name, input).await.data();
        }
    }
    let before = world.server.resident_kib();
    let notes: String = (0..90).map(|at| format!("n{at}: note ")).collect();
    let large =
        format!("subscription($c: String) {{ ordersChanged(after: $c) {{ cursor order {{ {notes} }} }} }}");
    let mut sockets = Vec::new();
    let mut streams = Vec::new();
    for _ in 0..SLOW / 2 {
        let mut socket = world.staff.socket(&[]).await.unwrap();
        socket.init(world.staff.token()).await;
        socket.subscribe("1", &large, json!({"c": cursor})).await;
        let mut stream = world.staff.follow(&large, json!({"c": cursor})).await;
        // They read as far as the first order, and no further.
        for _ in 0..2 {
            socket.next().await.unwrap();
            stream.next().await.unwrap();
        }
        sockets.push(socket);
        streams.push(stream);
    }
    let mut most = before;
    let begun = tokio::time::Instant::now();
    // The time that the server gives a message, and a little more.
    while begun.elapsed() < Duration::from_secs(14) {
        most = most.max(world.server.resident_kib());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!(
        "{SLOW} slow clients: {before} KiB before, {most} KiB at most, {} KiB after",
        world.server.resident_kib()
    );
    for mut socket in sockets {
        let closed = loop {
            if let Err(closed) = socket.next().await {
                break closed;
            }
        };
        // The reason waits behind what was not read, for as long as the server gives those who read on.
        assert!(
            closed.0 == 1013 && closed.1.contains("subscribe again"),
            "{closed:?}"
        );
    }
    for mut stream in streams {
        let mut last = Value::Null;
        let rest = async {
            while let Some(message) = stream.next().await {
                last = message;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), rest)
            .await
            .expect("the stream was ended");
        assert_eq!(
            last["errors"][0]["extensions"]["code"], "OVERLOADED",
            "{last:.300}"
        );
    }
    assert!(
        most < 250 * 1024,
        "{most} KiB for {SLOW} clients that do not read"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_ends_its_streams() {
    let world = World::open().await;
    let short = async || {
        let made = create_token(world.db.admin(), Role::Staff, "s-1", "", Duration::from_secs(3)).await;
        world.server.client(made.unwrap().text)
    };
    let client = short().await;
    let mut stream = client.follow(FOLLOW, Value::Null).await;
    let mut socket = client.socket(&[]).await.unwrap();
    socket.init(client.token()).await;
    socket.subscribe("1", FOLLOW, Value::Null).await;
    assert!(stream.next().await.unwrap()["data"].is_object());
    assert_eq!(socket.next().await.unwrap()["type"], "next");
    let last = stream.next().await.unwrap();
    assert_eq!(
        last["errors"][0]["extensions"]["code"], "UNAUTHENTICATED",
        "{last}"
    );
    assert_eq!(stream.next().await, None);
    assert_eq!(socket.next().await.unwrap_err().0, 4403);
    let refused =
        async || (client.run("{orders{edges{cursor}}}", Value::Null).await.status == 401).then_some(());
    eventually(Duration::from_secs(5), refused).await;
}
