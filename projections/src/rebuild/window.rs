//! What a rebuild keeps in memory of one partition: entities that changed since they were written, and those that were
//! touched last.
//!
//! A row whose life fits between two writes is written once. What is written and not touched for long is forgotten, and
//! read back where the log comes to it again.

use crate::projector::{ApplyError, Open, Projector, fact};
use docket_event_store::RecordedEvent;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

struct Slot<E> {
    /// Taken out while an event is applied; what fails leaves none.
    entity: Option<Arc<E>>,
    bytes: usize,
    /// Changed since it was written.
    is_changed: bool,
    /// The event, of those that were seen, that touched it last.
    touched: u64,
}

/// Entities of one partition.
pub(crate) struct Window<P: Projector> {
    projector: Arc<P>,
    slots: HashMap<P::Key, Slot<P::Entity>>,
    bytes: usize,
    /// Events that were seen.
    seen: u64,
    /// The tables hold no rows of this partition that are not here.
    is_whole: bool,
}

/// Rows that are to be written.
pub(crate) type Changed<P> = Vec<(<P as Projector>::Key, Arc<<P as Projector>::Entity>)>;

/// Bytes of a key with its slot in the table.
const SLOT_BYTES: usize = 96;

impl<P: Projector> Window<P> {
    /// `is_whole`: the tables hold nothing of this partition yet.
    pub(crate) fn new(projector: Arc<P>, is_whole: bool) -> Self {
        Self {
            projector,
            slots: HashMap::new(),
            bytes: 0,
            seen: 0,
            is_whole,
        }
    }

    /// An estimate of its memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The keys that events touch and that have to be read first.
    pub(crate) fn missing(&self, events: &[Arc<RecordedEvent>]) -> Vec<P::Key> {
        if self.is_whole {
            return Vec::new();
        }
        let (mut missing, mut begun) = (BTreeSet::new(), BTreeSet::new());
        for event in events {
            // Nothing is folded from an event on that cannot be decoded.
            let Ok(fact) = fact(event) else { break };
            for touch in self.projector.touches(event, fact) {
                if touch.begins {
                    begun.insert(touch.key);
                } else if !self.slots.contains_key(&touch.key) && !begun.contains(&touch.key) {
                    missing.insert(touch.key);
                }
            }
        }
        missing.into_iter().collect()
    }

    /// Takes what was read.
    pub(crate) fn put(&mut self, key: P::Key, entity: Arc<P::Entity>) {
        let bytes = SLOT_BYTES + self.projector.approximate_bytes(&entity);
        self.bytes += bytes;
        let slot = Slot {
            entity: Some(entity),
            bytes,
            is_changed: false,
            touched: self.seen,
        };
        if let Some(before) = self.slots.insert(key, slot) {
            self.bytes -= before.bytes;
        }
    }

    /// Applies an event to every entity that it touches.
    ///
    /// # Errors
    /// When it cannot be; the window is of no use then.
    pub(crate) fn apply(&mut self, event: &RecordedEvent, open: &Open<'_>) -> Result<(), ApplyError> {
        let decoded = fact(event)?;
        let opened = self.projector.open(decoded, open);
        let fact = opened.as_ref().unwrap_or(decoded);
        let mut carried = P::Carried::default();
        self.seen += 1;
        let projector = Arc::clone(&self.projector);
        for touch in projector.touches(event, fact) {
            let slot = self.slots.entry(touch.key.clone()).or_insert_with(|| Slot {
                entity: None,
                bytes: 0,
                is_changed: true,
                touched: 0,
            });
            let before = slot.entity.take().map(Arc::unwrap_or_clone);
            let after = projector.apply(&touch.key, before, event, fact, &mut carried)?;
            let bytes = SLOT_BYTES + projector.approximate_bytes(&after);
            self.bytes = self.bytes + bytes - slot.bytes;
            *slot = Slot {
                entity: Some(Arc::new(after)),
                bytes,
                is_changed: true,
                touched: self.seen,
            };
        }
        Ok(())
    }

    /// What changed since it was written, in the order of the keys.
    ///
    /// # Errors
    /// The key of a row that cannot be made, and why.
    pub(crate) fn changed(&mut self) -> Result<Changed<P>, (P::Key, ApplyError)> {
        let mut changed = Vec::new();
        for (key, slot) in self.slots.iter_mut().filter(|(_, slot)| slot.is_changed) {
            let Some(entity) = &mut slot.entity else { continue };
            let settled = self.projector.settle(Arc::make_mut(entity));
            settled.map_err(|error| (key.clone(), error))?;
            changed.push((key.clone(), Arc::clone(entity)));
        }
        changed.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok(changed)
    }

    /// Everything is in the tables: what was not touched for longest is forgotten until the rest takes `bytes` at most.
    pub(crate) fn written(&mut self, bytes: usize) {
        for slot in self.slots.values_mut() {
            slot.is_changed = false;
        }
        let mut by_age: Vec<(u64, usize)> = self
            .slots
            .values()
            .map(|slot| (slot.touched, slot.bytes))
            .collect();
        by_age.sort_unstable_by_key(|(touched, _)| std::cmp::Reverse(*touched));
        let mut kept = 0;
        let oldest = by_age.iter().take_while(|(_, size)| {
            kept += size;
            kept <= bytes
        });
        let oldest = oldest.last().map_or(u64::MAX, |(touched, _)| *touched);
        let before = self.slots.len();
        self.slots.retain(|_, slot| slot.touched >= oldest);
        self.slots.shrink_to(self.slots.len());
        self.is_whole &= self.slots.len() == before;
        self.bytes = self.slots.values().map(|slot| slot.bytes).sum();
    }
}
