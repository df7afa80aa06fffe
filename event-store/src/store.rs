//! A process's access to one log: its lanes, its feed, its cache and its keys.

use crate::{
    append::{Append, AppendError, AppendOutcome},
    cache::{Folded, StateCache},
    connections::{Connections, InUse},
    envelope::RecordedEvent,
    feed::{Feed, FeedError},
    lane::{LaneContext, Lanes, Refusals},
    limits,
    numbers::Numbers,
    partition::Partitions,
    personal::{MasterKey, PersonalError, Vault},
    postgres::{
        migrate::{self, OpenError},
        read,
        snapshot::{self, LoadError},
    },
    wakeup::{self, Hints},
};
use docket_domain::{OrderId, OrderNumber, State, StreamId, Version};
use sqlx::{
    Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How a process opens a log.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The database.
    pub database: PgConnectOptions,
    /// The key that wraps the keys of personal data.
    pub master_key: MasterKey,
    /// P, where it is configured; it must be what the log was created with.
    pub partitions: Option<u16>,
    /// Lanes, from 1 to [`limits::MAX_LANES`].
    pub lanes: u16,
    /// The state cache's memory, in bytes; 0 makes every command read its streams.
    pub cache_bytes: u64,
}

impl StoreConfig {
    /// The defaults for a database.
    pub fn new(database: PgConnectOptions, master_key: MasterKey) -> Self {
        Self {
            database,
            master_key,
            partitions: None,
            lanes: limits::DEFAULT_LANES,
            cache_bytes: limits::CACHE_BYTES,
        }
    }
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is not usable.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The heads could not be read.
    #[error("the log's heads cannot be read")]
    Heads(#[source] sqlx::Error),
    /// The master key is not usable.
    #[error(transparent)]
    Personal(#[from] PersonalError),
}

/// A process's access to one log; clones share everything.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) pool: PgPool,
    pub(crate) partitions: Partitions,
    pub(crate) cache: Arc<StateCache>,
    readers: Arc<Connections>,
    queries: Arc<Connections>,
    keys: Arc<Connections>,
    numbers: Numbers,
    lanes: Lanes,
    refusals: Refusals,
    feed: Feed,
    hints: Hints,
    vault: Arc<Vault>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Store {
    /// Opens a log that is migrated and of this binary's version.
    ///
    /// # Errors
    /// When the database does not answer, is not migrated, has another number of partitions, or keys of personal data
    /// that the master key does not open.
    pub async fn open(config: StoreConfig) -> Result<Self, StoreError> {
        // Durability is the log's promise, not the server's or the role's default.
        let database = config.database.application_name("docket").options([
            ("synchronous_commit", "on"),
            // What was committed while a statement waited for a lock must be seen by the next.
            ("default_transaction_isolation", "read committed"),
        ]);
        // Not the pool's: a pool that cannot connect says no more than that it waited.
        let mut connection = PgConnection::connect_with(&database)
            .await
            .map_err(OpenError::Connect)?;
        let partitions = migrate::check(&mut connection, config.partitions).await?;
        connection.close().await.map_err(OpenError::Connect)?;
        let lanes = config.lanes.clamp(1, limits::MAX_LANES);
        let pool = PgPoolOptions::new()
            .max_connections(limits::POOL_CONNECTIONS)
            .acquire_timeout(limits::MAX_POOL_WAIT)
            // A connection is tested when it comes back, and again only after it lay idle: not before each statement.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > limits::TRUSTED_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(
                database
                    .clone()
                    .options([("statement_timeout", limits::STATEMENT_TIMEOUT)])
                    .statement_cache_capacity(limits::MAX_PREPARED),
            )
            .await
            .map_err(OpenError::Connect)?;

        let readers = Arc::new(Connections::new(pool.clone(), limits::READERS));
        let queries = Arc::new(Connections::new(pool.clone(), limits::QUERIES));
        let keys = Arc::new(Connections::new(pool.clone(), limits::KEY_LANES));
        let vault = Vault::new(pool.clone(), Arc::clone(&keys), &config.master_key)?;
        let vault = Arc::new(vault);
        vault.check().await?;
        let feed = Feed::open(pool.clone(), partitions, Arc::clone(&vault))
            .await
            .map_err(StoreError::Heads)?;
        let cache = Arc::new(StateCache::new(config.cache_bytes));
        let hints = Hints::new();
        let timeout = limits::LANE_STATEMENT_TIMEOUT.as_millis().to_string();
        let context = LaneContext {
            // An append is always planned for any batch: a plan for the arrays at hand costs more than it saves.
            options: database.options([
                ("statement_timeout", timeout.as_str()),
                ("plan_cache_mode", "force_generic_plan"),
            ]),
            partitions,
            feed: feed.clone(),
            cache: Arc::clone(&cache),
            hints: hints.clone(),
            refusals: Refusals::default(),
        };
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let lanes = Lanes::start(lanes, &context, &tasks, &stop);
        tasks.spawn(wakeup::send_hints(pool.clone(), hints.clone(), stop.clone()));
        tasks.spawn(wakeup::follow(
            pool.clone(),
            feed.clone(),
            hints.clone(),
            stop.clone(),
        ));
        for kept in [&readers, &queries, &keys] {
            tasks.spawn(give_back_idle(Arc::clone(kept), stop.clone()));
        }
        tasks.close();
        Ok(Self(Arc::new(Inner {
            readers,
            queries,
            keys,
            numbers: Numbers::default(),
            pool,
            partitions,
            cache,
            lanes,
            refusals: context.refusals,
            feed,
            hints,
            vault,
            stop,
            tasks,
        })))
    }

    /// Appends one command's events: all of them durably, or none.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub async fn append(&self, append: Append) -> Result<AppendOutcome, AppendError> {
        self.0.lanes.append(append).await
    }

    /// The events of every partition, in order, caught up and live.
    pub fn feed(&self) -> &Feed {
        &self.0.feed
    }

    /// The keys of personal data.
    pub fn vault(&self) -> &Vault {
        &self.0.vault
    }

    /// The connections for everything that is not an append.
    pub fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    /// P.
    pub fn partitions(&self) -> Partitions {
        self.0.partitions
    }

    /// Tells whoever follows effects, here and in other processes, that there are new ones. A hint and no more: it may be
    /// lost, so whoever follows polls as well.
    pub fn tell_of_effects(&self) {
        self.0.hints.raise_effects();
    }

    /// Changes when effects were told of, by this process or another.
    pub fn effects(&self) -> watch::Receiver<u64> {
        self.0.hints.effects()
    }

    /// Commands that wait in the lanes' queues.
    pub fn queued(&self) -> usize {
        self.0.lanes.queued()
    }

    /// Up to `limit` (at most [`limits::PAGE_EVENTS`]) events of a stream after a version, in order.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn read_stream(
        &self,
        stream: StreamId,
        after: Version,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, FeedError> {
        let partition = self.0.partitions.of(stream.order);
        let limit = limit.min(limits::PAGE_EVENTS);
        read::stream(&self.0.pool, partition, stream, after, limit)
            .await
            .map_err(FeedError::Read)
    }

    /// Shows the order and the id of each event of a partition in (after, until], in the order of the log, over a connection
    /// of the caller's.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn each_order_in(
        &self,
        connection: &mut PgConnection,
        partition: u16,
        range: (i64, i64),
        each: impl FnMut(OrderId, uuid::Uuid),
    ) -> Result<(), sqlx::Error> {
        read::orders_in(connection, partition, range, each).await
    }

    /// The events of a partition at some offsets, in order, over a connection of the caller's, as the log has them now.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn read_at(
        &self,
        connection: &mut PgConnection,
        partition: u16,
        offsets: &[i64],
    ) -> Result<Vec<Arc<RecordedEvent>>, sqlx::Error> {
        read::at(connection, partition, offsets).await
    }

    /// Shows every event of some orders of one partition up to an offset, each order's in their order, with no more than
    /// one in memory at a time.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn each_event_of(
        &self,
        partition: u16,
        orders: &[OrderId],
        until: i64,
        each: impl FnMut(RecordedEvent),
    ) -> Result<(), FeedError> {
        read::orders(&self.0.pool, partition, orders, until, each)
            .await
            .map_err(FeedError::Read)
    }

    /// A stream folded to a version, or to its newest; version 0 where it does not exist.
    ///
    /// # Errors
    /// When the database does not answer or an event cannot be decoded.
    pub async fn fold_stream(&self, stream: StreamId, until: Option<Version>) -> Result<Folded, LoadError> {
        let nothing = Folded {
            state: State::new(stream.kind),
            version: Version::NONE,
        };
        self.fold_on(nothing, stream, until).await
    }

    /// Folds what a stream has got since it was folded before.
    pub(crate) async fn fold_on(
        &self,
        folded: Folded,
        stream: StreamId,
        until: Option<Version>,
    ) -> Result<Folded, LoadError> {
        let mut connection = self.reader().await.map_err(LoadError::Read)?;
        let partition = self.partition_of(stream.order);
        let folded = snapshot::catch_up(&mut connection, partition, stream, folded, until).await;
        connection.finish(folded)
    }

    /// A connection to read what a command is decided over, within [`limits::MAX_POOL_WAIT`].
    pub(crate) async fn reader(&self) -> Result<InUse<'_>, sqlx::Error> {
        self.0.readers.take(limits::MAX_POOL_WAIT).await
    }

    /// A connection to answer a query over, within [`limits::MAX_POOL_WAIT`]. Apart from those that commands are decided
    /// over, so that slow queries do not hold up commands.
    ///
    /// # Errors
    /// When there is none in time, or the database does not answer.
    pub async fn query_connection(&self) -> Result<InUse<'_>, sqlx::Error> {
        self.0.queries.take(limits::MAX_POOL_WAIT).await
    }

    /// The partition of everything about an order.
    pub fn partition_of(&self, order: OrderId) -> u16 {
        self.0.partitions.of(order)
    }

    /// The next order number; a number that is drawn and not used leaves a hole.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn next_order_number(&self) -> Result<OrderNumber, sqlx::Error> {
        self.0.numbers.next(&self.0.readers).await
    }

    /// Whether the log answers now, within `wait`.
    pub async fn is_reachable(&self, wait: Duration) -> bool {
        let asked = sqlx::query("select 1").execute(&self.0.pool);
        matches!(tokio::time::timeout(wait, asked).await, Ok(Ok(_)))
    }

    /// Why the server refused an append a moment ago, where the reason lies with the server: a full disk does not show
    /// when one reads.
    pub fn append_refused(&self) -> Option<Arc<str>> {
        self.0.refusals.last()
    }

    /// Answers the appends that wait, stops the background tasks and closes the connections, within
    /// [`limits::MAX_CLOSE`].
    pub async fn close(self) {
        self.0.stop.cancel();
        let closed = async {
            self.0.tasks.wait().await;
            // Marked closed by the call; from here on no reader keeps what it has.
            let closed = self.0.pool.close();
            self.0.readers.give_back_idle(Duration::ZERO);
            self.0.queries.give_back_idle(Duration::ZERO);
            self.0.keys.give_back_idle(Duration::ZERO);
            closed.await;
        };
        if tokio::time::timeout(limits::MAX_CLOSE, closed).await.is_err() {
            tracing::warn!("the log's connections did not close in time; they are left to the server");
        }
    }
}

/// What readers kept in a busy time and do not need now is everybody's again.
async fn give_back_idle(readers: Arc<Connections>, stop: CancellationToken) {
    let work = async {
        loop {
            tokio::time::sleep(limits::TRUSTED_IDLE).await;
            readers.give_back_idle(limits::TRUSTED_IDLE);
        }
    };
    stop.run_until_cancelled(work).await;
}
