//! The only place that knows every part: which database, which key, and in what order things start and stop.

use crate::{
    config::Config,
    embedded::{EmbeddedConfig, EmbeddedError, EmbeddedPostgres},
};
use docket_event_store::{
    MasterKey, OpenError, Partitions, PersonalError, Store, StoreConfig, StoreError, migrate,
    personal::MasterKeyError,
};
use sqlx::postgres::PgConnectOptions;
use std::{
    env, fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// The variable that holds the master key.
const MASTER_KEY: &str = "DOCKET_MASTER_KEY";

/// Why a process could not start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The private PostgreSQL did not start.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// `DATABASE_URL` does not read.
    #[error("DATABASE_URL is not a PostgreSQL address (postgres://user:password@host/database)")]
    DatabaseUrl(#[source] sqlx::Error),
    /// The database is not usable.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No key for personal data.
    #[error(
        "{MASTER_KEY} is not set: personal data is sealed with it. `openssl rand -hex 32` makes one; keep it safe, \
             for without it that data cannot be read"
    )]
    NoMasterKey,
    /// The key does not read.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The key could not be made.
    #[error(transparent)]
    MakeKey(#[from] PersonalError),
    /// The key's file could not be read or written.
    #[error("the master key's file {} cannot be used", .path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A database, private or given.
pub struct Database {
    options: PgConnectOptions,
    embedded: Option<EmbeddedPostgres>,
    key_file: Option<PathBuf>,
}

impl Database {
    /// The database that the configuration names; without one, a private server's.
    ///
    /// # Errors
    /// When the address does not read, or the private server does not start.
    pub async fn open(config: &Config) -> Result<Self, AppError> {
        if let Some(url) = &config.database_url {
            let options = url.parse().map_err(AppError::DatabaseUrl)?;
            return Ok(Self {
                options,
                embedded: None,
                key_file: None,
            });
        }
        let embedded = EmbeddedConfig::from_env(config.data_dir.clone())?;
        let key_file = embedded.data_dir.join("master.key");
        let embedded = EmbeddedPostgres::start(embedded).await?;
        Ok(Self {
            options: embedded.connect_options(),
            embedded: Some(embedded),
            key_file: Some(key_file),
        })
    }

    /// Whether it is this program's own.
    pub fn is_private(&self) -> bool {
        self.embedded.is_some()
    }

    /// How to connect to it.
    pub fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Creates or upgrades the log.
    ///
    /// # Errors
    /// See [`migrate`].
    pub async fn migrate(&self, config: &Config) -> Result<Partitions, AppError> {
        let configured = Some(config.settings.log.partitions).filter(|count| *count > 0);
        Ok(migrate(&self.options, configured).await?)
    }

    /// Opens the log. A private database is upgraded first; a given one must be migrated, because whoever serves may have
    /// no right to.
    ///
    /// # Errors
    /// When the log is not usable or there is no master key.
    pub async fn store(&self, config: &Config) -> Result<Store, AppError> {
        if self.embedded.is_some() {
            self.migrate(config).await?;
        }
        let log = &config.settings.log;
        let settings = StoreConfig {
            partitions: Some(log.partitions).filter(|count| *count > 0),
            lanes: log.lanes,
            cache_bytes: log.cache_mib << 20,
            ..StoreConfig::new(self.options.clone(), self.master_key()?)
        };
        Ok(Store::open(settings).await?)
    }

    /// The master key: from the environment, or, for a private database, from a file beside it.
    fn master_key(&self) -> Result<MasterKey, AppError> {
        if let Ok(text) = env::var(MASTER_KEY) {
            return Ok(MasterKey::from_hex(&text)?);
        }
        let path = self.key_file.as_deref().ok_or(AppError::NoMasterKey)?;
        let text = match read_key(path)? {
            Some(text) => text,
            None => make_key(path)?,
        };
        Ok(MasterKey::from_hex(&text)?)
    }

    /// Stops the private server, where this process is its last user.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub async fn close(self) -> Result<(), AppError> {
        match self.embedded {
            Some(embedded) => Ok(embedded.stop().await?),
            None => Ok(()),
        }
    }
}

fn read_key(path: &Path) -> Result<Option<String>, AppError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(AppError::KeyFile {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Makes a key that only its owner can read; durable before it is used. Where another process was faster, its key counts.
fn make_key(path: &Path) -> Result<String, AppError> {
    let failed = |source| AppError::KeyFile {
        path: path.to_owned(),
        source,
    };
    let text = MasterKey::generate_hex()?;
    let draft = path.with_extension(format!("key.{}", std::process::id()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft);
    let mut file = written.map_err(failed)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    // A hard link appears whole or not at all, and never replaces a key that is there.
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft).map_err(failed)?;
    match linked {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    if let Some(folder) = path.parent() {
        fs::File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)?;
    }
    read_key(path)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}
