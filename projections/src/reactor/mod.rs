//! What a reactor is to the machinery: events in, effects out, once each.
//!
//! A reactor shares with a read model how it is fed (a checkpoint and a lease for each partition, the same processes, the
//! same lag and the same standing still in the open), and nothing else. A read model may be folded anew at any time; a
//! reactor never is, because what it once caused stays caused:
//!
//! - it begins where the log ended when it was registered, and each of its rules where the log ended when *that* was, so
//!   neither a new reactor nor a new rule acts on what happened before;
//! - what was imported is known to it and has no effects;
//! - its effects are rows of a ledger, written with the checkpoint in one statement and keyed by event and rule. So each is
//!   there exactly once, also where the checkpoint is put back. What carries them further (mail, a webhook) is a channel
//!   of its own, which follows the ledger and delivers at least once, with that key.
//!
//! Rules are pure functions over an order before and after one event. An order's state is the fold of its events up to
//! that one, whatever else has happened since: it does not matter when a reactor comes by. [`memory`] keeps the states of
//! orders that are being worked on and folds others from the log when a rule asks for them; nothing is stored.

pub(crate) mod memory;
pub(crate) mod owner;

use crate::projector::PgQuery;
use docket_domain::Event;
use docket_event_store::RecordedEvent;

/// The number of the first argument that belongs to a reactor in its statement.
pub const FIRST_ARGUMENT: usize = 10;

/// An effect, with the rule that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruled<E> {
    /// One of [`Reactor::rules`].
    pub rule: &'static str,
    /// The effect.
    pub effect: E,
}

/// Turns events into effects.
pub trait Reactor: Send + Sync + 'static {
    /// What rules know of an order. The default is an order without events.
    type State: Clone + Default + Send + Sync + 'static;

    /// A row of the ledger.
    type Effect: Send + Sync + 'static;

    /// Its share of the memory for orders between batches, compared with the read models'.
    const CACHE_SHARE: u32;

    /// Its name: of its checkpoints and in every message.
    fn name(&self) -> &'static str;

    /// The version of its rules. A rule that joins raises it, here and in the migration that registers the rule.
    fn version(&self) -> i32;

    /// The names of its rules.
    fn rules(&self) -> &'static [&'static str];

    /// Whether any rule can have an effect by such an event: only then the order's state is looked up.
    fn concerns(&self, fact: &Event) -> bool;

    /// The state after an event. It has happened, so this cannot fail.
    fn evolve(&self, state: Self::State, event: &RecordedEvent, fact: &Event) -> Self::State;

    /// What follows from an event, of the order before and after it.
    fn effects(
        &self,
        before: &Self::State,
        after: &Self::State,
        event: &RecordedEvent,
        fact: &Event,
    ) -> Vec<Ruled<Self::Effect>>;

    /// An estimate of a state's memory, in bytes.
    fn approximate_bytes(&self, state: &Self::State) -> usize;

    /// The queries of a `with` that write effects, after `moved`, which has one row when the checkpoint moved and none
    /// otherwise. The arguments start at `$`[`FIRST_ARGUMENT`]. Effects that the ledger has already are passed over.
    /// Rows that several partitions share are locked in their order, so that owners that meet wait and never in a circle.
    fn write(&self) -> &'static str;

    /// Binds the arguments of [`Reactor::write`].
    ///
    /// # Errors
    /// When an effect cannot be written.
    fn bind<'q>(
        &self,
        query: PgQuery<'q>,
        effects: &[Ruled<Self::Effect>],
    ) -> Result<PgQuery<'q>, sqlx::Error>;
}
