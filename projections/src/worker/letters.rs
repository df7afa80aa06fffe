//! What an owner does with dead letters: parks an event that it could not apply, lets later events of its order wait, and
//! tries again what somebody wants tried again.

use super::{Worker, unread};
use crate::{
    checkpoint::{StopClass, Stopped},
    commit::{self, Move},
    dead_letter,
    fold::{Entities, Failure, chain, panic_text},
    limits,
    owner::{Parked, Step, Steps, Trouble, trouble, unreadable},
    projector::Projector,
};
use docket_domain::{OrderId, SealedValue};
use docket_event_store::RecordedEvent;
use futures::FutureExt;
use sqlx::{Connection, PgConnection};
use std::{collections::HashSet, panic::AssertUnwindSafe, sync::Arc};

/// What came of letters.
enum Tried {
    /// They are none any more.
    Gone,
    /// They could not be applied together; the one that is known to be at fault, or the first.
    Failed(Stopped),
    /// The checkpoint is not where this owner left it.
    Elsewhere,
}

impl<P: Projector> Worker<P> {
    /// Writes a batch; `false` where the checkpoint is not where it starts.
    pub(super) async fn write(
        &self,
        connection: &mut PgConnection,
        waiting: &[&RecordedEvent],
        entities: &Entities<P>,
        step: &Move,
    ) -> Result<bool, sqlx::Error> {
        let statement = &self.statements.write;
        if waiting.is_empty() {
            return commit::write(connection, &*self.projector, statement, step, entities).await;
        }
        let mut transaction = connection.begin().await?;
        let moved = commit::write(&mut transaction, &*self.projector, statement, step, entities).await?;
        if moved {
            dead_letter::queue(&mut transaction, &self.at.held, waiting).await?;
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
        Ok(moved)
    }

    /// Parks the next event, which could not be applied, and goes on behind it.
    pub(super) async fn park_next(&mut self, failure: &Stopped, attempts: u32) -> Result<Parked, Trouble> {
        let shared = Arc::clone(&self.at.shared);
        let refused = |error: sqlx::Error| trouble(&error, failure.position, 1);
        let events = shared
            .store
            .feed()
            .read(self.at.held.partition, self.at.offset, 1);
        let events = events.await.map_err(unreadable)?;
        let Some(event) = events.first() else {
            return Ok(Parked::No);
        };
        let Some(turn) = shared.connections.turn().await else {
            return Ok(Parked::No);
        };
        let mut connection = turn.connection().await.map_err(refused)?;
        // Something may have been decided meanwhile.
        self.parking = None;
        let held = self.at.held;
        let parking = self.parking(&mut connection).await.map_err(refused)?;
        let orders = parking.orders();
        if event.position != failure.position || parking.is_discarded(event) {
            turn.keep(connection);
            return Ok(match event.position == failure.position {
                true => Parked::Yes(Step::Moved),
                false => Parked::No,
            });
        }
        if orders >= limits::PARKED_ORDERS {
            turn.keep(connection);
            return Ok(Parked::TooMany);
        }
        let (order, step) = (event.stream.order, self.move_to(event));
        let parked = async {
            let mut transaction = connection.begin().await?;
            let statement = &self.statements.write;
            let moved = commit::write(&mut transaction, &*self.projector, statement, &step, &[]).await?;
            if moved {
                dead_letter::park(&mut transaction, &held, order, failure, attempts).await?;
                transaction.commit().await?;
            } else {
                transaction.rollback().await?;
            }
            Ok(moved)
        };
        let moved: bool = parked.await.map_err(refused)?;
        turn.keep(connection);
        if !moved {
            self.forget();
            return self.at.look_again().await.map(Parked::Yes);
        }
        tracing::error!(
            projection = self.at.held.projection,
            partition = failure.position.partition,
            offset = failure.position.offset,
            class = failure.class.as_str(),
            reason = failure.reason,
            "an event cannot be applied: it is parked, and its order's later events wait behind it"
        );
        let parking = self.parking.get_or_insert_default();
        parking.parked(order);
        self.at.waits(parking.orders());
        self.at.reached(step.to);
        Ok(Parked::Yes(Step::Moved))
    }

    /// Tries again what somebody wants tried again, some of it at a time: together, and where one of them fails one by one.
    pub(super) async fn retry_letters(&mut self) -> Result<Step, Trouble> {
        let shared = Arc::clone(&self.at.shared);
        let held = self.at.held;
        let refused = |error: sqlx::Error| Trouble::Unavailable(chain(&error));
        let Some(turn) = shared.connections.turn().await else {
            return Ok(Step::Idle(limits::IDLE_POLL));
        };
        let mut connection = turn.connection().await.map_err(refused)?;
        self.parking = None;
        self.parking(&mut connection).await.map_err(refused)?;
        let wanted = dead_letter::wanted(&mut connection, &held)
            .await
            .map_err(refused)?;
        // Read from the log itself: what was decoded before may have been repaired.
        let letters = shared
            .store
            .read_at(&mut connection, held.partition, &wanted)
            .await;
        let letters = letters.map_err(refused)?;
        let mut tried = self.retry(&mut connection, &letters).await?;
        if letters.len() > 1 && matches!(tried, Tried::Failed(_)) {
            tried = self.retry_each(&mut connection, &letters).await?;
        } else if let Tried::Failed(failure) = &tried {
            self.failed(&mut connection, failure).await.map_err(refused)?;
        }
        turn.keep(connection);
        if matches!(tried, Tried::Elsewhere) {
            self.forget();
            return self.at.look_again().await;
        }
        if wanted.len() >= limits::RETRY_LETTERS as usize
            && let Some(cell) = self.at.cell()
        {
            cell.wish();
        }
        Ok(Step::Moved)
    }

    /// Each order's letters one after the other, up to the first that fails.
    async fn retry_each(
        &mut self,
        connection: &mut PgConnection,
        letters: &[Arc<RecordedEvent>],
    ) -> Result<Tried, Trouble> {
        let mut stuck = HashSet::new();
        for letter in letters {
            if stuck.contains(&letter.stream.order) {
                continue;
            }
            match self.retry(connection, std::slice::from_ref(letter)).await? {
                Tried::Gone => {}
                Tried::Failed(failure) => {
                    let kept = self.failed(connection, &failure).await;
                    kept.map_err(|error| Trouble::Unavailable(chain(&error)))?;
                    stuck.insert(letter.stream.order);
                }
                Tried::Elsewhere => return Ok(Tried::Elsewhere),
            }
        }
        Ok(Tried::Gone)
    }

    /// Says of a letter why it could not be applied this time.
    async fn failed(&self, connection: &mut PgConnection, failure: &Stopped) -> Result<(), sqlx::Error> {
        let held = &self.at.held;
        dead_letter::failed(connection, held, self.fence(), failure).await
    }

    /// Applies letters together; a panic is a failure like any other.
    async fn retry(
        &mut self,
        connection: &mut PgConnection,
        letters: &[Arc<RecordedEvent>],
    ) -> Result<Tried, Trouble> {
        let Some(first) = letters.first() else {
            return Ok(Tried::Gone);
        };
        let tried = AssertUnwindSafe(self.apply_letters(connection, letters)).catch_unwind();
        let tried = tried.await.unwrap_or_else(|panic| {
            let reason = panic_text(panic.as_ref());
            Ok(Tried::Failed(Stopped::new(
                first.position,
                StopClass::Panic,
                reason,
            )))
        });
        match tried {
            Err(Trouble::Events { class, reason, .. }) => {
                Ok(Tried::Failed(Stopped::new(first.position, class, reason)))
            }
            other => other,
        }
    }

    /// Applies letters together, in their order, but for those that are passed over.
    async fn apply_letters(
        &mut self,
        connection: &mut PgConnection,
        letters: &[Arc<RecordedEvent>],
    ) -> Result<Tried, Trouble> {
        let Some(first) = letters.first() else {
            return Ok(Tried::Gone);
        };
        let parking = self.parking.as_ref();
        let is_due =
            |letter: &&Arc<RecordedEvent>| parking.is_none_or(|parking| !parking.is_discarded(letter));
        let due: Vec<_> = letters.iter().filter(is_due).cloned().collect();
        let read = self.read(connection, &due).await;
        let (loaded, opener) = read.map_err(|error| unread(error, first.position, letters.len()))?;
        let open = |sealed: &SealedValue| opener.open(sealed);
        let entities = match self.fold.apply(&due, &loaded, &open) {
            Ok(entities) => entities,
            Err(Failure { at, class, reason }) => {
                let position = due.get(at).unwrap_or(first).position;
                return Ok(Tried::Failed(Stopped::new(position, class, reason)));
            }
        };
        match self.write_letters(connection, letters, &entities).await {
            Ok(None) => Ok(Tried::Elsewhere),
            Ok(Some(freed)) => {
                self.fold.keep(entities);
                let parking = self.parking.get_or_insert_default();
                parking.removed(&freed);
                self.at.waits(parking.orders());
                for order in freed {
                    tracing::info!(projection = self.at.held.projection, %order, "an order waits no more");
                }
                Ok(Tried::Gone)
            }
            Err(error) => Err(trouble(&error, first.position, letters.len())),
        }
    }

    /// Writes the rows of letters and takes these away; which orders wait no more. `None` where the checkpoint is not where
    /// this owner left it.
    async fn write_letters(
        &self,
        connection: &mut PgConnection,
        letters: &[Arc<RecordedEvent>],
        entities: &Entities<P>,
    ) -> Result<Option<Vec<OrderId>>, sqlx::Error> {
        let here = Move {
            generation: self.at.held.generation,
            partition: self.at.held.partition,
            fence: self.fence(),
            from: self.at.offset,
            to: self.at.offset,
            event_id: uuid::Uuid::nil(),
            lease: self.at.shared.config.lease,
        };
        let mut transaction = connection.begin().await?;
        let statement = &self.statements.write_part;
        let is_here = commit::write(&mut transaction, &*self.projector, statement, &here, entities).await?;
        let offsets: Vec<i64> = letters.iter().map(|letter| letter.position.offset).collect();
        let freed = match is_here {
            true => dead_letter::remove(&mut transaction, &self.at.held, &offsets, here.lease).await?,
            false => None,
        };
        match freed.is_some() {
            true => transaction.commit().await?,
            false => transaction.rollback().await?,
        }
        Ok(freed)
    }
}
