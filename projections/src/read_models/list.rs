//! Pages of lists whose rows belong to parts of orders: payments and shipments.
//!
//! A page starts after a key, never at a number of rows, so it costs the same however deep it is, and rows that come in
//! meanwhile repeat nothing. Every sort ends in order and number, which makes each place unique; every sort has its index.
//! A sort by something that a row may not have shows those that have it.

use super::{order_summary::PageError, stored::from_json};
use crate::{generation::Generation, limits};
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use sqlx::{PgExecutor, Postgres, QueryBuilder, Row, postgres::PgRow};
use std::ops::Range;
use uuid::Uuid;

/// A place in a sorted list: after, or before, this row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// What the list is sorted by: the sort's number.
    pub sort: u8,
    /// The row's value there: microseconds of a time, or an amount.
    pub value: i64,
    /// The row's order.
    pub order: Uuid,
    /// The row's number in its order.
    pub number: u16,
}

/// A part of a list, in the list's order.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// There are more in the direction that was read.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// Of rows of which one more was asked for than is wanted: it tells whether there are more.
    pub(crate) fn read<P>(
        rows: &[PgRow],
        part: Part<'_, P>,
        read: impl Fn(&PgRow) -> Result<T, sqlx::Error>,
    ) -> Result<Self, PageError> {
        let has_more = rows.len() > part.limit;
        let rows: Result<Vec<T>, _> = rows.iter().take(part.limit).map(read).collect();
        let mut rows = rows.map_err(PageError::Read)?;
        if part.backward {
            rows.reverse();
        }
        Ok(Self { rows, has_more })
    }

    /// Of a list that has nothing in it.
    pub fn empty() -> Self {
        Self {
            rows: Vec::new(),
            has_more: false,
        }
    }
}

/// Which part of a list is wanted; `P` is a place in it.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a, P = Place> {
    /// After this place, or, `backward`, before it.
    pub from: Option<&'a P>,
    /// So many at most.
    pub limit: usize,
    /// Towards the beginning of the list.
    pub backward: bool,
}

/// How many rows a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// How many were counted.
    pub rows: usize,
    /// There are more, which were not counted.
    pub has_more: bool,
}

impl Count {
    /// Ends a query that begins with [`COUNTED`]: what it finds is counted up to the limit.
    pub(crate) async fn read<'e>(
        mut query: QueryBuilder<Postgres>,
        database: impl PgExecutor<'e>,
    ) -> Result<Self, PageError> {
        query.push(" limit ");
        query.push_bind(limits::COUNT_ORDERS as i64 + 1);
        query.push(") counted");
        let counted = query.build_query_scalar::<i64>().fetch_one(database).await;
        // It is at most the limit and one.
        let rows = usize::try_from(counted.map_err(PageError::Read)?).unwrap_or(0);
        Ok(Self {
            rows: rows.min(limits::COUNT_ORDERS),
            has_more: rows > limits::COUNT_ORDERS,
        })
    }
}

/// What a query begins with whose rows are counted.
pub(crate) const COUNTED: &str = "select count(*) from (select from ";

/// What a list can be sorted by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SortColumn {
    /// The sort's number in cursors; never given to another one.
    pub(crate) number: u8,
    pub(crate) name: &'static str,
    /// It is a time; else an amount.
    pub(crate) is_time: bool,
    /// A row may have none.
    pub(crate) is_optional: bool,
}

/// Refuses too much of something.
pub(crate) fn within(what: &'static str, size: usize, limit: usize) -> Result<(), PageError> {
    if size > limit {
        Err(PageError::TooLarge { what, size, limit })
    } else {
        Ok(())
    }
}

/// Which rows of a JSON table are listed.
pub(crate) trait Listing: Sync {
    /// What the list can be sorted by.
    type Field: Copy + Send + Sync;

    /// Refuses more than a statement is to have.
    fn check(&self) -> Result<(), PageError>;

    /// Adds where the rows come from: a table, or a query in brackets.
    fn push_table(&self, query: &mut QueryBuilder<Postgres>, generation: Generation);

    /// Adds which of them are in the list that is sorted by this: conditions that begin with `and`.
    fn push(&self, query: &mut QueryBuilder<Postgres>, field: Self::Field);

    /// As its index has it.
    fn column(field: Self::Field) -> SortColumn;
}

/// Reads a part of a list of a JSON table.
pub(crate) async fn page<'e, T: DeserializeOwned, L: Listing>(
    database: impl PgExecutor<'e>,
    generation: Generation,
    listing: &L,
    (field, descending): (L::Field, bool),
    part: Part<'_>,
) -> Result<Page<T>, PageError> {
    within("rows", part.limit, limits::PAGE_ORDERS)?;
    listing.check()?;
    let column = L::column(field);
    let downward = descending != part.backward;
    let mut query = QueryBuilder::new("select row_to_json(t)::text from ");
    push_rows(&mut query, generation, listing, field);
    if let Some(place) = part.from {
        push_place(&mut query, column, place, downward)?;
    }
    let direction = if downward { "desc" } else { "asc" };
    query.push(format!(
        " order by {} {direction}, order_id {direction}, number {direction} limit ",
        column.name
    ));
    query.push_bind(part.limit as i64 + 1);
    let rows = query.build().fetch_all(database).await.map_err(PageError::Read)?;
    Page::read(&rows, part, |row| from_json(row.try_get(0)?))
}

/// Counts the rows of a list of a JSON table, up to [`limits::COUNT_ORDERS`].
pub(crate) async fn count<'e, L: Listing>(
    database: impl PgExecutor<'e>,
    generation: Generation,
    listing: &L,
    field: L::Field,
) -> Result<Count, PageError> {
    listing.check()?;
    let mut query = QueryBuilder::new(COUNTED);
    push_rows(&mut query, generation, listing, field);
    Count::read(query, database).await
}

/// Adds which rows a list has.
fn push_rows<L: Listing>(
    query: &mut QueryBuilder<Postgres>,
    generation: Generation,
    listing: &L,
    field: L::Field,
) {
    listing.push_table(query, generation);
    query.push(" t where true");
    listing.push(query, field);
    let column = L::column(field);
    if column.is_optional {
        query.push(format!(" and {} is not null", column.name));
    }
}

fn push_place(
    query: &mut QueryBuilder<Postgres>,
    column: SortColumn,
    place: &Place,
    downward: bool,
) -> Result<(), PageError> {
    if place.sort != column.number {
        return Err(PageError::OtherSort);
    }
    let sign = if downward { "<" } else { ">" };
    query.push(format!(" and ({}, order_id, number) {sign} (", column.name));
    if column.is_time {
        let at = DateTime::from_timestamp_micros(place.value).filter(|at| STORABLE.contains(&at.timestamp()));
        query.push_bind(at.ok_or(PageError::BadKeyset)?);
    } else {
        query.push_bind(place.value);
    }
    query.push(", ").push_bind(place.order);
    query.push(", ").push_bind(place.number as i16).push(")");
    Ok(())
}

/// Adds `column >= from and column < until`, as far as they are given.
pub(crate) fn push_range(
    query: &mut QueryBuilder<Postgres>,
    column: &str,
    (from, until): (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
) {
    if let Some(from) = from {
        query.push(format!(" and {column} >= ")).push_bind(from);
    }
    if let Some(until) = until {
        query.push(format!(" and {column} < ")).push_bind(until);
    }
}

/// Adds that a column has one of some words. One word is compared directly, which lets an index walk in the list's order.
pub(crate) fn push_any(query: &mut QueryBuilder<Postgres>, column: &str, words: &[&'static str]) {
    match words {
        [] => {}
        [word] => drop(query.push(format!(" and {column} = ")).push_bind(*word)),
        words => drop(
            query
                .push(format!(" and {column} = any ("))
                .push_bind(words.to_vec())
                .push(")"),
        ),
    }
}

/// Adds that a column has a value.
pub(crate) fn push_equal(query: &mut QueryBuilder<Postgres>, column: &str, value: Option<&str>) {
    if let Some(value) = value {
        query
            .push(format!(" and {column} = "))
            .push_bind(value.to_owned());
    }
}

/// Seconds of the years 1 to 9999: what both sides can hold. A forged cursor may say anything.
pub(crate) const STORABLE: Range<i64> = -62_135_596_800..253_402_300_800;
