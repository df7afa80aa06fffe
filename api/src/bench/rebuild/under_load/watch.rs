//! What is seen from outside while commands come in: how far read models are behind, and how long a query takes.
//!
//! Lag is looked at every [`LOOK`], over all partitions of all generations that are served, reactors included; what counts
//! is the worst of them. Its seconds are the age of the oldest event that is not in some rows, as this process has learnt of
//! it, up to one [`LOOK`] too little.

use super::{Model, failed, load::Offered};
use crate::bench::{
    BenchError,
    rebuild::log::{order_id, scattered},
};
use docket_domain::OrderId;
use docket_event_store::Store;
use docket_projections::{
    Generation, Projections,
    read_models::{order_detail, order_summary},
};
use sqlx::{Connection, PgConnection};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

const LOOK: Duration = Duration::from_millis(100);
/// How often the gate looks.
const GATE: Duration = Duration::from_millis(5);
/// Between two queries: with the queries themselves a few hundred a second, one at a time.
const PAUSE: Duration = Duration::from_millis(2);

/// How far read models were behind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lag {
    pub(super) at: Instant,
    /// Events, of the partition that was furthest behind.
    pub(super) events: i64,
    /// The age of the oldest event that was missing anywhere.
    pub(super) age: Duration,
}

/// A query that was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) at: Instant,
    pub(super) took: Duration,
    /// Which generation it read.
    pub(super) generation: Generation,
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) commands: Vec<Offered>,
    pub(super) lags: Vec<Lag>,
    pub(super) queries: Vec<Asked>,
}

/// Watches until it is told to end.
pub(super) async fn watch(
    store: Store,
    projections: Projections,
    model: Model,
    orders: u64,
    ends: CancellationToken,
) -> Result<Seen, BenchError> {
    let looking = tokio::spawn(look(store.clone(), projections.clone(), ends.clone()));
    let queries = ask(&store, &projections, model, orders, &ends).await?;
    Ok(Seen {
        lags: looking.await.map_err(|error| failed(&error))?,
        queries,
        ..Seen::default()
    })
}

async fn look(store: Store, projections: Projections, ends: CancellationToken) -> Vec<Lag> {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut lags, mut ages) = (Vec::new(), Ages::new(store.partitions().count()));
    while ends.run_until_cancelled(ticks.tick()).await.is_some() {
        let at = Instant::now();
        let (mut events, mut age) = (0, Duration::ZERO);
        ages.saw(at, &store.feed().heads());
        for (partition, offset) in (0..).zip(furthest_behind(&projections, store.partitions().count())) {
            events = events.max(store.feed().head(partition) - offset);
            age = age.max(ages.of(at, partition, offset));
        }
        lags.push(Lag { at, events, age });
    }
    lags
}

/// The offset of each partition in the generation that is served and has least of it.
fn furthest_behind(projections: &Projections, partitions: u16) -> Vec<i64> {
    let mut least = vec![i64::MAX; usize::from(partitions)];
    for status in projections.status().iter().filter(|status| status.is_served) {
        if let Some(least) = least.get_mut(usize::from(status.partition)) {
            *least = status.offset.min(*least);
        }
    }
    least
}

/// When each partition's head was seen to move.
struct Ages(Vec<VecDeque<(Instant, i64)>>);

impl Ages {
    fn new(partitions: u16) -> Self {
        Self((0..partitions).map(|_| VecDeque::new()).collect())
    }

    fn saw(&mut self, at: Instant, heads: &[i64]) {
        for (seen, head) in self.0.iter_mut().zip(heads) {
            if seen.back().is_none_or(|(_, before)| before < head) {
                seen.push_back((at, *head));
            }
        }
    }

    /// The age of the first event after an offset; what is not after it is forgotten.
    fn of(&mut self, at: Instant, partition: u16, offset: i64) -> Duration {
        let Some(seen) = self.0.get_mut(usize::from(partition)) else {
            return Duration::ZERO;
        };
        while seen.front().is_some_and(|(_, head)| *head <= offset) && seen.len() > 1 {
            seen.pop_front();
        }
        let oldest = seen.front().filter(|(_, head)| *head > offset);
        oldest.map_or(Duration::ZERO, |(since, _)| at.saturating_duration_since(*since))
    }
}

/// Asks for one order of the log after the other, over a connection of its own.
async fn ask(
    store: &Store,
    projections: &Projections,
    model: Model,
    orders: u64,
    ends: &CancellationToken,
) -> Result<Vec<Asked>, BenchError> {
    let mut connection = PgConnection::connect_with(&store.pool().connect_options()).await?;
    let mut queries = Vec::new();
    for turn in 0.. {
        if ends.run_until_cancelled(sleep(PAUSE)).await.is_none() {
            break;
        }
        let order = order_id(scattered(turn) % orders);
        let (at, serving) = (Instant::now(), projections.serving());
        find(&mut connection, model, &serving, order).await?;
        queries.push(Asked {
            at,
            took: at.elapsed(),
            generation: serving.of(model.name()).map_err(|error| failed(&error))?,
        });
    }
    connection.close().await?;
    Ok(queries)
}

async fn find(
    connection: &mut PgConnection,
    model: Model,
    serving: &docket_projections::Serving,
    order: OrderId,
) -> Result<(), BenchError> {
    let found = match model {
        Model::OrderSummary => {
            let found = order_summary::find(connection, serving, &[order]).await;
            found.map_err(|error| failed(&error))?.len()
        }
        Model::OrderDetail => order_detail::find(connection, serving, &[order]).await?.len(),
    };
    match found {
        1 => Ok(()),
        _ => Err(BenchError::Worker(format!("order {} was not found", order.0))),
    }
}

/// Closed while a partition of what is served is further behind than it may be.
#[derive(Clone)]
pub(super) struct Gate {
    closed: Arc<AtomicBool>,
    _watched: Arc<DropGuard>,
}

impl Gate {
    /// It is watched as long as somebody has it.
    pub(super) fn watch(projections: Projections, behind: i64) -> Self {
        let (closed, ends) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
        let gate = Self {
            closed: Arc::clone(&closed),
            _watched: Arc::new(ends.clone().drop_guard()),
        };
        tokio::spawn(async move {
            while ends.run_until_cancelled(sleep(GATE)).await.is_some() {
                let served = projections.status();
                let most = served.iter().filter(|status| status.is_served);
                let most = most.map(|status| status.lag_events).max().unwrap_or(0);
                closed.store(most > behind, Relaxed);
            }
        });
        gate
    }

    /// Resolves when it is open.
    pub(super) async fn pass(&self) {
        while self.closed.load(Relaxed) {
            sleep(GATE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ages;
    use std::time::{Duration, Instant};

    #[test]
    fn an_age_is_that_of_the_first_event_that_is_missing() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut ages = Ages::new(1);
        ages.saw(start, &[0]);
        ages.saw(start + second, &[5]);
        ages.saw(start + 2 * second, &[9]);
        let now = start + 3 * second;
        assert_eq!(ages.of(now, 0, 0), 2 * second);
        assert_eq!(ages.of(now, 0, 4), 2 * second);
        assert_eq!(ages.of(now, 0, 5), second);
        assert_eq!(ages.of(now, 0, 9), Duration::ZERO);
        ages.saw(now, &[10]);
        assert_eq!(ages.of(now + second, 0, 9), second);
    }
}
