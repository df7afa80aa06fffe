//! The owner of one partition of one read model: reads the feed, folds, commits, again.
//!
//! A step reads as many events as wait, up to a limit: under load batches grow by themselves, when idle an event goes
//! alone. How an owner waits, and what it does with an event that cannot be applied, is said in [`crate::owner`].

mod letters;

use crate::{
    checkpoint::{StopClass, Stopped},
    commit::{Move, Statements},
    dead_letter::Parking,
    fold::{self, Fold, Loaded, chain},
    limits,
    owner::{self, Assignment, Parked, Step, Steps, Trouble, failed, trouble, unreadable},
    projector::Projector,
};
use docket_domain::SealedValue;
use docket_event_store::{Opener, PersonalError, Position, RecordedEvent, Turn};
use sqlx::PgConnection;
use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

/// The owner of one partition.
pub(crate) struct Worker<P: Projector> {
    at: Assignment,
    projector: Arc<P>,
    statements: Arc<Statements>,
    fold: Fold<P>,
    /// What must not be applied; read anew where it is not known.
    parking: Option<Parking>,
    /// Events in the next batch at most; halved to trace an event that the database refuses.
    most: usize,
}

impl<P: Projector> Worker<P> {
    pub(crate) fn new(projector: Arc<P>, statements: Arc<Statements>, at: Assignment) -> Self {
        let fold = Fold::new(Arc::clone(&projector), at.shared.cache_bytes(P::CACHE_SHARE));
        let most = at.shared.config.batch_events.max(1);
        Self {
            at,
            projector,
            statements,
            fold,
            parking: None,
            most,
        }
    }

    /// Folds the events as far as they can be, and writes what came out. Those of orders that wait go to the others of theirs.
    async fn commit(&mut self, events: &[Arc<RecordedEvent>], turn: Turn<'_>) -> Result<Step, Trouble> {
        let (began, started) = (SystemTime::now(), Instant::now());
        let first = self.at.next();
        let refused = |error: sqlx::Error| trouble(&error, first, events.len());
        let mut connection = turn.connection().await.map_err(refused)?;
        let due = self.parking(&mut connection).await.map_err(refused)?.due(events);
        let read = self.read(&mut connection, &due).await;
        let (loaded, opener) = read.map_err(|error| unread(error, first, events.len()))?;
        let open = |sealed: &SealedValue| opener.open(sealed);
        let (mut good, mut failure) = (&due[..], None);
        let entities = loop {
            match self.fold.apply(good, &loaded, &open) {
                Ok(entities) => break entities,
                Err(found) => {
                    good = good.get(..found.at).unwrap_or_default();
                    failure = Some(found);
                }
            }
        };
        // What comes before an event that fails is written first; the next step meets it alone.
        let events = match due.get(good.len()) {
            Some(stop) if failure.is_some() => {
                let before = events.iter().take_while(|event| event.position != stop.position);
                &events[..before.count()]
            }
            _ => events,
        };
        let Some(last) = events.last() else {
            return match failure {
                Some(failure) => Err(failed(failure, first)),
                None => Ok(Step::Idle(limits::IDLE_POLL)),
            };
        };
        let parking = self.parking.as_ref();
        let waiting = parking.map_or_else(Vec::new, |parking| parking.waiting(events));
        let step = self.move_to(last);
        let written = self.write(&mut connection, &waiting, &entities, &step);
        let written = written.await.map_err(refused)?;
        turn.keep(connection);
        if !written {
            self.forget();
            return self.at.look_again().await;
        }
        self.most = (self.most * 2).min(self.at.shared.config.batch_events.max(1));
        self.at.reached(step.to);
        self.fold.keep(entities);
        let took = started.elapsed();
        owner::count(self.at.held.projection, events.len(), took);
        if let Some(observer) = &self.at.shared.config.observer {
            observer.written(self.at.held.projection, events, began, took);
        }
        Ok(Step::Moved)
    }

    /// What must not be applied.
    async fn parking(&mut self, connection: &mut PgConnection) -> Result<&mut Parking, sqlx::Error> {
        if self.parking.is_none() {
            let version = self.projector.version();
            let parking = Parking::load(connection, &self.at.held, version).await?;
            self.at.waits(parking.orders());
            return Ok(self.parking.insert(parking));
        }
        Ok(self.parking.get_or_insert_default())
    }

    /// What the events are applied to, and what opens the personal values in them.
    async fn read(
        &self,
        connection: &mut PgConnection,
        events: &[Arc<RecordedEvent>],
    ) -> Result<(Loaded<P>, Opener), PersonalError> {
        let missing = self.fold.missing(events);
        let loaded = fold::load(&*self.projector, connection, &self.statements, missing).await;
        let loaded = loaded.map_err(|error| PersonalError::Keys(Arc::new(error)))?;
        let vault = self.at.shared.store.vault();
        let opener = fold::opener(&*self.projector, vault, connection, events).await?;
        Ok((loaded, opener))
    }

    /// What a write has to find in the checkpoint's row; nothing does where it is not known what must not be applied.
    fn fence(&self) -> i64 {
        let parking = self.parking.as_ref();
        parking.map_or(0, |parking| parking.fence(&self.at.held))
    }

    fn move_to(&self, last: &RecordedEvent) -> Move {
        Move {
            generation: self.at.held.generation,
            partition: self.at.held.partition,
            fence: self.fence(),
            from: self.at.offset,
            to: last.position.offset,
            event_id: last.event_id,
            lease: self.at.shared.config.lease,
        }
    }
}

/// Why what events are applied to could not be read.
fn unread(error: PersonalError, first: Position, count: usize) -> Trouble {
    match error {
        PersonalError::Keys(error) => trouble(&error, first, count),
        PersonalError::Cipher => Trouble::Events {
            first,
            count,
            class: StopClass::Decode,
            reason: chain(&error),
        },
        PersonalError::Overloaded | PersonalError::WrongMasterKey => Trouble::Unavailable(chain(&error)),
    }
}

impl<P: Projector> Steps for Worker<P> {
    fn assignment(&self) -> &Assignment {
        &self.at
    }

    async fn step(&mut self, count: &mut usize) -> Result<Step, Trouble> {
        let shared = Arc::clone(&self.at.shared);
        let feed = shared.store.feed();
        if self.at.cell().is_some_and(|cell| cell.takes_wish()) {
            match owner::in_time(shared.config.step, self.retry_letters()).await {
                Ok(Step::Moved) => {}
                Ok(other) => return Ok(other),
                // What was done may have been done all the same. What is new goes on; the wish comes again.
                Err(trouble) => {
                    self.forget();
                    shared.health.failed(&trouble.to_string());
                }
            }
        }
        if feed.head(self.at.held.partition) <= self.at.offset {
            return Ok(Step::Idle(limits::IDLE_POLL));
        }
        // The feed is read under the permit: what arrives while this waits for its turn joins the batch.
        let Some(turn) = shared.connections.turn().await else {
            return Ok(Step::Idle(limits::IDLE_POLL));
        };
        let events = feed
            .read(self.at.held.partition, self.at.offset, self.most)
            .await
            .map_err(unreadable)?;
        *count = events.len();
        if events.is_empty() {
            return Ok(Step::Idle(limits::IDLE_POLL));
        }
        owner::in_time(shared.config.step, self.commit(&events, turn)).await
    }

    fn forget(&mut self) {
        self.fold.clear();
        self.parking = None;
    }

    async fn park(&mut self, failure: &Stopped, attempts: u32) -> Result<Parked, Trouble> {
        self.park_next(failure, attempts).await
    }

    fn at_most(&mut self, events: usize) {
        self.most = events;
    }
}
