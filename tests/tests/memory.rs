//! The memory of `docket serve` under a sustained mixed load: it grows into its caches and stays there.

use docket_domain::Role;
use docket_tests::database;
use docket_tests::server::{Server, life, token};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

const WRITERS: usize = 8;
const FOR: Duration = Duration::from_secs(15);
/// Far above what is seen, and below what a leak reaches.
const MOST_KIB: u64 = 400 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_bounded_under_a_mixed_load() {
    let db = database().await;
    let server = Server::start(&db).await;
    let staff = server.client(token(&db, Role::Staff, "s-1").await);
    let (started, done) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let write = |_| {
        let (staff, done) = (staff.clone(), Arc::clone(&done));
        tokio::spawn(async move {
            while started.elapsed() < FOR {
                let order = Uuid::new_v4();
                for (name, input) in life(order, "ada", &"x".repeat(1_000)) {
                    staff.mutate(name, input).await.data();
                    done.fetch_add(1, Ordering::Relaxed);
                }
                let query = format!(
                    "{{ order(id: \"{order}\", atVersion: 3) {{ note }} orders(first: 50) {{ edges {{ node {{ id name payments {{ status }} }} }} }} }}"
                );
                staff.run(&query, Value::Null).await;
            }
        })
    };
    let follow = |_| {
        let staff = staff.clone();
        tokio::spawn(async move {
            while started.elapsed() < FOR {
                let query = "subscription { ordersChanged { cursor event { type } order { id name } } }";
                let mut stream = staff.follow(query, json!(null)).await;
                for _ in 0..200 {
                    // Somebody who leaves, and comes again without a cursor.
                    if started.elapsed() > FOR {
                        return;
                    }
                    let _ = tokio::time::timeout(Duration::from_millis(500), stream.next()).await;
                }
            }
        })
    };
    let mut tasks: Vec<_> = (0..WRITERS).map(write).collect();
    tasks.extend((0..4).map(follow));
    let mut seen = Vec::new();
    while started.elapsed() < FOR {
        tokio::time::sleep(FOR / 10).await;
        seen.push((done.load(Ordering::Relaxed), server.resident_kib()));
    }
    for task in tasks {
        task.await.unwrap();
    }
    println!("mutations done, resident KiB: {seen:?}");
    let most = seen.iter().map(|(_, kib)| *kib).max().unwrap();
    assert!(most < MOST_KIB, "{most} KiB");
    assert!(server.stop().await.success());
}
