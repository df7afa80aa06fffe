//! A private PostgreSQL, so that docket runs without one that somebody set up.
//!
//! What it guarantees:
//! - the data outlives the run, and every acknowledged commit outlives `kill -9` of docket, of the server and a
//!   power cut (fsync is on, the cluster is synced before it is first used);
//! - only the user who started docket gets in: no TCP, a socket in a folder of mode 0700, and the kernel's word
//!   on who is at its other end;
//! - processes on one data folder share one server; the last one out stops it; a server whose docket was killed
//!   is adopted by the next one;
//! - a server that dies is started again while docket goes on.
//!
//! What it relies on: a local file system (locks that end with their process), a Unix, and server binaries that
//! are installed. Downloading them would need the network where there is none, and bundling them a build of
//! PostgreSQL for each platform.
//!
//! The data folder, all of it for its owner alone:
//!
//! ```text
//! postgres/    the cluster, with the socket in socket/ and the server's log in log/
//! users.lock   shared by the processes that use the server
//! start.lock   held by the one that creates, starts or restarts it
//! start.log    what the server says before its log is open
//! ```

mod account;
mod binaries;
mod error;
mod folder;
mod server;
mod settings;

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use account::Account;
pub use error::EmbeddedError;
use server::{DOCKET, SUPERUSER, Server};

/// The first start and a long recovery happen under the start lock, a slow stop under the users' lock.
const LOCKED_WITHIN: Duration = Duration::from_secs(660);
/// How soon a dead server is noticed.
const WATCH_EVERY: Duration = Duration::from_millis(200);
/// Between two tries to start it again: doubled up to the bound, back to the start after a steady minute. There
/// is no last try: a full disk gets room again, and then docket recovers by itself.
const FIRST_BACK_OFF: Duration = Duration::from_millis(200);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(10);
const STEADY: Duration = Duration::from_secs(60);
/// How often old logs are removed.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// How long a stop waits for the supervisor, which may be in the middle of a start.
const SUPERVISOR_STOP_WITHIN: Duration = Duration::from_secs(5);

/// Where the private PostgreSQL lives and which binaries run it.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// The folder that outlives the run. Created, for its owner alone, if it does not exist.
    pub data_dir: PathBuf,
    /// The only folder to look in for binaries (`PG_BIN_DIR`); `None` searches the usual places.
    pub bin_dir: Option<PathBuf>,
    /// Settings of the server that win over docket's own, for the one who starts it.
    pub extra_settings: Vec<(String, String)>,
}

impl EmbeddedConfig {
    /// The private PostgreSQL in `data_dir`, with binaries from the usual places.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            bin_dir: None,
            extra_settings: Vec::new(),
        }
    }

    /// From `--data-dir`, or else the XDG state folder, and `PG_BIN_DIR`.
    ///
    /// # Errors
    /// [`EmbeddedError::NoDataFolder`] when nothing says where the state folder is.
    pub fn from_env(data_dir: Option<PathBuf>) -> Result<Self, EmbeddedError> {
        // The XDG rules: a path that is not absolute is as good as none.
        let absolute = |name: &str| {
            env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let state = || absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
        let data_dir = data_dir
            .or_else(|| Some(state()?.join("docket")))
            .ok_or(EmbeddedError::NoDataFolder)?;
        let bin_dir = env::var_os("PG_BIN_DIR")
            .filter(|folder| !folder.is_empty())
            .map(PathBuf::from);
        Ok(Self {
            bin_dir,
            ..Self::new(data_dir)
        })
    }
}

/// A share in the private PostgreSQL of a data folder.
///
/// [`stop`](Self::stop) gives it back. One that is merely dropped leaves the server running for the next start
/// to adopt, as a killed process does.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    server: Arc<Server>,
    users: File,
    users_path: PathBuf,
    stopping: CancellationToken,
    supervisor: JoinHandle<()>,
}

impl EmbeddedPostgres {
    /// Makes sure that the server runs and that the database `docket` exists: creates what is missing, adopts
    /// what is there.
    ///
    /// # Errors
    /// One variant of [`EmbeddedError`] for each thing that can be in the way.
    pub async fn start(config: EmbeddedConfig) -> Result<Self, EmbeddedError> {
        let client = Account::current()?;
        let data_dir = folder::prepare(&config.data_dir, client.uid)?;
        let (users_path, start_path) = (data_dir.join("users.lock"), data_dir.join("start.lock"));
        // The order of locks, here and in `stop`: users, start, cluster.
        let users = folder::lock_file(&users_path, LOCKED_WITHIN, File::try_lock_shared).await?;
        let start = folder::lock_file(&start_path, LOCKED_WITHIN, File::try_lock).await?;
        let bin_dir = config.bin_dir.as_deref();
        let server = Server::find_or_create(&data_dir, bin_dir, client, config.extra_settings).await?;
        let connection = server.ensure_running().await?;
        server.prepare_database(connection).await?;
        drop(start);

        let (server, stopping) = (Arc::new(server), CancellationToken::new());
        let supervisor = tokio::spawn(supervise(server.clone(), start_path, stopping.clone()));
        Ok(Self {
            server,
            users,
            users_path,
            stopping,
            supervisor,
        })
    }

    /// How to connect to the database `docket`, as its owner.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.server.connect_options(DOCKET, DOCKET)
    }

    /// How to connect as superuser, for what the owner of one database cannot do.
    pub fn superuser_options(&self) -> PgConnectOptions {
        self.server.connect_options(SUPERUSER, "postgres")
    }

    /// The folder of the socket, for programs that are given a host instead of a URL.
    pub fn socket_dir(&self) -> &Path {
        self.server.socket()
    }

    /// The process id of the server; `None` while it is down.
    pub fn server_pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Leaves the server; the last one to leave stops it.
    ///
    /// # Errors
    /// When the server did not even stop at once, or its stop could not be tried.
    pub async fn stop(mut self) -> Result<(), EmbeddedError> {
        self.stopping.cancel();
        if tokio::time::timeout(SUPERVISOR_STOP_WITHIN, &mut self.supervisor)
            .await
            .is_err()
        {
            self.supervisor.abort();
        }
        let lock = |source| EmbeddedError::Lock {
            path: self.users_path.clone(),
            source,
        };
        self.users.unlock().map_err(lock)?;
        if !folder::taken(&self.users_path, self.users.try_lock())? {
            info!("left the private PostgreSQL to the other processes that use it");
            return Ok(());
        }
        // Held until the server is gone, so that whoever starts meanwhile waits and then starts afresh.
        self.server.stop().await?;
        info!("stopped the private PostgreSQL");
        Ok(())
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

/// Starts the server again whenever it is gone, until `stopping`.
async fn supervise(server: Arc<Server>, start_path: PathBuf, stopping: CancellationToken) {
    let mut back_off = FIRST_BACK_OFF;
    let mut steady_since = Instant::now();
    let mut pause = WATCH_EVERY;
    let mut tidied = Instant::now();
    while stopping
        .run_until_cancelled(tokio::time::sleep(pause))
        .await
        .is_some()
    {
        pause = WATCH_EVERY;
        match server.lock_if_down() {
            Ok(None) => {
                if tidied.elapsed() > TIDY_EVERY {
                    tidied = Instant::now();
                    server.remove_old_logs();
                }
                continue;
            }
            Ok(Some(_)) => warn!("private PostgreSQL is gone; starting it again"),
            Err(error) => error!(%error, "cannot look after the private PostgreSQL"),
        }
        if steady_since.elapsed() > STEADY {
            back_off = FIRST_BACK_OFF;
        }
        let Some(restarted) = stopping.run_until_cancelled(restart(&server, &start_path)).await else {
            return;
        };
        if let Err(error) = restarted {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            error!(%error, source, retry_ms = back_off.as_millis() as u64, "private PostgreSQL is still down");
        }
        pause = back_off;
        back_off = (back_off * 2).min(LONGEST_BACK_OFF);
        steady_since = Instant::now();
    }
}

/// The supervisors of several processes take turns; those that come later find the server running.
async fn restart(server: &Server, start_path: &Path) -> Result<(), EmbeddedError> {
    let _start = folder::lock_file(start_path, LOCKED_WITHIN, File::try_lock).await?;
    let connection = server.ensure_running().await?;
    connection.close().await.map_err(EmbeddedError::Prepare)
}
