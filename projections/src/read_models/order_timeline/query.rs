//! Reading entries: of any number of orders with one statement.

use super::{Entry, NAME, entry::TABLE};
use crate::{
    generation::{Generation, Serving, Texts},
    limits,
    read_models::stored::from_json,
};
use docket_domain::OrderId;
use sqlx::{AssertSqlSafe, PgExecutor, Row, SqlSafeStr, SqlStr};

/// Which entries of an order are wanted: those after one offset, up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ask {
    /// Of this order.
    pub order: OrderId,
    /// After this offset; 0 from the first on.
    pub after: i64,
    /// Up to this offset.
    pub until: i64,
    /// So many at most.
    pub limit: u32,
    /// Also those that are not for the customer.
    pub internal: bool,
}

static READ: Texts<Generation, SqlStr> = Texts::new(read_in);

fn read_in(generation: Generation) -> SqlStr {
    AssertSqlSafe(format!(
        r#"select k.ask, e.entry
             from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::int[], $5::boolean[]) with ordinality
                  k (order_id, after, until, most, internal, ask)
            cross join lateral (
                  select row_to_json(t)::text as entry
                    from {} t
                   where t.order_id = k.order_id and t."offset" > k.after and t."offset" <= k.until
                     and (k.internal or not t.internal)
                   order by t."offset"
                   limit k.most) e"#,
        generation.table(TABLE.name)
    ))
    .into_sql_str()
}

/// The entries for each ask, in the order of the asks; of each order as they happened.
///
/// # Errors
/// When the database does not answer.
pub async fn entries<'e>(
    database: impl PgExecutor<'e>,
    serving: &Serving,
    asks: &[Ask],
) -> Result<Vec<Vec<Entry>>, sqlx::Error> {
    fn all<T>(asks: &[Ask], value: impl Fn(&Ask) -> T) -> Vec<T> {
        asks.iter().map(value).collect()
    }
    let most = |ask: &Ask| {
        i32::try_from(ask.limit)
            .unwrap_or(i32::MAX)
            .min(limits::TIMELINE_ENTRIES)
    };
    let rows = sqlx::query(SqlStr::clone(&READ.of(serving.of(NAME)?)))
        .bind(all(asks, |ask| ask.order.0))
        .bind(all(asks, |ask| ask.after))
        .bind(all(asks, |ask| ask.until))
        .bind(all(asks, most))
        .bind(all(asks, |ask| ask.internal))
        .fetch_all(database)
        .await?;
    let mut found: Vec<Vec<Entry>> = asks.iter().map(|_| Vec::new()).collect();
    for row in rows {
        let ask = usize::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default();
        let entry = from_json(row.try_get(1)?)?;
        // They are numbered from 1.
        if let Some(entries) = ask.checked_sub(1).and_then(|ask| found.get_mut(ask)) {
            entries.push(entry);
        }
    }
    for entries in &mut found {
        entries.sort_by_key(|entry: &Entry| entry.offset);
    }
    Ok(found)
}
