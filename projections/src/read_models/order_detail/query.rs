//! Finding documents by their orders' ids.

use super::{NAME, OrderDetail};
use crate::{
    limits,
    projector::{Column, Generation},
    read_models::stored::json_column,
};
use docket_domain::{OrderId, Version};
use docket_event_store::Position;
use sqlx::{AssertSqlSafe, PgExecutor, Row, SqlSafeStr, SqlStr, postgres::PgRow};
use std::sync::LazyLock;
use uuid::Uuid;

static FIRST: LazyLock<OrderDetails> = LazyLock::new(|| OrderDetails::new(Generation::FIRST));

/// The table's columns in the order of their arguments.
pub(super) const COLUMNS: &[Column] = &[
    ("order_id", "uuid"),
    ("offset", "bigint"),
    ("version", "integer"),
    ("partition", "smallint"),
    ("document", "json"),
];

/// The documents of one generation.
pub struct OrderDetails {
    find: SqlStr,
}

impl OrderDetails {
    /// Builds the statements of a generation.
    pub fn new(generation: Generation) -> Self {
        let table = generation.table(NAME);
        let columns = "order_id, \"offset\", version, partition, document";
        let find = format!("select {columns} from {table} where order_id = any ($1)");
        Self {
            find: AssertSqlSafe(find).into_sql_str(),
        }
    }

    /// The documents of some orders (at most [`limits::FIND_ORDERS`] are read), in no particular order; what does not
    /// exist is absent.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find<'e>(
        &self,
        database: impl PgExecutor<'e>,
        orders: &[OrderId],
    ) -> Result<Vec<OrderDetail>, sqlx::Error> {
        let rows = self.rows(database, orders).await?;
        rows.iter().map(DetailRow::detail).collect()
    }

    /// The same, for who reads for several: each opens what they asked for.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rows<'e>(
        &self,
        database: impl PgExecutor<'e>,
        orders: &[OrderId],
    ) -> Result<Vec<DetailRow>, sqlx::Error> {
        let ids: Vec<Uuid> = orders
            .iter()
            .take(limits::FIND_ORDERS)
            .map(|order| order.0)
            .collect();
        let rows = sqlx::query(self.find.clone())
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

/// The documents of some orders; see [`OrderDetails::find`].
///
/// # Errors
/// When the database does not answer.
pub async fn find<'e>(
    database: impl PgExecutor<'e>,
    orders: &[OrderId],
) -> Result<Vec<OrderDetail>, sqlx::Error> {
    FIRST.find(database, orders).await
}

/// The documents of some orders as they were stored; see [`OrderDetails::rows`].
///
/// # Errors
/// When the database does not answer.
pub async fn rows<'e>(
    database: impl PgExecutor<'e>,
    orders: &[OrderId],
) -> Result<Vec<DetailRow>, sqlx::Error> {
    FIRST.rows(database, orders).await
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
        document: json_column(row, "document")?,
    })
}
