//! A server for one test alone, for the tests that kill it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use docket::embedded::EmbeddedPostgres;
use sqlx::{Connection, PgConnection};
use tokio::sync::OnceCell;

use crate::database::{self, TestDatabase};
use crate::shared_cluster::{self, Addresses};
use crate::wait::eventually;

/// Recovery after a kill on a busy machine, and the supervisor's longest back-off.
const UP_WITHIN: Duration = Duration::from_secs(60);

/// A server of its own, with docket's own supervisor looking after it.
pub async fn private_cluster() -> PrivateCluster {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // The keeper takes down what a failing test leaves behind, so there must be one.
    shared_cluster::addresses();
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let data_dir = shared_cluster::run_dir().join(format!("private-{}-{number}", std::process::id()));
    let postgres = EmbeddedPostgres::start(shared_cluster::config(&data_dir))
        .await
        .expect("a server starts");
    let addresses = Addresses {
        docket: postgres.connect_options(),
        superuser: postgres.superuser_options(),
    };
    PrivateCluster {
        postgres,
        data_dir,
        addresses,
        template: OnceCell::new(),
    }
}

/// One test's server. [`remove`](Self::remove) it at the end; that of a failed test goes when the run is over.
#[derive(Debug)]
pub struct PrivateCluster {
    postgres: EmbeddedPostgres,
    data_dir: PathBuf,
    addresses: Addresses,
    template: OnceCell<String>,
}

impl PrivateCluster {
    /// A migrated database in this server.
    pub async fn database(&self) -> TestDatabase {
        let template = self
            .template
            .get_or_init(|| database::template(&self.addresses))
            .await;
        TestDatabase::copy(&self.addresses, template, false).await
    }

    /// The data folder, as `--data-dir` of a docket that is to share this server.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Takes the start lock, so that nobody starts the server again before it is let go: who waits to see it away sees
    /// it.
    pub fn hold_down(&self) -> File {
        let lock = File::open(self.data_dir.join("start.lock")).expect("there is a start lock");
        lock.lock().expect("the start lock can be taken");
        lock
    }

    /// Kills the server at once, as a power cut would; docket's supervisor starts it again.
    /// Returns the process id that is no more.
    pub fn kill_9_postgres(&self) -> u32 {
        self.signal("KILL")
    }

    /// Has the server stopped in an orderly way and started again, and returns when it answers: what docket sees
    /// of an upgrade or a restart of the machine.
    pub async fn restart(&self) {
        let before = self.signal("INT");
        eventually(UP_WITHIN, async || {
            self.postgres.server_pid().filter(|pid| *pid != before)
        })
        .await;
        self.wait_until_up().await;
    }

    /// Returns when the server takes connections.
    pub async fn wait_until_up(&self) {
        eventually(UP_WITHIN, async || {
            let connection = PgConnection::connect_with(&self.addresses.docket).await.ok()?;
            connection.close().await.ok()
        })
        .await;
    }

    /// Stops the server and removes all it kept.
    pub async fn remove(self) {
        self.postgres.stop().await.expect("the server stops");
        fs::remove_dir_all(&self.data_dir).expect("the data folder can be removed");
    }

    fn signal(&self, name: &str) -> u32 {
        let pid = self.postgres.server_pid().expect("the server runs");
        assert!(signal(name, pid), "kill -s {name} {pid}");
        pid
    }
}

/// Kills any process at once, if it is still there.
pub fn kill_9(pid: u32) {
    signal("KILL", pid);
}

fn signal(name: &str, pid: u32) -> bool {
    let kill = Command::new("sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &pid.to_string()])
        .status();
    kill.is_ok_and(|status| status.success())
}
