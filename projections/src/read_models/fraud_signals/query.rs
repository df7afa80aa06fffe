//! Signals: derived from the facts by their time.

use super::{
    NAME,
    row::{Fact, TABLE},
};
use crate::{
    generation::{Generation, Serving},
    limits,
    read_models::{
        axes::words,
        list::{self, Count, Listing, Page, Part, Place, SortColumn},
        order_summary::PageError,
    },
};
use chrono::{DateTime, TimeDelta, Utc};
use docket_domain::{Currency, CustomerId, OrderId, Subject};
use serde::{Deserialize, Serialize};
use sqlx::{PgExecutor, Postgres, QueryBuilder};

/// So many failed payments of one person make a signal...
pub const FAILED_PAYMENTS: usize = 3;
/// ... where no more than this lies between the first and the last of them, in business time. Exactly this is within it.
pub const WITHIN: TimeDelta = TimeDelta::minutes(10);

words! {
    /// What looks like fraud.
    Kind {
        /// A payment failed, and with it [`FAILED_PAYMENTS`] of one person within [`WITHIN`]. The next one within the same time
        /// is a signal again.
        FailedPayments = "failed_payments",
        /// An order adds up to more than [`high_value_over`](super::high_value_over).
        HighValue = "high_value",
    }
}

/// A sign of fraud.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Signal {
    /// What it is.
    pub kind: Kind,
    /// In business time: when the last of the payments failed, or the order was placed.
    pub at: DateTime<Utc>,
    /// Of the last payment, or the one.
    pub order_id: OrderId,
    /// Which of its payments; 0 is the order itself.
    pub number: u16,
    /// Whose: the customer's, or, where none is known, whoever this one order is for.
    pub subject: Subject,
    /// What the last payment was to pay, or the order added up to, in minor units.
    pub amount: i64,
    /// Of the amount.
    pub currency: Currency,
    /// What it follows from, by time: the payments that failed, or the order.
    pub facts: Vec<Fact>,
}

impl Signal {
    /// Its place in the list.
    pub fn place(&self) -> Place {
        Place {
            sort: BY_TIME.number,
            value: self.at.timestamp_micros(),
            order: self.order_id.0,
            number: self.number,
        }
    }
}

/// Which signals are listed.
#[derive(Debug, Clone)]
pub struct Filter {
    /// At or after, and before: at most [`limits::FRAUD_DAYS`] apart.
    pub at: (DateTime<Utc>, DateTime<Utc>),
    /// Of this kind alone.
    pub kind: Option<Kind>,
    /// Of this customer alone.
    pub customer: Option<CustomerId>,
}

/// What a signal has of the last fact that it follows from.
const OF_LAST: &str = "at, order_id, number, subject, amount, currency";

/// There is one order: by time, of equal ones by order and payment.
const BY_TIME: SortColumn = SortColumn {
    number: 0,
    name: "at",
    is_time: true,
    is_optional: false,
};

impl Listing for Filter {
    type Field = ();

    fn check(&self) -> Result<(), PageError> {
        let (from, until) = self.at;
        if until - from <= TimeDelta::days(limits::FRAUD_DAYS) {
            return Ok(());
        }
        Err(PageError::TooLarge {
            what: "days or more",
            size: usize::try_from((until - from).num_days()).unwrap_or(usize::MAX),
            limit: usize::try_from(limits::FRAUD_DAYS).unwrap_or(usize::MAX),
        })
    }

    fn push_table(&self, query: &mut QueryBuilder<Postgres>, generation: Generation) {
        let table = generation.table(TABLE.name);
        query.push("(");
        if self.kind != Some(Kind::HighValue) {
            self.push_failed_payments(query, &table);
        }
        if self.kind.is_none() {
            query.push(" union all ");
        }
        if self.kind != Some(Kind::FailedPayments) {
            self.push_high_values(query, &table);
        }
        query.push(")");
    }

    fn push(&self, _: &mut QueryBuilder<Postgres>, (): ()) {}

    fn column((): ()) -> SortColumn {
        BY_TIME
    }
}

impl Filter {
    /// Adds the payments that failed as the third within the time: those of one person stand in one line, of which the order
    /// is total, and each looks back at the one that lies two before it. Those before the time that is asked for are looked
    /// back at and no signals.
    fn push_failed_payments(&self, query: &mut QueryBuilder<Postgres>, table: &str) {
        let (from, until) = self.at;
        let facts: Vec<String> = (0..FAILED_PAYMENTS)
            .rev()
            .map(|back| format!("lag(f, {back}) over line"))
            .collect();
        query.push(format!(
            "select '{}' as kind, {OF_LAST}, facts
               from (select {OF_LAST}, array[{}] as facts from {table} f where number > 0 and at >= ",
            Kind::FailedPayments,
            facts.join(", ")
        ));
        query.push_bind(from.checked_sub_signed(WITHIN).unwrap_or(from));
        query.push(" and at < ").push_bind(until);
        self.push_whose(query);
        query.push(format!(
            " window line as (partition by subject order by at, order_id, number)) looked_back
               where (facts[1]).at >= at - interval '{} seconds' and at >= ",
            WITHIN.num_seconds()
        ));
        query.push_bind(from);
    }

    /// Adds the orders of a high value.
    fn push_high_values(&self, query: &mut QueryBuilder<Postgres>, table: &str) {
        let (from, until) = self.at;
        query.push(format!(
            "select '{}' as kind, {OF_LAST}, array[f] as facts from {table} f where high_value and at >= ",
            Kind::HighValue
        ));
        query.push_bind(from);
        query.push(" and at < ").push_bind(until);
        self.push_whose(query);
    }

    fn push_whose(&self, query: &mut QueryBuilder<Postgres>) {
        let subject = self.customer.clone().map(Subject::Customer);
        list::push_equal(
            query,
            "subject",
            subject.map(|whose| whose.to_string()).as_deref(),
        );
    }

    /// The same without what is newer than a place, so that a page far down does not derive all that is above it.
    fn below(&self, place: &Place) -> Self {
        let (from, until) = self.at;
        let last = DateTime::from_timestamp_micros(place.value);
        let next = last.and_then(|last| last.checked_add_signed(TimeDelta::microseconds(1)));
        // A forged place is refused later, or leads to where there is nothing.
        let until = next.map_or(until, |next| next.clamp(from.min(until), until));
        Self {
            at: (from, until),
            ..self.clone()
        }
    }
}

/// A part of the list of signals, the newest first.
///
/// # Errors
/// When too much is asked for, the place is not of this list, or the database does not answer.
pub async fn page<'e>(
    database: impl PgExecutor<'e>,
    serving: &Serving,
    filter: &Filter,
    part: Part<'_>,
) -> Result<Page<Signal>, PageError> {
    let below = part.from.filter(|_| !part.backward);
    let below = below.map_or_else(|| filter.clone(), |place| filter.below(place));
    filter.check()?;
    list::page(database, serving.of(NAME)?, &below, ((), true), part).await
}

/// How many signals the list has, counted up to [`limits::COUNT_ORDERS`].
///
/// # Errors
/// When too much is asked for, or the database does not answer.
pub async fn count<'e>(
    database: impl PgExecutor<'e>,
    serving: &Serving,
    filter: &Filter,
) -> Result<Count, PageError> {
    list::count(database, serving.of(NAME)?, filter, ()).await
}
