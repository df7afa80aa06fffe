//! Live commands: orders that are made, filled, placed and paid, by whoever comes next.
//!
//! The offered load is open: arrivals are a Poisson process, and a command's time counts from when it was due, so one that
//! waits because others are slow is counted with its wait. The clock of the runtime ticks every millisecond; that is in it.

use super::failed;
use crate::bench::{
    BenchError, command,
    rebuild::log::{COMMANDS, commands_of, scattered},
};
use docket_domain::{Actor, OrderId, Role};
use docket_event_store::{ExecuteError, Request, Store};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    task::JoinSet,
    time::{sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Commands under way at a time; one that is due beyond that is not given, and counts as not done.
const UNDER_WAY: usize = 20_000;
/// How long those under way at the end are waited for; above any time that a store lets a command wait.
const MAX_DRAIN: Duration = Duration::from_secs(40);

/// A command that was offered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offered {
    /// When it was to be given.
    pub(super) due: Instant,
    /// When it was acknowledged; never where the store refused it.
    pub(super) done: Option<Instant>,
}

/// An order, and which of its commands is next.
#[derive(Debug, Clone, Copy)]
struct Turn {
    order: OrderId,
    number: u64,
    step: usize,
}

/// Orders that wait for their next command. Each has one under way at a time, so none conflicts.
#[derive(Debug, Default)]
pub(super) struct Desk(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    orders: VecDeque<Turn>,
    made: u64,
}

impl Desk {
    /// The order that waits longest, or a new one.
    fn take(&self) -> Turn {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = waiting.orders.pop_front() {
            return turn;
        }
        waiting.made += 1;
        Turn {
            order: OrderId(Uuid::now_v7()),
            number: waiting.made,
            step: 0,
        }
    }

    fn back(&self, turn: Turn) {
        if turn.step < COMMANDS {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.orders.push_back(turn);
        }
    }

    /// Gives the next command. What the store has no room or no answer for is told, and its order is left as it is.
    pub(super) async fn give(&self, store: &Store) -> Result<Result<(), ExecuteError>, BenchError> {
        let turn = self.take();
        match store.execute(request(turn)?).await {
            Ok(_) => {
                self.back(Turn {
                    step: turn.step + 1,
                    ..turn
                });
                Ok(Ok(()))
            }
            Err(ExecuteError::Refused(refusal)) => Err(failed(&refusal)),
            Err(error) => Ok(Err(error)),
        }
    }
}

fn request(turn: Turn) -> Result<Request, BenchError> {
    // Customers of the load's own: the log's have no keys.
    let customer = format!("live-{:06}", scattered(turn.number) % 100_000);
    let [first, second, third, fourth] = commands_of(turn.number, turn.order, &customer);
    let said = match turn.step {
        0 => first,
        1 => second,
        2 => third,
        _ => fourth,
    };
    command::request(said, &Actor::new(Role::Operator, "bench"))
}

/// How long after the one before it an arrival comes: exponentially distributed, the same in every run.
fn gap(arrival: u64, per_second: f64) -> Duration {
    // Of 53 bits, so that it is above 0 and at most 1.
    let share = ((scattered(arrival) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    Duration::from_secs_f64(-share.ln() / per_second.max(1.0))
}

/// Offers so many commands a second until it is told to end; all of them, in no order.
pub(super) async fn offer(
    store: Store,
    desk: Arc<Desk>,
    per_second: f64,
    ends: CancellationToken,
) -> Result<Vec<Offered>, BenchError> {
    let (mut all, mut under_way) = (Vec::new(), JoinSet::new());
    let mut due = Instant::now();
    for arrival in 0.. {
        due += gap(arrival, per_second);
        if ends.run_until_cancelled(sleep_until(due.into())).await.is_none() {
            break;
        }
        while let Some(done) = under_way.try_join_next() {
            all.push(done.map_err(|error| failed(&error))??);
        }
        if under_way.len() >= UNDER_WAY {
            all.push(Offered { due, done: None });
            continue;
        }
        let (store, desk) = (store.clone(), Arc::clone(&desk));
        under_way.spawn(async move {
            let done = desk.give(&store).await?.ok().map(|()| Instant::now());
            Ok::<_, BenchError>(Offered { due, done })
        });
    }
    let drained = timeout(MAX_DRAIN, async {
        while let Some(done) = under_way.join_next().await {
            all.push(done.map_err(|error| failed(&error))??);
        }
        Ok::<_, BenchError>(())
    });
    drained
        .await
        .map_err(|_| BenchError::Worker("commands were not answered in time".into()))??;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::gap;

    #[test]
    fn arrivals_come_at_the_rate_that_was_asked_for() {
        let all: f64 = (0..100_000)
            .map(|arrival| gap(arrival, 1_000.0).as_secs_f64())
            .sum();
        assert!((all - 100.0).abs() < 1.0, "{all}");
    }
}
