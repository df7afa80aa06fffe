//! Filling one partition of a generation, stretch by stretch: reads a page, folds it into the window, writes what changed
//! when the window is full.
//!
//! Rows and checkpoint, or what of the stretch is in the rows, are written in one transaction, by compare-and-set on
//! (offset, what of the stretch was in the rows, epoch) as live owners do: who takes a rebuild over after a crash goes on
//! where the last one wrote, and what a dead one still sends hits nothing.

use super::{
    Sizes,
    progress::Progress,
    stretch::{Filled, Stretch},
    window::Window,
};
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

/// Says what of a stretch is in the rows; nothing at its end. What stopped it before is over.
const MARK: &str = r#"
update checkpoints
   set stretch_after = case when $7::bigint is not null then "offset" end, stretch_until = $7, stretch_done = $8,
       stopped_offset = null, stopped_class = null, stopped_reason = null, trouble = null
 where projection = $1 and generation = $2 and partition = $3 and "offset" = $4 and epoch + letters = $5
   and stretch_done is not distinct from $6"#;

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
    pub(crate) filled: Filled,
    pub(crate) sizes: Sizes,
}

/// Fills one partition, whatever its entities are.
pub(crate) trait Loader: Send {
    /// Folds the events up to an offset into the rows, unless it is told to stop. What is urgent, because others are held for
    /// it, makes way for nobody.
    fn load<'a>(
        &'a mut self,
        connection: &'a mut PgConnection,
        upto: i64,
        progress: &'a Progress,
        is_urgent: bool,
    ) -> BoxFuture<'a, Result<(), LoadError>>;
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
}

impl<P: Projector> PartitionLoader<P> {
    pub(crate) fn new(store: Store, projector: Arc<P>, site: Site) -> Self {
        let statements = Arc::new(Statements::new(projector.sql(site.generation)));
        Self {
            window: Window::new(Arc::clone(&projector), site.filled.events() == 0),
            store,
            projector,
            statements,
            site,
            discarded: None,
        }
    }

    async fn fill(
        &mut self,
        connection: &mut PgConnection,
        upto: i64,
        progress: &Progress,
        is_urgent: bool,
    ) -> Result<(), LoadError> {
        let (partition, sizes) = (self.site.partition, self.site.sizes);
        while self.site.filled.offset < upto {
            let Filled { offset, begun } = self.site.filled;
            let most = upto.min(offset.saturating_add(sizes.stretch.max(1)));
            let range = (offset, begun.until.unwrap_or(most));
            let (done, pace) = (begun.done.unwrap_or(0), (progress, is_urgent));
            let stretch = Stretch::read(&self.store, connection, partition, range, done, pace).await?;
            let Some(mut stretch) = stretch else {
                return Ok(());
            };
            while !stretch.is_folded() {
                if !progress.pass(is_urgent).await {
                    return Ok(());
                }
                let page = stretch.page(sizes.page.max(1));
                let events = self.store.read_at(connection, partition, &page).await?;
                if events.len() != page.len() {
                    return Err(LoadError::Ends(Position {
                        partition,
                        offset: stretch.until(),
                    }));
                }
                let due = self.discarded(connection).await?.due(&events);
                self.fold(connection, &due).await?;
                stretch.fold(events.len());
                progress.folded(partition, stretch.reached());
                if self.window.bytes() >= sizes.window_bytes || stretch.is_folded() {
                    self.write(connection, &stretch).await?;
                    progress.reached(partition, stretch.reached());
                }
            }
        }
        Ok(())
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

    /// Writes what changed, and how far the rows are: at the end of a stretch the checkpoint moves there.
    async fn write(&mut self, connection: &mut PgConnection, stretch: &Stretch) -> Result<(), LoadError> {
        let Filled { offset, begun } = self.site.filled;
        let mark = stretch.mark();
        let step = Move {
            generation: self.site.generation,
            partition: self.site.partition,
            // A generation that is filled has no dead letters.
            fence: self.site.epoch,
            from: offset,
            to: stretch.until(),
            event_id: stretch.event_id(),
            lease: limits::REBUILD_LEASE,
        };
        let changed = self.window.changed();
        let changed = changed.map_err(|(key, error)| LoadError::Row {
            key: key.to_string(),
            reason: error.to_string(),
        })?;
        let mut transaction = connection.begin().await?;
        let marked = step
            .query(MARK, self.projector.name())
            .bind(begun.done)
            .bind(mark.until)
            .bind(mark.done)
            .execute(&mut *transaction)
            .await?;
        if marked.rows_affected() != 1 {
            return Err(LoadError::Lost);
        }
        let mut parts = changed.chunks(limits::REBUILD_ROWS).peekable();
        loop {
            let part = parts.next().unwrap_or_default();
            // The checkpoint moves with the last of them.
            let is_last = parts.peek().is_none();
            let statement = match stretch.is_folded() && is_last {
                true => &self.statements.write,
                false => &self.statements.write_part,
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
        self.window.written(self.site.sizes.window_bytes / 2);
        self.site.filled = Filled {
            offset: if stretch.is_folded() { step.to } else { offset },
            begun: mark,
        };
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
    ) -> BoxFuture<'a, Result<(), LoadError>> {
        Box::pin(self.fill(connection, upto, progress, is_urgent))
    }
}
