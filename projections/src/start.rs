//! The read models of a process: starting, waiting, looking, stopping.

use crate::{
    OTHER_HISTORY,
    board::Board,
    checkpoint,
    generation::{self, Known, Serving},
    lag::{self, PartitionStatus},
    limits,
    observer::Observer,
    projector::{Generation, Projector},
    reactor::{
        Reactor,
        owner::{FedReactor, is_registered},
    },
    reactors::notifications::Notifications,
    read_models::{self, ReadModel},
    supervisor::{Fed, Health, Shared, Supervisor},
    wait::{self, Letters, WaitError},
};
use chrono::Utc;
use docket_event_store::{Connections, Position, Store};
use std::{
    sync::{Arc, Mutex, PoisonError, RwLock, atomic::AtomicUsize},
    time::Duration,
};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How a process feeds its read models.
#[derive(Debug, Clone)]
pub struct ProjectionsConfig {
    /// Who it is among the processes of this log; fresh at each start.
    pub process: Uuid,
    /// How long a lease holds without being renewed.
    pub lease: Duration,
    /// How often leases are renewed and dead owners looked for; well below `lease`.
    pub tick: Duration,
    /// How often other processes' checkpoints are read while somebody waits for one.
    pub foreign_poll: Duration,
    /// How long somebody waits for a position.
    pub wait: Duration,
    /// How many may wait at a time.
    pub waiters: usize,
    /// Events in one batch at most.
    pub batch_events: usize,
    /// How long a batch may take before it is tried again.
    pub step: Duration,
    /// How often an event that cannot be applied is tried before it is given up.
    pub attempts: u32,
    /// What is done then.
    pub on_failure: OnFailure,
    /// Connections of the process's pool at a time, one of them for the leases.
    pub connections: usize,
    /// It only takes what nobody feeds, and is not one of those who share the work: for a while, until others come.
    pub guest: bool,
    /// Who hears of each batch that was written.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Default for ProjectionsConfig {
    fn default() -> Self {
        Self {
            process: Uuid::new_v4(),
            lease: limits::LEASE,
            tick: limits::TICK,
            foreign_poll: limits::FOREIGN_POLL,
            wait: limits::WAIT,
            waiters: limits::WAITERS,
            batch_events: limits::BATCH_EVENTS,
            step: limits::STEP,
            attempts: limits::ATTEMPTS,
            on_failure: OnFailure::Park,
            connections: limits::CONNECTIONS,
            guest: false,
            observer: None,
        }
    }
}

/// What is done with an event that a read model cannot apply, however often it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It waits, and with it the later events of its order; everything else goes on.
    Park,
    /// Its partition stands still.
    Stop,
}

/// Why read models are not fed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database did not answer.
    #[error("the read models' checkpoints cannot be read")]
    Read(#[source] sqlx::Error),
    /// The migrations do not know the read model.
    #[error("the database has no read model {0}: run `docket migrate`")]
    NotMigrated(&'static str),
    /// The rules in the database are those of another version.
    #[error(
        "the rules of {reactor} in the database are of version {stored} and this program's are of version {ours}: it would \
         pass over what another rule has effects for; run the program that fits"
    )]
    OtherRules {
        /// The reactor.
        reactor: &'static str,
        /// In the database.
        stored: i32,
        /// Of this program.
        ours: i32,
    },
    /// The rows know more than the log.
    #[error(
        "{projection} has folded partition {partition} up to offset {offset}, yet the log ends at {head} there: \
         {OTHER_HISTORY}"
    )]
    AboveHead {
        /// The read model.
        projection: String,
        /// The partition.
        partition: u16,
        /// Its checkpoint.
        offset: i64,
        /// The log's newest offset.
        head: i64,
    },
    /// The rows were folded from other events.
    #[error(
        "{projection} has folded event {expected:?} as offset {offset} of partition {partition}, yet the log holds \
         {found:?} there: {OTHER_HISTORY}"
    )]
    OtherHistory {
        /// The read model.
        projection: String,
        /// The partition.
        partition: u16,
        /// Its checkpoint.
        offset: i64,
        /// The event that was folded last.
        expected: Option<Uuid>,
        /// What the log holds in its place.
        found: Option<Uuid>,
    },
}

/// The read models of a process; clones share everything. They are fed until [`Projections::stop`], or until the last
/// clone is gone.
#[derive(Clone)]
pub struct Projections(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    cancel: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Projections {
    /// Checks every checkpoint against the log, claims this process's share of the partitions, and feeds them.
    ///
    /// # Errors
    /// When the rows do not belong to this log or to this program, or the database does not answer.
    pub async fn start(store: Store, config: ProjectionsConfig) -> Result<Self, StartError> {
        let models = read_models::all(&store).into_iter().map(Part::read_model);
        let parts = models.chain([Part::reactor(Notifications)]).collect();
        Self::start_with(store, config, parts).await
    }

    /// The same with one read model of the caller's, whose tables and checkpoints must be there.
    ///
    /// # Errors
    /// As [`Projections::start`].
    pub async fn start_only<P: Projector>(
        store: Store,
        config: ProjectionsConfig,
        projector: P,
    ) -> Result<Self, StartError> {
        Self::start_with(store, config, vec![Part::read_model(Arc::new(projector))]).await
    }

    /// Feeds what nobody feeds of one read model.
    pub(crate) async fn start_guest(store: Store, model: Arc<dyn ReadModel>) -> Result<Self, StartError> {
        let config = ProjectionsConfig {
            guest: true,
            // What cannot follow is not to be swapped to.
            on_failure: OnFailure::Stop,
            ..ProjectionsConfig::default()
        };
        Self::start_with(store, config, vec![Part::read_model(model)]).await
    }

    /// The same with one reactor of the caller's, whose ledger, checkpoints and rules must be there.
    ///
    /// # Errors
    /// As [`Projections::start`].
    pub async fn start_only_reactor<R: Reactor>(
        store: Store,
        config: ProjectionsConfig,
        reactor: R,
    ) -> Result<Self, StartError> {
        Self::start_with(store, config, vec![Part::reactor(reactor)]).await
    }

    async fn start_with(
        store: Store,
        config: ProjectionsConfig,
        parts: Vec<Part>,
    ) -> Result<Self, StartError> {
        let names: Vec<&'static str> = parts.iter().map(|part| part.name).collect();
        let shares: u64 = parts.iter().map(|part| u64::from(part.cache_share)).sum();
        let known = generation::all(store.pool()).await.map_err(StartError::Read)?;
        for part in &parts {
            part.check(&store, &known).await?;
        }
        refuse_foreign(&store, &names).await?;
        let partitions = store.partitions().count();
        let shared = Arc::new(Shared {
            board: Board::new(partitions),
            serving: RwLock::default(),
            // One is the supervisor's.
            connections: Connections::new(store.pool().clone(), config.connections.saturating_sub(1)),
            cache_shares: shares * u64::from(partitions),
            health: Health::default(),
            waiters: AtomicUsize::new(0),
            waiting: Notify::new(),
            store,
            config,
        });
        let mut supervisor = Supervisor::new(Arc::clone(&shared), parts);
        supervisor.know(&known);
        supervisor.poll().await;
        supervisor.tick().await;
        let cancel = CancellationToken::new();
        let task = tokio::spawn(supervisor.run(cancel.clone()));
        Ok(Self(Arc::new(Inner {
            shared,
            cancel,
            task: Mutex::new(Some(task)),
        })))
    }

    /// Which generation of each read model is served now.
    pub fn serving(&self) -> Serving {
        self.0.shared.serving()
    }

    /// Resolves when every named read model is at or past each position, in whatever generation is read afterwards.
    ///
    /// # Errors
    /// `Stale` when one does not get there in time or stands still, `Parked` when the event waits among dead letters,
    /// `Overloaded` when too many wait.
    pub async fn wait_for(
        &self,
        read_models: &[&'static str],
        positions: &[Position],
    ) -> Result<(), WaitError> {
        wait::wait_for(&self.0.shared, read_models, positions, Letters::Refused).await
    }

    /// The same where what waits among dead letters counts as passed: for rows that are as new as they can be.
    ///
    /// # Errors
    /// As [`Projections::wait_for`], without `Parked`.
    pub async fn wait_past(
        &self,
        read_models: &[&'static str],
        positions: &[Position],
    ) -> Result<(), WaitError> {
        wait::wait_for(&self.0.shared, read_models, positions, Letters::Passed).await
    }

    /// Resolves when every read model is where the log ends now, as far as this process knows, but for dead letters.
    ///
    /// # Errors
    /// As [`Projections::wait_for`].
    pub async fn caught_up(&self) -> Result<(), WaitError> {
        let heads = (0..).zip(self.0.shared.store.feed().heads());
        let positions: Vec<Position> = heads
            .map(|(partition, offset)| Position { partition, offset })
            .collect();
        self.wait_past(&self.names(), &positions).await
    }

    /// The read models and reactors that this process feeds.
    pub fn names(&self) -> Vec<&'static str> {
        let lines = self.0.shared.board.lines();
        let mut names: Vec<_> = lines.iter().map(|line| line.projection).collect();
        names.dedup();
        names
    }

    /// How each partition of each generation that is fed fares.
    pub fn status(&self) -> Vec<PartitionStatus> {
        lag::status(&self.0.shared, Utc::now())
    }

    /// Requests that wait for a position now.
    pub fn waiting(&self) -> usize {
        self.0.shared.waiters.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Lets a stopped partition try again, in whichever process owns it; `false` where it was not stopped.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn resume(&self, projection: &str, partition: u16) -> Result<bool, sqlx::Error> {
        let resumed = checkpoint::resume(self.0.shared.store.pool(), projection, partition).await?;
        let lines = self.0.shared.board.lines();
        for line in lines
            .iter()
            .filter(|line| resumed && line.projection == projection)
        {
            if let Some(cell) = line.cells.get(usize::from(partition)) {
                // Here at once; an owner in another process sees it at its next tick.
                cell.hopeful();
                cell.retry.notify_one();
            }
        }
        Ok(resumed)
    }

    /// Finishes the batches in flight, within a bound, and gives the leases up. Every clone is stopped by it.
    pub async fn stop(self) {
        self.0.cancel.cancel();
        let task = self.0.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(error = %error, "the read models' supervisor broke off");
        }
    }
}

/// Something that is fed from the log.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    version: i32,
    cache_share: u32,
    /// Of a reactor: all of them must be registered.
    rules: &'static [&'static str],
    pub(crate) feed: Box<dyn Fn(Generation) -> Arc<dyn Fed> + Send + Sync>,
}

impl Part {
    fn read_model(model: Arc<dyn ReadModel>) -> Self {
        Self {
            name: model.name(),
            version: model.version(),
            cache_share: model.cache_share(),
            rules: &[],
            feed: Box::new(move |generation| Arc::clone(&model).fed(generation)),
        }
    }

    fn reactor<R: Reactor>(reactor: R) -> Self {
        let reactor = Arc::new(reactor);
        Self {
            name: reactor.name(),
            version: reactor.version(),
            cache_share: R::CACHE_SHARE,
            rules: reactor.rules(),
            feed: Box::new(move |generation| Arc::new(FedReactor::new(Arc::clone(&reactor), generation))),
        }
    }

    fn is_reactor(&self) -> bool {
        !self.rules.is_empty()
    }

    /// The generations that this program feeds: of a read model those of its version; a reactor is never replayed and has
    /// one for ever.
    pub(crate) fn generations(&self, known: &[Known]) -> Vec<Generation> {
        let fits = |one: &&Known| {
            one.projection == self.name && one.is_live && (self.is_reactor() || one.version == self.version)
        };
        known.iter().filter(fits).map(|one| one.generation).collect()
    }

    /// The generation that this program serves.
    pub(crate) fn served(&self, known: &[Known]) -> Option<Generation> {
        if self.is_reactor() {
            return self.generations(known).into_iter().next();
        }
        generation::served(known, self.name, self.version)
    }

    async fn check(&self, store: &Store, known: &[Known]) -> Result<(), StartError> {
        let current = known
            .iter()
            .find(|one| one.projection == self.name && one.is_current);
        let current = current.ok_or(StartError::NotMigrated(self.name))?;
        if !self.is_reactor() {
            if self.served(known).is_none() {
                tracing::warn!(
                    projection = self.name,
                    rows = current.version,
                    program = self.version,
                    "a read model has no rows of this program's version and is neither fed nor served: rebuild it"
                );
            }
            return Ok(());
        }
        if current.version != self.version {
            return Err(StartError::OtherRules {
                reactor: self.name,
                stored: current.version,
                ours: self.version,
            });
        }
        let partitions = store.partitions().count();
        let registered = is_registered(store.pool(), self.name, self.rules, partitions);
        match registered.await.map_err(StartError::Read)? {
            true => Ok(()),
            false => Err(StartError::NotMigrated(self.name)),
        }
    }
}

async fn refuse_foreign(store: &Store, names: &[&'static str]) -> Result<(), StartError> {
    let foreign = checkpoint::first_foreign(store.pool(), names)
        .await
        .map_err(StartError::Read)?;
    let Some(foreign) = foreign else { return Ok(()) };
    let checkpoint::Foreign {
        projection,
        position: Position { partition, offset },
        expected,
        found,
        head,
    } = foreign;
    if offset > head {
        return Err(StartError::AboveHead {
            projection,
            partition,
            offset,
            head,
        });
    }
    Err(StartError::OtherHistory {
        projection,
        partition,
        offset,
        expected,
        found,
    })
}
