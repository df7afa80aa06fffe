//! What a reactor's owner knows of orders: the states of those that are being worked on, in a bounded cache.
//!
//! An order that begins before the owner's eyes is followed from then on; any other is folded from the log when a rule
//! concerns it, up to the batch at hand. The cache belongs to one lease and dies with it.

use super::{Reactor, Ruled};
use crate::{
    checkpoint::StopClass,
    fold::{Failure, chain, panic_text},
};
use docket_domain::{OrderId, StreamKind, Version};
use docket_event_store::{FeedError, Origin, RecordedEvent, Store};
use quick_cache::{Weighter, unsync::Cache};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

struct ByBytes<R>(Arc<R>);

impl<R> Clone for ByBytes<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: Reactor> Weighter<OrderId, R::State> for ByBytes<R> {
    fn weight(&self, _: &OrderId, state: &R::State) -> u64 {
        (self.0.approximate_bytes(state) as u64).max(1)
    }
}

/// Orders with their states.
type States<R> = HashMap<OrderId, <R as Reactor>::State>;

/// Orders as they were before a batch.
pub(crate) struct Loaded<R: Reactor> {
    states: States<R>,
    /// Those whose history holds an event that cannot be decoded, and why.
    unreadable: HashMap<OrderId, String>,
}

impl<R: Reactor> Loaded<R> {
    fn take(&mut self, reactor: &R, event: &RecordedEvent) {
        let order = event.stream.order;
        match &event.event {
            Ok(fact) => {
                let state = self.states.remove(&order).unwrap_or_default();
                self.states.insert(order, reactor.evolve(state, event, fact));
            }
            Err(error) => {
                let why = format!(
                    "event {} of its order cannot be decoded: {}",
                    event.position,
                    chain(error)
                );
                self.unreadable.entry(order).or_insert(why);
            }
        }
    }
}

/// What a batch comes to.
pub(crate) struct Outcome<R: Reactor> {
    pub(crate) effects: Vec<Ruled<R::Effect>>,
    pub(crate) states: States<R>,
}

/// The states that one owner knows.
pub(crate) struct Memory<R: Reactor> {
    reactor: Arc<R>,
    cache: Cache<OrderId, R::State, ByBytes<R>>,
    cache_bytes: u64,
}

impl<R: Reactor> Memory<R> {
    pub(crate) fn new(reactor: Arc<R>, cache_bytes: u64) -> Self {
        Self {
            cache: new_cache(&reactor, cache_bytes),
            reactor,
            cache_bytes,
        }
    }

    /// Forgets everything: what is remembered may be of another offset.
    pub(crate) fn clear(&mut self) {
        self.cache = new_cache(&self.reactor, self.cache_bytes);
    }

    /// Remembers orders as they are after a batch.
    pub(crate) fn keep(&mut self, states: States<R>) {
        for (order, state) in states {
            self.cache.insert(order, state);
        }
    }

    /// Folds from the log what rules need of a batch and is not remembered, as of the offset before it.
    pub(crate) async fn load(
        &self,
        store: &Store,
        partition: u16,
        after: i64,
        events: &[Arc<RecordedEvent>],
    ) -> Result<Loaded<R>, FeedError> {
        let missing = self.missing(events);
        let mut loaded = Loaded::<R> {
            states: missing
                .iter()
                .map(|order| (*order, R::State::default()))
                .collect(),
            unreadable: HashMap::new(),
        };
        if !missing.is_empty() {
            let reactor: &R = &self.reactor;
            let each = |event: RecordedEvent| loaded.take(reactor, &event);
            store.each_event_of(partition, &missing, after, each).await?;
        }
        Ok(loaded)
    }

    /// The orders that a rule concerns, and that are neither remembered nor begin in the batch.
    fn missing(&self, events: &[Arc<RecordedEvent>]) -> Vec<OrderId> {
        let (mut seen, mut unknown, mut concerned) = (HashSet::new(), HashSet::new(), BTreeSet::new());
        for event in events {
            let order = event.stream.order;
            // Its first event in the batch says whether it begins there.
            if seen.insert(order) && !begins(event) && self.cache.peek(&order).is_none() {
                unknown.insert(order);
            }
            if unknown.contains(&order) && self.concerns(event) {
                concerned.insert(order);
            }
        }
        concerned.into_iter().collect()
    }

    /// What was imported happened elsewhere, and has had its effects there.
    fn concerns(&self, event: &RecordedEvent) -> bool {
        let is_live = event.command.origin == Origin::Live;
        is_live && event.event.as_ref().is_ok_and(|fact| self.reactor.concerns(fact))
    }

    /// What the events come to, by rules that are in force; a panic of the reactor is a failure like any other.
    pub(crate) fn apply(
        &self,
        events: &[Arc<RecordedEvent>],
        loaded: &Loaded<R>,
        since: &HashMap<&'static str, i64>,
    ) -> Result<Outcome<R>, Failure> {
        let mut at = 0;
        // What a panic leaves behind is dropped.
        let applied = catch_unwind(AssertUnwindSafe(|| {
            let mut outcome = Outcome {
                effects: Vec::new(),
                states: States::<R>::new(),
            };
            for event in events {
                self.react(&mut outcome, event, loaded, since)?;
                at += 1;
            }
            Ok(outcome)
        }));
        let (class, reason) = match applied {
            Ok(Ok(outcome)) => return Ok(outcome),
            Ok(Err(reason)) => (StopClass::Decode, reason),
            Err(panic) => (StopClass::Panic, panic_text(panic.as_ref())),
        };
        Err(Failure { at, class, reason })
    }

    fn react(
        &self,
        outcome: &mut Outcome<R>,
        event: &RecordedEvent,
        loaded: &Loaded<R>,
        since: &HashMap<&'static str, i64>,
    ) -> Result<(), String> {
        let order = event.stream.order;
        let fact = event
            .event
            .as_ref()
            .map_err(|error| format!("it cannot be decoded: {}", chain(error)))?;
        if let Some(why) = loaded.unreadable.get(&order) {
            return Err(why.clone());
        }
        let known = || {
            self.cache
                .peek(&order)
                .or_else(|| loaded.states.get(&order))
                .cloned()
        };
        let fresh = || begins(event).then(R::State::default);
        let Some(before) = outcome.states.remove(&order).or_else(known).or_else(fresh) else {
            // Nobody asks for its state in this batch; when a rule does, it is folded from the log.
            return Ok(());
        };
        let after = self.reactor.evolve(before.clone(), event, fact);
        if self.concerns(event) {
            let in_force = |ruled: &Ruled<R::Effect>| {
                since
                    .get(ruled.rule)
                    .is_some_and(|since| event.position.offset > *since)
            };
            let effects = self.reactor.effects(&before, &after, event, fact);
            outcome.effects.extend(effects.into_iter().filter(in_force));
        }
        outcome.states.insert(order, after);
        Ok(())
    }
}

fn begins(event: &RecordedEvent) -> bool {
    event.stream.kind == StreamKind::Order && event.version == Version(1)
}

fn new_cache<R: Reactor>(reactor: &Arc<R>, bytes: u64) -> Cache<OrderId, R::State, ByBytes<R>> {
    // A state is about 2 KiB; the number only sizes the table.
    let items = usize::try_from(bytes / 2_048).unwrap_or(64).max(16);
    Cache::with_weighter(items, bytes, ByBytes(Arc::clone(reactor)))
}
