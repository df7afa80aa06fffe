//! Every limit of what is verified against an identity provider's keys, with its unit and reason.

use std::time::Duration;

/// The largest document of keys, in bytes: 256 KiB. Those of the large providers have 2 to 20 kB.
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// The most keys in a document: 64. A provider has two or three, and one more while it rotates.
pub const MAX_KEYS: usize = 64;

/// How long one reading of the document may take, from the name's lookup to the last byte: 5 s.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// How old keys get before they are read again: 5 min. It bounds how long a key that was taken back still opens
/// requests.
pub const REFRESH: Duration = Duration::from_secs(5 * 60);

/// How long after a failure it is tried again: 30 s.
pub const RETRY: Duration = Duration::from_secs(30);

/// The least time between two readings, whoever asks: 10 s. A token that names an unknown key has the document read at
/// once, so that a new key is known when it is first used; whoever makes such tokens up has it read no more often than
/// this.
pub const LEAST_BETWEEN: Duration = Duration::from_secs(10);

/// How long a token that names an unknown key waits for the document: 6 s, a little above [`FETCH_TIMEOUT`].
pub const UNKNOWN_KEY_WAIT: Duration = Duration::from_secs(6);

/// How long the last keys are believed while the provider does not answer: 1 h. It issues no tokens in that time, and
/// those that it has issued commonly hold for less.
pub const KEPT_WHILE_AWAY: Duration = Duration::from_secs(60 * 60);

/// The times of one keeper of keys; [`Default`] gives the constants of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JwksLimits {
    /// See [`FETCH_TIMEOUT`].
    pub fetch_timeout: Duration,
    /// See [`REFRESH`].
    pub refresh: Duration,
    /// See [`RETRY`].
    pub retry: Duration,
    /// See [`LEAST_BETWEEN`].
    pub least_between: Duration,
    /// See [`UNKNOWN_KEY_WAIT`].
    pub unknown_key_wait: Duration,
    /// See [`KEPT_WHILE_AWAY`].
    pub kept_while_away: Duration,
}

impl Default for JwksLimits {
    fn default() -> Self {
        JwksLimits {
            fetch_timeout: FETCH_TIMEOUT,
            refresh: REFRESH,
            retry: RETRY,
            least_between: LEAST_BETWEEN,
            unknown_key_wait: UNKNOWN_KEY_WAIT,
            kept_while_away: KEPT_WHILE_AWAY,
        }
    }
}
