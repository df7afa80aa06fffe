//! Comparing a read model with the fold of the log, row by row.

use super::{VerifyError, log};
use crate::{
    fold::{self, chain},
    limits,
    projector::{ApplyError, Generation, PgQuery, Projector, RowsOf, fact},
};
use docket_event_store::{Opener, Position, RecordedEvent, Vault};
use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, PgConnection, Row, SqlStr, postgres::PgRow};
use std::collections::BTreeMap;
use uuid::Uuid;

const ORDERS: &str = r#"
select distinct order_id from events where partition = $1 and order_id > $2 order by order_id limit $3"#;

/// One table of a read model, as far as it should have come.
struct Examined<'a, P: Projector> {
    projector: &'a P,
    vault: &'a Vault,
    /// Its place among the projector's tables.
    table: usize,
    /// Reads its rows.
    rows: SqlStr,
    upto: Position,
}

type Folded<P> = BTreeMap<<P as Projector>::Key, <P as Projector>::Entity>;

/// Compares the rows of one partition with the fold of its events up to `upto`; how many they are.
pub(super) async fn examine<P: Projector>(
    snapshot: &mut PgConnection,
    vault: &Vault,
    projector: &P,
    generation: Generation,
    upto: Position,
) -> Result<u64, VerifyError> {
    let mut rows = 0;
    let statements = projector.sql(generation).rows;
    for (number, (table, sql)) in projector.tables().iter().zip(statements).enumerate() {
        let examined = Examined {
            projector,
            vault,
            table: number,
            rows: sql,
            upto,
        };
        rows += match table.rows {
            RowsOf::Order => {
                refuse_surplus(snapshot, projector.name(), &generation.table(table.name), upto).await?;
                examined.by_order(snapshot).await?
            }
            RowsOf::Partition => examined.by_key(snapshot).await?,
        };
    }
    Ok(rows)
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
    /// Some orders at a time, each with all its rows.
    async fn by_order(&self, snapshot: &mut PgConnection) -> Result<u64, VerifyError> {
        let mut count = 0;
        let mut after = Uuid::nil();
        loop {
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
            let mut expected = self.fold_orders(snapshot, &orders).await?;
            count += expected.len() as u64;
            let mut found = sqlx::query(self.rows.clone()).bind(orders).fetch(&mut *snapshot);
            while let Some(row) = found.try_next().await? {
                let (key, entity) = self.read(&row)?;
                self.compare(&mut expected, key, &entity)?;
            }
            self.refuse_missing(expected)?;
        }
    }

    async fn fold_orders(
        &self,
        snapshot: &mut PgConnection,
        orders: &[Uuid],
    ) -> Result<Folded<P>, VerifyError> {
        let opener = if P::READS_PERSONAL {
            self.opener(snapshot, orders).await?
        } else {
            Opener::default()
        };
        let mut entities = BTreeMap::new();
        let mut rows = self.events_of(orders).fetch(snapshot);
        while let Some(row) = rows.try_next().await? {
            self.apply(&mut entities, &log::decode(&row)?, &opener, |_| true)?;
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

    /// The lowest keys that memory holds at a time, each time from the whole partition: keys that orders share are few.
    async fn by_key(&self, snapshot: &mut PgConnection) -> Result<u64, VerifyError> {
        let mut count = 0;
        let mut after: Option<P::Key> = None;
        loop {
            let (mut expected, limit) = self.fold_keys(snapshot, after.as_ref()).await?;
            count += expected.len() as u64;
            let last = expected.last_key_value().map(|(key, _)| key.clone());
            let mut found = sqlx::query(self.rows.clone())
                .bind(self.upto.partition as i16)
                .fetch(&mut *snapshot);
            while let Some(row) = found.try_next().await? {
                let (key, entity) = self.read(&row)?;
                let later = limit.as_ref().is_some_and(|limit| key >= *limit);
                if later || after.as_ref().is_some_and(|after| key <= *after) {
                    continue;
                }
                self.compare(&mut expected, key, &entity)?;
            }
            self.refuse_missing(expected)?;
            if limit.is_none() {
                return Ok(count);
            }
            after = last;
        }
    }

    /// The entities of the lowest keys above `after`, and the first key that is left for another time.
    async fn fold_keys(
        &self,
        snapshot: &mut PgConnection,
        after: Option<&P::Key>,
    ) -> Result<(Folded<P>, Option<P::Key>), VerifyError> {
        let mut entities = BTreeMap::new();
        let mut limit: Option<P::Key> = None;
        let mut rows = sqlx::query(log::PAGE)
            .bind(self.upto.partition as i16)
            .bind(0_i64)
            .bind(self.upto.offset)
            .fetch(snapshot);
        while let Some(row) = rows.try_next().await? {
            let wanted = |key: &P::Key, limit: Option<&P::Key>| {
                after.is_none_or(|after| key > after) && limit.is_none_or(|limit| key < limit)
            };
            // Rows that orders share hold nothing personal.
            self.apply(&mut entities, &log::decode(&row)?, &Opener::default(), |key| {
                wanted(key, limit.as_ref())
            })?;
            while entities.len() > limits::VERIFY_KEYS {
                limit = entities.pop_last().map(|(key, _)| key);
            }
        }
        Ok((entities, limit))
    }

    /// Folds an event into the wanted ones of the keys that it touches in this table.
    fn apply(
        &self,
        entities: &mut Folded<P>,
        event: &RecordedEvent,
        opener: &Opener,
        wanted: impl Fn(&P::Key) -> bool,
    ) -> Result<(), VerifyError> {
        let failed = |error: ApplyError| VerifyError::Fold {
            projection: self.projector.name(),
            position: event.position,
            reason: chain(&error),
        };
        let fact = fact(event).map_err(failed)?;
        let opened = self.projector.open(fact, &|sealed| opener.open(sealed));
        let fact = opened.as_ref().unwrap_or(fact);
        for touch in self.projector.touches(event, fact) {
            let key = touch.key;
            if self.projector.table_of(&key) != self.table || !wanted(&key) {
                continue;
            }
            let entity = entities.remove(&key);
            let entity = self.projector.apply(&key, entity, event, fact).map_err(failed)?;
            entities.insert(key, entity);
        }
        Ok(())
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
        let columns = self
            .projector
            .columns(&expected)
            .into_iter()
            .zip(self.projector.columns(found));
        for ((column, expected), (_, found)) in columns {
            if expected != found {
                return Err(VerifyError::Row {
                    projection,
                    key: key.to_string(),
                    column,
                    expected,
                    found,
                });
            }
        }
        Ok(())
    }

    fn refuse_missing(&self, expected: Folded<P>) -> Result<(), VerifyError> {
        match expected.into_keys().next() {
            None => Ok(()),
            Some(key) => Err(difference(self.projector.name(), key, "a row", "no row")),
        }
    }
}
