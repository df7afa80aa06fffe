//! The process's part in feeding the read models: claims partitions, starts their owners, keeps their leases, and reads
//! what other processes do with theirs.
//!
//! One task does all of it, with one connection at a time; owners share the others. A process takes its fair share of
//! the partitions of each read model. When another process joins, the surplus is given up after the batch in flight;
//! when one dies, its leases run out and are claimed at the next tick.

use crate::{
    ProjectionsConfig,
    board::Board,
    checkpoint::{self, Held, StopClass, Stopped},
    commit::Statements,
    dead_letter,
    fold::chain,
    generation::{self, Adoption, Known, Serving},
    lag, lease, limits,
    owner::{self, Assignment, End},
    projector::{Generation, Projector},
    start::Part,
    worker::Worker,
};
use docket_event_store::{Connections, Store};
use futures::future::BoxFuture;
use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    task::{Id, JoinError, JoinSet},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// What all parts of a process's projections share.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) config: ProjectionsConfig,
    pub(crate) board: Board,
    /// What is served, as it was read last.
    pub(crate) serving: RwLock<Adoption>,
    /// Of the process's pool, for owners.
    pub(crate) connections: Connections,
    /// Shares of the memory for entities that the partitions of all read models have together.
    pub(crate) cache_shares: u64,
    pub(crate) health: Health,
    pub(crate) waiters: AtomicUsize,
    /// Somebody waits for a position.
    pub(crate) waiting: Notify,
}

impl Shared {
    /// What one partition of a read model with this share may remember, in bytes.
    pub(crate) fn cache_bytes(&self, share: u32) -> u64 {
        if share == 0 {
            return 0;
        }
        (limits::CACHE_BYTES / self.cache_shares.max(1) * u64::from(share)).max(limits::MIN_CACHE_BYTES)
    }

    pub(crate) fn serving(&self) -> Serving {
        let adoption = self.serving.read().unwrap_or_else(PoisonError::into_inner);
        adoption.now.clone()
    }

    /// The generations that a position has to be in before it may be read.
    pub(crate) fn served(&self) -> Vec<Serving> {
        let adoption = self.serving.read().unwrap_or_else(PoisonError::into_inner);
        adoption.all().collect()
    }
}

/// Whether the database answers; logged when it changes, not each time.
#[derive(Default)]
pub(crate) struct Health(AtomicBool);

impl Health {
    pub(crate) fn failed(&self, reason: &str) {
        metrics::counter!("docket_projection_failures_total").increment(1);
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!(reason, "read models cannot be fed; trying again");
        }
    }

    pub(crate) fn recovered(&self) {
        if self.0.swap(false, Ordering::Relaxed) {
            tracing::info!("read models are fed again");
        }
    }
}

/// A read model with the generation that is fed, whatever its entities are.
pub(crate) trait Fed: Send + Sync {
    fn name(&self) -> &'static str;
    fn generation(&self) -> Generation;
    fn own(&self, start: Assignment) -> BoxFuture<'static, End>;
}

/// A projector and its statements for one generation.
pub(crate) struct FedBy<P: Projector> {
    projector: Arc<P>,
    generation: Generation,
    statements: Arc<Statements>,
}

impl<P: Projector> FedBy<P> {
    pub(crate) fn new(projector: Arc<P>, generation: Generation) -> Self {
        let statements = Arc::new(Statements::new(projector.sql(generation)));
        Self {
            projector,
            generation,
            statements,
        }
    }
}

impl<P: Projector> Fed for FedBy<P> {
    fn name(&self) -> &'static str {
        self.projector.name()
    }

    fn generation(&self) -> Generation {
        self.generation
    }

    fn own(&self, start: Assignment) -> BoxFuture<'static, End> {
        let worker = Worker::new(Arc::clone(&self.projector), Arc::clone(&self.statements), start);
        Box::pin(owner::own(worker))
    }
}

struct Owned {
    held: Held,
    /// The lease is another's, or nobody's: the owner is told to end, and nothing that it sends hits a row.
    lost: bool,
    cancel: CancellationToken,
}

/// The task.
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    parts: Vec<Part>,
    fed: Vec<Arc<dyn Fed>>,
    owners: JoinSet<End>,
    owned: HashMap<Id, Owned>,
}

impl Supervisor {
    pub(crate) fn new(shared: Arc<Shared>, parts: Vec<Part>) -> Self {
        Self {
            shared,
            parts,
            fed: Vec::new(),
            owners: JoinSet::new(),
            owned: HashMap::new(),
        }
    }

    /// Works until cancelled, then lets the owners finish their batches, gives the leases up and returns.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        let mut tick = interval(self.shared.config.tick);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.reset();
        let shared = Arc::clone(&self.shared);
        let partitions = usize::from(shared.store.partitions().count());
        loop {
            let elsewhere = self.owned.len() < self.fed.len() * partitions;
            tokio::select! {
                () = cancel.cancelled() => break,
                _ = tick.tick() => self.tick().await,
                Some(end) = self.owners.join_next_with_id() => self.ended(end).await,
                () = somebody_waits(&shared), if elsewhere => self.poll().await,
            }
        }
        self.stop().await;
    }

    /// Renews, gives up, claims, reads and measures. Every part is tried again at the next tick.
    pub(crate) async fn tick(&mut self) {
        match self.share().await {
            Ok(()) => self.shared.health.recovered(),
            Err(error) => self.shared.health.failed(&chain(&error)),
        }
        self.shared.connections.give_back_idle(self.shared.config.tick);
        self.poll().await;
        lag::measure(&self.shared).await;
    }

    /// Feeds every generation of this program's versions that is there, and serves one of each.
    pub(crate) fn know(&mut self, known: &[Known]) {
        let mut fed: Vec<Arc<dyn Fed>> = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            for generation in part.generations(known) {
                let before = self.fed.iter();
                let mut before =
                    before.filter(|fed| fed.name() == part.name && fed.generation() == generation);
                fed.push(before.next().map_or_else(|| (part.feed)(generation), Arc::clone));
            }
        }
        self.fed = fed;
        let pointers = self.parts.iter();
        let pointers = pointers.filter_map(|part| Some((part.name.to_owned(), part.served(known)?)));
        let pointers: Serving = pointers.collect();
        let board = &self.shared.board;
        let mut adoption = self
            .shared
            .serving
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        board.show(self.fed.iter().map(|fed| (fed.name(), fed.generation())));
        if adoption.take(&pointers, board) {
            tracing::info!(serving = ?pointers, "serving other generations of read models");
        }
    }

    async fn share(&mut self) -> Result<(), sqlx::Error> {
        let shared = Arc::clone(&self.shared);
        let (pool, config) = (shared.store.pool(), &shared.config);
        self.know(&generation::all(pool).await?);
        let processes = match config.guest {
            true => lease::renew(pool, config.process, config.lease)
                .await
                .map(|()| 1)?,
            false => lease::beat(pool, config.process, config.lease).await?,
        };
        self.compare().await?;
        if let Err(error) = self.wish().await {
            tracing::warn!(
                error = chain(&error),
                "it is not known whether dead letters are to be tried again"
            );
        }
        let partitions = shared.store.partitions().count();
        let share = lease::fair_share(partitions, processes);
        for fed in self.fed.clone() {
            let mut mine: Vec<_> = self
                .owned
                .values()
                .filter(|o| {
                    o.held.projection == fed.name() && o.held.generation == fed.generation() && !o.lost
                })
                .collect();
            mine.sort_by_key(|owned| owned.held.partition);
            mine.iter()
                .skip(share)
                .for_each(|surplus| surplus.cancel.cancel());
            let Some(most) = share.checked_sub(mine.len()).filter(|most| *most > 0) else {
                continue;
            };
            let claims = lease::claim(
                pool,
                fed.name(),
                fed.generation(),
                most,
                config.process,
                config.lease,
            )
            .await?;
            for claim in claims {
                self.start_owner(&*fed, claim).await;
            }
        }
        Ok(())
    }

    /// Compares the owners with the leases that the table says are held. An owner whose lease is gone would notice it with
    /// its next batch only, which on a quiet partition may never come, and meanwhile stand for partitions that nobody
    /// feeds. A lease without an owner would be renewed for ever.
    async fn compare(&mut self) -> Result<(), sqlx::Error> {
        let (pool, process) = (self.shared.store.pool(), self.shared.config.process);
        let leases = lease::held(pool, process).await?;
        for owned in self.owned.values_mut().filter(|owned| !owned.lost) {
            if !leases.iter().any(|lease| lease.is(&owned.held)) {
                tracing::info!(
                    projection = owned.held.projection,
                    partition = owned.held.partition,
                    epoch = owned.held.epoch,
                    "a lease was lost"
                );
                owned.lost = true;
                owned.cancel.cancel();
            }
        }
        for lease in &leases {
            let fed = self.owned.values().any(|owned| lease.is(&owned.held));
            if !fed && !lease.refused {
                tracing::info!(?lease, "a lease without an owner is given up");
                lease::give_up(pool, lease, process).await?;
            }
        }
        Ok(())
    }

    /// Tells owners of dead letters that are to be tried again.
    async fn wish(&self) -> Result<(), sqlx::Error> {
        for place in dead_letter::wishes(self.shared.store.pool()).await? {
            let owned = self.owned.values().find(|owned| place.is(&owned.held));
            if let Some(cell) = owned.and_then(|owned| owned.held.cell(&self.shared.board)) {
                cell.wish();
            }
        }
        Ok(())
    }

    async fn start_owner(&mut self, fed: &dyn Fed, claim: lease::Claim) {
        let held = Held {
            projection: fed.name(),
            generation: fed.generation(),
            partition: claim.position.partition,
            epoch: claim.epoch,
        };
        if !claim.proved {
            self.refuse(&held, claim).await;
            return;
        }
        tracing::debug!(
            projection = held.projection,
            partition = held.partition,
            epoch = held.epoch,
            "claimed"
        );
        if let Some(cell) = held.cell(&self.shared.board) {
            cell.hopeful();
            cell.waits(claim.parked);
        }
        let cancel = CancellationToken::new();
        let shared = Arc::clone(&self.shared);
        let start = Assignment {
            shared,
            held,
            offset: claim.position.offset,
            cancel: cancel.clone(),
        };
        let task = self.owners.spawn(fed.own(start));
        self.owned.insert(
            task.id(),
            Owned {
                held,
                lost: false,
                cancel,
            },
        );
    }

    /// The rows were folded from another history than this log's: nothing may be folded on top of them.
    async fn refuse(&self, held: &Held, claim: lease::Claim) {
        let stopped = Stopped {
            position: claim.position,
            class: StopClass::History,
            reason: crate::OTHER_HISTORY.into(),
        };
        tracing::error!(
            projection = held.projection,
            partition = held.partition,
            offset = claim.position.offset,
            reason = stopped.reason,
            "a read model's rows do not belong to this log"
        );
        if let Err(error) = checkpoint::stop(self.shared.store.pool(), held, &stopped).await {
            self.shared.health.failed(&chain(&error));
        }
        if let Some(cell) = held.cell(&self.shared.board) {
            cell.stopped(stopped);
        }
    }

    async fn ended(&mut self, end: Result<(Id, End), JoinError>) {
        let (id, end) = match end {
            Ok((id, end)) => (id, Some(end)),
            Err(error) => (error.id(), None),
        };
        let Some(owned) = self.owned.remove(&id) else {
            return;
        };
        if end == Some(End::Lost) {
            tracing::info!(
                projection = owned.held.projection,
                partition = owned.held.partition,
                epoch = owned.held.epoch,
                "another process owns the partition now"
            );
            return;
        }
        if end.is_none() {
            tracing::error!(
                projection = owned.held.projection,
                partition = owned.held.partition,
                "the owner of a partition broke off; it is claimed again"
            );
        }
        let released =
            lease::release(self.shared.store.pool(), &owned.held, self.shared.config.process).await;
        if let Err(error) = released {
            self.shared.health.failed(&chain(&error));
        }
    }

    /// Reads all checkpoints: what other processes did, and what operators want.
    pub(crate) async fn poll(&self) {
        match checkpoint::all(self.shared.store.pool()).await {
            Ok(checkpoints) => self.shared.board.take(checkpoints, self.shared.config.process),
            Err(error) => self.shared.health.failed(&chain(&error)),
        }
    }

    /// In this order: owners end after their batch, or are broken off when that takes too long; then the leases go, so
    /// that another process can claim at once.
    async fn stop(mut self) {
        self.owned.values().for_each(|owned| owned.cancel.cancel());
        let drained = timeout(limits::STOP, async {
            while self.owners.join_next().await.is_some() {}
        })
        .await;
        if drained.is_err() {
            tracing::warn!("batches in flight are broken off; their transactions are whole either way");
            self.owners.shutdown().await;
        }
        self.shared.connections.give_back_idle(Duration::ZERO);
        let left = timeout(
            limits::STOP,
            lease::leave(self.shared.store.pool(), self.shared.config.process),
        );
        match left.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(
                    error = chain(&error),
                    "the leases were not given up; they run out by themselves"
                );
            }
            Err(_) => tracing::warn!("the leases were not given up in time; they run out by themselves"),
        }
    }
}

/// Resolves after a moment while somebody waits.
async fn somebody_waits(shared: &Shared) {
    while shared.waiters.load(Ordering::Acquire) == 0 {
        shared.waiting.notified().await;
    }
    sleep(shared.config.foreign_poll).await;
}
