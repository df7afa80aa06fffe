//! The owner of one partition of a reactor: reads the feed, asks the rules, writes what follows, again.
//!
//! How it waits and what it does with an event that cannot be handled is [`crate::owner`]'s. Effects and checkpoint are
//! written in one statement by compare-and-set, as a read model's rows are ([`crate::commit`]). What differs: most batches
//! have no effects, and then nothing is written at once. The checkpoint follows within [`limits::QUIET_SAVE`]; whoever
//! takes over meanwhile asks the rules again, which answer the same.

use super::{
    Reactor, Ruled,
    memory::{Memory, Outcome},
};
use crate::{
    checkpoint::StopClass,
    fold::Failure,
    limits,
    owner::{self, Assignment, End, Step, Steps, Trouble, failed, trouble, unreadable},
    projector::Generation,
    supervisor::Fed,
};
use docket_event_store::RecordedEvent;
use futures::future::BoxFuture;
use sqlx::{AssertSqlSafe, Executor, PgPool, Row, SqlSafeStr, SqlStr};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// The checkpoint moves only for a program that has all the rules: another one would pass over what a rule that it does
/// not know has effects for.
const MOVE_CHECKPOINT: &str = r#"with moved as (
  update checkpoints
     set "offset" = $6, event_id = $7, lease_until = clock_timestamp() + make_interval(secs => $8),
         stopped_offset = null, stopped_class = null, stopped_reason = null
   where projection = $1 and generation = $2 and partition = $3 and "offset" = $4 and epoch = $5
     and exists (select from projections where name = $1 and version = $9)
  returning 1)"#;

const RULES: &str = r#"select rule, "offset" from reactor_rules where reactor = $1 and partition = $2"#;

const REGISTERED: &str = "
select count(*) from (select rule from reactor_rules where reactor = $1 and rule = any ($2)
                       group by rule having count(*) = $3) r";

/// Whether the migrations know all rules of a reactor.
pub(crate) async fn is_registered(
    pool: &PgPool,
    reactor: &str,
    rules: &[&str],
    partitions: u16,
) -> Result<bool, sqlx::Error> {
    let known: i64 = sqlx::query_scalar(REGISTERED)
        .bind(reactor)
        .bind(rules)
        .bind(i64::from(partitions))
        .fetch_one(pool)
        .await?;
    Ok(known == rules.len() as i64)
}

/// A reactor that is fed.
pub(crate) struct FedReactor<R: Reactor> {
    reactor: Arc<R>,
    generation: Generation,
    write: SqlStr,
}

impl<R: Reactor> FedReactor<R> {
    pub(crate) fn new(reactor: Arc<R>, generation: Generation) -> Self {
        let write = format!(
            "{MOVE_CHECKPOINT},\n{}\nselect count(*) from moved",
            reactor.write()
        );
        Self {
            // Constants of this program.
            write: AssertSqlSafe(write).into_sql_str(),
            reactor,
            generation,
        }
    }
}

impl<R: Reactor> Fed for FedReactor<R> {
    fn name(&self) -> &'static str {
        self.reactor.name()
    }

    fn generation(&self) -> Generation {
        self.generation
    }

    fn own(&self, start: Assignment) -> BoxFuture<'static, End> {
        let owner = Owner {
            memory: Memory::new(
                Arc::clone(&self.reactor),
                start.shared.cache_bytes(R::CACHE_SHARE),
            ),
            reactor: Arc::clone(&self.reactor),
            write: self.write.clone(),
            since: None,
            saved: start.offset,
            unsaved: None,
            most: start.shared.config.batch_events.max(1),
            at: start,
        };
        Box::pin(owner::own(owner))
    }
}

/// What the checkpoint has not followed yet.
struct Unsaved {
    event_id: Uuid,
    since: Instant,
}

struct Owner<R: Reactor> {
    /// Its offset is that of the newest event that the rules were asked about.
    at: Assignment,
    reactor: Arc<R>,
    write: SqlStr,
    memory: Memory<R>,
    /// From which offset on each rule has effects here.
    since: Option<HashMap<&'static str, i64>>,
    /// Where the checkpoint stands.
    saved: i64,
    unsaved: Option<Unsaved>,
    /// Events in the next batch at most; halved to trace an event that the database refuses.
    most: usize,
}

impl<R: Reactor> Owner<R> {
    /// What the rules say to the events, as far as they could be asked, and the last event of those.
    async fn ask(&mut self, events: &[Arc<RecordedEvent>]) -> Result<(usize, Outcome<R>), Trouble> {
        let since = self.starts().await?;
        let store = self.at.shared.store.clone();
        let (partition, after) = (self.at.held.partition, self.at.offset);
        let loaded = self.memory.load(&store, partition, after, events).await;
        let loaded = loaded.map_err(unreadable)?;
        let asked = match self.memory.apply(events, &loaded, &since) {
            Ok(outcome) => Ok((events.len(), outcome)),
            // What comes before the event is handled first; the next step meets it alone.
            Err(Failure { at, .. }) if at > 0 => {
                let good = events.get(..at).unwrap_or_default();
                self.memory
                    .apply(good, &loaded, &since)
                    .map(|outcome| (at, outcome))
            }
            Err(failure) => Err(failure),
        };
        self.since = Some(since);
        asked.map_err(|failure| failed(failure, self.at.next()))
    }

    async fn starts(&mut self) -> Result<HashMap<&'static str, i64>, Trouble> {
        if let Some(since) = self.since.take() {
            return Ok(since);
        }
        let rows = sqlx::query(RULES)
            .bind(self.at.held.projection)
            .bind(self.at.held.partition as i16)
            .fetch_all(self.at.shared.store.pool());
        let read = async {
            let mut since = HashMap::new();
            for row in rows.await? {
                let name: &str = row.try_get(0)?;
                if let Some(rule) = self.reactor.rules().iter().find(|rule| **rule == name) {
                    since.insert(*rule, row.try_get(1)?);
                }
            }
            Ok(since)
        };
        read.await
            .map_err(|error: sqlx::Error| trouble(&error, self.at.next(), 1))
    }

    async fn handle(&mut self, events: &[Arc<RecordedEvent>]) -> Result<Step, Trouble> {
        let started = Instant::now();
        let (count, Outcome { effects, states }) = self.ask(events).await?;
        let Some(last) = count.checked_sub(1).and_then(|last| events.get(last)) else {
            return Ok(Step::Idle(limits::IDLE_POLL));
        };
        let to = last.position.offset;
        if effects.is_empty() {
            let since = self.unsaved.take().map_or(started, |unsaved| unsaved.since);
            self.unsaved = Some(Unsaved {
                event_id: last.event_id,
                since,
            });
        } else if !self.commit(to, last.event_id, &effects, count).await? {
            return self.look_again().await;
        } else {
            self.at.shared.store.tell_of_effects();
        }
        self.at.reached(to);
        self.memory.keep(states);
        self.most = (self.most * 2).min(self.at.shared.config.batch_events.max(1));
        owner::count(self.at.held.projection, count, started.elapsed());
        Ok(Step::Moved)
    }

    /// Writes effects, if any, and moves the checkpoint; `false` where it is not where this owner left it.
    async fn commit(
        &mut self,
        to: i64,
        event_id: Uuid,
        effects: &[Ruled<R::Effect>],
        count: usize,
    ) -> Result<bool, Trouble> {
        let (shared, held, first) = (Arc::clone(&self.at.shared), self.at.held, self.at.next());
        let refused = |error: sqlx::Error| trouble(&error, first, count);
        let Some(turn) = shared.connections.turn().await else {
            return Err(Trouble::Unavailable("the process stops".into()));
        };
        let mut connection = turn.connection().await.map_err(refused)?;
        let query = sqlx::query(self.write.clone())
            .bind(held.projection)
            .bind(held.generation.0)
            .bind(held.partition as i16)
            .bind(self.saved)
            .bind(held.epoch)
            .bind(to)
            .bind(event_id)
            .bind(shared.config.lease.as_secs_f64())
            .bind(self.reactor.version());
        let query = self.reactor.bind(query, effects).map_err(refused)?;
        let moved = async { connection.fetch_one(query).await?.try_get::<i64, _>(0) };
        let moved = moved.await.map_err(refused)? == 1;
        turn.keep(connection);
        if moved {
            (self.saved, self.unsaved) = (to, None);
        }
        Ok(moved)
    }

    /// Moves the checkpoint to where the rules were asked up to.
    async fn save(&mut self) -> Result<Step, Trouble> {
        let Some(Unsaved { event_id, .. }) = self.unsaved else {
            return Ok(Step::Moved);
        };
        if self.commit(self.at.offset, event_id, &[], 1).await? {
            return Ok(Step::Moved);
        }
        self.look_again().await
    }

    /// The checkpoint did not move.
    async fn look_again(&mut self) -> Result<Step, Trouble> {
        self.memory.clear();
        let (before, first) = (self.saved, self.at.next());
        let step = self.at.look_again().await?;
        (self.saved, self.unsaved) = (self.at.offset, None);
        if matches!(step, Step::Moved) && self.saved == before {
            return Err(Trouble::Events {
                first,
                count: 1,
                class: StopClass::Apply,
                reason: format!(
                    "the rules in the database are of another version than this program's, {}: run the program that fits",
                    self.reactor.version()
                ),
            });
        }
        Ok(step)
    }

    /// How long the checkpoint may still stand where it is.
    fn save_within(&self) -> Option<Duration> {
        let unsaved = self.unsaved.as_ref()?;
        let many = self.at.offset - self.saved >= limits::QUIET_EVENTS;
        Some(if many {
            Duration::ZERO
        } else {
            limits::QUIET_SAVE.saturating_sub(unsaved.since.elapsed())
        })
    }
}

impl<R: Reactor> Steps for Owner<R> {
    fn assignment(&self) -> &Assignment {
        &self.at
    }

    async fn step(&mut self, count: &mut usize) -> Result<Step, Trouble> {
        let (shared, partition) = (Arc::clone(&self.at.shared), self.at.held.partition);
        let within = self.save_within();
        let step = async {
            if within.is_some_and(|within| within.is_zero()) {
                return self.save().await;
            }
            if shared.store.feed().head(partition) <= self.at.offset {
                return Ok(Step::Idle(within.unwrap_or(limits::IDLE_POLL)));
            }
            let events = shared.store.feed().read(partition, self.at.offset, self.most);
            let events = events.await.map_err(unreadable)?;
            *count = events.len();
            if events.is_empty() {
                return Ok(Step::Idle(within.unwrap_or(limits::IDLE_POLL)));
            }
            self.handle(&events).await
        };
        owner::in_time(shared.config.step, step).await
    }

    fn forget(&mut self) {
        self.memory.clear();
    }

    fn at_most(&mut self, events: usize) {
        self.most = events;
    }

    /// Nothing is lost where it fails.
    async fn finish(&mut self) {
        let _ = timeout(limits::FINISH, self.save()).await;
    }
}
