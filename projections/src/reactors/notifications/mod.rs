//! Telling people what happened to their orders: rules over the log, a ledger of what they said, and those who follow it.
//!
//! A *rule* ([`rules`]) is a pure function from a change of an order to a fact for its recipient. The *ledger* numbers the
//! facts of each recipient from 1 without a gap, across partitions and processes. A *channel* carries them further and
//! knows nothing of rules: the one there is now follows the ledger live ([`Live`]); mail and webhooks would each keep their
//! own place in it.
//!
//! A recipient is the order's subject: its customer, or, of an order without one, whoever that one order is for. Customers
//! follow what they were told; what others are told is there for channels that know how to reach them.
//!
//! **To add a rule:** its function and its row in [`rules`], its fact in [`Fact`], and a migration that inserts a row of
//! `reactor_rules` for each partition at the head of the log and raises the version in `projections`, with the same
//! version in [`VERSION`].

mod ledger;
mod live;
pub mod rules;
mod state;

pub use self::{
    ledger::{Entry, at, newest, page},
    live::{Followed, Live},
    state::OrderState,
};

use crate::{
    projector::PgQuery,
    reactor::{Reactor, Ruled},
};
use chrono::{DateTime, SubsecRound, Utc};
use docket_domain::{Currency, Event, OrderId, OrderNumber, Subject};
use docket_event_store::{Position, RecordedEvent};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Its name: of its checkpoints.
pub const NAME: &str = "notifications";

/// Of the rules; as the newest migration that touches its row in `projections` says.
pub const VERSION: i32 = 1;

/// What a recipient is told. Stored for ever, so nothing personal is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fact {
    /// What is due for the order was taken.
    OrderPaid {
        /// What was due, in minor units.
        amount: i64,
        /// Of the order.
        currency: Currency,
        /// What people call the order by.
        number: OrderNumber,
    },
    /// A shipment left.
    OrderShipped {
        /// Its number in the order.
        shipment: u16,
        /// With it, everything of the order that is to be shipped has left.
        complete: bool,
        /// What people call the order by.
        number: OrderNumber,
    },
    /// One that a newer program wrote.
    #[serde(other)]
    Unknown,
}

/// A row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Whom it is for.
    pub recipient: Subject,
    /// The recipient's how-manieth, from 1.
    pub number: i64,
    /// What they are told.
    pub fact: Fact,
    /// Of this order.
    pub order: OrderId,
    /// The event that it follows from.
    pub event_id: Uuid,
    /// Where that stands in the log.
    pub position: Position,
    /// When the log took it.
    pub created_at: DateTime<Utc>,
}

/// The reactor.
#[derive(Debug, Clone, Copy, Default)]
pub struct Notifications;

impl Reactor for Notifications {
    type State = OrderState;
    type Effect = Entry;

    const CACHE_SHARE: u32 = 2;

    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i32 {
        VERSION
    }

    fn rules(&self) -> &'static [&'static str] {
        rules::NAMES
    }

    fn concerns(&self, fact: &Event) -> bool {
        rules::RULES.iter().any(|rule| (rule.concerns)(fact))
    }

    fn evolve(&self, state: OrderState, event: &RecordedEvent, fact: &Event) -> OrderState {
        // The log keeps microseconds; an event that was handed over in process may know more.
        let at = event.command.occurred_at.trunc_subsecs(6);
        state.after(event.stream.number, fact, at)
    }

    fn effects(
        &self,
        before: &OrderState,
        after: &OrderState,
        event: &RecordedEvent,
        fact: &Event,
    ) -> Vec<Ruled<Entry>> {
        // There from an order's first event on.
        let Some(recipient) = &after.order.subject else {
            return Vec::new();
        };
        let change = rules::Change {
            before,
            after,
            number: event.stream.number,
        };
        let of = |rule: &'static rules::Rule| {
            let said = (rule.concerns)(fact).then(|| (rule.says)(&change)).flatten()?;
            Some(Ruled {
                rule: rule.name,
                effect: Entry::of(recipient, event, said),
            })
        };
        rules::RULES.iter().filter_map(of).collect()
    }

    fn approximate_bytes(&self, state: &OrderState) -> usize {
        state.approximate_bytes()
    }

    fn write(&self) -> &'static str {
        ledger::WRITE
    }

    fn bind<'q>(&self, query: PgQuery<'q>, effects: &[Ruled<Entry>]) -> Result<PgQuery<'q>, sqlx::Error> {
        ledger::bind(query, effects)
    }
}
