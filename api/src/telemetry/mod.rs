//! Logs: messages that read alone, fields that can be queried, no personal data. Traces ([`traces`]) go to a collector,
//! where one is named.

pub mod traces;

use std::io::{self, IsTerminal as _};
use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging to standard error: `RUST_LOG` decides what, and without it a server tells more than a one-off verb.
pub(crate) fn start(server: bool, json: bool) {
    let default = if server { "info,sqlx=warn" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // A second start, in a test, leaves the first in place.
    let _ = if json {
        log.json().try_init()
    } else {
        log.compact().try_init()
    };
}
