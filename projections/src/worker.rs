//! The owner of one partition of one read model: reads the feed, folds, commits, again.
//!
//! A step reads as many events as wait, up to a limit: under load batches grow by themselves, when idle an event goes
//! alone. How an owner waits, and what it does with an event that cannot be applied, is said in [`crate::owner`].

use crate::{
    commit::{self, Move, Statements},
    fold::{self, Fold, chain},
    limits,
    owner::{self, Assignment, Step, Steps, Trouble, failed, trouble, unreadable},
    projector::Projector,
};
use docket_domain::SealedValue;
use docket_event_store::{PersonalError, RecordedEvent, Turn};
use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};
use tokio::time::timeout;

/// The owner of one partition.
pub(crate) struct Worker<P: Projector> {
    at: Assignment,
    projector: Arc<P>,
    statements: Arc<Statements>,
    fold: Fold<P>,
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
            most,
        }
    }

    /// Folds the events as far as they can be, and writes what came out.
    async fn commit(&mut self, events: &[Arc<RecordedEvent>], turn: Turn<'_>) -> Result<Step, Trouble> {
        let (began, started) = (SystemTime::now(), Instant::now());
        let first = self.at.next();
        let refused = |error: sqlx::Error| trouble(&error, first, events.len());
        let mut connection = turn.connection().await.map_err(refused)?;
        let missing = self.fold.missing(events);
        let loaded = fold::load(&*self.projector, &mut connection, &self.statements, missing).await;
        let loaded = loaded.map_err(refused)?;
        let vault = self.at.shared.store.vault();
        let opener = fold::opener(&*self.projector, vault, &mut connection, events).await;
        let opener = opener.map_err(|error| match error {
            PersonalError::Keys(error) => trouble(&error, first, events.len()),
            PersonalError::Overloaded | PersonalError::WrongMasterKey | PersonalError::Cipher => {
                Trouble::Unavailable(chain(&error))
            }
        })?;
        let open = |sealed: &SealedValue| opener.open(sealed);
        let (events, entities) = match self.fold.apply(events, &loaded, &open) {
            Ok(entities) => (events, entities),
            Err(failure) => {
                // What comes before the event is written first; the next step meets it alone.
                let good = &events[..failure.at];
                let again = if good.is_empty() {
                    None
                } else {
                    self.fold.apply(good, &loaded, &open).ok()
                };
                let Some(entities) = again else {
                    return Err(failed(failure, first));
                };
                (good, entities)
            }
        };
        let Some(last) = events.last() else {
            return Ok(Step::Idle(limits::IDLE_POLL));
        };
        let step = Move {
            generation: self.at.held.generation,
            partition: self.at.held.partition,
            epoch: self.at.held.epoch,
            from: self.at.offset,
            to: last.position.offset,
            event_id: last.event_id,
            lease: self.at.shared.config.lease,
        };
        let written = commit::write(
            &mut connection,
            &*self.projector,
            &self.statements.write,
            &step,
            &entities,
        );
        if !written.await.map_err(refused)? {
            turn.keep(connection);
            self.fold.clear();
            return self.at.look_again().await;
        }
        turn.keep(connection);
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
}

impl<P: Projector> Steps for Worker<P> {
    fn assignment(&self) -> &Assignment {
        &self.at
    }

    async fn step(&mut self, count: &mut usize) -> Result<Step, Trouble> {
        let shared = Arc::clone(&self.at.shared);
        let feed = shared.store.feed();
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
        match timeout(shared.config.step, self.commit(&events, turn)).await {
            Ok(step) => step,
            Err(_) => Err(Trouble::Unavailable("the database did not answer in time".into())),
        }
    }

    fn forget(&mut self) {
        self.fold.clear();
    }

    fn at_most(&mut self, events: usize) {
        self.most = events;
    }
}
