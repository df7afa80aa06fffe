//! Reads by key, in one statement for all who wait for one.
//!
//! Reads come together when a shop is busy, and a statement for each costs more than what it reads: the server plans, runs
//! and ends it, and the two processes wake each other for it. Whoever comes while all lanes read waits and is read for
//! together with the others that wait by then, as the append does it with events.

use futures::FutureExt as _;
use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// Reads what some keys name.
pub trait Read: Send + Sync + 'static {
    /// What is asked for by.
    type Key: Clone + Eq + Hash + Send + Sync;
    /// What is there; all who asked for it share it.
    type Value: Clone + Send + Sync;
    /// Why nothing could be read, for each who asked.
    type Error: Clone + From<GatherError> + Send + Sync;

    /// What some keys name; a key may be there twice, and what does not exist is absent.
    fn read(
        &self,
        keys: &[Self::Key],
    ) -> impl Future<Output = Result<HashMap<Self::Key, Self::Value>, Self::Error>> + Send;
}

/// Why a read did not take place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GatherError {
    /// As many wait as may.
    #[error("too many reads wait")]
    Full,
    /// The read panicked, or the process ends.
    #[error("the read did not end")]
    Gone,
}

/// How much is read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatherLimits {
    /// Statements at once, at least 1.
    pub lanes: usize,
    /// Keys of one statement, unless one asks for more.
    pub together: usize,
    /// Those who may wait.
    pub waiting: usize,
}

/// What [`Gather::find`] gives.
pub type Found<R> = Result<HashMap<<R as Read>::Key, <R as Read>::Value>, <R as Read>::Error>;

/// Reads for everybody; clones share the lanes.
pub struct Gather<R: Read>(Arc<Shared<R>>);

struct Shared<R: Read> {
    reader: R,
    limits: GatherLimits,
    queue: Mutex<Queue<R>>,
}

struct Queue<R: Read> {
    waiting: VecDeque<Ask<R>>,
    lanes: usize,
}

/// Somebody who waits.
struct Ask<R: Read> {
    keys: Vec<R::Key>,
    answer: oneshot::Sender<Found<R>>,
}

impl<R: Read> Gather<R> {
    /// Over a reader.
    pub fn new(reader: R, limits: GatherLimits) -> Self {
        let queue = Queue {
            waiting: VecDeque::new(),
            lanes: 0,
        };
        Self(Arc::new(Shared {
            reader,
            limits,
            queue: Mutex::new(queue),
        }))
    }

    /// What some keys name, read after this was called; what does not exist is absent.
    ///
    /// # Errors
    /// The reader's, [`GatherError::Full`] where too many wait, [`GatherError::Gone`] where the reader panicked.
    pub async fn find(&self, keys: Vec<R::Key>) -> Found<R> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let (answer, answered) = oneshot::channel();
        if self.0.push(Ask { keys, answer })? {
            tokio::spawn(Arc::clone(&self.0).lane());
        }
        answered.await.unwrap_or_else(|_| Err(GatherError::Gone.into()))
    }
}

impl<R: Read> Shared<R> {
    fn queue(&self) -> MutexGuard<'_, Queue<R>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets somebody wait; whether one lane more is to read.
    fn push(&self, ask: Ask<R>) -> Result<bool, GatherError> {
        let mut queue = self.queue();
        if queue.waiting.len() >= self.limits.waiting {
            return Err(GatherError::Full);
        }
        queue.waiting.push_back(ask);
        let is_one_more = queue.lanes < self.limits.lanes.max(1);
        queue.lanes += usize::from(is_one_more);
        Ok(is_one_more)
    }

    /// Those who are read for next. A lane that gets nobody is no lane any more.
    fn next(&self) -> Vec<Ask<R>> {
        let mut queue = self.queue();
        let (mut asks, mut keys): (Vec<Ask<R>>, usize) = (Vec::new(), 0);
        while let Some(ask) = queue.waiting.front() {
            keys += ask.keys.len();
            if !asks.is_empty() && keys > self.limits.together {
                break;
            }
            // Whoever went away is not read for.
            asks.extend(queue.waiting.pop_front().filter(|ask| !ask.answer.is_closed()));
        }
        queue.lanes -= usize::from(asks.is_empty());
        asks
    }

    /// Reads as long as somebody waits.
    async fn lane(self: Arc<Self>) {
        loop {
            let asks = self.next();
            if asks.is_empty() {
                return;
            }
            let keys: Vec<R::Key> = asks.iter().flat_map(|ask| ask.keys.iter().cloned()).collect();
            let read = AssertUnwindSafe(self.reader.read(&keys)).catch_unwind().await;
            // After a panic, which has told of itself, all are answered by the end of their channels.
            if let Ok(read) = read {
                asks.into_iter().for_each(|ask| ask.tell(&read));
            }
        }
    }
}

impl<R: Read> Ask<R> {
    /// Gives what was asked for, out of what was read.
    fn tell(self, read: &Found<R>) {
        let own = |found: &HashMap<R::Key, R::Value>| {
            let keys = self.keys.into_iter();
            keys.filter_map(|key| found.get(&key).cloned().map(|value| (key, value)))
                .collect()
        };
        let answer = read.as_ref().map(own).map_err(Clone::clone);
        // Nobody hears it who went away.
        drop(self.answer.send(answer));
    }
}
