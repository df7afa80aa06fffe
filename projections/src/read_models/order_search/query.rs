//! The table: writing rows, and the condition by which lists of orders use it.

use super::{NAME, Terms, apply::Entity};
use crate::{
    generation::{Generation, NotServed, Serving},
    projector::{FIRST_ARGUMENT, PgQuery, ProjectorSql},
};
use docket_domain::OrderId;
use sqlx::{AssertSqlSafe, Postgres, QueryBuilder, Row, SqlSafeStr, postgres::PgRow};
use std::sync::Arc;
use uuid::Uuid;

/// The statements of a generation. The words of a row come as the text of an array: `unnest` would flatten arrays of
/// arrays.
pub(super) fn sql(generation: Generation) -> ProjectorSql {
    let table = generation.table(NAME);
    let kinds = ["uuid", "smallint", "uuid", "text"];
    let arguments: Vec<String> = (FIRST_ARGUMENT..)
        .zip(kinds)
        .map(|(number, kind)| format!("${number}::{kind}[]"))
        .collect();
    let arguments = arguments.join(", ");
    let insert = format!(
        "insert into {table} (order_id, partition, email, words) \
         select r.order_id, r.partition, r.email, r.words::uuid[] \
           from moved, unnest({arguments}) r (order_id, partition, email, words) order by r.order_id \
         on conflict (order_id) do update \
            set partition = excluded.partition, email = excluded.email, words = excluded.words"
    );
    let load = format!("select order_id, partition, email, words from {table} where order_id = any ($1)");
    let load = AssertSqlSafe(load).into_sql_str();
    ProjectorSql {
        rows: vec![load.clone()],
        load,
        inserts: vec![insert],
    }
}

pub(super) fn bind<'q>(query: PgQuery<'q>, entities: &[(OrderId, Arc<Entity>)]) -> PgQuery<'q> {
    fn all<T>(entities: &[(OrderId, Arc<Entity>)], value: impl Fn(&OrderId, &Entity) -> T) -> Vec<T> {
        entities
            .iter()
            .map(|(order, entity)| value(order, entity))
            .collect()
    }
    let words = |entity: &Entity| {
        let words: Vec<String> = entity.words.iter().map(Uuid::to_string).collect();
        format!("{{{}}}", words.join(","))
    };
    query
        .bind(all(entities, |order, _| order.0))
        .bind(all(entities, |_, entity| entity.partition as i16))
        .bind(all(entities, |_, entity| entity.email))
        .bind(all(entities, |_, entity| words(entity)))
}

pub(super) fn read(row: &PgRow) -> Result<(OrderId, Entity), sqlx::Error> {
    let partition = row.try_get::<i16, _>("partition")? as u16;
    let entity = Entity::stored(partition, row.try_get("email")?, row.try_get("words")?);
    Ok((OrderId(row.try_get("order_id")?), entity))
}

/// Adds the condition that an order is found by all terms: a semi-join, so that it goes with every other filter, sort and
/// page.
pub(in crate::read_models) fn push_terms(
    query: &mut QueryBuilder<Postgres>,
    serving: &Serving,
    terms: &Terms,
) -> Result<(), NotServed> {
    if let Some(number) = terms.number {
        query.push(" and coalesce(number, 0) = ").push_bind(number);
    }
    if !terms.is_personal() {
        return Ok(());
    }
    let table = serving.of(NAME)?.table(NAME);
    query.push(format!(
        " and order_id in (select s.order_id from {table} s where true"
    ));
    for email in &terms.emails {
        query.push(" and s.email = ").push_bind(*email);
    }
    if !terms.words.is_empty() {
        query.push(" and s.words @> ").push_bind(terms.words.clone());
    }
    query.push(")");
    Ok(())
}
