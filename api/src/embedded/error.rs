//! What can go wrong with the private PostgreSQL, one variant for each operation that failed.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why the private PostgreSQL could not be started, found or stopped.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the fields are what the message shows")]
pub enum EmbeddedError {
    /// Neither `--data-dir` nor the environment says where the data folder is.
    #[error("no data folder: set --data-dir, XDG_STATE_HOME or HOME")]
    NoDataFolder,
    /// No server binaries anywhere. One line that names both remedies.
    #[error(
        "no PostgreSQL server found{}: install it (Debian and Ubuntu: apt-get install postgresql) or set \
         DATABASE_URL to a running one", .bin_dir.as_ref().map(|d| format!(" in PG_BIN_DIR={}", d.display())).unwrap_or_default()
    )]
    NoBinaries { bin_dir: Option<PathBuf> },
    /// Server binaries were found, but none of the version that wrote the cluster.
    #[error(
        "the data in {cluster} was written by PostgreSQL {needed}, but only {found:?} is installed: install \
         PostgreSQL {needed}, or dump and restore the data with it"
    )]
    WrongVersion {
        cluster: PathBuf,
        needed: u32,
        found: Vec<u32>,
    },
    /// Only binaries that are too old were found.
    #[error("PostgreSQL {found:?} is too old: install version {minimum} or newer, or set DATABASE_URL")]
    TooOld { found: Vec<u32>, minimum: u32 },
    /// `id` did not say who runs this process.
    #[error("cannot tell which user runs this process")]
    WhoAmI(#[source] io::Error),
    /// The user has a number and no name; neither initdb nor peer authentication can work with that.
    #[error("user {uid} has no name on this system; PostgreSQL needs one (an entry in /etc/passwd)")]
    NamelessUser { uid: u32 },
    /// PostgreSQL refuses to run as root, and there is nobody else to run it.
    #[error("root cannot run PostgreSQL, and this system has neither a user `postgres` nor `nobody`")]
    NoServerUser,
    /// The data folder, or a folder on the way to it, could not be made.
    #[error("cannot create the folder {path}")]
    CreateFolder { path: PathBuf, source: io::Error },
    /// There is something else in the place of the folder.
    #[error("{path} is not a folder")]
    NotAFolder { path: PathBuf },
    /// The folder belongs to another user.
    #[error("{path} belongs to user {owner}, not to the one who runs this process")]
    ForeignFolder { path: PathBuf, owner: u32 },
    /// Others may write to the folder, so what is found in it cannot be trusted.
    #[error("{path} can be written by others (mode {mode:o}): use a folder of your own")]
    SharedFolder { path: PathBuf, mode: u32 },
    /// A file or folder could not be inspected or listed.
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    /// A file could not be written.
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
    /// A left-over could not be removed.
    #[error("cannot remove {path}")]
    Remove { path: PathBuf, source: io::Error },
    /// The file system refused a lock.
    #[error("cannot lock {path} (the data folder must be on a local disk)")]
    Lock { path: PathBuf, source: io::Error },
    /// Another process holds a lock for longer than anything should take.
    #[error("{path} is held by another process for more than {seconds} s")]
    Busy { path: PathBuf, seconds: u64 },
    /// A program of the server could not be started.
    #[error("cannot run {program}")]
    Run { program: PathBuf, source: io::Error },
    /// `initdb` failed; what it wrote has been removed.
    #[error("initdb failed: {output}")]
    Initdb { output: String },
    /// The server went away before it was ready.
    #[error("PostgreSQL did not start: {reason} (log in {log})")]
    Start { reason: String, log: PathBuf },
    /// The server runs, but takes no connection.
    #[error("PostgreSQL took no connection for {seconds} s (log in {log})")]
    NotReady {
        seconds: u64,
        log: PathBuf,
        source: sqlx::Error,
    },
    /// The role or the database could not be created.
    #[error("cannot prepare the database")]
    Prepare(#[source] sqlx::Error),
    /// The server survived an immediate shutdown.
    #[error("PostgreSQL did not stop: {output}")]
    Stop { output: String },
}
