//! Following the ledger: one reader a process, however many follow.
//!
//! The reader asks for what is new in all partitions when it hears of effects, and once a second though it hears of none;
//! while nobody follows it asks nothing. It hands each row to those who follow its recipient, through a short queue. The
//! numbers make the rest simple: who misses one, because its queue was full or it has only begun, reads the ledger by
//! number from where it is, and passes over what it has. So a slow follower costs its queue and no more, nothing is lost
//! and nothing comes twice, whatever the order in which partitions are read.

use super::{Notification, ledger};
use crate::{fold::chain, limits};
use docket_domain::Subject;
use docket_event_store::Store;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    sync::{Notify, broadcast},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The one reader of a process; clones share it. It ends with the last clone.
#[derive(Clone)]
pub struct Live {
    hub: Arc<Hub>,
    _reader: Arc<DropGuard>,
}

struct Hub {
    store: Store,
    followed: Mutex<HashMap<Subject, broadcast::Sender<Arc<Notification>>>>,
    /// How far each partition was read; none while nobody follows. Held while it is read.
    seen: tokio::sync::Mutex<Option<Vec<i64>>>,
    somebody: Notify,
}

impl Live {
    /// Starts the reader of this process.
    pub fn start(store: Store) -> Self {
        let hub = Arc::new(Hub {
            store,
            followed: Mutex::default(),
            seen: tokio::sync::Mutex::default(),
            somebody: Notify::new(),
        });
        let stop = CancellationToken::new();
        let reader = Arc::clone(&hub);
        let stopped = stop.clone();
        tokio::spawn(async move { stopped.run_until_cancelled(reader.read_on()).await });
        Self {
            hub,
            _reader: Arc::new(stop.drop_guard()),
        }
    }

    /// Follows what a recipient is told: after a number, or from now on.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn follow(&self, recipient: Subject, after: Option<i64>) -> Result<Followed, sqlx::Error> {
        let live = self.hub.join(&recipient);
        let mut followed = Followed {
            live,
            last: after.unwrap_or(0),
            page: VecDeque::new(),
            is_behind: after.is_some(),
            reader: self.clone(),
            recipient,
        };
        // First the reader knows where it stands, then the follower: what comes between the two is handed over.
        self.hub.stand().await?;
        if after.is_none() {
            followed.last = ledger::newest(self.hub.store.pool(), &followed.recipient).await?;
        }
        Ok(followed)
    }
}

impl Hub {
    fn followed(&self) -> MutexGuard<'_, HashMap<Subject, broadcast::Sender<Arc<Notification>>>> {
        // Each change of the map is one call; a panic elsewhere does not spoil it.
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, recipient: &Subject) -> broadcast::Receiver<Arc<Notification>> {
        let mut followed = self.followed();
        let sender = followed
            .entry(recipient.clone())
            .or_insert_with(|| broadcast::Sender::new(limits::FOLLOWER_QUEUE));
        sender.subscribe()
    }

    /// Sees to it that the reader reads from a place that is not after now.
    async fn stand(&self) -> Result<(), sqlx::Error> {
        let mut seen = self.seen.lock().await;
        if seen.is_none() {
            *seen = Some(ledger::reached(self.store.pool()).await?);
            self.somebody.notify_one();
        }
        Ok(())
    }

    /// Reads and hands over, for ever.
    async fn read_on(&self) {
        let mut effects = self.store.effects();
        let mut healthy = true;
        loop {
            effects.borrow_and_update();
            let begun = Instant::now();
            match self.read().await {
                Ok(Reading::Nobody) => {
                    self.somebody.notified().await;
                    continue;
                }
                Ok(Reading::More) => continue,
                Ok(Reading::All) => healthy = true,
                Err(error) => {
                    if std::mem::take(&mut healthy) {
                        let error = chain(&error);
                        tracing::warn!(error, "notifications cannot be followed; trying again");
                    }
                    sleep(limits::FIRST_RETRY).await;
                }
            }
            // A hint that is lost, or a reader elsewhere that cannot send any, costs one poll's time.
            let _ = timeout(limits::TAIL_POLL, effects.changed()).await;
            sleep_until(begun + limits::TAIL_INTERVAL).await;
        }
    }

    async fn read(&self) -> Result<Reading, sqlx::Error> {
        let mut held = self.seen.lock().await;
        let Some(seen) = held.as_mut() else {
            return Ok(Reading::Nobody);
        };
        if self.followed().is_empty() {
            *held = None;
            return Ok(Reading::Nobody);
        }
        let rows = ledger::tail(self.store.pool(), seen, limits::TAIL_PAGE).await?;
        let mut new = Vec::with_capacity(rows.len());
        let mut is_all = true;
        for of_partition in rows.chunk_by(|a, b| a.position.partition == b.position.partition) {
            let is_cut = of_partition.len() >= limits::TAIL_PAGE;
            is_all &= !is_cut;
            let whole = if is_cut {
                whole_events(of_partition)
            } else {
                of_partition
            };
            let Some(last) = whole.last() else { continue };
            if let Some(seen) = seen.get_mut(usize::from(last.position.partition)) {
                *seen = last.position.offset;
            }
            new.extend_from_slice(whole);
        }
        self.hand_over(new);
        Ok(if is_all { Reading::All } else { Reading::More })
    }

    fn hand_over(&self, mut new: Vec<Notification>) {
        // Numbers become visible in their order, so what one reading finds of a recipient has no gap once it is sorted.
        new.sort_by_key(|notification| notification.number);
        let followed = self.followed();
        for notification in new {
            if let Some(sender) = followed.get(&notification.recipient) {
                // Nobody left is no fault.
                let _ = sender.send(Arc::new(notification));
            }
        }
    }
}

enum Reading {
    /// Nobody follows.
    Nobody,
    /// There is more.
    More,
    /// That was all.
    All,
}

/// A page that is cut may end within an event's rows: what is certain to be whole.
fn whole_events(rows: &[Notification]) -> &[Notification] {
    let Some(last) = rows.last() else { return rows };
    let whole = rows.partition_point(|row| row.position.offset < last.position.offset);
    // One event has no more effects than there are rules; a page that is all one event's would never end.
    if whole == 0 { rows } else { &rows[..whole] }
}

/// What one follower reads.
pub struct Followed {
    reader: Live,
    recipient: Subject,
    live: broadcast::Receiver<Arc<Notification>>,
    last: i64,
    page: VecDeque<Notification>,
    /// The ledger has, or may have, what was not handed over.
    is_behind: bool,
}

impl Followed {
    /// The number of the last notification that was given, or after which it began.
    pub fn last(&self) -> i64 {
        self.last
    }

    /// Whose they are.
    pub fn recipient(&self) -> &Subject {
        &self.recipient
    }

    /// The next notification, which has the next number. Nothing is lost where it is not waited for to the end.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn next(&mut self) -> Result<Arc<Notification>, sqlx::Error> {
        loop {
            if let Some(next) = self.page.pop_front() {
                self.last = next.number;
                return Ok(Arc::new(next));
            }
            if self.is_behind {
                let pool = self.reader.hub.store.pool();
                let page = ledger::read_after(pool, &self.recipient, self.last, limits::FOLLOWER_PAGE);
                self.page = page.await?.into();
                self.is_behind = !self.page.is_empty();
                continue;
            }
            match self.live.recv().await {
                Ok(next) if next.number <= self.last => {}
                Ok(next) if next.number == self.last + 1 => {
                    self.last = next.number;
                    return Ok(next);
                }
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => self.is_behind = true,
                // The sender stays as long as this follower does.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let mut followed = self.reader.hub.followed();
        // Given up under the lock: of two who leave at once, the second sees that it is the last.
        self.live = broadcast::channel(1).1;
        if followed
            .get(&self.recipient)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            followed.remove(&self.recipient);
        }
    }
}
