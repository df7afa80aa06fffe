//! Comparing two generations' rows in one snapshot, key range by key range.
//!
//! The database compares whole rows as text and gives the keys of those that differ; only these are read and compared
//! column by column, which also tells what may differ for a while.

use super::{Progress, tables::workbench};
use crate::{
    generation::Generation,
    limits,
    projector::{PgQuery, Projector, RowsOf, Table, first_difference},
};
use futures::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What came of comparing two generations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Rows that were compared.
    pub rows: u64,
    /// Rows that differ.
    pub differ: u64,
    /// The first of them. Values are cut, and not shown where the fold reads personal ones.
    pub named: Vec<Difference>,
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The row's key.
    pub key: String,
    /// The first column that differs; `*` where there is no such row.
    pub column: String,
    /// What the older generation holds.
    pub old: String,
    /// What the newer one holds.
    pub new: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            key,
            column,
            old,
            new,
        } = self;
        write!(f, "row {key}, column {column}: {old} before, {new} now")
    }
}

/// Keys in (after, upto]; without an end up to the last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) after: Uuid,
    pub(super) upto: Option<Uuid>,
}

impl Range {
    /// Those of a table whose key they are not.
    pub(super) const ALL: Self = Self {
        after: Uuid::nil(),
        upto: None,
    };

    /// The condition on rows of a table, with `$1` and `$2` as [`Range::bind`] binds them.
    pub(super) fn condition(self, rows: RowsOf) -> &'static str {
        match (rows, self.upto) {
            (RowsOf::Partition, _) => "true",
            (RowsOf::Order, None) => "order_id > $1",
            (RowsOf::Order, Some(_)) => "order_id > $1 and order_id <= $2",
        }
    }

    /// Binds what the condition names.
    pub(super) fn bind(self, rows: RowsOf, query: PgQuery<'_>) -> PgQuery<'_> {
        match (rows, self.upto) {
            (RowsOf::Partition, _) => query,
            (RowsOf::Order, None) => query.bind(self.after),
            (RowsOf::Order, Some(upto)) => query.bind(self.after).bind(upto),
        }
    }
}

/// Compares all tables of two generations, as the exported snapshot has them. Before each range it makes way, for a moment: the
/// snapshot keeps what is dead from being cleaned up.
pub(crate) async fn compare<P: Projector>(
    pool: &PgPool,
    projector: &P,
    snapshot: &str,
    (old, new): (Generation, Generation),
    parallel: u16,
    progress: &Progress,
) -> Result<Comparison, sqlx::Error> {
    let mut sum = Comparison::default();
    for (number, table) in projector.tables().iter().enumerate() {
        let ranges = ranges(pool, snapshot, table.rows, &new.table(table.name)).await?;
        let mut parts: Vec<BoxFuture<'_, _>> = Vec::new();
        for range in ranges {
            parts.push(Box::pin(async move {
                progress.make_way(limits::REBUILD_YIELD).await;
                let mut connection = in_snapshot(pool, snapshot).await?;
                compare_range(&mut connection, projector, number, table, (old, new), range).await
            }));
        }
        let mut compared = stream::iter(parts).buffered(usize::from(parallel.max(1)));
        while let Some(part) = compared.try_next().await? {
            sum.rows += part.rows;
            sum.differ += part.differ;
            sum.named.extend(part.named);
            sum.named.truncate(limits::COMPARE_NAMED);
        }
    }
    Ok(sum)
}

pub(super) async fn in_snapshot(
    pool: &PgPool,
    snapshot: &str,
) -> Result<sqlx::pool::PoolConnection<sqlx::Postgres>, sqlx::Error> {
    let mut connection = workbench(pool).await?;
    // The name is the server's.
    let begin = format!(
        "begin isolation level repeatable read read only; set transaction snapshot '{}'",
        snapshot.replace('\'', "")
    );
    sqlx::raw_sql(AssertSqlSafe(begin))
        .execute(&mut *connection)
        .await?;
    Ok(connection)
}

/// Ranges of about as many orders each; one where rows are not of orders.
pub(super) async fn ranges(
    pool: &PgPool,
    snapshot: &str,
    rows: RowsOf,
    table: &str,
) -> Result<Vec<Range>, sqlx::Error> {
    if rows == RowsOf::Partition {
        return Ok(vec![Range::ALL]);
    }
    let mut connection = in_snapshot(pool, snapshot).await?;
    let next =
        format!("select order_id from {table} where order_id > $1 order by order_id offset $2 limit 1");
    let (mut ranges, mut after) = (Vec::new(), Uuid::nil());
    loop {
        let upto: Option<Uuid> = sqlx::query_scalar(AssertSqlSafe(next.clone()))
            .bind(after)
            .bind(limits::COMPARE_KEYS)
            .fetch_optional(&mut *connection)
            .await?;
        ranges.push(Range { after, upto });
        match upto {
            Some(upto) => after = upto,
            None => return Ok(ranges),
        }
    }
}

async fn compare_range<P: Projector>(
    connection: &mut PgConnection,
    projector: &P,
    number: usize,
    table: &Table,
    (old, new): (Generation, Generation),
    range: Range,
) -> Result<Comparison, sqlx::Error> {
    let of_range = range.condition(table.rows);
    let key: Vec<String> = sqlx::query_scalar(
        "select quote_ident(a.attname) from pg_index i
           join unnest(i.indkey) with ordinality k (number, place) on true
           join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number
          where i.indrelid = $1::regclass and i.indisprimary order by k.place",
    )
    .bind(new.table(table.name))
    .fetch_all(&mut *connection)
    .await?;
    let group = match table.rows {
        RowsOf::Order => "coalesce(o.order_id, n.order_id)::text",
        RowsOf::Partition => "coalesce(o.partition, n.partition)::text",
    };
    let on: Vec<String> = key.iter().map(|name| format!("o.{name} = n.{name}")).collect();
    let text = format!(
        "with o as not materialized (select * from {} where {of_range}),
              n as not materialized (select * from {} where {of_range})
         select count(*) as rows, count(*) filter (where o::text is distinct from n::text) as differ,
                array_agg(distinct {group}) filter (where o::text is distinct from n::text) as keys
           from o full join n on {}",
        old.table(table.name),
        new.table(table.name),
        on.join(" and "),
    );
    let query = range.bind(table.rows, sqlx::query(AssertSqlSafe(text)));
    let row = query.fetch_one(&mut *connection).await?;
    let (rows, differ): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let keys: Vec<String> = row.try_get::<Option<Vec<String>>, _>(2)?.unwrap_or_default();
    // All of them are looked at, until enough are named: what may differ for a while must not hide what may not.
    let mut found = Vec::new();
    for some in keys.chunks(limits::COMPARE_LOOKED) {
        found.extend(named(connection, projector, number, table, (old, new), some).await?);
        if found.len() >= limits::COMPARE_NAMED {
            break;
        }
    }
    let differ = if found.is_empty() { 0 } else { differ };
    Ok(Comparison {
        rows: rows.unsigned_abs(),
        differ: differ.unsigned_abs(),
        named: found,
    })
}

/// What differs in the rows of some orders, or of some partitions, column by column.
async fn named<P: Projector>(
    connection: &mut PgConnection,
    projector: &P,
    number: usize,
    table: &Table,
    (old, new): (Generation, Generation),
    keys: &[String],
) -> Result<Vec<Difference>, sqlx::Error> {
    let mut sides = Vec::new();
    for generation in [old, new] {
        let Some(sql) = projector.sql(generation).rows.get(number).cloned() else {
            return Ok(Vec::new());
        };
        let mut entities = BTreeMap::new();
        let mut read = |rows: Vec<sqlx::postgres::PgRow>| -> Result<(), sqlx::Error> {
            for row in &rows {
                let (key, entity) = projector.entity(row)?;
                entities.insert(key, entity);
            }
            Ok(())
        };
        match table.rows {
            RowsOf::Order => {
                let orders: Vec<Uuid> = keys.iter().filter_map(|key| key.parse().ok()).collect();
                read(sqlx::query(sql).bind(orders).fetch_all(&mut *connection).await?)?;
            }
            RowsOf::Partition => {
                for partition in keys.iter().filter_map(|key| key.parse::<i16>().ok()) {
                    let rows = sqlx::query(sql.clone()).bind(partition);
                    read(rows.fetch_all(&mut *connection).await?)?;
                }
            }
        }
        sides.push(entities);
    }
    let (Some(new), Some(mut old)) = (sides.pop(), sides.pop()) else {
        return Ok(Vec::new());
    };
    let mut named = Vec::new();
    for (key, now) in new {
        match old.remove(&key) {
            None => named.push(difference(&key, "no row", "a row")),
            Some(before) if projector.tolerates(&now, &before) => {}
            Some(before) => {
                let differs = first_difference(projector, &before, &now);
                named.extend(differs.map(|(column, old, new)| Difference {
                    key: key.to_string(),
                    column: column.to_owned(),
                    old,
                    new,
                }));
            }
        }
    }
    named.extend(old.keys().map(|key| difference(key, "a row", "no row")));
    Ok(named)
}

fn difference(key: &impl ToString, old: &str, new: &str) -> Difference {
    Difference {
        key: key.to_string(),
        column: "*".into(),
        old: old.into(),
        new: new.into(),
    }
}
