//! `docket serve` as its users run it: the built program, a process of its own, spoken to over real sockets.
//!
//! `cargo test --workspace` builds the program beside the tests; who runs one test of this package alone builds it
//! first (`cargo build -p docket`), or names another one in `DOCKET_BIN`.

mod http;
mod life;
mod sse;
mod websocket;

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use docket::auth::create_token;
use docket_domain::Role;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

pub use self::http::{Ask, Client, Reply, deadline, mutation};
pub use self::life::life;
pub use self::sse::Events;
pub use self::websocket::Socket;
use crate::database::TestDatabase;
use crate::shared_cluster;

/// The key of every server of tests.
pub const MASTER_KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
/// A debug build that recovers its embedded database on a busy machine.
const UP_WITHIN: Duration = Duration::from_secs(60);
/// The server gives what is in flight ten seconds, and closes what it has open after that.
const DOWN_WITHIN: Duration = Duration::from_secs(30);
/// How long the tokens of tests hold.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3_600);

/// A running `docket serve`. It is killed with the handle.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

/// The verb, on whatever ports are free.
pub const SERVE: [&str; 5] = [
    "serve",
    "--listen",
    "127.0.0.1:0",
    "--metrics-listen",
    "127.0.0.1:0",
];

impl Server {
    /// Serves a database that is there.
    pub async fn start(db: &TestDatabase) -> Server {
        Server::launch(&mut on(db)).await
    }

    /// Serves the private database of a data folder.
    pub async fn start_embedded(data_dir: &Path) -> Server {
        Server::launch(&mut embedded(data_dir)).await
    }

    /// Starts the program that `command` names with everything but its verb.
    pub async fn launch(command: &mut Command) -> Server {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let run = shared_cluster::run_dir();
        fs::create_dir_all(&run).expect("the run's folder can be made");
        let log = run.join(format!("serve-{}-{number}.log", std::process::id()));
        let mut child = command
            .args(SERVE)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("the server's log can be written"))
            .kill_on_drop(true)
            .spawn()
            .expect("the program can be started");
        let output = child.stdout.take().expect("the output is piped");
        let mut line = String::new();
        let mut output = BufReader::new(output);
        let said = timeout(UP_WITHIN, output.read_line(&mut line)).await;
        let said = || (said.is_ok(), fs::read_to_string(&log).unwrap_or_default());
        let address = address_in(&line).unwrap_or_else(|| panic!("the server did not start: {:?}", said()));
        Server { child, address, log }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the server runs")
    }

    /// Speaks to it with a token; an empty one is nobody's.
    pub fn client(&self, token: impl Into<String>) -> Client {
        Client::new(self.address, token)
    }

    /// Whether the process is still there.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked for").is_none()
    }

    /// What it logged.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("/proc is there");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.expect("a living process has memory")
    }

    /// Kills it where it stands.
    pub async fn kill_9(mut self) {
        self.child.kill().await.expect("the server can be killed");
    }

    /// Has it stop in an orderly way.
    pub async fn stop(mut self) -> ExitStatus {
        signal(self.pid(), "TERM");
        let ended = timeout(DOWN_WITHIN, self.child.wait()).await;
        ended
            .expect("the server stops in time")
            .expect("a child can be waited for")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.said();
            let from = said.len().saturating_sub(4_000);
            let tail = said.get(from..).unwrap_or(&said);
            eprintln!("the server's last words:\n{tail}");
        } else {
            // Nobody reads the log of a test that succeeded.
            let _ = fs::remove_file(&self.log);
        }
    }
}

/// Runs another verb to its end.
pub async fn verb(mut command: Command, args: &[&str]) -> Output {
    let run = command
        .args(args)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = timeout(UP_WITHIN, run).await;
    ended
        .expect("the verb ends in time")
        .expect("the program can be started")
}

/// The program on a database, without a verb.
pub fn on(db: &TestDatabase) -> Command {
    let mut command = for_people_on(db);
    command.arg("--json");
    command
}

/// The same, but that it speaks to people.
pub fn for_people_on(db: &TestDatabase) -> Command {
    let mut command = program();
    command
        .env("DATABASE_URL", db.url())
        .env("DOCKET_MASTER_KEY", MASTER_KEY);
    command
}

/// The program on a data folder, without a verb.
pub fn embedded(data_dir: &Path) -> Command {
    let mut command = docket();
    command.arg("--data-dir").arg(data_dir);
    command
}

/// A token for an hour.
pub async fn token(db: &TestDatabase, role: Role, actor: &str) -> String {
    let made = create_token(db.admin(), role, actor, "test", TOKEN_LIFETIME).await;
    made.expect("a token can be made").text
}

/// Sends a signal by its name.
pub fn signal(pid: u32, name: &str) {
    let kill = std::process::Command::new("sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &pid.to_string()])
        .status();
    assert!(kill.is_ok_and(|status| status.success()), "kill -s {name} {pid}");
}

fn docket() -> Command {
    let mut command = program();
    command.arg("--json");
    command
}

fn program() -> Command {
    let beside = || {
        let run = shared_cluster::run_dir();
        run.with_file_name("docket")
    };
    let program = std::env::var_os("DOCKET_BIN").map_or_else(beside, PathBuf::from);
    assert!(
        program.is_file(),
        "{} is missing: cargo build -p docket",
        program.display()
    );
    let mut command = Command::new(program);
    for variable in [
        "DATABASE_URL",
        "DOCKET_MASTER_KEY",
        "DOCKET_CONFIG",
        "DOCKET_DATA_DIR",
        "RUST_LOG",
    ] {
        command.env_remove(variable);
    }
    command
}

/// The address in the line that the server prints when it is up.
fn address_in(line: &str) -> Option<SocketAddr> {
    let said: serde_json::Value = serde_json::from_str(line).ok()?;
    let (_, rest) = said.get("url")?.as_str()?.split_once("://")?;
    rest.split('/').next()?.parse().ok()
}
