//! A customer's sums.

use super::{NAME, row::TABLE};
use crate::{
    generation::{Generation, Serving, Texts},
    read_models::stored::{clamped_sum, parse},
};
use chrono::{DateTime, Utc};
use docket_domain::{Currency, CustomerId};
use sqlx::{AssertSqlSafe, PgExecutor, Row, SqlSafeStr, SqlStr, postgres::PgRow};

/// What a customer bought in one currency. Amounts are minor units of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerTotals {
    /// Of every amount.
    pub currency: Currency,
    /// Orders that were placed.
    pub placed: u64,
    /// Those of them that were called off or expired.
    pub cancelled: u64,
    /// What the placed ones added up to.
    pub ordered: i64,
    /// What of it was cancelled, with or without its order.
    pub cancelled_value: i64,
    /// What payments took.
    pub captured: i64,
    /// What they gave back.
    pub refunded: i64,
    /// When the first one was placed.
    pub first_order_at: Option<DateTime<Utc>>,
    /// When the last one was placed.
    pub last_order_at: Option<DateTime<Utc>>,
}

static TOTALS: Texts<Generation, SqlStr> = Texts::new(totals_in);

fn totals_in(generation: Generation) -> SqlStr {
    let off = "status in ('cancelled', 'expired')";
    let sum = clamped_sum;
    let cancelled = format!("case when {off} then grand else cancelled_value end");
    AssertSqlSafe(format!(
        "select currency, count(placed_at) as placed, count(placed_at) filter (where {off}) as cancelled,
                {} as ordered, {} as cancelled_value, {} as captured, {} as refunded,
                min(placed_at) as first_order_at, max(placed_at) as last_order_at
           from {}
          where customer = $1
          group by currency
          order by currency",
        sum("grand"),
        sum(&cancelled),
        sum("captured"),
        sum("refunded"),
        generation.table(TABLE.name)
    ))
    .into_sql_str()
}

/// What a customer bought, by currency; empty where nobody of this id ever began an order.
///
/// # Errors
/// When the database does not answer.
pub async fn totals<'e>(
    database: impl PgExecutor<'e>,
    serving: &Serving,
    customer: &CustomerId,
) -> Result<Vec<CustomerTotals>, sqlx::Error> {
    let rows = sqlx::query(SqlStr::clone(&TOTALS.of(serving.of(NAME)?)))
        .bind(customer.as_str())
        .fetch_all(database)
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<CustomerTotals, sqlx::Error> {
    Ok(CustomerTotals {
        currency: parse(row.try_get("currency")?, "a currency")?,
        placed: row.try_get::<i64, _>("placed")?.unsigned_abs(),
        cancelled: row.try_get::<i64, _>("cancelled")?.unsigned_abs(),
        ordered: row.try_get("ordered")?,
        cancelled_value: row.try_get("cancelled_value")?,
        captured: row.try_get("captured")?,
        refunded: row.try_get("refunded")?,
        first_order_at: row.try_get("first_order_at")?,
        last_order_at: row.try_get("last_order_at")?,
    })
}
