//! Finding documents by their orders' ids.

use super::{NAME, OrderDetail};
use crate::{
    generation::{Generation, Serving, Texts},
    limits,
    projector::Column,
    read_models::stored::packed_column,
};
use docket_domain::{OrderId, Version};
use docket_event_store::Position;
use sqlx::{AssertSqlSafe, PgExecutor, Row, SqlSafeStr, SqlStr, postgres::PgRow};
use uuid::Uuid;

static FIND: Texts<Generation, SqlStr> = Texts::new(find_in);

/// The table's columns in the order of their arguments.
pub(super) const COLUMNS: &[Column] = &[
    ("order_id", "uuid"),
    ("offset", "bigint"),
    ("version", "integer"),
    ("partition", "smallint"),
    ("document", "bytea"),
];

fn find_in(generation: Generation) -> SqlStr {
    let table = generation.table(NAME);
    let columns = "order_id, \"offset\", version, partition, document";
    AssertSqlSafe(format!("select {columns} from {table} where order_id = any ($1)")).into_sql_str()
}

/// A document as it was stored.
pub struct DetailRow {
    /// Which order.
    pub id: OrderId,
    row: PgRow,
}

impl DetailRow {
    /// What it says.
    ///
    /// # Errors
    /// When it is no document.
    pub fn detail(&self) -> Result<OrderDetail, sqlx::Error> {
        read(&self.row)
    }
}

/// The documents of some orders (at most [`limits::FIND_ORDERS`] are read), in no particular order; what does not exist is
/// absent.
///
/// # Errors
/// When the database does not answer.
pub async fn find<'e>(
    database: impl PgExecutor<'e>,
    serving: &Serving,
    orders: &[OrderId],
) -> Result<Vec<OrderDetail>, sqlx::Error> {
    let rows = rows(database, serving, orders).await?;
    rows.iter().map(DetailRow::detail).collect()
}

/// The same, for who reads for several: each opens what they asked for.
///
/// # Errors
/// When the database does not answer.
pub async fn rows<'e>(
    database: impl PgExecutor<'e>,
    serving: &Serving,
    orders: &[OrderId],
) -> Result<Vec<DetailRow>, sqlx::Error> {
    let ids: Vec<Uuid> = orders
        .iter()
        .take(limits::FIND_ORDERS)
        .map(|order| order.0)
        .collect();
    let rows = sqlx::query(SqlStr::clone(&FIND.of(serving.of(NAME)?)))
        .bind(ids)
        .fetch_all(database)
        .await?;
    let row = |row: PgRow| {
        Ok(DetailRow {
            id: OrderId(row.try_get("order_id")?),
            row,
        })
    };
    rows.into_iter().map(row).collect()
}

/// Reads a row.
pub(crate) fn read(row: &PgRow) -> Result<OrderDetail, sqlx::Error> {
    let partition = row.try_get::<i16, _>("partition")? as u16;
    Ok(OrderDetail {
        id: OrderId(row.try_get("order_id")?),
        position: Position {
            partition,
            offset: row.try_get("offset")?,
        },
        version: Version(row.try_get("version")?),
        document: packed_column(row, "document")?,
    })
}
