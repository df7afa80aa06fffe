//! The one server of a test run: how a test process joins it, and how the keeper keeps it.
//!
//! Three locks in the run's folder, taken in this order: `join.lock` by who joins or takes down, `users.lock`
//! shared by each test process for its life, `keeper.lock` by the keeper for its own. A process joins, and
//! thereby starts a keeper that is missing, under `join.lock`; the keeper takes down under it too, and only when
//! nobody is a user. So a server that one has joined stays, and locks end with their process, however it ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use docket::embedded::{EmbeddedConfig, EmbeddedPostgres};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

/// Longer than the pause between two test binaries of a run, and than one between two runs at the keyboard.
const LINGER: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Tests run side by side, each with pools of its own.
const MAX_CONNECTIONS: &str = "400";
/// `DOCKET_TEST_FSYNC=off` for a slow disk; the tests of durability then prove nothing.
const FSYNC: &str = "DOCKET_TEST_FSYNC";

/// How to reach a cluster: as the owner of docket's databases and as superuser.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    pub(crate) docket: PgConnectOptions,
    pub(crate) superuser: PgConnectOptions,
}

/// A share in the run's server, for the life of this process.
struct Share {
    addresses: Addresses,
    /// Never read, but held: a share is a lock.
    _users: File,
}

/// The server of this run, which is there from the first call to the end of the process.
pub(crate) fn addresses() -> &'static Addresses {
    static SHARE: OnceLock<Share> = OnceLock::new();
    &SHARE.get_or_init(join).addresses
}

/// The folder of this run's clusters, in the target folder: on the normal disk.
pub(crate) fn run_dir() -> PathBuf {
    let program = std::env::current_exe().expect("a test knows its own path");
    let profile = program.ancestors().find(|path| path.join("deps").is_dir());
    profile
        .expect("tests run from the target folder")
        .join("test-clusters")
}

/// Settings for any cluster of tests: many of them fit into the memory.
pub(crate) fn config(data_dir: &Path) -> EmbeddedConfig {
    let mut config = EmbeddedConfig::from_env(Some(data_dir.to_owned())).expect("a folder is given");
    let fsync = std::env::var(FSYNC).unwrap_or_else(|_| "on".to_owned());
    let settings = [
        ("shared_buffers", "64MB"),
        ("max_connections", MAX_CONNECTIONS),
        ("max_wal_size", "512MB"),
        ("fsync", &fsync),
    ];
    config.extra_settings = settings
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    config
}

fn join() -> Share {
    let run = run_dir();
    fs::create_dir_all(&run).expect("the run's folder can be created");
    let join = lock_file(&run, "join.lock");
    join.lock().expect("join.lock can be locked");
    if try_lock(&lock_file(&run, "keeper.lock")) {
        // Nobody keeps the server. The lock just taken is gone with its file.
        start_keeper(&run);
    }
    let users = lock_file(&run, "users.lock");
    users.lock_shared().expect("users.lock can be shared");
    let urls = fs::read_to_string(run.join("urls")).expect("the keeper leaves its URLs");
    let mut urls = urls
        .lines()
        .map(|url| PgConnectOptions::from_str(url).expect("the keeper's URLs are valid"));
    let mut next = || urls.next().expect("the keeper leaves two URLs");
    Share {
        addresses: Addresses {
            docket: next(),
            superuser: next(),
        },
        _users: users,
    }
}

#[expect(clippy::zombie_processes, reason = "the keeper outlives this process")]
fn start_keeper(run: &Path) {
    let program = run.with_file_name("docket-test-keeper");
    let log = run.join("keeper.log");
    let mut keeper = Command::new(&program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&log).expect("the keeper's log can be written"))
        .process_group(0) // Ctrl-C ends the tests; the keeper then cleans up
        .spawn()
        .unwrap_or_else(|error| panic!("{} (cargo build -p docket-tests): {error}", program.display()));
    let mut line = String::new();
    let output = keeper.stdout.take().expect("the output is piped");
    BufReader::new(output)
        .read_line(&mut line)
        .expect("the keeper can be read");
    let said = || fs::read_to_string(&log).unwrap_or_default();
    assert_eq!(
        line,
        "ready\n",
        "the keeper of the test server failed: {}",
        said()
    );
}

/// The keeper's whole life: starts the run's server, says `ready`, and takes everything down when no test has
/// used it for a while.
///
/// # Errors
/// When the server cannot be started or stopped.
pub async fn keep() -> Result<(), Box<dyn std::error::Error>> {
    let run = run_dir();
    let keeper = lock_file(&run, "keeper.lock");
    // The one that started us may still hold it for a moment, and nobody else can be starting another.
    keeper.lock()?;
    take_down_abandoned(&run).await;
    let postgres = EmbeddedPostgres::start(config(&run.join("shared"))).await?;
    let urls = [
        postgres.connect_options().to_url_lossy(),
        postgres.superuser_options().to_url_lossy(),
    ];
    fs::write(run.join("urls"), urls.map(|url| format!("{url}\n")).concat())?;
    println!("ready");

    let users = lock_file(&run, "users.lock");
    let mut used = Instant::now();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let join = lock_file(&run, "join.lock");
        if !try_lock(&join) || !try_lock(&users) {
            used = Instant::now();
        } else if used.elapsed() > LINGER {
            postgres.stop().await?;
            take_down_abandoned(&run).await;
            return Ok(());
        }
        users.unlock()?;
    }
}

/// Removes every cluster below `run`: called when nobody can be using one. Those of tests that failed or were
/// killed still have their server.
async fn take_down_abandoned(run: &Path) {
    for entry in fs::read_dir(run).into_iter().flatten().flatten() {
        let cluster = entry.path();
        if !cluster.is_dir() {
            continue;
        }
        if cluster.join("postgres/postmaster.pid").exists() {
            match EmbeddedPostgres::start(config(&cluster)).await {
                Ok(postgres) => drop(postgres.stop().await),
                Err(error) => eprintln!("{}: {error}", cluster.display()),
            }
        }
        if let Err(error) = fs::remove_dir_all(&cluster) {
            eprintln!("{}: {error}", cluster.display());
        }
    }
}

fn lock_file(run: &Path, name: &str) -> File {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(run.join(name));
    file.unwrap_or_else(|error| panic!("{}/{name}: {error}", run.display()))
}

fn try_lock(file: &File) -> bool {
    match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(error)) => panic!("the target folder cannot be locked: {error}"),
    }
}
