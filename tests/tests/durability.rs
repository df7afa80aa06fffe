//! G1: nothing that was acknowledged is lost by `kill -9` of any process, the database's included.
//!
//! Writers in several processes are killed at random points, and so is PostgreSQL: its postmaster, and sessions of it,
//! which makes it start again too. A killed writer's next life asks again what had no answer. In the end every command
//! has one, and the judge holds them against the log. `DOCKET_TEST_SEED` repeats the choices, not the timing.

use docket_tests::{
    PrivateCluster, Seed, Subscriber, TestDatabase,
    history::{History, Log},
    kill_9, private_cluster,
    server::{on, verb},
    writer::{Tally, Writer},
};
use futures::future::join_all;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Servers that are killed side by side: most of the time one waits for a server to come back.
const ARENAS: u64 = 2;
const WRITERS: u64 = 3;
const KILLS_OF_WRITERS: u64 = 82;
const KILLS_OF_SESSIONS: u64 = 12;
const KILLS_OF_POSTMASTERS: u64 = 8;
/// The longest that everybody is left in peace.
const PEACE_MS: u64 = 350;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_two_hundred_kills_of_writers_and_of_postgres() {
    let started = Instant::now();
    let mut seed = Seed::of_this_run();
    let arenas = (0..ARENAS).map(|number| arena(number, Seed::of(seed.next_u64())));
    join_all(arenas).await;
    println!("{} kills in {:?}", ARENAS * kills(), started.elapsed());
    const { assert!(ARENAS * kills() >= 200) };
}

const fn kills() -> u64 {
    KILLS_OF_WRITERS + KILLS_OF_SESSIONS + KILLS_OF_POSTMASTERS
}

async fn arena(number: u64, mut seed: Seed) {
    let cluster = private_cluster().await;
    let db = cluster.database().await;
    let folder = cluster.data_dir().join("writers");
    std::fs::create_dir_all(&folder).unwrap();
    let store = db.store().await;
    let follower = Subscriber::start(&store, "follower", &store.feed().heads(), 64);
    let start = |writer| Writer::start(db.url(), &folder, 1 + number * WRITERS + writer);
    let mut writers: Vec<_> = (0..WRITERS).map(start).collect();

    let mut left = [KILLS_OF_WRITERS, KILLS_OF_SESSIONS, KILLS_OF_POSTMASTERS];
    while left != [0; 3] {
        sleep(Duration::from_millis(seed.below(PEACE_MS))).await;
        let mut pick = seed.below(left.iter().sum());
        let kind = left
            .iter()
            .position(|left| {
                pick < *left || {
                    pick -= left;
                    false
                }
            })
            .unwrap();
        left[kind] -= 1;
        match kind {
            0 => writers[seed.below(WRITERS) as usize].kill_9_and_restart().await,
            1 => kill_a_session(&cluster, &db, &mut seed).await,
            _ => {
                cluster.wait_until_up().await;
                cluster.kill_9_postgres();
            }
        }
        // Sometimes the server is back before the next kill, sometimes it is not.
        if kind > 0 && seed.below(2) == 0 {
            cluster.wait_until_up().await;
        }
    }
    cluster.wait_until_up().await;

    let mut history = History::default();
    for writer in writers {
        let Tally {
            done,
            repeated,
            refused,
        } = writer.finish(&mut history).await;
        println!(
            "arena {number}: {done} acknowledged, {repeated} of them found in the log, {refused} refused"
        );
        assert!(done as u64 > KILLS_OF_WRITERS, "a writer came to nothing");
    }
    let log = Log::read(db.admin()).await;
    history.seen = follower.stop_at(&store, &log.heads).await;
    history.judge(&log);
    store.close().await;
    // The checker of the harness and the one that operators have agree, and the read models are what the log says.
    let verified = verb(on(&db), &["verify"]).await;
    assert!(verified.status.success(), "{verified:?}");
    cluster.remove().await;
}

/// A session that is killed may have corrupted what all share: PostgreSQL ends every other and recovers.
async fn kill_a_session(cluster: &PrivateCluster, db: &TestDatabase, seed: &mut Seed) {
    cluster.wait_until_up().await;
    let sessions =
        "select pid from pg_stat_activity where application_name = 'docket' and datname = current_database()";
    loop {
        // The admin's own connections break with every crash.
        let found: Result<Vec<i32>, _> = sqlx::query_scalar(sessions).fetch_all(db.admin()).await;
        match found {
            Ok(pids) if !pids.is_empty() => {
                kill_9(pids[seed.below(pids.len() as u64) as usize] as u32);
                return;
            }
            _ => sleep(Duration::from_millis(10)).await,
        }
    }
}
