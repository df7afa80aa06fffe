//! Every limit of the schema, with its unit and where the number comes from. Bytes, tokens and time are limited before
//! the schema is asked; see [`crate::http::limits`].

use std::time::Duration;

/// Fields that one operation may begin with: a staff screen asks for about five.
pub const MAX_ROOT_FIELDS: u32 = 20;
/// Aliases in a document, counted where fragments spread: they are the cheap way to ask one thing a thousand times.
pub const MAX_ALIASES: u64 = 100;
/// Directives in a document, counted where fragments spread.
pub const MAX_DIRECTIVES: u64 = 50;
/// Fields in a document, counted where fragments spread: two fragments that spread the next one twice each grow as fast
/// as doubling does, and every rule of validation would walk them all.
pub const MAX_FIELDS: u64 = 5_000;
/// Fields and fragments in any operation or fragment of a document, counted where fragments spread: the engine walks all of
/// them, asked for or not.
pub const MAX_SELECTIONS: u64 = 2 * MAX_FIELDS;
/// Nesting of selections where fragments spread: [`MAX_DEPTH`] fields and a fragment at every other of them.
pub const MAX_NESTED_SETS: u32 = 32;
/// Nesting of fields: the standard introspection query has 13, an order's parcels about 8.
pub const MAX_DEPTH: u32 = 20;
/// Lists of the type system within each other in an introspection: the standard query has 2 (`fields`, then none), and
/// each further one multiplies the answer by twenty.
pub const MAX_INTROSPECTION_LISTS: u32 = 2;
/// What one operation may cost. Everything that there is to know of an order costs about 2,300, and a page of 20 such
/// orders fits; so does a list of 100 with everything that a row on a screen shows.
pub const MAX_COST: u64 = 50_000;
/// What a document that is refused takes from its caller's bucket: about as much work as that many values.
pub const REFUSED_COST: u64 = 10;
/// Callers whose buckets are remembered while they are not full: about 150 bytes each, 10 MiB.
pub const MAX_BUDGETS: usize = 65_536;
/// How many items a list without a size in its arguments is taken to have when its cost is estimated.
pub const ESTIMATED_ITEMS: u64 = 5;
/// How many items a list of dead letters or discarded events is taken to have, which has no size in its arguments: as many as
/// it may. Everything of so many costs about 14,000.
pub const ESTIMATED_LETTERS: u64 = docket_projections::limits::LETTERS_PAGE as u64;

/// Items of a page where the caller names no number.
pub const DEFAULT_PAGE: u32 = 20;
/// Items of a page at most.
pub const MAX_PAGE: u32 = 100;
/// Minutes that `salesByMinute` goes over: a day.
pub const MAX_SALES_MINUTES: i64 = 1_440;
/// Days that `fraudSignals` goes over: what its read model derives at once.
pub const MAX_FRAUD_DAYS: i64 = docket_projections::limits::FRAUD_DAYS;
/// Ids that `nodes` takes: as many as a page has items.
pub const MAX_NODES: usize = MAX_PAGE as usize;
/// How long the timelines of a page are gathered into one statement: its rows ask within a millisecond of each other, and
/// what comes later pays with a statement of its own.
pub const TIMELINE_DELAY: Duration = Duration::from_millis(2);
/// The most positions that a query waits for: one a partition is all that can differ.
pub const MAX_MIN_POSITIONS: usize = 1_024;

/// Events that an order may have for time travel to fold it: far above the longest order that commands can make in
/// practice, and about 100 MiB of events.
pub const MAX_FOLDED_EVENTS: usize = 50_000;

/// Statements that read documents for queries at once: fewer than the connections that answer queries, so that lists have
/// some, and enough for every processor of a small machine.
pub const MAX_READ_LANES: usize = 3;
/// Orders of one such statement, unless one query asks for more: the biggest page.
pub const MAX_READ_TOGETHER: usize = 100;
/// Those who may wait for documents: more than the streams that a process has open, all at once.
pub const MAX_WAITING_READS: usize = 16_384;

/// Orders that are folded for time travel at once: as many hold about 400 MiB at the worst, and 12 of the process's
/// connections.
pub const MAX_FOLDS_AT_ONCE: usize = 4;
/// How long a query waits for its turn to fold before it is answered `OVERLOADED`: a fold of the longest order takes
/// about a second.
pub const MAX_FOLD_WAIT: Duration = Duration::from_secs(5);
/// What an order as it was costs beside its fields: it is read event by event, and a whole order costs about as much.
pub const FOLD_COST: u64 = 2_000;

/// What counting a list costs, beside its page where it has one: up to 10,001 rows of an index are walked, which takes as long as some five
/// pages of summaries.
pub const COUNT_COST: u64 = 500;

/// How far back a subscription may resume, in events over all its partitions: at the measured rate of a catching-up
/// reader about two seconds of work. Who was away for longer asks anew.
pub const MAX_REPLAYED_EVENTS: i64 = 100_000;
/// How far back a subscription to notifications may resume: ten pages of the ledger, years of an eager customer's orders.
pub const MAX_REPLAYED_NOTIFICATIONS: i64 = 1_000;
/// How often a stream with nothing to say repeats its cursor: as often as a connection gives a sign of life.
pub const IDLE_CURSOR: Duration = Duration::from_secs(15);
/// How long a cursor above this process's head may wait for what another process appended: four polls of the feed.
pub const MAX_CURSOR_WAIT: Duration = Duration::from_secs(2);
/// Events that a subscription takes from a partition at once.
pub const SUBSCRIPTION_PAGE: usize = 256;
/// Orders whose immutable facts (customer, channel, currency) are remembered for filters: about 150 bytes each.
pub const MAX_REMEMBERED_FACTS: usize = 20_000;

/// The longest cursor in bytes of its text: 1,024 partitions of at most 29 bytes in base64.
pub const MAX_CURSOR_TEXT: usize = 40_000;
