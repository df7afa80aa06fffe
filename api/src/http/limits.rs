//! Every limit of the transports, with its unit and where the number comes from.
//!
//! One small struct, so that a test or an operator changes one number and nothing else. What a *document* may cost
//! (depth, complexity, aliases) belongs to the schema; here stands what protects the process before the schema is
//! asked: bytes, tokens, time and how many at once.

use std::time::Duration;

/// The largest request body and the largest WebSocket message, in bytes: 1 MiB. A mutation that places an order of
/// 1,000 lines is about 120 kB of JSON; eight times that leaves room and still parses in milliseconds.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// How many bytes of a body that is too large are read and thrown away before the refusal is written: 16 MiB.
/// Without it the refusal races the client's own writing and is lost in a connection reset.
pub const MAX_DISCARDED_BYTES: usize = 16 * 1024 * 1024;

/// How long a client may take to send its body: 10 s, which is 1 MiB at 0.8 Mbit/s.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The most lexical tokens in a document: 10,000. The introspection query has about 450, large hand-written
/// operations about 2,000; parsing 10,000 takes single milliseconds, 1 MiB of `a:b` takes seconds.
pub const MAX_QUERY_TOKENS: usize = 10_000;

/// The deepest nesting of brackets in a document: 96. The parser descends recursively and 500,000 open braces fit in
/// a body; it allows 64 nested selections itself, and the rest is for values within them.
pub const MAX_QUERY_NESTING: usize = 96;

/// The most values in an operation's variables, lists and objects counted with what they hold: 50,000. An order of 1,000
/// lines has about 15,000; 1 MiB of `[0,0,...]` has half a million, each far larger in memory than in JSON.
pub const MAX_VARIABLE_VALUES: usize = 50_000;

/// How long one query or mutation may run: 30 s, above the slowest legal wait (a `minPosition` wait is 2 s) and
/// below the 60 s after which common proxies give up and the client learns nothing.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Plain HTTP requests that run at once in one process: 1,024, an order of magnitude more than the database has
/// connections; what waits longer than that is better tried again than queued here.
pub const MAX_IN_FLIGHT: usize = 1024;

/// WebSocket connections and event streams at once in one process: 12,000, about 54 kB each: 10,000 that are there, and
/// those that come back before the server has seen them go. Below the 16,384 file descriptors that services are
/// commonly given.
pub const MAX_LIVE_CONNECTIONS: usize = 12_000;

/// How long a WebSocket may stay without `connection_init`: 3 s, the reference implementation's default.
pub const CONNECTION_INIT_TIMEOUT: Duration = Duration::from_secs(3);

/// Concurrent operations on one WebSocket: 64. A staff screen opens about ten.
pub const MAX_OPERATIONS: usize = 64;

/// Messages waiting to be written to one client: 64. When they are full the operations wait, nothing is buffered
/// beyond one message for each operation.
pub const MAX_QUEUED_MESSAGES: usize = 64;

/// Bytes of messages waiting to be written to one client: 1 MiB, as much as one may send us; a single larger message still
/// goes, alone. Messages differ by a factor of a thousand, so their number alone bounds nothing.
pub const MAX_QUEUED_BYTES: usize = 1024 * 1024;

/// How long one message may wait for the client to read before it counts as slow and is closed with a reason: 10 s.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Between signs of life on a stream: 15 s, a quarter of the 60 s after which common proxies cut an idle connection.
/// A WebSocket that stays silent for two of them is gone.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a closing WebSocket waits for the client's half of the handshake: 2 s.
pub const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// How long a WebSocket that did not read for [`WRITE_TIMEOUT`] stays, so that a client that reads on finds out why it is
/// closed: 30 s. Its operations are over by then; what it holds is one message and its place.
pub const SLOW_GRACE: Duration = Duration::from_secs(30);

/// How often a long-lived connection asks again whether its token holds: 60 s. It bounds how long a revoked token
/// keeps its streams, at one question a minute for each connection.
pub const TOKEN_RECHECK: Duration = Duration::from_secs(60);

/// The limits of one router; [`Default`] gives the constants of this module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// See [`MAX_BODY_BYTES`].
    pub max_body_bytes: usize,
    /// See [`MAX_DISCARDED_BYTES`].
    pub max_discarded_bytes: usize,
    /// See [`BODY_TIMEOUT`].
    pub body_timeout: Duration,
    /// See [`MAX_QUERY_TOKENS`].
    pub max_query_tokens: usize,
    /// See [`MAX_QUERY_NESTING`].
    pub max_query_nesting: usize,
    /// See [`MAX_VARIABLE_VALUES`].
    pub max_variable_values: usize,
    /// See [`REQUEST_TIMEOUT`].
    pub request_timeout: Duration,
    /// See [`MAX_IN_FLIGHT`].
    pub max_in_flight: usize,
    /// See [`MAX_LIVE_CONNECTIONS`].
    pub max_live_connections: usize,
    /// See [`CONNECTION_INIT_TIMEOUT`].
    pub connection_init_timeout: Duration,
    /// See [`MAX_OPERATIONS`].
    pub max_operations: usize,
    /// See [`MAX_QUEUED_MESSAGES`].
    pub max_queued_messages: usize,
    /// See [`MAX_QUEUED_BYTES`].
    pub max_queued_bytes: usize,
    /// See [`WRITE_TIMEOUT`].
    pub write_timeout: Duration,
    /// See [`KEEP_ALIVE`].
    pub keep_alive: Duration,
    /// See [`CLOSE_GRACE`].
    pub close_grace: Duration,
    /// See [`SLOW_GRACE`].
    pub slow_grace: Duration,
    /// See [`TOKEN_RECHECK`].
    pub token_recheck: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        HttpLimits {
            max_body_bytes: MAX_BODY_BYTES,
            max_discarded_bytes: MAX_DISCARDED_BYTES,
            body_timeout: BODY_TIMEOUT,
            max_query_tokens: MAX_QUERY_TOKENS,
            max_query_nesting: MAX_QUERY_NESTING,
            max_variable_values: MAX_VARIABLE_VALUES,
            request_timeout: REQUEST_TIMEOUT,
            max_in_flight: MAX_IN_FLIGHT,
            max_live_connections: MAX_LIVE_CONNECTIONS,
            connection_init_timeout: CONNECTION_INIT_TIMEOUT,
            max_operations: MAX_OPERATIONS,
            max_queued_messages: MAX_QUEUED_MESSAGES,
            max_queued_bytes: MAX_QUEUED_BYTES,
            write_timeout: WRITE_TIMEOUT,
            keep_alive: KEEP_ALIVE,
            close_grace: CLOSE_GRACE,
            slow_grace: SLOW_GRACE,
            token_recheck: TOKEN_RECHECK,
        }
    }
}
