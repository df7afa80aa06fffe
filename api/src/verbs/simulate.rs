//! `docket serve --simulate RATE`: a shop that lives. Orders come at a rate, and each goes its way in seconds to minutes,
//! through the same commands as everybody's, by actors within their rights.
//!
//! Nothing piles up. A command runs only with one of [`IN_FLIGHT`] turns, and an order begins only when it has one of
//! [`ALIVE`] places and a turn is free: where the log is slow or away, fewer orders come. An order that somebody else
//! meddles with, so that the next step of its story is refused, is left to them.

use super::{
    patience::{self, Answer},
    seed::shop::{Shop, Story},
};
use chrono::Utc;
use docket_event_store::Store;
use std::{str::FromStr, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Orders a second at the least, where it is not off: one in a hundred seconds.
const MIN_RATE: f64 = 0.01;
/// Orders a second at the most. Lives of a minute or two in [`ALIVE`] places allow no more for long.
const MAX_RATE: f64 = 50.0;
/// Commands at once: far below what the lanes' queues hold, because a simulation is a guest.
const IN_FLIGHT: usize = 64;
/// Orders alive at once; a story that waits holds up to 20 KiB.
const ALIVE: usize = 4_096;
/// Customers of a shop that lives.
const CUSTOMERS: u64 = 500;
/// How long commands in flight may take once it was told to stop: as long as requests in flight.
const MAX_STOP: Duration = Duration::from_secs(10);

/// Orders a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(f64);

/// Not a rate.
#[derive(Debug, thiserror::Error)]
#[error("a rate is {MIN_RATE} to {MAX_RATE} orders a second, or 0 for none")]
pub struct RateError;

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let rate: f64 = text.parse().map_err(|_| RateError)?;
        if rate == 0.0 || (MIN_RATE..=MAX_RATE).contains(&rate) {
            Ok(Self(rate))
        } else {
            Err(RateError)
        }
    }
}

impl Rate {
    /// No orders.
    pub(super) const NONE: Rate = Rate(0.0);
    /// What an eye can follow.
    pub(super) const GENTLE: Rate = Rate(0.5);

    /// Between two orders; `None` where none come.
    fn interval(self) -> Option<Duration> {
        (self.0 > 0.0).then(|| Duration::from_secs_f64(1.0 / self.0))
    }
}

/// A shop that lives until it is stopped.
pub(super) struct Simulation {
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What the orders of a simulation share.
struct Shared {
    store: Store,
    shop: Shop,
    turns: Semaphore,
    stop: CancellationToken,
}

impl Simulation {
    /// Starts it, unless the rate is none. The run's name is the time, so that its keys follow from it and are no earlier run's.
    pub(super) fn start(store: &Store, rate: Rate, stop: &CancellationToken) -> Option<Self> {
        let interval = rate.interval()?;
        let run = Utc::now().timestamp_micros();
        let (stop, tasks) = (stop.child_token(), TaskTracker::new());
        let shared = Arc::new(Shared {
            store: store.clone(),
            // The run is the seed too: every day is another.
            shop: Shop::living(run.unsigned_abs(), CUSTOMERS, &run.to_string()),
            turns: Semaphore::new(IN_FLIGHT),
            stop: stop.clone(),
        });
        tasks.spawn(arrive(shared, interval, tasks.clone()));
        Some(Self { stop, tasks })
    }

    /// Lets commands in flight end, and no other begin.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(MAX_STOP, self.tasks.wait()).await.is_err() {
            tracing::warn!("some commands of the simulation did not end in time");
        }
    }
}

/// Lets orders come, one after the other.
async fn arrive(shared: Arc<Shared>, between: Duration, tasks: TaskTracker) {
    let places = Arc::new(Semaphore::new(ALIVE));
    let mut clock = interval(between);
    // What did not come while the log was slow does not come all at once afterwards.
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0.. {
        let next = async {
            clock.tick().await;
            let place = Arc::clone(&places).acquire_owned().await.ok()?;
            // Given back at once: it only shows that commands get through.
            drop(shared.turns.acquire().await.ok()?);
            Some(place)
        };
        let Some(Some(place)) = shared.stop.run_until_cancelled(next).await else {
            return;
        };
        match shared.shop.story(number, Utc::now()) {
            Ok(story) => drop(tasks.spawn(live(Arc::clone(&shared), story, place))),
            Err(error) => return tracing::error!(%error, "the simulation ends: a story cannot be told"),
        }
    }
}

/// Runs a story in its own time.
async fn live(shared: Arc<Shared>, story: Story, _place: OwnedSemaphorePermit) {
    let stop = shared.stop.clone();
    let (order, story_number) = (story.order, story.number);
    let began = (Instant::now(), Utc::now());
    for (number, step) in story.steps.into_iter().enumerate() {
        let ahead = step
            .at
            .signed_duration_since(began.1)
            .to_std()
            .unwrap_or_default();
        let turn = async {
            sleep_until(began.0 + ahead).await;
            shared.turns.acquire().await.ok()
        };
        let Some(Some(_turn)) = stop.run_until_cancelled(turn).await else {
            return;
        };
        let request = match shared.shop.request(story_number, number, step) {
            Ok(request) => request,
            Err(error) => {
                return tracing::error!(order.id = %order, %error, "a command cannot be written");
            }
        };
        match patience::execute(&shared.store, &request, || stop.is_cancelled()).await {
            Answer::Taken(_) => {}
            Answer::Refused(error) => {
                return tracing::debug!(order.id = %order, %error, "left to whoever changed it");
            }
            Answer::Stuck(error) => {
                return tracing::warn!(order.id = %order, %error, "an order of the simulation is left where it is");
            }
            Answer::GivenUp => return,
        }
    }
}
