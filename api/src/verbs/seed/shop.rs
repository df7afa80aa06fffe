//! A made-up shop: which orders it has, what their commands are called, and how each becomes a request.
//!
//! Everything of a shop follows from its seed, its number of orders and its span, and so does the name that its keys
//! begin with. So the same shop is the same commands under the same ids, and writing it again changes nothing.

use super::{
    dice::Dice,
    people::Person,
    rhythm::Rhythm,
    story::{self, Cast, Opening, Pace, Step, StoryError},
};
use chrono::{DateTime, Utc};
use docket_domain::{Actor, CommandId, OrderId, Role};
use docket_event_store::{Origin, Request, RequestHash, command_id};

/// Of the stories. To be raised with every change of what they tell: a key stands for one command for ever, and another
/// one under it would be refused.
const EDITION: u32 = 1;

/// A made-up shop.
pub(crate) struct Shop {
    seed: u64,
    /// How many orders it has in all, which makes how many customers.
    orders: u64,
    /// What every key begins with.
    name: String,
    cast: Cast,
    pace: Pace,
    /// Where it has a past: when its orders come, and at which instant it ends.
    past: Option<(Rhythm, DateTime<Utc>)>,
}

/// An order of a shop, told.
pub(crate) struct Story {
    /// Its number in the shop, from 0.
    pub(crate) number: u64,
    /// Its id.
    pub(crate) order: OrderId,
    /// Its commands, in sequence.
    pub(crate) steps: Vec<Step>,
}

impl Shop {
    /// A shop as it stands at `until`, with this many orders in the `days` before.
    pub(crate) fn past(seed: u64, orders: u64, until: DateTime<Utc>, days: u16) -> Self {
        Self {
            seed,
            orders,
            name: format!(
                "seed-{EDITION}-{seed}-{orders}-{days}-{}",
                until.timestamp_micros()
            ),
            cast: Cast::Import,
            pace: Pace::Real,
            past: Some((Rhythm::new(until, days), until)),
        }
    }

    /// A shop that lives, as fast as an eye can follow. `run` tells it from others that lived in the same log.
    pub(crate) fn living(seed: u64, customers: u64, run: &str) -> Self {
        Self {
            seed,
            orders: customers.saturating_mul(2),
            name: format!("simulate-{EDITION}-{seed}-{run}"),
            cast: Cast::Live,
            pace: Pace::Compressed,
            past: None,
        }
    }

    /// How many orders it has in all.
    pub(super) fn orders(&self) -> u64 {
        self.orders
    }

    /// Tells an order, beginning at `now` where the shop has no past.
    ///
    /// # Errors
    /// See [`StoryError`].
    pub(crate) fn story(&self, number: u64, now: DateTime<Utc>) -> Result<Story, StoryError> {
        let mut dice = Dice::new(self.seed, number);
        let (at, until) = match &self.past {
            Some((rhythm, until)) => (rhythm.at(number, self.orders, &mut dice), Some(*until)),
            None => (now, None),
        };
        let order = self.order_id(number);
        let person = Person::of_order(self.seed, self.orders, &mut dice);
        let opening = Opening {
            order,
            person,
            at,
            cast: self.cast,
            pace: self.pace,
        };
        let mut steps = story::tell(opening, dice)?;
        if let Some(until) = until {
            // They are in the order of time.
            steps.truncate(steps.partition_point(|step| step.at <= until));
        }
        Ok(Story { number, order, steps })
    }

    fn order_id(&self, number: u64) -> OrderId {
        let shop = Actor::new(Role::Service, "seed");
        command_id::order_of(
            &shop,
            command_id::derive(&shop, &format!("{}-{number}", self.name)),
        )
    }

    /// The id of a command, and the hash of what it says.
    ///
    /// # Errors
    /// When a command cannot be written as JSON, which only a sealed one cannot.
    pub(crate) fn name_of(
        &self,
        story: u64,
        number: usize,
        step: &Step,
    ) -> Result<(CommandId, RequestHash), StoryError> {
        let id = command_id::derive(&step.actor, &format!("{}-{story}-{number}", self.name));
        // Not canonical: the same struct writes its fields in the same order.
        let text = serde_json::to_vec(&(step.at, &step.command)).map_err(StoryError::Write)?;
        Ok((id, RequestHash::of("seed", &text)))
    }

    /// The request of a story's step.
    ///
    /// # Errors
    /// See [`Shop::name_of`].
    pub(crate) fn request(&self, story: u64, number: usize, step: Step) -> Result<Request, StoryError> {
        let (command_id, request_hash) = self.name_of(story, number, &step)?;
        let imported = self.cast == Cast::Import;
        Ok(Request {
            command_id,
            request_hash,
            command: step.command,
            actor: step.actor,
            expected_version: None,
            occurred_at: imported.then_some(step.at),
            origin: if imported { Origin::Imported } else { Origin::Live },
            causation_id: None,
            traceparent: None,
        })
    }
}
