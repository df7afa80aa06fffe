//! Folding a batch in memory: the entities of the keys that its events touch, changed by them.
//!
//! What a partition's owner wrote last stays in a bounded cache, so that an order that is being worked on is not read
//! back for each of its events. The cache belongs to one lease and dies with it: whoever lost a partition and got it
//! back starts with none.

use crate::{
    checkpoint::StopClass,
    commit::Statements,
    projector::{ApplyError, Key, Open, Projector, fact},
};
use docket_domain::{Event, SealedValue};
use docket_event_store::{Opener, PersonalError, RecordedEvent, Vault};
use quick_cache::{Weighter, unsync::Cache};
use sqlx::{Executor, PgConnection};
use std::{
    any::Any,
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// What entities weigh: as their projector says.
struct ByBytes<P>(Arc<P>);

impl<P> Clone for ByBytes<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Projector> Weighter<P::Key, Arc<P::Entity>> for ByBytes<P> {
    fn weight(&self, _: &P::Key, entity: &Arc<P::Entity>) -> u64 {
        (self.0.approximate_bytes(entity) as u64).max(1)
    }
}

/// Entities after a batch, in the order of their keys.
pub(crate) type Entities<P> = Vec<(<P as Projector>::Key, Arc<<P as Projector>::Entity>)>;

/// Entities as the tables have them.
pub(crate) type Loaded<P> = HashMap<<P as Projector>::Key, Arc<<P as Projector>::Entity>>;

/// An event that cannot be applied, and what could be before it.
pub(crate) struct Failure {
    /// The event's place in the batch.
    pub(crate) at: usize,
    pub(crate) class: StopClass,
    pub(crate) reason: String,
}

/// The fold of one partition: its projector and what it remembers.
pub(crate) struct Fold<P: Projector> {
    projector: Arc<P>,
    cache: Cache<P::Key, Arc<P::Entity>, ByBytes<P>>,
    cache_bytes: u64,
}

impl<P: Projector> Fold<P> {
    pub(crate) fn new(projector: Arc<P>, cache_bytes: u64) -> Self {
        let cache = new_cache(&projector, cache_bytes);
        Self {
            projector,
            cache,
            cache_bytes,
        }
    }

    /// Forgets everything: what is remembered may not be what the tables hold.
    pub(crate) fn clear(&mut self) {
        self.cache = new_cache(&self.projector, self.cache_bytes);
    }

    /// Remembers what was written.
    pub(crate) fn keep(&mut self, entities: Entities<P>) {
        for (key, entity) in entities {
            self.cache.insert(key, entity);
        }
    }

    /// The keys that a batch touches and whose entities are neither remembered nor begin in it.
    pub(crate) fn missing(&self, events: &[Arc<RecordedEvent>]) -> Vec<P::Key> {
        let mut seen = BTreeMap::new();
        for event in events {
            // Nothing is folded from an event on that cannot be decoded.
            let Ok(fact) = fact(event) else { break };
            for touch in self.projector.touches(event, fact) {
                seen.entry(touch.key).or_insert(touch.begins);
            }
        }
        let unknown =
            |(key, begins): (P::Key, bool)| (!begins && self.cache.peek(&key).is_none()).then_some(key);
        seen.into_iter().filter_map(unknown).collect()
    }

    /// The entities after a batch; a panic of the projector is a failure like any other.
    pub(crate) fn apply(
        &self,
        events: &[Arc<RecordedEvent>],
        loaded: &Loaded<P>,
        open: &Open<'_>,
    ) -> Result<Entities<P>, Failure> {
        let mut at = 0;
        // The fold owns everything that it changes, and what it leaves behind after a panic is dropped.
        let folded = catch_unwind(AssertUnwindSafe(|| {
            let mut entities: BTreeMap<P::Key, P::Entity> = BTreeMap::new();
            for event in events {
                let fact = fact(event)?;
                let opened = self.projector.open(fact, open);
                let fact = opened.as_ref().unwrap_or(fact);
                let mut carried = P::Carried::default();
                for touch in self.projector.touches(event, fact) {
                    let key = touch.key;
                    let known = || {
                        self.cache
                            .peek(&key)
                            .or_else(|| loaded.get(&key))
                            .map(|e| P::Entity::clone(e))
                    };
                    let entity = entities.remove(&key).or_else(known);
                    let mut entity = self.projector.apply(&key, entity, event, fact, &mut carried)?;
                    self.projector.settle(&mut entity)?;
                    entities.insert(key, entity);
                }
                at += 1;
            }
            Ok(entities
                .into_iter()
                .map(|(key, entity)| (key, Arc::new(entity)))
                .collect())
        }));
        match folded {
            Ok(Ok(entities)) => Ok(entities),
            Ok(Err(error)) => Err(Failure {
                at,
                class: class_of(&error),
                reason: chain(&error),
            }),
            Err(panic) => Err(Failure {
                at,
                class: StopClass::Panic,
                reason: panic_text(panic.as_ref()),
            }),
        }
    }
}

/// The personal values that a projector reads in an event.
pub(crate) fn sealed<P: Projector>(projector: &P, fact: &Event) -> Vec<SealedValue> {
    let found = RefCell::new(Vec::new());
    projector.open(fact, &|sealed| {
        found.borrow_mut().push(sealed.clone());
        None
    });
    found.into_inner()
}

fn new_cache<P: Projector>(projector: &Arc<P>, bytes: u64) -> Cache<P::Key, Arc<P::Entity>, ByBytes<P>> {
    // An entity is about 4 KiB; the number only sizes the table.
    let items = usize::try_from(bytes / 4_096).unwrap_or(64).max(16);
    Cache::with_weighter(items, bytes, ByBytes(Arc::clone(projector)))
}

/// Reads the entities of some keys.
pub(crate) async fn load<P: Projector>(
    projector: &P,
    connection: &mut PgConnection,
    statements: &Statements,
    keys: Vec<P::Key>,
) -> Result<Loaded<P>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = connection
        .fetch_all(P::Key::bind(sqlx::query(statements.load.clone()), keys))
        .await?;
    let entity = |row| projector.entity(row).map(|(key, entity)| (key, Arc::new(entity)));
    rows.iter().map(entity).collect()
}

/// What opens the personal values that the fold reads in a batch: one statement at most.
pub(crate) async fn opener<P: Projector>(
    projector: &P,
    vault: &Vault,
    connection: &mut PgConnection,
    events: &[Arc<RecordedEvent>],
) -> Result<Opener, PersonalError> {
    if !P::READS_PERSONAL {
        return Ok(Opener::default());
    }
    let facts = events.iter().filter_map(|event| fact(event).ok());
    let sealed: Vec<SealedValue> = facts.flat_map(|fact| sealed(projector, fact)).collect();
    vault.opener_over(connection, &sealed).await
}

/// What kind of trouble stops where an event cannot be applied.
pub(crate) fn class_of(error: &ApplyError) -> StopClass {
    match error {
        ApplyError::Decode(_) => StopClass::Decode,
        ApplyError::Impossible(_) => StopClass::Apply,
    }
}

/// An error with its sources, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!(
        "the projector panicked: {}",
        text.as_deref().unwrap_or("it said nothing")
    )
}
