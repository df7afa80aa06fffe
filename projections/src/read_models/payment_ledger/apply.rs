//! What each event does to its payment's row, and what that moves on its day.

use super::{
    days::{self, Day, Movement},
    payments::{self, LedgerPayment},
};
use crate::{
    json_table,
    projector::{
        ApplyError, Generation, Key, PgQuery, Projector, ProjectorSql, RowsOf, Table, Touch, bind_parts,
    },
    read_models::stored::{from_json, to_json},
};
use chrono::NaiveDate;
use docket_domain::{Currency, Event, PaymentId, payment::PaymentEvent};
use docket_event_store::RecordedEvent;
use sqlx::{AssertSqlSafe, Row, SqlSafeStr, SqlStr, postgres::PgRow};
use std::{collections::BTreeMap, fmt, sync::Arc};

const NOT_INITIATED: &str = "its payment was never started";

/// What a row, or the rows of a day, are found by. A day's currencies go together: not every event says its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LedgerKey {
    /// A payment.
    Payment(PaymentId),
    /// A day in a partition.
    Day(u16, NaiveDate),
}

impl fmt::Display for LedgerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LedgerKey::Payment(payment) => payment.fmt(f),
            LedgerKey::Day(partition, day) => write!(f, "{day} in partition {partition}"),
        }
    }
}

impl Key for LedgerKey {
    fn bind(query: PgQuery<'_>, keys: Vec<Self>) -> PgQuery<'_> {
        let payments = keys.iter().filter_map(|key| match key {
            LedgerKey::Payment(payment) => Some((payment.order, payment.number)),
            LedgerKey::Day(..) => None,
        });
        let (partitions, days): (Vec<i16>, Vec<NaiveDate>) = keys
            .iter()
            .filter_map(|key| match key {
                LedgerKey::Payment(_) => None,
                LedgerKey::Day(partition, day) => Some((*partition as i16, *day)),
            })
            .unzip();
        bind_parts(query, payments).bind(partitions).bind(days)
    }
}

/// A payment, or a day's movements by currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerEntity {
    /// A payment.
    Payment(Box<LedgerPayment>),
    /// A day.
    Day(BTreeMap<Currency, Day>),
}

/// The fold of `payment_ledger`.
#[derive(Debug, Clone, Copy, Default)]
pub struct PaymentLedgerProjector;

impl Projector for PaymentLedgerProjector {
    type Key = LedgerKey;
    type Entity = LedgerEntity;
    /// What the payment's amounts moved.
    type Carried = Option<(Currency, Movement)>;

    const CACHE_SHARE: u32 = 2;

    fn name(&self) -> &'static str {
        super::NAME
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [Table] {
        &[
            Table {
                name: payments::TABLE.name,
                rows: RowsOf::Order,
            },
            Table {
                name: days::TABLE.name,
                rows: RowsOf::Partition,
            },
        ]
    }

    fn table_of(&self, key: &LedgerKey) -> usize {
        match key {
            LedgerKey::Payment(_) => 0,
            LedgerKey::Day(..) => 1,
        }
    }

    fn sql(&self, generation: Generation) -> ProjectorSql {
        let payments = format!(
            "select false, row_to_json(t)::text from {} t",
            generation.table(payments::TABLE.name)
        );
        let days = format!(
            "select true, json_agg(t order by currency)::text from {} t",
            generation.table(days::TABLE.name)
        );
        let load = format!(
            "{payments} join unnest($1::uuid[], $2::smallint[]) k (order_id, number) using (order_id, number) union all
             {days} join unnest($3::smallint[], $4::date[]) k (partition, day) using (partition, day)
             group by partition, day"
        );
        let safe = |sql: String| -> SqlStr { AssertSqlSafe(sql).into_sql_str() };
        ProjectorSql {
            load: safe(load),
            inserts: vec![
                payments::TABLE.insert(generation, 0),
                days::TABLE.insert(generation, 1),
            ],
            rows: vec![
                safe(format!("{payments} where order_id = any ($1)")),
                safe(format!("{days} where partition = $1 group by day")),
            ],
        }
    }

    fn touches(&self, event: &RecordedEvent, fact: &Event) -> impl IntoIterator<Item = Touch<LedgerKey>> {
        let Event::Payment(fact) = fact else {
            return [None, None].into_iter().flatten();
        };
        let payment = LedgerKey::Payment(PaymentId::new(event.stream.order, event.stream.number));
        let day = LedgerKey::Day(event.position.partition, event.command.occurred_at.date_naive());
        [
            Some(Touch::of_stream(payment, event)),
            days::moves(fact).then_some(Touch::changes(day)),
        ]
        .into_iter()
        .flatten()
    }

    fn apply(
        &self,
        key: &LedgerKey,
        entity: Option<LedgerEntity>,
        event: &RecordedEvent,
        fact: &Event,
        carried: &mut Self::Carried,
    ) -> Result<LedgerEntity, ApplyError> {
        let Event::Payment(fact) = fact else {
            return Err(ApplyError::Impossible("it is about no payment"));
        };
        match (key, entity) {
            (LedgerKey::Payment(_), Some(LedgerEntity::Payment(before))) => {
                let mut after = before.clone();
                after.change(event, fact);
                *carried = Some((after.currency, Movement::between(Some(&before), &after, fact)));
                Ok(LedgerEntity::Payment(after))
            }
            (LedgerKey::Payment(_), _) => {
                let PaymentEvent::Initiated(initiated) = fact else {
                    return Err(ApplyError::Impossible(NOT_INITIATED));
                };
                let mut after = Box::new(LedgerPayment::begin(event, initiated));
                after.change(event, fact);
                *carried = Some((after.currency, Movement::between(None, &after, fact)));
                Ok(LedgerEntity::Payment(after))
            }
            (LedgerKey::Day(partition, day), entity) => {
                let (currency, movement) = carried.ok_or(ApplyError::Impossible(NOT_INITIATED))?;
                let mut currencies = match entity {
                    Some(LedgerEntity::Day(currencies)) => currencies,
                    _ => BTreeMap::new(),
                };
                let known = currencies.entry(currency).or_insert_with(|| Day {
                    partition: *partition,
                    day: *day,
                    currency,
                    movement: Movement::default(),
                });
                known.movement = known.movement.and(movement);
                Ok(LedgerEntity::Day(currencies))
            }
        }
    }

    fn entity(&self, row: &PgRow) -> Result<(LedgerKey, LedgerEntity), sqlx::Error> {
        let is_day: bool = row.try_get(0)?;
        if !is_day {
            let payment: LedgerPayment = from_json(row.try_get(1)?)?;
            let key = LedgerKey::Payment(payment.id());
            return Ok((key, LedgerEntity::Payment(Box::new(payment))));
        }
        let days: Vec<Day> = from_json(row.try_get(1)?)?;
        let first = days.first().ok_or(sqlx::Error::RowNotFound)?;
        let key = LedgerKey::Day(first.partition, first.day);
        let currencies = days.into_iter().map(|day| (day.currency, day)).collect();
        Ok((key, LedgerEntity::Day(currencies)))
    }

    fn bind<'q>(
        &self,
        query: PgQuery<'q>,
        entities: &[(LedgerKey, Arc<LedgerEntity>)],
    ) -> Result<PgQuery<'q>, sqlx::Error> {
        let (mut payments, mut days) = (Vec::new(), Vec::new());
        for (_, entity) in entities {
            match entity.as_ref() {
                LedgerEntity::Payment(payment) => payments.push(payment.as_ref()),
                LedgerEntity::Day(currencies) => days.extend(currencies.values()),
            }
        }
        json_table::bind(json_table::bind(query, &payments)?, &days)
    }

    fn approximate_bytes(&self, entity: &LedgerEntity) -> usize {
        match entity {
            LedgerEntity::Payment(payment) => {
                size_of::<LedgerPayment>() + 64 + payment.facts.approximate_bytes()
            }
            LedgerEntity::Day(currencies) => 64 + currencies.len() * (size_of::<Day>() + 32),
        }
    }

    fn columns(&self, entity: &LedgerEntity) -> Vec<(&'static str, String)> {
        match entity {
            LedgerEntity::Payment(payment) => payments::TABLE.columns_of(payment),
            LedgerEntity::Day(currencies) => {
                let days: Vec<&Day> = currencies.values().collect();
                let text = to_json(&days).unwrap_or_else(|error| error.to_string());
                vec![("movements", text)]
            }
        }
    }
}
