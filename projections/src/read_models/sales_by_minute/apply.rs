//! What each event does to a row.

use super::row::{Minute, MinuteKey, Sales, TABLE, minute_of};
use crate::{
    json_table,
    projector::{ApplyError, Generation, PgQuery, Projector, ProjectorSql, RowsOf, Table, Touch},
};
use docket_domain::{Event, order::OrderEvent};
use docket_event_store::RecordedEvent;
use sqlx::postgres::PgRow;
use std::sync::Arc;

/// The fold of `sales_by_minute`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SalesByMinuteProjector;

impl Projector for SalesByMinuteProjector {
    type Key = MinuteKey;
    type Entity = Minute;
    type Carried = ();

    const CACHE_SHARE: u32 = 1;

    fn name(&self) -> &'static str {
        super::NAME
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [Table] {
        &[Table {
            name: TABLE.name,
            rows: RowsOf::Partition,
        }]
    }

    fn sql(&self, generation: Generation) -> ProjectorSql {
        ProjectorSql {
            load: TABLE.load(generation),
            inserts: vec![TABLE.insert(generation, 0)],
            rows: vec![TABLE.rows(generation, RowsOf::Partition)],
        }
    }

    fn touches(&self, event: &RecordedEvent, fact: &Event) -> impl IntoIterator<Item = Touch<MinuteKey>> {
        let Event::Order(OrderEvent::Placed(placed)) = fact else {
            return None;
        };
        Some(Touch::changes(MinuteKey {
            partition: event.position.partition,
            minute: minute_of(event.command.occurred_at),
            currency: placed.currency,
            channel: placed.channel.clone(),
        }))
    }

    fn apply(
        &self,
        key: &MinuteKey,
        row: Option<Minute>,
        _: &RecordedEvent,
        fact: &Event,
        (): &mut (),
    ) -> Result<Minute, ApplyError> {
        let Event::Order(OrderEvent::Placed(placed)) = fact else {
            return Err(ApplyError::Impossible("it is not order.placed"));
        };
        let order = Sales::of(placed.totals.grand);
        let sales = row.map_or(order, |row| row.sales().and(order));
        Ok(Minute::new(key, sales))
    }

    fn entity(&self, row: &PgRow) -> Result<(MinuteKey, Minute), sqlx::Error> {
        let row: Minute = json_table::read(row)?;
        Ok((row.key(), row))
    }

    fn bind<'q>(
        &self,
        query: PgQuery<'q>,
        entities: &[(MinuteKey, Arc<Minute>)],
    ) -> Result<PgQuery<'q>, sqlx::Error> {
        let rows: Vec<&Minute> = entities.iter().map(|(_, row)| row.as_ref()).collect();
        json_table::bind(query, &rows)
    }

    fn approximate_bytes(&self, row: &Minute) -> usize {
        size_of::<(MinuteKey, Minute)>() + 2 * row.channel.as_str().len()
    }

    fn columns(&self, row: &Minute) -> Vec<(&'static str, String)> {
        TABLE.columns_of(row)
    }
}
