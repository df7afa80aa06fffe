//! Filling one partition of a generation: reads a page, folds it into the window, writes what changed when the window is
//! full.
//!
//! Rows and checkpoint are written in one transaction, by compare-and-set on (offset, epoch) as live owners do: who takes a
//! rebuild over after a crash goes on where the checkpoints stand, and what a dead one still sends hits nothing.

use super::{progress::Progress, window::Window};
use crate::{
    checkpoint::StopClass,
    commit::{self, Move, Statements},
    dead_letter::PassedOver,
    fold::{self, class_of, panic_text},
    limits,
    projector::{Generation, Projector},
};
use docket_domain::SealedValue;
use docket_event_store::{PersonalError, Position, RecordedEvent, Store};
use futures::future::BoxFuture;
use sqlx::{Connection, PgConnection};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// Why a partition could not be filled.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The database did not answer, or refused.
    #[error("the database did not do what it was asked")]
    Database(#[from] sqlx::Error),
    /// Personal values cannot be opened.
    #[error("the keys of personal data cannot be used")]
    Personal(#[from] PersonalError),
    /// Another process does the rebuild now.
    #[error("another process has taken the rebuild over")]
    Lost,
    /// The log has fewer events than were asked for.
    #[error("the log ends before {0}")]
    Ends(Position),
    /// A row cannot be made of its events.
    #[error("row {key}: {reason}")]
    Row {
        /// Which.
        key: String,
        /// In words.
        reason: String,
    },
    /// An event has no effect that could be written.
    #[error("event {position} ({class}): {reason}")]
    Event {
        /// Which.
        position: Position,
        /// What kind of trouble.
        class: StopClass,
        /// In words.
        reason: String,
    },
}

/// Which partition of which generation is filled, and by whose right.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site {
    pub(crate) generation: Generation,
    pub(crate) partition: u16,
    pub(crate) epoch: i64,
    /// Everything up to here is in the rows.
    pub(crate) offset: i64,
    /// What the window may hold.
    pub(crate) window_bytes: usize,
}

/// Fills one partition, whatever its entities are.
pub(crate) trait Loader: Send {
    /// Folds the events up to an offset into the rows; how far it came, which is less where it was told to stop. What is
    /// urgent, because others are held for it, makes way for nobody.
    fn load<'a>(
        &'a mut self,
        connection: &'a mut PgConnection,
        upto: i64,
        progress: &'a Progress,
        is_urgent: bool,
    ) -> BoxFuture<'a, Result<i64, LoadError>>;
}

/// Fills one partition of one projector's tables.
pub(crate) struct PartitionLoader<P: Projector> {
    store: Store,
    projector: Arc<P>,
    statements: Arc<Statements>,
    window: Window<P>,
    site: Site,
    /// What is passed over; read once.
    discarded: Option<PassedOver>,
    /// Events that are folded and not written.
    pending: Option<(i64, uuid::Uuid)>,
}

impl<P: Projector> PartitionLoader<P> {
    pub(crate) fn new(store: Store, projector: Arc<P>, site: Site) -> Self {
        let statements = Arc::new(Statements::new(projector.sql(site.generation)));
        Self {
            window: Window::new(Arc::clone(&projector), site.offset == 0),
            store,
            projector,
            statements,
            site,
            discarded: None,
            pending: None,
        }
    }

    async fn fill(
        &mut self,
        connection: &mut PgConnection,
        upto: i64,
        progress: &Progress,
        is_urgent: bool,
    ) -> Result<i64, LoadError> {
        let mut next = self.site.offset;
        while next < upto {
            if !progress.pass(is_urgent).await {
                break;
            }
            let wanted = usize::try_from(upto - next).unwrap_or(usize::MAX);
            let page = wanted.min(limits::REBUILD_PAGE);
            let partition = self.site.partition;
            let events = self.store.replay(connection, partition, next, page).await?;
            let Some(last) = events.last() else {
                return Err(LoadError::Ends(Position {
                    partition,
                    offset: next + 1,
                }));
            };
            next = last.position.offset;
            self.pending = Some((next, last.event_id));
            let due = self.discarded(connection).await?.due(&events);
            self.fold(connection, &due).await?;
            progress.folded(partition, next);
            if self.window.bytes() >= self.site.window_bytes {
                self.write(connection).await?;
                progress.reached(partition, next);
            }
        }
        self.write(connection).await?;
        progress.reached(self.site.partition, self.site.offset);
        Ok(self.site.offset)
    }

    async fn discarded(&mut self, connection: &mut PgConnection) -> Result<&PassedOver, sqlx::Error> {
        if self.discarded.is_none() {
            let name = self.projector.name();
            let name = (name, self.projector.version());
            let discarded = PassedOver::load(connection, name, self.site.partition).await?;
            return Ok(self.discarded.insert(discarded));
        }
        Ok(self.discarded.get_or_insert_default())
    }

    async fn fold(
        &mut self,
        connection: &mut PgConnection,
        events: &[Arc<RecordedEvent>],
    ) -> Result<(), LoadError> {
        let missing = self.window.missing(events);
        let loaded = fold::load(&*self.projector, connection, &self.statements, missing).await?;
        for (key, entity) in loaded {
            self.window.put(key, entity);
        }
        let vault = self.store.vault();
        let opener = fold::opener(&*self.projector, vault, connection, events).await?;
        let open = |sealed: &SealedValue| opener.open(sealed);
        for event in events {
            // What a panic leaves behind is dropped with the loader.
            let applied = catch_unwind(AssertUnwindSafe(|| self.window.apply(event, &open)));
            let (class, reason) = match applied {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => (class_of(&error), error.to_string()),
                Err(panic) => (StopClass::Panic, panic_text(panic.as_ref())),
            };
            return Err(LoadError::Event {
                position: event.position,
                class,
                reason,
            });
        }
        Ok(())
    }

    /// Writes what changed, with the checkpoint.
    async fn write(&mut self, connection: &mut PgConnection) -> Result<(), LoadError> {
        let Some((to, event_id)) = self.pending else {
            return Ok(());
        };
        let step = Move {
            generation: self.site.generation,
            partition: self.site.partition,
            // A generation that is filled has no dead letters.
            fence: self.site.epoch,
            from: self.site.offset,
            to,
            event_id,
            lease: limits::REBUILD_LEASE,
        };
        let changed = self.window.changed();
        let changed = changed.map_err(|(key, error)| LoadError::Row {
            key: key.to_string(),
            reason: error.to_string(),
        })?;
        let mut transaction = connection.begin().await?;
        let mut parts = changed.chunks(limits::REBUILD_ROWS).peekable();
        loop {
            let part = parts.next().unwrap_or_default();
            // The checkpoint moves with the last of them.
            let is_last = parts.peek().is_none();
            let statement = if is_last {
                &self.statements.write
            } else {
                &self.statements.write_part
            };
            let written = commit::write(&mut transaction, &*self.projector, statement, &step, part);
            if !written.await? {
                return Err(LoadError::Lost);
            }
            if is_last {
                break;
            }
        }
        transaction.commit().await?;
        drop(changed);
        self.window.written(self.site.window_bytes / 2);
        self.site.offset = to;
        self.pending = None;
        Ok(())
    }
}

impl<P: Projector> Loader for PartitionLoader<P> {
    fn load<'a>(
        &'a mut self,
        connection: &'a mut PgConnection,
        upto: i64,
        progress: &'a Progress,
        is_urgent: bool,
    ) -> BoxFuture<'a, Result<i64, LoadError>> {
        Box::pin(self.fill(connection, upto, progress, is_urgent))
    }
}
