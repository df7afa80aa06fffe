//! Comparing a read model with the fold of the log, row by row.

use super::{VerifyError, log};
use crate::{
    commit::Statements,
    fold::chain,
    limits,
    projector::{Generation, Projector},
};
use docket_domain::OrderId;
use docket_event_store::Position;
use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};
use std::collections::BTreeMap;
use uuid::Uuid;

const ORDERS: &str = r#"
select distinct order_id from events where partition = $1 and order_id > $2 order by order_id limit $3"#;

/// Compares the rows of one partition with the fold of its events up to `upto`; how many they are.
pub(super) async fn examine<P: Projector>(
    snapshot: &mut PgConnection,
    projector: &P,
    generation: Generation,
    upto: Position,
) -> Result<u64, VerifyError> {
    let statements = Statements::new(projector.sql(generation));
    refuse_surplus(snapshot, projector, generation, upto).await?;
    let mut rows = 0;
    let mut after = Uuid::nil();
    loop {
        let orders: Vec<Uuid> = sqlx::query_scalar(ORDERS)
            .bind(upto.partition as i16)
            .bind(after)
            .bind(limits::VERIFY_ORDERS)
            .fetch_all(&mut *snapshot)
            .await?;
        let Some(last) = orders.last() else {
            return Ok(rows);
        };
        after = *last;
        let expected = fold(snapshot, projector, &orders, upto).await?;
        rows += expected.len() as u64;
        let found = read(snapshot, projector, &statements, orders).await?;
        compare(projector, expected, found)?;
    }
}

/// A row whose order has no event in the log must not be there.
async fn refuse_surplus<P: Projector>(
    snapshot: &mut PgConnection,
    projector: &P,
    generation: Generation,
    upto: Position,
) -> Result<(), VerifyError> {
    for table in projector.tables() {
        let table = generation.table(table);
        let surplus = format!(
            r#"select order_id from {table} t
                where partition = $1 and not exists (
                    select from events e where e.partition = $1 and e.order_id = t.order_id and e."offset" <= $2)
                limit 1"#
        );
        let order: Option<Uuid> = sqlx::query_scalar(AssertSqlSafe(surplus))
            .bind(upto.partition as i16)
            .bind(upto.offset)
            .fetch_optional(&mut *snapshot)
            .await?;
        if let Some(order) = order {
            return Err(VerifyError::Row {
                projection: projector.name(),
                order: OrderId(order),
                column: "order_id",
                expected: "no row".into(),
                found: "a row".into(),
            });
        }
    }
    Ok(())
}

async fn fold<P: Projector>(
    snapshot: &mut PgConnection,
    projector: &P,
    orders: &[Uuid],
    upto: Position,
) -> Result<BTreeMap<OrderId, P::Entity>, VerifyError> {
    let mut entities = BTreeMap::new();
    let mut rows = sqlx::query(log::OF_ORDERS)
        .bind(upto.partition as i16)
        .bind(orders)
        .bind(upto.offset)
        .fetch(snapshot);
    while let Some(row) = rows.try_next().await? {
        let event = log::decode(&row)?;
        let order = event.stream.order;
        let entity = entities.remove(&order);
        let entity = projector
            .apply(entity, &event)
            .map_err(|error| VerifyError::Fold {
                projection: projector.name(),
                position: event.position,
                reason: chain(&error),
            })?;
        entities.insert(order, entity);
    }
    Ok(entities)
}

async fn read<P: Projector>(
    snapshot: &mut PgConnection,
    projector: &P,
    statements: &Statements,
    orders: Vec<Uuid>,
) -> Result<BTreeMap<OrderId, P::Entity>, VerifyError> {
    let rows = snapshot
        .fetch_all(sqlx::query(statements.load.clone()).bind(orders))
        .await?;
    let mut found = BTreeMap::new();
    for row in rows {
        let order = OrderId(row.try_get(0)?);
        let (_, entity) = projector.entity(&row).map_err(|error| VerifyError::Row {
            projection: projector.name(),
            order,
            column: "order_id",
            expected: "a row that can be read".into(),
            found: chain(&error),
        })?;
        found.insert(order, entity);
    }
    Ok(found)
}

fn compare<P: Projector>(
    projector: &P,
    expected: BTreeMap<OrderId, P::Entity>,
    mut found: BTreeMap<OrderId, P::Entity>,
) -> Result<(), VerifyError> {
    let projection = projector.name();
    for (order, expected) in expected {
        let difference = |column, expected, found| VerifyError::Row {
            projection,
            order,
            column,
            expected,
            found,
        };
        let Some(found) = found.remove(&order) else {
            return Err(difference("order_id", "a row".into(), "no row".into()));
        };
        let columns = projector
            .columns(&expected)
            .into_iter()
            .zip(projector.columns(&found));
        for ((column, expected), (_, found)) in columns {
            if expected != found {
                return Err(difference(column, expected, found));
            }
        }
    }
    // What is left has no event up to the checkpoint, and was found to be surplus already, unless it claims to be of
    // another partition.
    match found.into_keys().next() {
        None => Ok(()),
        Some(order) => Err(VerifyError::Row {
            projection,
            order,
            column: "order_id",
            expected: "no row".into(),
            found: "a row".into(),
        }),
    }
}
