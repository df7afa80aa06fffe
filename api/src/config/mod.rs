//! How a process is set up: defaults, then the configuration file, then `DOCKET_...` from the environment, then the
//! command line. Secrets come from the environment only. An unknown key is refused.

mod auth;
mod limits;
mod projections;

use crate::{cli::GlobalOptions, server::listen::tls::TlsFiles, telemetry::traces::TraceSettings};
use docket_event_store::limits as log_limits;
use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
};
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

pub use self::{
    auth::AuthSettings,
    limits::LimitSettings,
    projections::{Failing, ProjectionSettings},
};

/// The settings file with every default; a test keeps it true.
pub const DEFAULT_FILE: &str = include_str!("../../../docs/docket.toml");

/// The most points of a bucket, and in a second: enough never to be reached.
const MAX_POINTS: u64 = 1_000_000_000_000;

/// Everything that a process can be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The door.
    pub server: ServerSettings,
    /// What the door allows.
    pub limits: LimitSettings,
    /// Trusted documents.
    pub documents: DocumentSettings,
    /// Who is let in, besides the holders of tokens.
    pub auth: AuthSettings,
    /// The log.
    pub log: LogSettings,
    /// The read models.
    pub projections: ProjectionSettings,
    /// Where traces go.
    pub traces: TraceSettings,
}

/// The door.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Where GraphQL is served.
    pub listen: SocketAddr,
    /// Where `/metrics` is served.
    pub metrics_listen: SocketAddr,
    /// Host names that requests may name, besides loopback's.
    pub hosts: Vec<String>,
    /// Origins that a browser may come from, besides the server's own.
    pub origins: Vec<String>,
    /// Whom the server is for.
    pub mode: Mode,
    /// Proxies in front of the server, which speak for many.
    pub proxies: Vec<IpAddr>,
    /// TLS, where it is spoken here.
    pub tls: TlsSettings,
}

/// TLS; spoken where both files are named.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// The certificate and those that vouch for it, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

impl TlsSettings {
    /// The two files; `None` where neither is named.
    pub fn files(&self) -> Option<TlsFiles> {
        (!self.certificate.as_os_str().is_empty()).then(|| TlsFiles {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
        })
    }
}

/// Trusted documents; a manifest of them where one is named.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentSettings {
    /// The manifest, in Relay's form or Apollo's.
    pub manifest: PathBuf,
    /// Whether nothing else is run.
    pub only: bool,
}

impl DocumentSettings {
    /// The manifest's file; `None` where none is named.
    pub fn file(&self) -> Option<&Path> {
        (!self.manifest.as_os_str().is_empty()).then_some(self.manifest.as_path())
    }

    /// Checks the settings with what the command line says of them.
    ///
    /// # Errors
    /// When only documents of a manifest are to run and there is none.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.only && self.file().is_none() {
            return Err(ConfigError::Half {
                given: "documents.only",
                missing: "documents.manifest",
            });
        }
        Ok(())
    }
}

/// Whom a server is for: those who build on it, or everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Development where only this computer can reach it, production elsewhere.
    Auto,
    /// The page at `/`, GraphiQL and introspection for everybody.
    Development,
    /// None of them.
    Production,
}

impl ServerSettings {
    /// Whether this is a server for developers: told so, or on a loopback address and not told otherwise. The only place
    /// that decides it; what the command line says of `listen` and `mode` must stand in the settings before.
    pub fn is_development(&self) -> bool {
        match self.mode {
            Mode::Auto => self.listen.ip().is_loopback(),
            Mode::Development => true,
            Mode::Production => false,
        }
    }
}

/// The log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// The number of partitions; fixed when the log is created. 0 takes what the log has, 16 for a new one.
    pub partitions: u16,
    /// Append connections of this process.
    pub lanes: u16,
    /// Memory for folded streams.
    pub cache_mib: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: ServerSettings {
                listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
                metrics_listen: SocketAddr::from(([127, 0, 0, 1], 9464)),
                hosts: Vec::new(),
                origins: Vec::new(),
                mode: Mode::Auto,
                proxies: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
                tls: TlsSettings::default(),
            },
            limits: LimitSettings::default(),
            documents: DocumentSettings::default(),
            auth: AuthSettings::default(),
            log: LogSettings {
                partitions: 0,
                lanes: log_limits::DEFAULT_LANES,
                cache_mib: log_limits::CACHE_BYTES >> 20,
            },
            projections: ProjectionSettings::default(),
            traces: TraceSettings::default(),
        }
    }
}

/// Why the configuration is not usable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file, variable or value that does not fit.
    #[error("the configuration does not fit")]
    Read(#[source] Box<figment::Error>),
    /// The named file is not there.
    #[error("there is no configuration file {}", .0.display())]
    NoFile(PathBuf),
    /// A share that is none.
    #[error("traces.ratio is {0}; it must be from 0 to 1")]
    Ratio(f64),
    /// A value out of range.
    #[error("{setting} is {value}; it must be from {least} to {most}")]
    OutOfRange {
        /// Its name in the file.
        setting: &'static str,
        /// What it is.
        value: u64,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// A rate out of range.
    #[error("limits.rates.{role}.{what} is {value}; it must be from {least} to {MAX_POINTS}")]
    Rate {
        /// Whose.
        role: &'static str,
        /// Which of its numbers.
        what: &'static str,
        /// What it is.
        value: u64,
        /// The least: what one operation may cost, or one a second.
        least: u64,
    },
    /// Two settings of which only one is there.
    #[error("{given} is set and {missing} is not")]
    Half {
        /// The one that is there.
        given: &'static str,
        /// The one that is not.
        missing: &'static str,
    },
}

/// The settings and where the data is.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the file and the environment say.
    pub settings: Settings,
    /// The private PostgreSQL's folder, where one is named.
    pub data_dir: Option<PathBuf>,
    /// The PostgreSQL to use instead of a private one.
    pub database_url: Option<String>,
}

impl Config {
    /// Reads everything and checks it.
    ///
    /// # Errors
    /// When a file is missing, a key unknown, or a value out of range.
    pub fn load(options: &GlobalOptions) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Settings::default()));
        if let Some(file) = &options.config {
            if !file.is_file() {
                return Err(ConfigError::NoFile(file.clone()));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        // Double underscores part section and key: DOCKET_SERVER__LISTEN.
        let environment = Env::prefixed("DOCKET_")
            .filter(|key| key.as_str().contains("__"))
            .split("__");
        let settings: Settings = figment
            .merge(environment)
            .extract()
            .map_err(|error| ConfigError::Read(Box::new(error)))?;
        settings.check()?;
        let database_url = options.database_url.clone().filter(|url| !url.is_empty());
        Ok(Self {
            settings,
            data_dir: options.data_dir.clone(),
            database_url,
        })
    }
}

impl Settings {
    fn check(&self) -> Result<(), ConfigError> {
        let tls = &self.server.tls;
        let (certificate, key) = ("server.tls.certificate", "server.tls.key");
        match (
            tls.certificate.as_os_str().is_empty(),
            tls.key.as_os_str().is_empty(),
        ) {
            (false, true) => {
                return Err(ConfigError::Half {
                    given: certificate,
                    missing: key,
                });
            }
            (true, false) => {
                return Err(ConfigError::Half {
                    given: key,
                    missing: certificate,
                });
            }
            (true, true) | (false, false) => {}
        }
        let least = crate::graphql::limits::MAX_COST;
        for (role, rate) in self.limits.rates.by_name() {
            let per_second = (rate.points_per_second, 1, "points_per_second");
            for (value, least, what) in [(rate.points, least, "points"), per_second] {
                if !(least..=MAX_POINTS).contains(&value) {
                    return Err(ConfigError::Rate {
                        role,
                        what,
                        value,
                        least,
                    });
                }
            }
        }
        if let Some(missing) = self.auth.missing() {
            return Err(ConfigError::Half {
                given: "auth.jwks",
                missing,
            });
        }
        if !(0.0..=1.0).contains(&self.traces.ratio) {
            return Err(ConfigError::Ratio(self.traces.ratio));
        }
        let log = &self.log;
        let most_partitions = u64::from(docket_event_store::partition::MAX_PARTITIONS);
        let limits = &self.limits;
        for (setting, value, least, most) in [
            ("limits.connections", u64::from(limits.connections), 1, 1_000_000),
            (
                "limits.connections_per_address",
                u64::from(limits.connections_per_address),
                1,
                1_000_000,
            ),
            (
                "log.lanes",
                u64::from(log.lanes),
                1,
                u64::from(log_limits::MAX_LANES),
            ),
            ("log.partitions", u64::from(log.partitions), 0, most_partitions),
            ("log.cache_mib", log.cache_mib, 0, 64 * 1024),
            (
                "projections.attempts",
                u64::from(self.projections.attempts),
                1,
                projections::MAX_ATTEMPTS,
            ),
            ("auth.leeway_s", self.auth.leeway_s, 0, auth::MAX_LEEWAY_S),
        ] {
            if !(least..=most).contains(&value) {
                return Err(ConfigError::OutOfRange {
                    setting,
                    value,
                    least,
                    most,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_FILE, Mode, Settings};
    use figment::{
        Figment,
        providers::{Format as _, Toml},
    };

    #[test]
    fn the_default_file_says_what_the_defaults_are() {
        let read: Settings = Figment::from(Toml::string(DEFAULT_FILE)).extract().unwrap();
        assert_eq!(read, Settings::default());
    }

    #[test]
    fn a_server_that_others_can_reach_is_no_development_server_unless_told() {
        let mut server = Settings::default().server;
        assert!(server.is_development());
        server.mode = Mode::Production;
        assert!(!server.is_development());
        server.listen = ([0, 0, 0, 0], 8080).into();
        server.mode = Mode::Auto;
        assert!(!server.is_development());
        server.mode = Mode::Development;
        assert!(server.is_development());
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let file = format!("{DEFAULT_FILE}\n[log.more]\nx = 1\n");
        assert!(Figment::from(Toml::string(&file)).extract::<Settings>().is_err());
    }
}
