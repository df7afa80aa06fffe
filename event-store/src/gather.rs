//! Reads by key, in one statement for all who wait for one.
//!
//! Reads come together when a shop is busy, and a statement for each costs more than what it reads: the server plans, runs
//! and ends it, and the two processes wake each other for it. Whoever comes while all lanes read waits and is read for
//! together with the others that wait by then, as the append does it with events.

use futures::FutureExt as _;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
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

    /// What some keys name, each once; what does not exist is absent. What is wrong with one of them is for those to find
    /// who asked for it: an error here is everybody's.
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
    /// The read took longer than it may.
    #[error("the read took too long")]
    Late,
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
    /// How long one read may take, its wait for a connection included. A lane that hangs would be none for ever.
    pub time: Duration,
}

/// What [`Gather::find`] gives.
pub type Found<R> = Result<HashMap<<R as Read>::Key, <R as Read>::Value>, <R as Read>::Error>;

/// Reads for everybody.
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

/// Those who are read for together, and what they ask for, each key once.
struct Batch<R: Read> {
    asks: Vec<Ask<R>>,
    keys: Vec<R::Key>,
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
    /// The reader's; [`GatherError::Full`] where too many wait, [`GatherError::Late`] where the read took too long,
    /// [`GatherError::Gone`] where it panicked.
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
            queue.waiting.retain(|ask| !ask.answer.is_closed());
            if queue.waiting.len() >= self.limits.waiting {
                return Err(GatherError::Full);
            }
        }
        queue.waiting.push_back(ask);
        let is_one_more = queue.lanes < self.limits.lanes.max(1);
        queue.lanes += usize::from(is_one_more);
        Ok(is_one_more)
    }

    /// Those who are read for next. A lane that gets nobody is no lane any more.
    fn next(&self) -> Option<Batch<R>> {
        let mut queue = self.queue();
        let (mut asks, mut keys) = (Vec::new(), HashSet::new());
        while let Some(ask) = queue.waiting.pop_front() {
            // Whoever went away is not read for.
            if ask.answer.is_closed() {
                continue;
            }
            let more = ask.keys.iter().filter(|key| !keys.contains(*key)).count();
            if !asks.is_empty() && keys.len() + more > self.limits.together {
                queue.waiting.push_front(ask);
                break;
            }
            keys.extend(ask.keys.iter().cloned());
            asks.push(ask);
        }
        queue.lanes -= usize::from(asks.is_empty());
        (!asks.is_empty()).then(|| Batch {
            asks,
            keys: keys.into_iter().collect(),
        })
    }

    /// Reads as long as somebody waits.
    async fn lane(self: Arc<Self>) {
        while let Some(Batch { asks, keys }) = self.next() {
            let read = tokio::time::timeout(self.limits.time, self.reader.read(&keys));
            // After a panic, which has told of itself, all are answered by the end of their channels.
            if let Ok(read) = AssertUnwindSafe(read).catch_unwind().await {
                let read = read.unwrap_or_else(|_| Err(GatherError::Late.into()));
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

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    /// Reads a number as itself: those below 100 exist. It reads when it may.
    struct Numbers {
        may_read: Semaphore,
        reads: Mutex<Vec<Vec<u32>>>,
        at_once: AtomicUsize,
    }

    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Refusal {
        Gather(GatherError),
        Unlucky,
    }

    impl From<GatherError> for Refusal {
        fn from(error: GatherError) -> Self {
            Refusal::Gather(error)
        }
    }

    /// Fails as a whole, and panics.
    const UNLUCKY: u32 = 13;
    const FATAL: u32 = 666;

    impl Read for Arc<Numbers> {
        type Key = u32;
        type Value = u32;
        type Error = Refusal;

        async fn read(&self, keys: &[u32]) -> Result<HashMap<u32, u32>, Refusal> {
            self.at_once.fetch_add(1, Ordering::SeqCst);
            if let Ok(permit) = self.may_read.acquire().await {
                permit.forget();
            }
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            let mut read = keys.to_vec();
            read.sort_unstable();
            self.reads.lock().unwrap().push(read);
            assert!(!keys.contains(&FATAL), "a fatal number");
            if keys.contains(&UNLUCKY) {
                return Err(Refusal::Unlucky);
            }
            Ok(keys
                .iter()
                .filter(|key| **key < 100)
                .map(|key| (*key, *key))
                .collect())
        }
    }

    const LIMITS: GatherLimits = GatherLimits {
        lanes: 1,
        together: 4,
        waiting: 6,
        time: Duration::from_secs(3_600),
    };

    fn gather(limits: GatherLimits, may_read: usize) -> (Arc<Numbers>, Arc<Gather<Arc<Numbers>>>) {
        let numbers = Arc::new(Numbers {
            may_read: Semaphore::new(may_read),
            reads: Mutex::default(),
            at_once: AtomicUsize::new(0),
        });
        let gather = Gather::new(Arc::clone(&numbers), limits);
        (numbers, Arc::new(gather))
    }

    fn of(keys: &[u32]) -> Result<HashMap<u32, u32>, Refusal> {
        Ok(keys.iter().map(|key| (*key, *key)).collect())
    }

    /// One who asks, and waits by the time that this returns.
    async fn asks(
        gather: &Arc<Gather<Arc<Numbers>>>,
        keys: &[u32],
    ) -> tokio::task::JoinHandle<Result<HashMap<u32, u32>, Refusal>> {
        let (gather, keys) = (Arc::clone(gather), keys.to_vec());
        let asking = tokio::spawn(async move { gather.find(keys).await });
        // One thread: it runs until it waits, and so does the lane that it began.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        asking
    }

    fn reads(numbers: &Numbers) -> Vec<Vec<u32>> {
        numbers.reads.lock().unwrap().clone()
    }

    #[tokio::test]
    async fn those_who_come_while_one_reads_are_read_for_together_and_each_gets_its_own() {
        let (numbers, gather) = gather(LIMITS, 0);
        let mut asked = Vec::new();
        for keys in [&[1][..], &[2, 3], &[3, 200], &[4], &[5]] {
            asked.push(asks(&gather, keys).await);
        }
        numbers.may_read.add_permits(10);
        let answers: Vec<_> = join_all(asked).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, [of(&[1]), of(&[2, 3]), of(&[3]), of(&[4]), of(&[5])]);
        // The first alone; then as many as may be, of which one is asked for twice; then the rest.
        assert_eq!(reads(&numbers), [vec![1], vec![2, 3, 4, 200], vec![5]]);
        // The lane has ended; another begins.
        assert_eq!(gather.find(vec![6]).await, of(&[6]));
        assert_eq!(gather.find(Vec::new()).await, of(&[]));
        assert_eq!(reads(&numbers).len(), 4);
    }

    #[tokio::test]
    async fn one_who_asks_for_more_than_may_be_together_is_read_for_alone() {
        let (numbers, gather) = gather(LIMITS, 0);
        let first = asks(&gather, &[0]).await;
        let (much, little) = (
            asks(&gather, &[1, 2, 3, 4, 5, 6]).await,
            asks(&gather, &[7]).await,
        );
        numbers.may_read.add_permits(10);
        assert_eq!(first.await.unwrap(), of(&[0]));
        assert_eq!(much.await.unwrap(), of(&[1, 2, 3, 4, 5, 6]));
        assert_eq!(little.await.unwrap(), of(&[7]));
        assert_eq!(reads(&numbers).len(), 3);
    }

    #[tokio::test]
    async fn lanes_read_at_once_as_many_as_there_are() {
        let (numbers, gather) = gather(GatherLimits { lanes: 2, ..LIMITS }, 0);
        let mut asked = Vec::new();
        for key in 0..5 {
            asked.push(asks(&gather, &[key]).await);
        }
        assert_eq!(numbers.at_once.load(Ordering::SeqCst), 2);
        numbers.may_read.add_permits(10);
        join_all(asked).await;
        assert_eq!(reads(&numbers).len(), 3, "two alone, and three together");
    }

    #[tokio::test]
    async fn a_read_that_fails_or_panics_is_told_to_those_it_was_for_and_ends_nothing() {
        let (numbers, gather) = gather(LIMITS, 0);
        let unlucky = asks(&gather, &[UNLUCKY]).await;
        let neighbours = [asks(&gather, &[1]).await, asks(&gather, &[FATAL]).await];
        numbers.may_read.add_permits(10);
        assert_eq!(unlucky.await.unwrap(), Err(Refusal::Unlucky));
        for neighbour in neighbours {
            assert_eq!(neighbour.await.unwrap(), Err(Refusal::Gather(GatherError::Gone)));
        }
        assert_eq!(gather.find(vec![2]).await, of(&[2]));
    }

    #[tokio::test]
    async fn a_read_that_hangs_is_given_up() {
        let time = Duration::from_millis(20);
        let (numbers, gather) = gather(GatherLimits { time, ..LIMITS }, 0);
        let late = Err(Refusal::Gather(GatherError::Late));
        assert_eq!(gather.find(vec![1]).await, late);
        numbers.may_read.add_permits(1);
        assert_eq!(gather.find(vec![2]).await, of(&[2]));
    }

    #[tokio::test]
    async fn who_went_away_takes_no_place_and_is_not_read_for() {
        let (numbers, gather) = gather(LIMITS, 0);
        let first = asks(&gather, &[0]).await;
        let mut waiting = Vec::new();
        for key in 1..=6 {
            waiting.push(asks(&gather, &[key]).await);
        }
        let full = Err(Refusal::Gather(GatherError::Full));
        assert_eq!(gather.find(vec![7]).await, full);
        for gone in waiting.drain(1..) {
            gone.abort();
        }
        let last = asks(&gather, &[8]).await;
        numbers.may_read.add_permits(10);
        assert_eq!(first.await.unwrap(), of(&[0]));
        assert_eq!(waiting.remove(0).await.unwrap(), of(&[1]));
        assert_eq!(last.await.unwrap(), of(&[8]));
        assert_eq!(reads(&numbers), [vec![0], vec![1, 8]]);
    }
}
