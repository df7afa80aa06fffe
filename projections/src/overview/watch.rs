//! Looking again and again: once a process, however many want to know, and not at all while nobody does.

use super::{Line, Look};
use crate::{
    limits,
    rebuild::{Operation, operations},
};
use sqlx::PgPool;
use std::{collections::VecDeque, sync::Arc};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How everything fared at a moment.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Every partition of every generation, by name, generation and partition. Rates are over [`limits::WATCH_BACK`] at most.
    pub lines: Vec<Line>,
    /// The rebuild of each read model that is under way or ended last.
    pub rebuilds: Vec<Operation>,
}

impl Seen {
    /// Whether there is something of this name, or anything.
    pub fn has(&self, name: Option<&str>) -> bool {
        self.lines.iter().any(|line| is_of(name, &line.projection))
    }

    /// Whether nothing has changed of one, or of all: whatever is not there yet only grows older.
    pub fn is_as(&self, other: &Self, name: Option<&str>) -> bool {
        self.facts(name).eq(other.facts(name)) && self.rebuilds_of(name).eq(other.rebuilds_of(name))
    }

    /// What may change of each partition, but for its age.
    fn facts<'a>(&'a self, name: Option<&'a str>) -> impl Iterator<Item = impl PartialEq + 'a> {
        let lines = self
            .lines
            .iter()
            .filter(move |line| is_of(name, &line.projection));
        lines.map(|line| {
            let what = (line.place(), line.role, line.version, line.owner, &line.standing);
            (what, line.offset, line.head, line.per_second)
        })
    }

    fn rebuilds_of<'a>(&'a self, name: Option<&'a str>) -> impl Iterator<Item = &'a Operation> {
        self.rebuilds
            .iter()
            .filter(move |one| is_of(name, &one.projection))
    }
}

fn is_of(name: Option<&str>, projection: &str) -> bool {
    name.is_none_or(|name| name == projection)
}

/// What was seen last, and when.
type Told = Option<(Instant, Result<Arc<Seen>, Arc<sqlx::Error>>)>;

/// What looks, every [`limits::WATCH`] while anybody follows; clones share it. It ends with the last clone.
#[derive(Debug, Clone)]
pub struct Watch {
    told: watch::Sender<Told>,
    somebody: Arc<Notify>,
    _looks: Arc<DropGuard>,
}

impl Watch {
    /// One for a process.
    pub fn start(pool: PgPool) -> Self {
        let (told, somebody, stop) = (
            watch::Sender::new(None),
            Arc::new(Notify::new()),
            CancellationToken::new(),
        );
        let looking = look_on(pool, told.clone(), Arc::clone(&somebody));
        tokio::spawn(stop.clone().run_until_cancelled_owned(looking));
        Self {
            told,
            somebody,
            _looks: Arc::new(stop.drop_guard()),
        }
    }

    /// Follows how everything fares.
    pub fn follow(&self) -> Follower {
        let told = self.told.subscribe();
        self.somebody.notify_one();
        Follower { told, last: None }
    }
}

/// Somebody who wants to know.
#[derive(Debug)]
pub struct Follower {
    told: watch::Receiver<Told>,
    /// When what was given last was looked at.
    last: Option<Instant>,
}

impl Follower {
    /// The next look; the first one is not older than [`limits::WATCH_AGE`]. Nothing is lost where it is not waited for to the
    /// end.
    ///
    /// # Errors
    /// When the database did not answer.
    pub async fn next(&mut self) -> Result<Arc<Seen>, Arc<sqlx::Error>> {
        let last = self.last;
        let is_new = |told: &Told| match (told, last) {
            (None, _) => false,
            (Some((at, _)), Some(last)) => *at > last,
            (Some((at, _)), None) => at.elapsed() < limits::WATCH_AGE,
        };
        let told = match self.told.wait_for(is_new).await {
            Ok(told) => told.clone(),
            // What looks ends with the process.
            Err(_) => None,
        };
        match told {
            Some((at, seen)) => {
                self.last = Some(at);
                seen
            }
            None => std::future::pending().await,
        }
    }
}

async fn look_on(pool: PgPool, told: watch::Sender<Told>, somebody: Arc<Notify>) {
    let mut looks = VecDeque::new();
    loop {
        if told.receiver_count() == 0 {
            somebody.notified().await;
        }
        let begun = Instant::now();
        let seen = look(&pool, &mut looks).await;
        told.send_replace(Some((Instant::now(), seen.map(Arc::new).map_err(Arc::new))));
        sleep_until(begun + limits::WATCH).await;
    }
}

/// Looks, and looks once more where nobody did a moment ago.
async fn look(pool: &PgPool, looks: &mut VecDeque<Look>) -> Result<Seen, sqlx::Error> {
    while looks
        .front()
        .is_some_and(|look| look.at.elapsed() > limits::WATCH_BACK)
    {
        looks.pop_front();
    }
    if looks.is_empty() {
        looks.push_back(Look::take(pool).await?);
        sleep(limits::FIRST_WATCH).await;
    }
    let now = Look::take(pool).await?;
    let rebuilds = operations(pool).await?;
    let lines = match looks.front() {
        Some(before) => now.since(before),
        None => now.since(&now),
    };
    looks.push_back(now);
    Ok(Seen { lines, rebuilds })
}
