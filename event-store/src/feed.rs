//! Events in partition order: catching up, then live, without a seam.
//!
//! A partition commits in offset order, so a reader that has seen offset *n* has seen everything up to *n*; the feed
//! needs no gap detection. The newest events of each partition stay decoded in a bounded tail that the lanes of this
//! process fill by hand-over and the poller fills with what other processes appended. Older full pages are read once,
//! decoded once and shared by every reader that is catching up.

use crate::{
    envelope::RecordedEvent, limits, partition::Partitions, personal::Vault, position::Position,
    postgres::read,
};
use quick_cache::{Weighter, sync::Cache};
use sqlx::{PgConnection, PgPool};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

const FORGOTTEN: &str = "order.personal_data_forgotten";

/// Why the feed could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The database did not answer.
    #[error("the log cannot be read")]
    Read(#[source] sqlx::Error),
    /// There is no such partition.
    #[error("there is no partition {0}")]
    NoSuchPartition(u16),
    /// The log is no longer the one that this process has seen.
    #[error(
        "the log no longer holds event {0}, which this process has seen: it was restored from an older backup; restart \
         Docket so that every checkpoint is checked"
    )]
    HistoryLost(Position),
}

impl FeedError {
    fn is_of_one_partition(&self) -> bool {
        match self {
            Self::Read(error) => matches!(error, sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. }),
            Self::NoSuchPartition(_) | Self::HistoryLost(_) => true,
        }
    }
}

/// The log as a sequence of decoded events for each partition; clones share everything.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    pool: PgPool,
    partitions: Partitions,
    vault: Arc<Vault>,
    tails: Vec<Mutex<Tail>>,
    heads: Vec<watch::Sender<i64>>,
    moved: watch::Sender<u64>,
    pages: Cache<(u16, i64), Page, PageWeight>,
    gap: Notify,
    /// What the log no longer holds.
    lost: OnceLock<Position>,
}

type Page = Arc<[Arc<RecordedEvent>]>;

#[derive(Clone)]
struct PageWeight;

impl Weighter<(u16, i64), Page> for PageWeight {
    fn weight(&self, _: &(u16, i64), page: &Page) -> u64 {
        page.iter()
            .map(|event| event.approximate_bytes() as u64)
            .sum::<u64>()
            .max(1)
    }
}

/// The newest events of a partition, dense up to its head.
struct Tail {
    events: VecDeque<Arc<RecordedEvent>>,
    bytes: usize,
    head: i64,
}

impl Tail {
    /// Appends events; `false` where they leave a gap. What is known already is passed over.
    fn push(&mut self, events: &[Arc<RecordedEvent>]) -> bool {
        for event in events {
            let offset = event.position.offset;
            if offset <= self.head {
                continue;
            }
            if offset != self.head + 1 {
                return false;
            }
            self.head = offset;
            self.bytes += event.approximate_bytes();
            self.events.push_back(Arc::clone(event));
        }
        while self.events.len() > limits::TAIL_EVENTS || self.bytes > limits::TAIL_BYTES {
            let Some(event) = self.events.pop_front() else {
                break;
            };
            self.bytes -= event.approximate_bytes();
        }
        true
    }

    /// The head moved by more than a tail holds: readers take pages. It never moves back: what was handed over meanwhile
    /// may be past it.
    fn skip_to(&mut self, head: i64) {
        if head <= self.head {
            return;
        }
        self.events.clear();
        self.bytes = 0;
        self.head = head;
    }

    /// What it holds after `after`; `None` where it does not reach back that far.
    fn read(&self, after: i64, max: usize) -> Option<Vec<Arc<RecordedEvent>>> {
        if after >= self.head {
            return Some(Vec::new());
        }
        let first = self.head - self.events.len() as i64 + 1;
        let skip = usize::try_from(after + 1 - first).ok()?;
        Some(self.events.iter().skip(skip).take(max).cloned().collect())
    }
}

impl Feed {
    /// A feed whose heads are what the database holds now.
    pub(crate) async fn open(
        pool: PgPool,
        partitions: Partitions,
        vault: Arc<Vault>,
    ) -> Result<Self, sqlx::Error> {
        let heads = read::heads(&pool).await?;
        let tail = |head: &i64| {
            Mutex::new(Tail {
                events: VecDeque::new(),
                bytes: 0,
                head: *head,
            })
        };
        Ok(Self(Arc::new(Inner {
            partitions,
            tails: heads.iter().map(tail).collect(),
            heads: heads.iter().map(|head| watch::Sender::new(*head)).collect(),
            moved: watch::Sender::new(0),
            pages: Cache::with_weighter(1_024, limits::PAGE_CACHE_BYTES, PageWeight),
            gap: Notify::new(),
            lost: OnceLock::new(),
            vault,
            pool,
        })))
    }

    /// P.
    pub fn partitions(&self) -> u16 {
        self.0.partitions.count()
    }

    /// The newest offset of a partition that this process knows of; 0 where it is empty or does not exist.
    pub fn head(&self, partition: u16) -> i64 {
        self.0
            .heads
            .get(usize::from(partition))
            .map_or(0, |head| *head.borrow())
    }

    /// The newest offset of every partition.
    pub fn heads(&self) -> Vec<i64> {
        self.0.heads.iter().map(|head| *head.borrow()).collect()
    }

    /// Changes each time that any partition grows.
    pub fn moved(&self) -> watch::Receiver<u64> {
        self.0.moved.subscribe()
    }

    /// Follows the head of one partition; `None` where there is no such partition.
    pub fn watch(&self, partition: u16) -> Option<watch::Receiver<i64>> {
        self.0
            .heads
            .get(usize::from(partition))
            .map(watch::Sender::subscribe)
    }

    /// Up to `max` events of `partition` after `offset`, in order and dense; empty at the head. A reply may be shorter
    /// than `max` and not be the last.
    ///
    /// # Errors
    /// When the database does not answer, or there is no such partition.
    pub async fn read(
        &self,
        partition: u16,
        after: i64,
        max: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, FeedError> {
        self.intact()?;
        let tail = self.tail(partition)?.read(after, max);
        if let Some(events) = tail {
            return Ok(events);
        }
        let after = after.max(0);
        let size = limits::PAGE_EVENTS as i64;
        let number = after / size;
        if self.head(partition) < (number + 1) * size {
            let read = read::partition(&self.0.pool, partition, after, max.min(limits::PAGE_EVENTS));
            return read.await.map_err(FeedError::Read);
        }
        let page = async {
            let read = read::partition(&self.0.pool, partition, number * size, limits::PAGE_EVENTS);
            read.await.map(Page::from)
        };
        let page = self.0.pages.get_or_insert_async(&(partition, number), page).await;
        let page = page.map_err(FeedError::Read)?;
        let skip = (after % size) as usize;
        Ok(page.iter().skip(skip).take(max).cloned().collect())
    }

    /// The id of the event at a position, where the log holds one: the proof that a checkpoint or a cursor belongs to
    /// this log's history.
    ///
    /// # Errors
    /// When the database does not answer, or there is no such partition.
    pub async fn event_id(&self, position: Position) -> Result<Option<Uuid>, FeedError> {
        let known = self.tail(position.partition)?.read(position.offset - 1, 1);
        match known.as_deref() {
            Some([event]) => Ok(Some(event.event_id)),
            Some(_) => Ok(None),
            None => read::event_id(&self.0.pool, position)
                .await
                .map_err(FeedError::Read),
        }
    }

    /// Takes what a lane of this process committed, in partition order.
    pub(crate) fn hand_over(&self, partition: u16, events: &[Arc<RecordedEvent>]) {
        // Somebody was forgotten, perhaps by another process: what this one unwrapped is read again.
        if events.iter().any(|event| event.event_type == FORGOTTEN) {
            self.0.vault.drop_keys();
        }
        let Ok(mut tail) = self.tail(partition) else {
            return;
        };
        if tail.push(events) {
            let head = tail.head;
            drop(tail);
            self.announce(partition, head);
        } else {
            drop(tail);
            self.0.gap.notify_one();
        }
    }

    /// Somebody may have been forgotten by another process.
    pub(crate) fn read_keys_again(&self) {
        self.0.vault.drop_keys();
    }

    /// Resolves when a lane handed over events that another process's events come before.
    pub(crate) async fn gap(&self) {
        self.0.gap.notified().await;
    }

    /// Reads what other processes appended. Polling is the truth: hints and hand-overs only make it faster.
    pub(crate) async fn poll(&self) -> Result<(), FeedError> {
        let heads = read::heads(&self.0.pool).await.map_err(FeedError::Read)?;
        let mut failed = Ok(());
        for (partition, head) in (0..).zip(heads) {
            match self.catch_up(partition, head).await {
                Ok(()) => {}
                // What one partition holds is no reason to stop the others; a database that does not answer is.
                Err(error) if error.is_of_one_partition() => failed = failed.and(Err(error)),
                Err(error) => return Err(error),
            }
        }
        failed
    }

    async fn catch_up(&self, partition: u16, head: i64) -> Result<(), FeedError> {
        let mut seen = self.head(partition);
        // A hand-over may have passed the head that was just read; a log that lost events is told apart by asking.
        if head < seen {
            let mut connection = self.0.pool.acquire().await.map_err(FeedError::Read)?;
            return self.check_history(&mut connection, []).await;
        }
        if head - seen > limits::TAIL_EVENTS as i64 {
            // Somebody may have been forgotten in what is passed over.
            self.0.vault.drop_keys();
            self.tail(partition)?.skip_to(head);
            self.announce(partition, head);
            return Ok(());
        }
        while seen < head {
            let read = read::partition(&self.0.pool, partition, seen, limits::PAGE_EVENTS);
            let events = read.await.map_err(FeedError::Read)?;
            let Some(last) = events.last() else { break };
            seen = last.position.offset;
            self.hand_over(partition, &events);
        }
        Ok(())
    }

    /// Whether the log still holds the newest event that this process has seen of each partition. Once it does not,
    /// nothing is read from this feed and nothing appended beside it: what the process remembers is another history.
    /// `also` are events that the caller knows of and the feed perhaps not yet.
    pub(crate) async fn check_history(
        &self,
        connection: &mut PgConnection,
        also: impl IntoIterator<Item = (Position, Uuid)>,
    ) -> Result<(), FeedError> {
        let newest = |tail: &Mutex<Tail>| {
            let tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            tail.events.back().map(|event| (event.position, event.event_id))
        };
        let seen: Vec<_> = self.0.tails.iter().filter_map(newest).chain(also).collect();
        let missing = read::missing(connection, &seen).await.map_err(FeedError::Read)?;
        if let Some(position) = missing
            && self.0.lost.set(position).is_ok()
        {
            tracing::error!(%position, "the log was restored from an older backup: this process stops using it");
        }
        self.intact()
    }

    /// Whether the log is still the one that this process has seen, as far as it knows.
    ///
    /// # Errors
    /// [`FeedError::HistoryLost`].
    pub fn intact(&self) -> Result<(), FeedError> {
        self.0
            .lost
            .get()
            .map_or(Ok(()), |position| Err(FeedError::HistoryLost(*position)))
    }

    fn announce(&self, partition: u16, head: i64) {
        if let Some(sender) = self.0.heads.get(usize::from(partition)) {
            let moved = sender.send_if_modified(|known| {
                let moved = head > *known;
                *known = head.max(*known);
                moved
            });
            if moved {
                self.0.moved.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
    }

    fn tail(&self, partition: u16) -> Result<MutexGuard<'_, Tail>, FeedError> {
        let tail = self
            .0
            .tails
            .get(usize::from(partition))
            .ok_or(FeedError::NoSuchPartition(partition))?;
        // A tail's invariants hold after each assignment; a panic elsewhere does not spoil it.
        Ok(tail.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
