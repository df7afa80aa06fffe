//! Comparing a read model with the fold of the log, row by row.
//!
//! The log is read order by order. So what follows from one order is whole after its events and compared at once; what many
//! orders share adds up meanwhile. That the orders come in another sequence than the one they were written in is part of
//! the proof: such rows may not depend on it.

use super::{VerifyError, log};
use crate::{
    fold::{self, chain},
    limits,
    projector::{ApplyError, Generation, PgQuery, Projector, ProjectorSql, RowsOf, fact, first_difference},
    rebuild::{Held, Progress},
};
use docket_event_store::{Opener, Position, RecordedEvent, Vault};
use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};
use std::collections::{BTreeMap, HashSet};
use uuid::Uuid;

const ORDERS: &str = r#"
select distinct order_id from events where partition = $1 and order_id > $2 order by order_id limit $3"#;

const LEFT_OUT: &str = r#"
select "offset" from dead_letters where projection = $1 and generation = $2 and partition = $3
union
select "offset" from discarded_events where projection = $1 and partition = $3 and version = $4"#;

type Folded<P> = BTreeMap<<P as Projector>::Key, <P as Projector>::Entity>;

/// A read model's rows of one partition, as far as they should have come.
struct Examined<'a, P: Projector> {
    projector: &'a P,
    vault: &'a Vault,
    sql: ProjectorSql,
    upto: Position,
    /// The rebuild that it is a step of.
    step: Option<&'a Progress>,
    /// Offsets of events that the rows do not hold: they wait as dead letters, or were discarded.
    left_out: HashSet<i64>,
}

/// Rows that many orders share, of the lowest keys that memory holds at a time.
struct Shared<P: Projector> {
    /// Keys up to here were examined before.
    after: Option<P::Key>,
    /// Keys from here on are left for another time.
    limit: Option<P::Key>,
    entities: Folded<P>,
}

impl<P: Projector> Shared<P> {
    fn wants(&self, key: &P::Key) -> bool {
        self.after.as_ref().is_none_or(|after| key > after)
            && self.limit.as_ref().is_none_or(|limit| key < limit)
    }

    fn put(&mut self, key: P::Key, entity: P::Entity) {
        self.entities.insert(key, entity);
        if self.entities.len() > limits::VERIFY_KEYS {
            self.limit = self.entities.pop_last().map(|(key, _)| key);
        }
    }
}

/// Compares the rows of one partition with the fold of its events up to `upto`; how many they are.
pub(super) async fn examine<P: Projector>(
    snapshot: &mut PgConnection,
    vault: &Vault,
    projector: &P,
    generation: Generation,
    upto: Position,
    step: Option<&Progress>,
) -> Result<u64, VerifyError> {
    for table in projector
        .tables()
        .iter()
        .filter(|table| table.rows == RowsOf::Order)
    {
        refuse_surplus(snapshot, projector.name(), &generation.table(table.name), upto).await?;
    }
    let examined = Examined {
        projector,
        vault,
        sql: projector.sql(generation),
        upto,
        step,
        left_out: left_out(
            snapshot,
            (projector.name(), projector.version()),
            generation,
            upto.partition,
        )
        .await?,
    };
    let mut shared = Shared::<P> {
        after: None,
        limit: None,
        entities: BTreeMap::new(),
    };
    let mut rows = examined.orders(snapshot, &mut shared, true).await?;
    loop {
        rows += shared.entities.len() as u64;
        let last = shared.entities.last_key_value().map(|(key, _)| key.clone());
        let more = shared.limit.is_some();
        examined.compare_shared(snapshot, &mut shared).await?;
        if !more {
            return Ok(rows);
        }
        (shared.after, shared.limit) = (last, None);
        examined.orders(snapshot, &mut shared, false).await?;
    }
}

async fn left_out(
    snapshot: &mut PgConnection,
    (projection, version): (&str, i32),
    generation: Generation,
    partition: u16,
) -> Result<HashSet<i64>, sqlx::Error> {
    let offsets: Vec<i64> = sqlx::query_scalar(LEFT_OUT)
        .bind(projection)
        .bind(generation.0)
        .bind(partition as i16)
        .bind(version)
        .fetch_all(snapshot)
        .await?;
    Ok(offsets.into_iter().collect())
}

/// A row whose order has no event in the log must not be there.
async fn refuse_surplus(
    snapshot: &mut PgConnection,
    projection: &'static str,
    table: &str,
    upto: Position,
) -> Result<(), VerifyError> {
    let surplus = format!(
        r#"select order_id from {table} t
            where partition = $1 and not exists (
                select from events e where e.partition = $1 and e.order_id = t.order_id and e."offset" <= $2)
            limit 1"#
    );
    let order: Option<Uuid> = sqlx::query_scalar(AssertSqlSafe(surplus))
        .bind(upto.partition as i16)
        .bind(upto.offset)
        .fetch_optional(snapshot)
        .await?;
    match order {
        None => Ok(()),
        Some(order) => Err(difference(projection, order, "no row", "a row")),
    }
}

fn difference(projection: &'static str, key: impl ToString, expected: &str, found: &str) -> VerifyError {
    VerifyError::Row {
        projection,
        key: key.to_string(),
        column: "*",
        expected: expected.into(),
        found: found.into(),
    }
}

impl<P: Projector> Examined<'_, P> {
    /// Folds the whole partition, some orders at a time, and compares the rows of each; how many they are.
    async fn orders(
        &self,
        snapshot: &mut PgConnection,
        shared: &mut Shared<P>,
        compare: bool,
    ) -> Result<u64, VerifyError> {
        let mut count = 0;
        let mut after = Uuid::nil();
        loop {
            if let Some(step) = self.step {
                step.make_way(limits::REBUILD_YIELD).await;
                if step.held() == Held::Paused || step.stopped().is_cancelled() {
                    return Err(VerifyError::Held);
                }
            }
            let orders: Vec<Uuid> = sqlx::query_scalar(ORDERS)
                .bind(self.upto.partition as i16)
                .bind(after)
                .bind(limits::VERIFY_ORDERS)
                .fetch_all(&mut *snapshot)
                .await?;
            let Some(last) = orders.last() else {
                return Ok(count);
            };
            after = *last;
            let expected = self.fold(snapshot, &orders, shared).await?;
            if compare {
                count += expected.len() as u64;
                self.compare_orders(snapshot, orders, expected).await?;
            }
        }
    }

    async fn fold(
        &self,
        snapshot: &mut PgConnection,
        orders: &[Uuid],
        shared: &mut Shared<P>,
    ) -> Result<Folded<P>, VerifyError> {
        let opener = if P::READS_PERSONAL {
            self.opener(snapshot, orders).await?
        } else {
            Opener::default()
        };
        let mut entities = BTreeMap::new();
        let mut rows = self.events_of(orders).fetch(snapshot);
        while let Some(row) = rows.try_next().await? {
            let event = log::decode(&row)?;
            if self.left_out.contains(&event.position.offset) {
                continue;
            }
            self.apply(&event, &opener, &mut entities, shared)
                .map_err(|error| VerifyError::Fold {
                    projection: self.projector.name(),
                    position: event.position,
                    reason: chain(&error),
                })?;
        }
        Ok(entities)
    }

    fn events_of<'q>(&self, orders: &'q [Uuid]) -> PgQuery<'q> {
        sqlx::query(log::OF_ORDERS)
            .bind(self.upto.partition as i16)
            .bind(orders)
            .bind(self.upto.offset)
    }

    /// What opens the personal values that the fold reads of some orders. Their events are read for it and dropped again,
    /// because nothing can be asked of a connection in the middle of an answer.
    async fn opener(&self, snapshot: &mut PgConnection, orders: &[Uuid]) -> Result<Opener, VerifyError> {
        let mut sealed = Vec::new();
        {
            let mut rows = self.events_of(orders).fetch(&mut *snapshot);
            while let Some(row) = rows.try_next().await? {
                if let Ok(fact) = &log::decode(&row)?.event {
                    sealed.extend(fold::sealed(self.projector, fact));
                }
            }
        }
        Ok(self.vault.opener_over(snapshot, &sealed).await?)
    }

    fn apply(
        &self,
        event: &RecordedEvent,
        opener: &Opener,
        entities: &mut Folded<P>,
        shared: &mut Shared<P>,
    ) -> Result<(), ApplyError> {
        let (fact, mut carried) = (fact(event)?, P::Carried::default());
        let opened = self.projector.open(fact, &|sealed| opener.open(sealed));
        let fact = opened.as_ref().unwrap_or(fact);
        for touch in self.projector.touches(event, fact) {
            let key = touch.key;
            let of_order = self.rows_of(&key) == RowsOf::Order;
            let entity = match of_order {
                true => entities.remove(&key),
                false if shared.wants(&key) => shared.entities.remove(&key),
                false => continue,
            };
            let mut entity = self.projector.apply(&key, entity, event, fact, &mut carried)?;
            self.projector.settle(&mut entity)?;
            if of_order {
                entities.insert(key, entity);
            } else {
                shared.put(key, entity);
            }
        }
        Ok(())
    }

    fn rows_of(&self, key: &P::Key) -> RowsOf {
        let tables = self.projector.tables();
        // A key of no table would be a projector's fault; its rows are found nowhere then.
        tables
            .get(self.projector.table_of(key))
            .map_or(RowsOf::Order, |table| table.rows)
    }

    async fn compare_orders(
        &self,
        snapshot: &mut PgConnection,
        orders: Vec<Uuid>,
        mut expected: Folded<P>,
    ) -> Result<(), VerifyError> {
        for (table, sql) in self.projector.tables().iter().zip(&self.sql.rows) {
            if table.rows != RowsOf::Order {
                continue;
            }
            let mut found = sqlx::query(sql.clone()).bind(&orders).fetch(&mut *snapshot);
            while let Some(row) = found.try_next().await? {
                let (key, entity) = self.read(&row)?;
                self.compare(&mut expected, key, &entity)?;
            }
        }
        self.refuse_missing(expected)
    }

    async fn compare_shared(
        &self,
        snapshot: &mut PgConnection,
        shared: &mut Shared<P>,
    ) -> Result<(), VerifyError> {
        let mut expected = std::mem::take(&mut shared.entities);
        for (table, sql) in self.projector.tables().iter().zip(&self.sql.rows) {
            if table.rows != RowsOf::Partition {
                continue;
            }
            let mut found = sqlx::query(sql.clone())
                .bind(self.upto.partition as i16)
                .fetch(&mut *snapshot);
            while let Some(row) = found.try_next().await? {
                let (key, entity) = self.read(&row)?;
                if shared.wants(&key) {
                    self.compare(&mut expected, key, &entity)?;
                }
            }
        }
        self.refuse_missing(expected)
    }

    fn read(&self, row: &PgRow) -> Result<(P::Key, P::Entity), VerifyError> {
        self.projector.entity(row).map_err(|error| VerifyError::Row {
            projection: self.projector.name(),
            // As much of it as can be read: most keys begin with an order.
            key: row
                .try_get::<Uuid, _>(0)
                .map_or_else(|_| "?".into(), |order| order.to_string()),
            column: "*",
            expected: "a row that can be read".into(),
            found: chain(&error),
        })
    }

    /// Takes the row's key out of what is expected.
    fn compare(&self, expected: &mut Folded<P>, key: P::Key, found: &P::Entity) -> Result<(), VerifyError> {
        let projection = self.projector.name();
        let Some(expected) = expected.remove(&key) else {
            return Err(difference(projection, key, "no row", "a row"));
        };
        if self.projector.tolerates(&expected, found) {
            return Ok(());
        }
        match first_difference(self.projector, &expected, found) {
            None => Ok(()),
            Some((column, expected, found)) => Err(VerifyError::Row {
                projection,
                key: key.to_string(),
                column,
                expected,
                found,
            }),
        }
    }

    fn refuse_missing(&self, expected: Folded<P>) -> Result<(), VerifyError> {
        match expected.into_keys().next() {
            None => Ok(()),
            Some(key) => Err(difference(self.projector.name(), key, "a row", "no row")),
        }
    }
}
