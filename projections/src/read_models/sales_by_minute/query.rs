//! Reading windows: the rows of all partitions, added up.

use super::{NAME, Sales};
use crate::{
    generation::{Generation, Serving, Texts},
    limits,
    read_models::{
        order_summary::PageError,
        stored::{clamped_sum, parse},
    },
};
use chrono::{DateTime, Utc};
use docket_domain::{Currency, text::Code};
use sqlx::{AssertSqlSafe, PgExecutor, Row, SqlSafeStr, SqlStr, postgres::PgRow};

/// A minute in one currency and channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Its beginning.
    pub minute: DateTime<Utc>,
    /// Of every amount.
    pub currency: Currency,
    /// Where the orders came from.
    pub channel: Code,
    /// What was sold.
    pub sales: Sales,
}

static WINDOWS: Texts<Generation, SqlStr> = Texts::new(windows_in);

fn windows_in(generation: Generation) -> SqlStr {
    AssertSqlSafe(format!(
        "select minute, currency, channel, {} as orders, {} as total, min(smallest) as smallest, max(largest) as largest,
                sum(squares)::text as squares
           from {}
          where minute >= $1 and minute < $2 and ($3::text is null or currency = $3) and ($4::text is null or channel = $4)
          group by minute, currency, channel
          order by minute, currency, channel
          limit $5",
        clamped_sum("orders"),
        clamped_sum("total"),
        generation.table(NAME)
    ))
    .into_sql_str()
}

/// What was sold in each minute from one on and before another, ascending. A minute in which nothing was sold is absent.
///
/// # Errors
/// When there are more than [`limits::SALES_WINDOWS`] of them, or the database does not answer.
pub async fn windows<'e>(
    database: impl PgExecutor<'e>,
    serving: &Serving,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
    currency: Option<Currency>,
    channel: Option<&str>,
) -> Result<Vec<Window>, PageError> {
    let rows = sqlx::query(SqlStr::clone(&WINDOWS.of(serving.of(NAME)?)))
        .bind(from)
        .bind(until)
        .bind(currency.map(Currency::code))
        .bind(channel)
        .bind(limits::SALES_WINDOWS as i64 + 1)
        .fetch_all(database)
        .await
        .map_err(PageError::Read)?;
    if rows.len() > limits::SALES_WINDOWS {
        return Err(PageError::TooLarge {
            what: "windows or more",
            size: rows.len(),
            limit: limits::SALES_WINDOWS,
        });
    }
    rows.iter()
        .map(read)
        .collect::<Result<_, sqlx::Error>>()
        .map_err(PageError::Read)
}

fn read(row: &PgRow) -> Result<Window, sqlx::Error> {
    Ok(Window {
        minute: row.try_get("minute")?,
        currency: parse(row.try_get("currency")?, "a currency")?,
        channel: parse(row.try_get("channel")?, "a channel")?,
        sales: Sales {
            orders: row.try_get("orders")?,
            total: row.try_get("total")?,
            smallest: row.try_get("smallest")?,
            largest: row.try_get("largest")?,
            // Beyond that nobody sells.
            squares: row.try_get::<&str, _>("squares")?.parse().unwrap_or(i128::MAX),
        },
    })
}
