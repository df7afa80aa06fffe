//! A row: what one partition's orders sold in one minute, in one currency and channel.

use super::NAME;
use crate::{
    json_table::JsonTable,
    projector::{Key, PgQuery},
};
use chrono::{DateTime, DurationRound, SecondsFormat, TimeDelta, Utc};
use docket_domain::{Currency, text::Code};
use serde::{Deserialize, Serialize};
use std::fmt;

pub(super) const TABLE: JsonTable = JsonTable {
    name: NAME,
    key: &[
        ("partition", "smallint"),
        ("minute", "timestamptz"),
        ("currency", "text"),
        ("channel", "text"),
    ],
    columns: &[
        "minute",
        "orders",
        "total",
        "smallest",
        "largest",
        "squares",
        "partition",
        "currency",
        "channel",
    ],
};

/// What a row is found by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MinuteKey {
    /// The orders' partition.
    pub partition: u16,
    /// The beginning of the minute.
    pub minute: DateTime<Utc>,
    /// Of every amount.
    pub currency: Currency,
    /// Where the orders came from.
    pub channel: Code,
}

impl fmt::Display for MinuteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partition,
            minute,
            currency,
            channel,
        } = self;
        let minute = minute.to_rfc3339_opts(SecondsFormat::Secs, true);
        write!(f, "{minute} {currency} {channel} in partition {partition}")
    }
}

impl Key for MinuteKey {
    fn bind(query: PgQuery<'_>, keys: Vec<Self>) -> PgQuery<'_> {
        fn all<T>(keys: &[MinuteKey], value: impl Fn(&MinuteKey) -> T) -> Vec<T> {
            keys.iter().map(value).collect()
        }
        query
            .bind(all(&keys, |key| key.partition as i16))
            .bind(all(&keys, |key| key.minute))
            .bind(all(&keys, |key| key.currency.code()))
            .bind(all(&keys, |key| key.channel.as_str().to_owned()))
    }
}

/// The beginning of the minute in which something happened.
pub(super) fn minute_of(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(TimeDelta::minutes(1)).unwrap_or(at)
}

/// What some orders add up to, in minor units of one currency. Sums wrap around: only amounts that nobody can pay overflow
/// them, wrapped sums do not depend on the order of what is added, and a sum must never stop a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sales {
    /// How many.
    pub orders: i64,
    /// What they add up to.
    pub total: i64,
    /// What the smallest adds up to.
    pub smallest: i64,
    /// And the largest.
    pub largest: i64,
    /// The sum of the squares.
    pub squares: i128,
}

impl Sales {
    /// One order.
    pub fn of(total: i64) -> Self {
        Self {
            orders: 1,
            total,
            smallest: total,
            largest: total,
            squares: i128::from(total).wrapping_mul(i128::from(total)),
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            orders: self.orders.wrapping_add(other.orders),
            total: self.total.wrapping_add(other.total),
            smallest: self.smallest.min(other.smallest),
            largest: self.largest.max(other.largest),
            squares: self.squares.wrapping_add(other.squares),
        }
    }

    /// What an order adds up to on average, in minor units.
    pub fn mean(&self) -> f64 {
        self.total as f64 / self.orders.max(1) as f64
    }

    /// How far the orders are from their mean: the standard deviation of all of them, in minor units.
    pub fn standard_deviation(&self) -> f64 {
        let (orders, total) = (i128::from(self.orders.max(1)), i128::from(self.total));
        // Exact as long as it fits, and it does for anything that is sold: of two large numbers the difference counts.
        let exact = orders
            .checked_mul(self.squares)
            .and_then(|squares| squares.checked_sub(total.checked_mul(total)?));
        let variance = match exact {
            Some(exact) => exact as f64 / (orders as f64 * orders as f64),
            None => self.squares as f64 / orders as f64 - self.mean() * self.mean(),
        };
        variance.max(0.0).sqrt()
    }
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minute {
    /// The orders' partition.
    pub partition: u16,
    /// The beginning of the minute.
    pub minute: DateTime<Utc>,
    /// Of every amount.
    pub currency: Currency,
    /// Where the orders came from.
    pub channel: Code,
    orders: i64,
    total: i64,
    smallest: i64,
    largest: i64,
    /// Written as text: JSON's numbers end at 64 bits in many hands.
    #[serde(serialize_with = "as_text")]
    squares: i128,
}

fn as_text<S: serde::Serializer>(number: &i128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

impl Minute {
    pub(super) fn new(key: &MinuteKey, sales: Sales) -> Self {
        let Sales {
            orders,
            total,
            smallest,
            largest,
            squares,
        } = sales;
        Self {
            partition: key.partition,
            minute: key.minute,
            currency: key.currency,
            channel: key.channel.clone(),
            orders,
            total,
            smallest,
            largest,
            squares,
        }
    }

    pub(super) fn key(&self) -> MinuteKey {
        MinuteKey {
            partition: self.partition,
            minute: self.minute,
            currency: self.currency,
            channel: self.channel.clone(),
        }
    }

    /// What was sold.
    pub fn sales(&self) -> Sales {
        Sales {
            orders: self.orders,
            total: self.total,
            smallest: self.smallest,
            largest: self.largest,
            squares: self.squares,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Sales;
    use proptest::prelude::*;

    #[test]
    fn mean_and_deviation_are_those_of_the_orders() {
        let sales = [2, 4, 4, 4, 5, 5, 7, 9].map(Sales::of);
        let sales = sales.into_iter().reduce(Sales::and).unwrap();
        assert_eq!((sales.orders, sales.smallest, sales.largest), (8, 2, 9));
        assert!((sales.mean() - 5.0).abs() < 1e-9);
        assert!((sales.standard_deviation() - 2.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn the_order_of_what_is_added_does_not_matter(totals in prop::collection::vec(any::<i64>(), 2..20), turn in 0_usize..20) {
            let sum = |totals: &[i64]| totals.iter().copied().map(Sales::of).reduce(Sales::and);
            let mut turned = totals.clone();
            turned.rotate_left(turn % totals.len());
            prop_assert_eq!(sum(&totals), sum(&turned));
        }
    }
}
