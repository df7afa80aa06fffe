//! Every limit of the log, with its unit and where it comes from.

use std::time::Duration;

/// The largest payload of one event, in bytes. Half of Kafka's default record limit leaves room for headers.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;
/// The most events of one command: an order of 500 lines may touch each of them once.
pub const MAX_COMMAND_EVENTS: usize = 1_000;
/// The most bytes of one command's payloads.
pub const MAX_COMMAND_BYTES: usize = 1024 * 1024;
/// The most streams that one command writes or names: an order, its payments and its shipments.
pub const MAX_COMMAND_STREAMS: usize = 256;
/// The longest id of an actor, in bytes.
pub const MAX_ACTOR_ID_BYTES: usize = 255;

/// Commands in one statement. A reply row is about 60 bytes, so that a full batch's reply stays under 64 KiB: a client
/// that is frozen before it reads cannot keep the database from committing.
pub const MAX_BATCH_COMMANDS: usize = 512;
/// Payload bytes in one statement, unless a single command is larger.
pub const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// Events in one statement, unless a single command has more.
pub const MAX_BATCH_EVENTS: usize = 2_048;

/// Turns of the runtime in which nobody new came, after which a lane stops letting those come back whom it has answered.
pub const GATHER_TURNS: u32 = 8;
/// Turns after which it stops in any case: a few for each of a batch's commands.
pub const MAX_GATHER_TURNS: u32 = 2 * MAX_BATCH_COMMANDS as u32;
/// Commands that may wait for one lane: eight full batches, about 40 ms of work at the measured rate.
pub const MAX_QUEUED_COMMANDS: usize = 8 * MAX_BATCH_COMMANDS;
/// Payload bytes that may wait for one lane.
pub const MAX_QUEUED_BYTES: usize = 16 * 1024 * 1024;
/// How long a command may wait in a queue before it is answered `Unavailable`; nothing of it was sent.
pub const MAX_QUEUE_WAIT: Duration = Duration::from_secs(5);
/// How long the answer to a statement that was sent may take before its callers are told `OutcomeUnknown`.
pub const MAX_ANSWER_WAIT: Duration = Duration::from_secs(15);
/// The statement timeout of a lane's connection; below [`MAX_ANSWER_WAIT`], so that a lock held by a stranger ends in a
/// definite answer.
pub const LANE_STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a process counts as unable to append after the server refused an append: longer than a probe's interval, and
/// short, because who is given no requests finds out nothing new.
pub const REFUSAL_LIFETIME: Duration = Duration::from_secs(10);
/// Streams whose newest version a lane remembers; about 100 bytes each.
pub const MAX_KNOWN_VERSIONS: usize = 16_384;

/// Lanes of a process, each with one connection.
pub const DEFAULT_LANES: u16 = 4;
/// The most lanes of a process.
pub const MAX_LANES: u16 = 8;
/// Connections of a process for everything but its lanes, the wake-up listener among it.
pub const POOL_CONNECTIONS: u32 = 20;
/// Connections of the pool that read what commands are decided over; the others stay free for everything else.
pub const READERS: usize = 6;
/// Connections of the pool that answer queries. With the readers', the read models' four and the one for keys, three are
/// left for everything else: the listener has one, the feed, sealing and tokens share the others.
pub const QUERIES: usize = 6;
/// The longest statement that is not an append, as PostgreSQL reads it: as long as the longest request may take. A request
/// that was given up would otherwise keep its connection.
pub const STATEMENT_TIMEOUT: &str = "30s";
/// Prepared statements of a pooled connection: three for each partition, and the read models' own. Above 160 partitions
/// the least used are closed and prepared anew.
pub const MAX_PREPARED: usize = 512;
/// How long a pooled connection may lie idle and still be trusted without being asked.
pub const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// How long closing may take: the answers that are still awaited, and a moment for the connections.
pub const MAX_CLOSE: Duration = Duration::from_secs(MAX_ANSWER_WAIT.as_secs() + 5);
/// How long a reader waits for a pooled connection before it is answered `Unavailable`.
pub const MAX_POOL_WAIT: Duration = Duration::from_secs(3);

/// Order numbers that are drawn in one statement, at most.
pub const MAX_NUMBERS_DRAWN: i64 = 256;

/// Times that a command is decided again after a conflict, when its caller named no version. Who lost must read first and
/// who won need not, so that a writer in another process may lose two of three: this often in a row, one in a hundred
/// million.
pub const MAX_DECISIONS: u32 = 48;
/// Memory of the cache of folded streams, in bytes.
pub const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// A stream gets a new snapshot each time it grows by this many events: the first page of a shorter one is as fast.
pub const SNAPSHOT_EVERY: i32 = PAGE_EVENTS as i32;
/// Subjects whose keys a process keeps unwrapped.
pub const MAX_CACHED_KEYS: usize = 10_000;
/// Statements that read keys for several at once, each over a connection of the pool.
pub const KEY_LANES: usize = 1;
/// Keys of one such statement, unless one query asks for more: some pages' worth.
pub const MAX_KEYS_TOGETHER: usize = 1_000;
/// Those who may wait for keys: more than the streams that a process has open, all at once.
pub const MAX_KEY_READS: usize = 16_384;
/// How long a read for several may take: the longest statement, its wait for a connection, and a moment. Given up earlier,
/// its connection would be busy still, and the next would take another.
pub const MAX_GATHERED_READ: Duration = Duration::from_secs(35);
/// Times that a subject's key is looked for while others make or destroy keys.
pub const MAX_KEY_ROUNDS: u32 = 8;
/// How long an unwrapped key may be kept: the longest that another process can still open a forgotten subject.
pub const KEY_LIFETIME: Duration = Duration::from_secs(60);

/// Events of a page that is read from a partition or a stream.
pub const PAGE_EVENTS: usize = 256;
/// Newest events of one partition that the feed keeps decoded, counted.
pub const TAIL_EVENTS: usize = 2_048;
/// Newest events of one partition that the feed keeps decoded, in bytes.
pub const TAIL_BYTES: usize = 1024 * 1024;
/// Memory of the older pages that catching-up readers share, in bytes.
pub const PAGE_CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// How often the heads are polled when no hint arrives. Polling is the truth; hints only make it faster.
pub const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The shortest time between two hints to other processes: a NOTIFY serialises commits, so there are at most 100 a second.
pub const HINT_INTERVAL: Duration = Duration::from_millis(10);
