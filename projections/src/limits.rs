//! Every limit of the projections, with its unit and where it comes from.

use std::time::Duration;

/// Events in one batch of one partition. At the measured 50 microseconds an event (fold, statement, nine indexes) a full
/// batch takes its turn for about 25 ms.
pub const BATCH_EVENTS: usize = 512;
/// Connections of the process's pool that projections write with at a time, the leases' included; the rest answers
/// queries. Who catches up from old pages reads each with one more, for as long as the page takes.
pub const CONNECTIONS: usize = 4;
/// Memory of the entities that all owned partitions keep between batches, in bytes; each has its read model's share.
pub const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// The least share of one partition's cache, in bytes: with very many partitions the sum is this times their number.
pub const MIN_CACHE_BYTES: u64 = 64 * 1024;

/// How long a lease holds without being renewed. Together with [`TICK`] the longest that a dead owner's partitions
/// stand still: 5 s.
pub const LEASE: Duration = Duration::from_secs(4);
/// How often leases are renewed and dead owners looked for.
pub const TICK: Duration = Duration::from_secs(1);
/// How often an owner looks for new events though nobody woke it.
pub const IDLE_POLL: Duration = Duration::from_secs(5);
/// How often the checkpoints of other processes are read while somebody waits for one.
pub const FOREIGN_POLL: Duration = Duration::from_millis(50);
/// How often an owner whose checkpoint is held for a swap tries again.
pub const HELD_POLL: Duration = Duration::from_millis(20);
/// How long a reactor's checkpoint may stand behind events that had no effects: what a crash makes it ask its rules again.
pub const QUIET_SAVE: Duration = Duration::from_secs(1);
/// Events without effects after which a reactor's checkpoint follows at once: eight full batches.
pub const QUIET_EVENTS: i64 = 4_096;
/// How long an owner that ends may take to save a checkpoint that it need not have saved.
pub const FINISH: Duration = Duration::from_secs(1);
/// How often an event that cannot be applied is tried, the pauses between doubled from [`FIRST_RETRY`] on: 0.3 s in all.
pub const ATTEMPTS: u32 = 3;
/// Orders of one partition that may have dead letters; with more, something is wrong with more than single events.
pub const PARKED_ORDERS: usize = 1_000;
/// Dead letters that an owner tries again before it goes on with what is new: 64 transactions, about 0.2 s.
pub const RETRY_LETTERS: i64 = 64;
/// Dead letters that are listed or shown at once.
pub const LETTERS_PAGE: i64 = 1_000;
/// The first pause after the database did not answer; doubled each time.
pub const FIRST_RETRY: Duration = Duration::from_millis(100);
/// The longest pause after the database did not answer.
pub const LAST_RETRY: Duration = Duration::from_secs(5);

/// How long somebody waits for a position before the answer is `Stale`.
pub const WAIT: Duration = Duration::from_secs(2);
/// Waits at a time, each a few hundred bytes; more are answered `Overloaded`.
pub const WAITERS: usize = 4_096;
/// Positions that one wait may name: one for each partition of the largest log.
pub const WAIT_POSITIONS: usize = 1_024;
/// How long a stop waits for batches in flight before it breaks them off; their transactions are whole either way.
pub const STOP: Duration = Duration::from_secs(5);
/// Bytes of the reason that is kept for a stopped partition, and of the one for which an event is discarded.
pub const REASON_BYTES: usize = 1_000;
/// Bytes of who discards an event: an actor's role and id, `operator:ada`.
pub const DISCARDED_BY_BYTES: usize = "operator:".len() + docket_event_store::limits::MAX_ACTOR_ID_BYTES;

/// How long a batch may take before it is tried again; above any lock that a well-behaved session holds.
pub const STEP: Duration = Duration::from_secs(15);

/// Orders on one page of a list.
pub const PAGE_ORDERS: usize = 500;
/// Rows of a list that are counted: what a person pages through, and a few milliseconds over an index.
pub const COUNT_ORDERS: usize = 10_000;
/// Orders that are asked for by id at a time.
pub const FIND_ORDERS: usize = 1_000;
/// Values of one kind in a filter.
pub const FILTER_VALUES: usize = 100;

/// How often a process looks how every partition fares, while anybody wants to know.
pub const WATCH: Duration = Duration::from_millis(500);
/// How long the first look waits for the second, where nobody looked before: what moved in between has a rate.
pub const FIRST_WATCH: Duration = Duration::from_millis(250);
/// How far back looks are remembered: rates are over so long, at most.
pub const WATCH_BACK: Duration = Duration::from_secs(5);
/// How old a look may be that is shown.
pub const WATCH_AGE: Duration = Duration::from_secs(1);
/// How old the oldest event may be that is not in the rows before its partition is called slow.
pub const SLOW: Duration = Duration::from_secs(10);

/// Events of a page that verification reads.
pub const VERIFY_EVENTS: i64 = 1_000;
/// Orders that verification folds at a time. The memory is theirs and that of their events: at 20 events of 500 bytes
/// each, 10 MB.
pub const VERIFY_ORDERS: i64 = 500;
/// Keys of rows that many orders share which verification folds at a time, at 200 bytes each 4 MB; where a partition has
/// more, its log is read once for each so many.
pub const VERIFY_KEYS: usize = 20_000;

/// Events of one partition that a rebuild folds order by order before it goes on in the log. In each of the partitions that
/// it fills at once it reads as much of the log again in another order, about 180 MB, which should be in a cache of the
/// database's or the system's; and while they are put in order they take 6 MB of its own memory, then 1 MB.
pub const REBUILD_STRETCH: i64 = 262_144;
/// Events of such a stretch whose orders a rebuild reads by one statement, which cannot be held back: some 10 ms.
pub const REBUILD_ORDERS: i64 = 10_000;
/// Events that a rebuild reads of one partition at once; about 3 KB each, as rows and decoded, 4 MB.
pub const REBUILD_PAGE: usize = 1_250;
/// Rows that a rebuild writes by one statement.
pub const REBUILD_ROWS: usize = 1_000;
/// Memory of the rows that a rebuild has not written yet and of those that it touched last, of all partitions that it fills
/// at once, in bytes. Folded order by order, rows are hardly ever touched again after they were written.
pub const REBUILD_WINDOW_BYTES: usize = 24 * 1024 * 1024;
/// Partitions that a rebuild fills at once, at most: each has a connection.
pub const REBUILD_PARALLEL: u16 = 8;
/// How long a rebuild's lease holds without being renewed.
pub const REBUILD_LEASE: Duration = Duration::from_secs(5);
/// How often it is renewed, and looked what operators want.
pub const REBUILD_TICK: Duration = Duration::from_millis(500);
/// How long a rebuild makes way before it reads a page all the same.
pub const REBUILD_YIELD: Duration = Duration::from_secs(1);
/// How long a rebuild makes way before it builds an index all the same, which cannot be held back once it has begun.
pub const REBUILD_YIELD_INDEX: Duration = Duration::from_secs(3);
/// How long what was served is there at least after it was left: longer than any request that reads it.
pub const REBUILD_GRACE: Duration = Duration::from_secs(60);
/// How long an operator who calls a rebuild off waits until it has ended: longer than a dead one's lease.
pub const CANCEL_WAIT: Duration = Duration::from_secs(15);
/// How long a new generation waits for a running program to feed it, before its rebuild does.
pub const REBUILD_CLAIM: Duration = Duration::from_secs(3);
/// How long a rebuild waits before it tries again what may go well a moment later.
pub const REBUILD_RETRY: Duration = Duration::from_secs(1);
/// How long it tries without coming any further.
pub const REBUILD_PATIENCE: Duration = Duration::from_secs(600);
/// Rebuilds that a server does at once: each has the memory and the connections that its limits say.
pub const REBUILDS_AT_ONCE: usize = 1;
/// How often a server looks for rebuilds that nobody does. With [`REBUILD_LEASE`] the longest that one stands still whose
/// process died: 7 s.
pub const REBUILD_LOOK: Duration = Duration::from_secs(2);
/// How long a rebuild stands still that went wrong for a reason that passes, after it had been tried for
/// [`REBUILD_PATIENCE`], before a server goes on with it by itself.
pub const REBUILD_AGAIN: Duration = Duration::from_secs(60);
/// Times that a server goes on by itself with a rebuild whose process died, until somebody says so: what kills a server must
/// not kill all of them.
pub const REBUILD_DEATHS: u32 = 3;
/// Connections of a rebuild beside those that fill partitions: its own, its lease's, the snapshot's, and some to spare. They
/// are its own, so that it takes none from those who answer.
pub const REBUILD_CONNECTIONS: u32 = 6;
/// How long a rebuild that stops may take to say so; else its lease runs out.
pub const REBUILD_STOP: Duration = Duration::from_secs(3);
/// Events that live read models may be behind before a rebuild makes way for them.
pub const REBUILD_YIELDS_AT: i64 = 2_000;
/// The age of the oldest event that live read models may miss before a rebuild makes way for them: half of [`WAIT`], so that
/// who waits for what was written is answered in time. A shop that is not busy would be minutes behind before it is
/// [`REBUILD_YIELDS_AT`] events behind.
pub const REBUILD_YIELDS_AFTER: Duration = Duration::from_secs(1);
/// Keys that are compared by one statement, which cannot be held back: some 0.1 s.
pub const COMPARE_KEYS: i64 = 10_000;
/// Orders whose rows are looked at together where two generations differ.
pub const COMPARE_LOOKED: usize = 200;
/// Rows that are named where two generations differ.
pub const COMPARE_NAMED: usize = 10;
/// Rows that are named of a table in which a build aside differs from what is served.
pub const DIFFERENCES_NAMED: usize = 10;
/// Characters of a value that are shown of a row that differs: from a little before the place where both differ.
pub const DIFFERENCE_CHARS: usize = 80;
/// Characters of a value that are shown in front of that place.
pub const DIFFERENCE_BEFORE: usize = 20;
/// Characters that are shown of a name that somebody has asked for and that is none.
pub const NAME_SHOWN: usize = 80;
/// How long whoever changes tables waits for a lock before it lets everybody pass and tries again.
pub const SWAP_LOCK: Duration = Duration::from_millis(20);
/// How long a swap holds the owners of the old generation while the new one comes to where they are.
pub const SWAP_HOLD: Duration = Duration::from_millis(500);
/// How long an operator who goes back waits for the other generation to come to where the served one is: less than a request
/// may take.
pub const ROLLBACK_PATIENCE: Duration = Duration::from_secs(20);
/// How long a swap is tried.
pub const SWAP_PATIENCE: Duration = Duration::from_secs(60);
/// How long a swap waits for a batch that holds a checkpoint, before it lets everybody pass and tries again.
pub const HOLD_LOCK: Duration = Duration::from_millis(200);
/// How long a swap lets the owners of the old generation go on before it holds them again.
pub const SWAP_AGAIN: Duration = Duration::from_millis(250);
/// Events that the new generation may be behind, in all partitions together, before the old one's owners are held.
pub const SWAP_NEAR: i64 = 1_000;

/// Windows of sales that are read at once: a day of them in a few currencies and channels, at 100 bytes each.
pub const SALES_WINDOWS: usize = 20_000;
/// Days that signs of fraud are derived over at once. Every payment that failed in them is looked at, which was measured to
/// take 2 microseconds each: 42,000 of a week in 0.1 s.
pub const FRAUD_DAYS: i64 = 7;

/// Notifications that wait for one follower; one that misses some reads them from the ledger.
pub const FOLLOWER_QUEUE: usize = 8;
/// Notifications that a follower who is behind reads at once.
pub const FOLLOWER_PAGE: usize = 100;
/// Notifications of one partition that a process's reader takes at once, about 200 bytes each; more than one event can
/// have.
pub const TAIL_PAGE: usize = 64;
/// How often a process looks for new notifications though it heard of none, while anybody follows.
pub const TAIL_POLL: Duration = Duration::from_secs(1);
/// The shortest time between two such looks: as often as processes tell each other.
pub const TAIL_INTERVAL: Duration = Duration::from_millis(10);

/// Entries that one ask of a timeline gives at most: a page of 100 and the one that tells that there are more.
pub const TIMELINE_ENTRIES: i32 = 101;
/// Days of the payment ledger that are read at a time: a leap year.
pub const LEDGER_DAYS: usize = 366;
