//! One server process over one cluster: making the cluster, starting, finding and stopping the server.
//!
//! The cluster's folder is its own lock. The server inherits the locked folder as its standard input, and so do
//! all its processes: while one of them lives, the lock cannot be had, and who has it may start a server without
//! asking whose process the number in a left-over `postmaster.pid` is.
//!
//! PostgreSQL refuses to run as root, and another user cannot reach a folder below `/root`. Opening that way for
//! everybody is not wanted; the same inherited folder shows the server its data as `/proc/self/fd/0` instead.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::process::Command;
use tokio::time::Instant;
use tracing::info;

use super::account::Account;
use super::binaries::Binaries;
use super::error::EmbeddedError;
use super::folder::{self, read};
use super::settings;

/// The role and the database of docket.
pub(super) const DOCKET: &str = "docket";
/// The role that owns the cluster.
pub(super) const SUPERUSER: &str = "postgres";
/// The name of the socket says this port; nothing listens on it.
const PORT: u16 = 5432;
/// Log files that are kept, the newest.
pub(super) const KEPT_LOGS: usize = 5;
/// Replaying 4 GB of log after a kill takes minutes on a slow disk.
const READY_WITHIN: Duration = Duration::from_secs(600);
const READY_POLL: Duration = Duration::from_millis(10);
/// Ends sessions and writes a checkpoint; what does not fit in is replayed at the next start.
const FAST_STOP_WITHIN: Duration = Duration::from_secs(30);
const IMMEDIATE_STOP_WITHIN: Duration = Duration::from_secs(10);
const LAST_PROCESS_WITHIN: Duration = Duration::from_secs(2);
/// An `initdb` whose docket was killed is done long before.
const INITDB_WITHIN: Duration = Duration::from_secs(60);

/// The server of one data folder, whether or not it runs at the moment.
#[derive(Debug)]
pub(super) struct Server {
    binaries: Binaries,
    /// Who runs this process, and may connect.
    client: Account,
    /// Who runs the server, and owns the cluster.
    owner: Account,
    cluster: PathBuf,
    socket: PathBuf,
    extra_settings: Vec<(String, String)>,
}

impl Server {
    /// Finds the cluster below `data_dir`, which the caller holds alone, or creates it.
    pub(super) async fn find_or_create(
        data_dir: &Path,
        bin_dir: Option<&Path>,
        client: Account,
        extra_settings: Vec<(String, String)>,
    ) -> Result<Self, EmbeddedError> {
        let cluster = data_dir.join("postgres");
        let version = cluster.join("PG_VERSION");
        let needed = match fs::read_to_string(&version) {
            Ok(text) => text.trim().split('.').next().and_then(|major| major.parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(read(&version, source)),
        };
        let binaries = Binaries::find(bin_dir, &cluster, needed)?;
        let mut owner = client.of_server()?;
        if let Ok(found) = fs::metadata(&cluster) {
            // Once made, a cluster keeps its owner, even if a better one has come to the system since.
            if found.uid() == 0 || (client.uid != 0 && found.uid() != client.uid) {
                return Err(EmbeddedError::ForeignFolder {
                    path: cluster,
                    owner: found.uid(),
                });
            }
            (owner.uid, owner.gid) = (found.uid(), found.gid());
        }
        let socket = folder::reachable_socket(&cluster.join("socket"), client.uid)?;
        let server = Self {
            binaries,
            client,
            owner,
            cluster,
            socket,
            extra_settings,
        };
        if needed.is_none() {
            server.create_cluster(data_dir).await?;
        }
        Ok(server)
    }

    /// How to connect as `role` to `database`.
    pub(super) fn connect_options(&self, role: &str, database: &str) -> PgConnectOptions {
        connect_options(&self.socket, role, database)
    }

    /// The folder of the socket, by a path that is short enough to connect.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The process id of the server that runs, or ran last.
    pub(super) fn pid(&self) -> Option<u32> {
        fs::read_to_string(self.cluster.join("postmaster.pid"))
            .ok()?
            .lines()
            .next()?
            .parse()
            .ok()
    }

    /// The locked cluster when no process of a server lives in it.
    pub(super) fn lock_if_down(&self) -> Result<Option<File>, EmbeddedError> {
        let lock = folder::open(&self.cluster)?;
        Ok(folder::taken(&self.cluster, lock.try_lock())?.then_some(lock))
    }

    /// Returns when the server takes connections: adopts one that runs, starts one otherwise. The caller holds
    /// the start lock.
    pub(super) async fn ensure_running(&self) -> Result<PgConnection, EmbeddedError> {
        let started = Instant::now();
        let superuser = self
            .connect_options(SUPERUSER, "postgres")
            .disable_statement_logging();
        let mut launched = false;
        loop {
            if let Some(lock) = self.lock_if_down()? {
                if launched {
                    return Err(EmbeddedError::Start {
                        reason: self.last_words(),
                        log: self.first_log(),
                    });
                }
                self.launch(lock).await?;
                launched = true;
            }
            match PgConnection::connect_with(&superuser).await {
                Ok(connection) => {
                    let (took, pid) = (started.elapsed().as_millis(), self.pid());
                    info!(
                        pid,
                        launched,
                        duration_ms = took as u64,
                        "private PostgreSQL is ready"
                    );
                    return Ok(connection);
                }
                Err(source) if started.elapsed() > READY_WITHIN => {
                    let seconds = READY_WITHIN.as_secs();
                    return Err(EmbeddedError::NotReady {
                        seconds,
                        log: self.cluster.join("log"),
                        source,
                    });
                }
                Err(_) => tokio::time::sleep(READY_POLL).await,
            }
        }
    }

    /// Makes sure of role and database. The role is no superuser: it cannot switch off what guards the log.
    pub(super) async fn prepare_database(&self, mut connection: PgConnection) -> Result<(), EmbeddedError> {
        let create_missing = [
            (
                "select from pg_roles where rolname = 'docket'",
                "create role docket login createdb",
            ),
            (
                "select from pg_database where datname = 'docket'",
                "create database docket owner docket",
            ),
        ];
        for (search, create) in create_missing {
            let found = sqlx::query(search).fetch_optional(&mut connection).await;
            if found.map_err(EmbeddedError::Prepare)?.is_none() {
                sqlx::query(create)
                    .execute(&mut connection)
                    .await
                    .map_err(EmbeddedError::Prepare)?;
            }
        }
        connection.close().await.map_err(EmbeddedError::Prepare)
    }

    /// Stops the server: fast at first, at once if that takes too long. Nothing acknowledged is lost either way.
    pub(super) async fn stop(&self) -> Result<(), EmbeddedError> {
        let mut output = String::new();
        for (mode, within) in [("fast", FAST_STOP_WITHIN), ("immediate", IMMEDIATE_STOP_WITHIN)] {
            if self.lock_if_down()?.is_some() {
                return Ok(());
            }
            let folder = folder::open(&self.cluster)?;
            let mut command = self.command("pg_ctl", folder);
            command.args([
                "stop",
                "--wait",
                "--mode",
                mode,
                "--timeout",
                &within.as_secs().to_string(),
            ]);
            let ended = command.arg("-D").arg(self.cluster_for_server()).output().await;
            let ended = ended.map_err(|source| self.run_error("pg_ctl", source))?;
            output = String::from_utf8_lossy(&ended.stderr).trim().replace('\n', "; ");
            // pg_ctl waits for the parent; the last of its processes goes a moment later.
            let cluster = folder::open(&self.cluster)?;
            if folder::lock_open(&self.cluster, cluster, LAST_PROCESS_WITHIN, File::try_lock)
                .await
                .is_ok()
            {
                folder::remove_link(&self.socket);
                return Ok(());
            }
        }
        Err(EmbeddedError::Stop { output })
    }

    /// Creates the cluster in a sibling folder and moves it into place, so that one that is there is whole.
    async fn create_cluster(&self, data_dir: &Path) -> Result<(), EmbeddedError> {
        let fresh = data_dir.join("postgres.new");
        if fresh.exists() {
            // Left by a start that was killed. Its initdb may still be writing, and holds the lock until it ends.
            folder::lock_open(&fresh, folder::open(&fresh)?, INITDB_WITHIN, File::try_lock).await?;
            fs::remove_dir_all(&fresh).map_err(|source| EmbeddedError::Remove {
                path: fresh.clone(),
                source,
            })?;
        }
        folder::create_for(&fresh, &self.owner)?;
        let made = self.initdb(&fresh).await;
        if let Err(error) = made {
            let _ = fs::remove_dir_all(&fresh);
            return Err(error);
        }
        fs::rename(&fresh, &self.cluster)
            .and_then(|()| File::open(data_dir)?.sync_all())
            .map_err(|source| EmbeddedError::Write {
                path: self.cluster.clone(),
                source,
            })
    }

    async fn initdb(&self, fresh: &Path) -> Result<(), EmbeddedError> {
        let lock = folder::lock_open(fresh, folder::open(fresh)?, INITDB_WITHIN, File::try_lock).await?;
        let mut command = self.command("initdb", lock);
        // initdb starts servers whose standard input is a pipe, so that they cannot see the folder through their
        // own; an idle process of the same user holds it open for all of them.
        let mut holder = None;
        let target = if self.is_other_user() {
            let mut idle = self.command_of(Path::new("sleep"), folder::open(fresh)?);
            let idle = idle
                .arg(INITDB_WITHIN.as_secs().to_string())
                .kill_on_drop(true)
                .spawn();
            let idle = holder.insert(idle.map_err(|source| EmbeddedError::Run {
                program: "sleep".into(),
                source,
            })?);
            PathBuf::from(format!("/proc/{}/fd/0", idle.id().unwrap_or_default()))
        } else {
            fresh.to_owned()
        };
        command
            .arg("-D")
            .arg(target)
            .args(["--username", SUPERUSER, "--auth", "peer", "--encoding", "UTF8"]);
        // A page that the disk has spoiled is an error, never a wrong answer.
        command.args(["--locale", "C", "--data-checksums", "--no-instructions"]);
        let ended = command
            .output()
            .await
            .map_err(|source| self.run_error("initdb", source))?;
        drop(holder);
        if ended.status.success() {
            return Ok(());
        }
        let errors = String::from_utf8_lossy(&ended.stderr);
        Err(EmbeddedError::Initdb {
            output: errors.trim().replace('\n', "; "),
        })
    }

    /// Starts the server, which takes the lock over.
    async fn launch(&self, lock: File) -> Result<(), EmbeddedError> {
        // The lock proves that no process of a server is left, so that the numbers in these files mean nothing. Left
        // in place, they stop the server if another process has got that number since, or if nobody has waited for
        // the old one's end (a container without an init).
        for stale in ["postmaster.pid", &format!("socket/.s.PGSQL.{PORT}.lock")] {
            folder::remove_file(&self.cluster.join(stale))?;
        }
        self.remove_old_logs();
        folder::create_for(&self.cluster.join("socket"), &self.owner)?;
        let compression = self.wal_compression().await?;
        let configuration = settings::configuration(compression, &self.extra_settings);
        let identities = settings::identities(&self.client.name, &[DOCKET, SUPERUSER]);
        for (name, text) in [
            (settings::FILE, configuration.as_str()),
            ("pg_hba.conf", settings::AUTHENTICATION),
            ("pg_ident.conf", &identities),
        ] {
            folder::write_for(&self.cluster.join(name), text, &self.owner)?;
        }
        let first_log = self.first_log();
        let errors = File::options()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&first_log);
        let errors = errors.map_err(|source| EmbeddedError::Write {
            path: first_log,
            source,
        })?;
        let mut command = self.command("postgres", lock);
        command
            .arg("-D")
            .arg(self.cluster_for_server())
            .stdout(Stdio::null())
            .stderr(errors);
        // Where the server listens is no matter of taste: on the command line nothing overrides it. The folder is
        // relative to the cluster.
        let file = format!(
            "config_file={}",
            self.cluster_for_server().join(settings::FILE).display()
        );
        let port = format!("port={PORT}");
        for setting in [
            &file,
            "listen_addresses=",
            "unix_socket_directories=socket",
            &port,
        ] {
            command.args(["-c", setting]);
        }
        // Its own group, so that Ctrl-C reaches docket alone, which stops the server after itself. The handle is
        // dropped: the server may outlive us, and the runtime reaps it if it does not.
        command
            .process_group(0)
            .spawn()
            .map_err(|source| self.run_error("postgres", source))?;
        Ok(())
    }

    /// The best compression of full pages that these binaries were built with.
    async fn wal_compression(&self) -> Result<&'static str, EmbeddedError> {
        let mut command = self.command("postgres", folder::open(&self.cluster)?);
        command.args(["-C", "wal_compression", "-c", "wal_compression=lz4", "-D"]);
        let tried = command.arg(self.cluster_for_server()).output().await;
        let tried = tried.map_err(|source| self.run_error("postgres", source))?;
        Ok(if tried.status.success() { "lz4" } else { "on" })
    }

    /// A program of the server, run by the server's user with `folder` as its standard input.
    fn command(&self, program: &str, folder: File) -> Command {
        self.command_of(&self.binaries.program(program), folder)
    }

    fn command_of(&self, program: &Path, folder: File) -> Command {
        let mut command = Command::new(program);
        command.stdin(folder).current_dir("/");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C");
        if self.is_other_user() {
            command.uid(self.owner.uid).gid(self.owner.gid);
        }
        command
    }

    fn is_other_user(&self) -> bool {
        self.owner.uid != self.client.uid
    }

    /// The cluster's folder as the server's user can reach it.
    fn cluster_for_server(&self) -> &Path {
        if self.is_other_user() {
            Path::new("/proc/self/fd/0")
        } else {
            &self.cluster
        }
    }

    fn run_error(&self, program: &str, source: io::Error) -> EmbeddedError {
        EmbeddedError::Run {
            program: self.binaries.program(program),
            source,
        }
    }

    /// What the server says before its own log is open.
    fn first_log(&self) -> PathBuf {
        self.cluster.with_file_name("start.log")
    }

    /// The last complaint of a server that did not start.
    fn last_words(&self) -> String {
        let newest = self.logs().pop();
        let texts = [Some(self.first_log()), newest].into_iter().flatten();
        let text: String = texts.filter_map(|path| fs::read_to_string(path).ok()).collect();
        let complaint = text
            .lines()
            .rev()
            .find(|line| line.contains("FATAL:") || line.contains("PANIC:"));
        complaint
            .or(text.lines().last())
            .unwrap_or("it left no message")
            .to_owned()
    }

    /// The server's own log files, the newest last.
    fn logs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.cluster.join("log"))
            .into_iter()
            .flatten()
            .flatten();
        let ours = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "log");
        let mut logs: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(ours).collect();
        logs.sort();
        logs
    }

    /// Keeps the newest [`KEPT_LOGS`].
    pub(super) fn remove_old_logs(&self) {
        let logs = self.logs();
        for log in &logs[..logs.len().saturating_sub(KEPT_LOGS)] {
            let _ = fs::remove_file(log);
        }
    }
}

/// How to connect through the socket in `folder`.
pub(super) fn connect_options(folder: &Path, role: &str, database: &str) -> PgConnectOptions {
    // No TLS over a socket of the kernel's.
    let options = PgConnectOptions::new_without_pgpass()
        .host("localhost")
        .port(PORT)
        .socket(folder);
    options
        .username(role)
        .database(database)
        .ssl_mode(PgSslMode::Disable)
}
