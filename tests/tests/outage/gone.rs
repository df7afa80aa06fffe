//! A database that goes away, by each way that there is, and comes back.

use crate::load::{Load, create, cursor, follow};
use docket_domain::Role;
use docket_tests::server::{Client, Server, on, signal, token, verb};
use docket_tests::{PrivateCluster, TestDatabase, eventually, private_cluster};
use serde_json::Value;
use std::fs::{self, File};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

const WITHIN: Duration = Duration::from_secs(40);
/// Long enough that a request which began before it is answered within it.
const AWAY: Duration = Duration::from_secs(6);

struct World {
    cluster: PrivateCluster,
    db: TestDatabase,
    server: Server,
    client: Client,
}

impl World {
    async fn open() -> World {
        let cluster = private_cluster().await;
        let db = cluster.database().await;
        let server = Server::start(&db).await;
        let client = server.client(token(&db, Role::Staff, "s-1").await);
        World {
            cluster,
            db,
            server,
            client,
        }
    }

    /// Takes the start lock, so that nobody starts the server before the lock is let go.
    fn hold_down(&self) -> File {
        let lock = File::open(self.cluster.data_dir().join("start.lock")).unwrap();
        lock.lock().unwrap();
        lock
    }

    async fn ready(&self, wanted: u16) -> Value {
        let asked = async || Some(self.client.ready().await).filter(|(status, _)| *status == wanted);
        eventually(WITHIN, asked).await.1
    }

    /// Runs a load through `outage`, and checks what it saw against the log.
    async fn through(self, outage: impl AsyncFnOnce(&World)) {
        let begin = cursor(&self.client).await;
        let (until, wanted) = watch::channel(None);
        let follower = follow(self.client.clone(), begin, wanted);
        let load = Load::start(&self.client, 6, "Ada");
        load.goes_on(WITHIN).await;
        outage(&self).await;
        let reasons = self.ready(200).await;
        assert_eq!(reasons, serde_json::json!([]));
        // By itself, without a restart.
        load.goes_on(WITHIN).await;
        let seen = load.end().await;
        // Refused, or, where the server was frozen with a statement in its hands, answered when it went on.
        let noticed = seen.codes.len() > 1 || seen.longest >= AWAY;
        assert!(noticed, "nobody noticed the outage");
        let orders = seen.settle(&self.client).await;
        self.judge(&orders, until, follower).await;
    }

    async fn judge(
        self,
        orders: &std::collections::HashMap<Uuid, Value>,
        until: watch::Sender<Option<usize>>,
        follower: tokio::task::JoinHandle<Vec<Value>>,
    ) {
        let all =
            r#"select order_id, event_id, partition, "offset" from events order by partition, "offset""#;
        let log: Vec<(Uuid, Uuid, i16, i64)> = sqlx::query_as(all).fetch_all(self.db.admin()).await.unwrap();
        for (order, position) in orders {
            let of_order: Vec<_> = log.iter().filter(|(id, ..)| id == order).collect();
            assert_eq!(of_order.len(), 1, "{order} was acknowledged at {position}");
            let (_, _, partition, offset) = of_order[0];
            if position.is_object() {
                assert_eq!(
                    (&position["partition"], position["offset"].as_str()),
                    (&Value::from(*partition), Some(offset.to_string().as_str()))
                );
            }
        }
        until.send_replace(Some(log.len()));
        // A stream that shows nothing new wakes at its next sign of life.
        let shown = tokio::time::timeout(WITHIN, follower).await.unwrap().unwrap();
        let mut shown: Vec<(i64, i64, String)> = shown
            .iter()
            .map(|message| {
                let position = &message["position"];
                let offset = position["offset"].as_str().unwrap().parse().unwrap();
                (
                    position["partition"].as_i64().unwrap(),
                    offset,
                    message["event"]["id"].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        for pair in shown.iter().enumerate() {
            let before = shown[..pair.0].iter().rev().find(|other| other.0 == pair.1.0);
            assert_eq!(
                before.map_or(0, |before| before.1) + 1,
                pair.1.1,
                "the follower missed or saw twice"
            );
        }
        shown.sort();
        let log: Vec<_> = log
            .iter()
            .map(|(_, id, partition, offset)| (i64::from(*partition), *offset, id.to_string()))
            .collect();
        assert_eq!(shown, log);
        assert!(self.server.stop().await.success());
        let verified = verb(on(&self.db), &["verify"]).await;
        assert!(verified.status.success(), "{verified:?}");
        self.cluster.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_away_for_seconds() {
    World::open()
        .await
        .through(async |world| {
            let lock = world.hold_down();
            world.cluster.kill_9_postgres();
            let reasons = world.ready(503).await;
            assert!(
                reasons.to_string().contains("the database did not answer"),
                "{reasons}"
            );
            let reply = world.client.ask(create(Uuid::new_v4(), "x")).await;
            assert_eq!(reply.code(), "UNAVAILABLE", "{reply:?}");
            tokio::time::sleep(AWAY).await;
            assert_eq!(world.client.ready().await.0, 503);
            drop(lock);
            world.cluster.wait_until_up().await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_in_an_orderly_way() {
    World::open()
        .await
        .through(async |world| {
            let lock = world.hold_down();
            let cluster = &world.cluster;
            let restart = async {
                cluster.restart().await;
            };
            let noticed = async {
                world.ready(503).await;
                drop(lock);
            };
            tokio::join!(restart, noticed);
        })
        .await;
}

/// Frozen is worse than gone: connections stay open and nothing answers.
#[tokio::test(flavor = "multi_thread")]
async fn frozen_for_seconds() {
    World::open()
        .await
        .through(async |world| {
            let pid_file = world.cluster.data_dir().join("postgres/postmaster.pid");
            let postmaster = fs::read_to_string(pid_file).unwrap();
            let postmaster: u32 = postmaster.lines().next().unwrap().parse().unwrap();
            // The one that starts the others first, so that none is missed.
            signal(postmaster, "STOP");
            let sessions = children_of(postmaster);
            assert!(!sessions.is_empty());
            sessions.iter().for_each(|pid| signal(*pid, "STOP"));
            let reasons = world.ready(503).await;
            assert!(
                reasons.to_string().contains("the database did not answer"),
                "{reasons}"
            );
            tokio::time::sleep(AWAY).await;
            sessions
                .iter()
                .chain([&postmaster])
                .for_each(|pid| signal(*pid, "CONT"));
        })
        .await;
}

fn children_of(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_child = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| {
            line.strip_prefix("PPid:")
                .is_some_and(|parent_pid| parent_pid.trim() == parent.to_string())
        })
    };
    pids.filter(is_child).collect()
}
