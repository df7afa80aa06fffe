//! Finding orders: by id, and as pages of a list.
//!
//! A page starts after a key, never at a number of rows, so it costs the same however deep it is, and rows that come in
//! meanwhile repeat nothing. Every sort ends in the order's id, which makes each place unique; every sort has its index.
//! What has no value for the sort (a draft has no number and was not placed) comes before everything that has one.

use super::{
    NAME,
    row::{COLUMNS, OrderSummary, SHOWN, read},
};
use crate::{
    generation::{Generation, NotServed, Serving, Texts},
    limits,
    read_models::{
        axes::{FulfillmentStatus, OrderPaymentStatus},
        list::{COUNTED, Count, Page, Part, STORABLE, push_any, push_equal, push_range, within},
        order_detail::{self, OrderDetail},
        order_search::{Terms, push_terms},
    },
};
use chrono::{DateTime, SecondsFormat, Utc};
use docket_domain::{CustomerId, OrderId, OrderNumber, order::OrderStatus};
use docket_event_store::Position;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, PgExecutor, Postgres, QueryBuilder, Row, SqlSafeStr, SqlStr, postgres::PgRow};
use uuid::Uuid;

static TEXTS: Texts<Generation, Text> = Texts::new(Text::new);

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortField {
    /// When the order was begun.
    #[default]
    CreatedAt,
    /// When it was placed.
    PlacedAt,
    /// Its number.
    Number,
    /// Its grand total, in minor units whatever the currency.
    Total,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub field: SortField,
    /// Newest or largest first.
    pub descending: bool,
}

impl Default for Sort {
    fn default() -> Self {
        Self {
            field: SortField::CreatedAt,
            descending: true,
        }
    }
}

/// What a list shows; everything that is given must hold. Empty lists and `None` ask for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Found by all of these.
    pub search: Option<Terms>,
    /// Of this number.
    pub number: Option<OrderNumber>,
    /// Of this customer.
    pub customer: Option<CustomerId>,
    /// From this channel.
    pub channel: Option<String>,
    /// In this currency.
    pub currency: Option<String>,
    /// In one of these statuses.
    pub statuses: Vec<OrderStatus>,
    /// With payments this far.
    pub payment_statuses: Vec<OrderPaymentStatus>,
    /// With shipments this far.
    pub fulfillment_statuses: Vec<FulfillmentStatus>,
    /// Stopped, or not.
    pub on_hold: Option<bool>,
    /// Begun at or after, and before.
    pub created: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    /// Placed at or after, and before.
    pub placed: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    /// Grand total from, and up to, in minor units.
    pub total: (Option<i64>, Option<i64>),
}

impl Filter {
    /// Nothing but a range of what the list is sorted by: whatever the values, the index of the sort is walked from one place.
    /// Where anything else is asked for, the best plan depends on how many rows have it.
    fn is_walk(&self, field: SortField) -> bool {
        let everything = Filter::default();
        let others = match field {
            SortField::CreatedAt => Filter {
                created: everything.created,
                ..self.clone()
            },
            SortField::PlacedAt => Filter {
                placed: everything.placed,
                ..self.clone()
            },
            SortField::Total => Filter {
                total: everything.total,
                ..self.clone()
            },
            SortField::Number => self.clone(),
        };
        others == everything
    }

    /// Refuses more values than a statement is to have.
    fn check(&self) -> Result<(), PageError> {
        let values = [
            self.statuses.len(),
            self.payment_statuses.len(),
            self.fulfillment_statuses.len(),
        ];
        within(
            "filter values",
            values.into_iter().max().unwrap_or(0),
            limits::FILTER_VALUES,
        )
    }
}

/// A place in a sorted list: after, or before, this row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyset {
    /// What the list is sorted by.
    pub field: SortField,
    /// The row's value there: microseconds of a time, a number, an amount; `None` where it has none.
    pub value: Option<i64>,
    /// The row's order.
    pub id: Uuid,
}

/// A place in a list with the whole order that stands there.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The place.
    pub keyset: Keyset,
    /// The newest event in the order's row.
    pub newest: Position,
    /// The order's document: of the same moment, or, as the two are folded apart, of an older or newer one, or not there
    /// yet.
    pub detail: Option<OrderDetail>,
}

impl Listed {
    /// The document is there, and nothing that the list was sorted and filtered by is missing in it.
    pub fn is_whole(&self) -> bool {
        let detail = self.detail.as_ref();
        detail.is_some_and(|detail| detail.position.offset >= self.newest.offset)
    }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The database did not answer.
    #[error("the list cannot be read")]
    Read(#[source] sqlx::Error),
    /// The place belongs to another sort.
    #[error("the cursor belongs to a list that is sorted otherwise")]
    OtherSort,
    /// The place's value is out of range.
    #[error("the cursor is not one of this list")]
    BadKeyset,
    /// Too much is asked for.
    #[error("{size} {what} are over the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        size: usize,
        /// How large it may be.
        limit: usize,
    },
}

impl From<NotServed> for PageError {
    fn from(error: NotServed) -> Self {
        Self::Read(error.into())
    }
}

impl SortField {
    /// As its index has it.
    fn column(self) -> &'static str {
        match self {
            SortField::CreatedAt => "created_at",
            SortField::PlacedAt => NEVER_PLACED,
            SortField::Number => NO_NUMBER,
            SortField::Total => "grand",
        }
    }
}

impl OrderSummary {
    /// Its place in a list.
    pub fn keyset(&self, field: SortField) -> Keyset {
        let value = match field {
            SortField::CreatedAt => Some(self.created_at.timestamp_micros()),
            SortField::PlacedAt => self.placed_at.map(|at| at.timestamp_micros()),
            SortField::Number => self.number.map(|number| number.0),
            SortField::Total => Some(self.totals.grand),
        };
        Keyset {
            field,
            value,
            id: self.id.0,
        }
    }
}

/// The statements over one generation.
struct Text {
    select: String,
    count: String,
    find: SqlStr,
    /// What stands in front of the rows of a page whose documents are read with them.
    with_documents: String,
}

impl Text {
    fn new(generation: Generation) -> Self {
        let shown: Vec<String> = COLUMNS[..SHOWN]
            .iter()
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        let select = format!(
            "select {} from {} where ",
            shown.join(", "),
            generation.table(NAME)
        );
        let find = AssertSqlSafe(format!("{select} order_id = any ($1)")).into_sql_str();
        let count = format!("{COUNTED}{} where ", generation.table(NAME));
        // The rows first, however many there are in all: then one document for each.
        let with_documents = format!(
            "select s.order_id, s.\"offset\" as newest, s.created_at, s.placed_at, s.number, s.grand, s.partition, \
             d.\"offset\", d.version, d.document from ({select}",
        );
        Self {
            select,
            count,
            find,
            with_documents,
        }
    }
}

/// The rows of some orders, in no particular order; what does not exist is absent.
///
/// # Errors
/// When too many are asked for, or the database does not answer.
pub async fn find<'e>(
    database: impl PgExecutor<'e>,
    serving: &Serving,
    orders: &[OrderId],
) -> Result<Vec<OrderSummary>, PageError> {
    within("orders", orders.len(), limits::FIND_ORDERS)?;
    let ids: Vec<Uuid> = orders.iter().map(|order| order.0).collect();
    let rows = sqlx::query(TEXTS.of(serving.of(NAME)?).find.clone())
        .bind(ids)
        .fetch_all(database)
        .await
        .map_err(PageError::Read)?;
    rows.iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(PageError::Read)
}

/// A part of the list, always in the list's order.
///
/// # Errors
/// When too much is asked for, the place is not of this list, or the database does not answer.
pub async fn page<'e>(
    database: impl PgExecutor<'e>,
    serving: &Serving,
    filter: &Filter,
    sort: Sort,
    part: Part<'_, Keyset>,
) -> Result<Page<OrderSummary>, PageError> {
    let mut query = QueryBuilder::new(TEXTS.of(serving.of(NAME)?).select.as_str());
    push_part(&mut query, serving, filter, sort, part)?;
    let rows = query.build().fetch_all(database).await.map_err(PageError::Read)?;
    Page::read(&rows, part, read)
}

/// A part of the list with the documents of its orders, by one statement.
///
/// # Errors
/// When too much is asked for, the place is not of this list, or the database does not answer.
pub async fn page_of_documents<'e>(
    database: impl PgExecutor<'e>,
    serving: &Serving,
    filter: &Filter,
    sort: Sort,
    part: Part<'_, Keyset>,
) -> Result<Page<Listed>, PageError> {
    let documents = serving.of(order_detail::NAME)?.table(order_detail::NAME);
    let mut query = QueryBuilder::new(TEXTS.of(serving.of(NAME)?).with_documents.as_str());
    let order = push_part(&mut query, serving, filter, sort, part)?;
    query.push(") s left join ").push(documents);
    query.push(" d using (order_id) order by ").push(order);
    let rows = query.build().fetch_all(database).await.map_err(PageError::Read)?;
    Page::read(&rows, part, |row| read_listed(row, sort.field))
}

/// How many rows a list has, counted up to [`limits::COUNT_ORDERS`].
///
/// # Errors
/// When too much is asked for, or the database does not answer.
pub async fn count<'e>(
    database: impl PgExecutor<'e>,
    serving: &Serving,
    filter: &Filter,
) -> Result<Count, PageError> {
    filter.check()?;
    let mut query = QueryBuilder::new(TEXTS.of(serving.of(NAME)?).count.as_str());
    push_filter(&mut query, serving, filter)?;
    Count::read(query, database).await
}

/// As the index has it.
const NEVER_PLACED: &str = "coalesce(placed_at, '-infinity'::timestamptz)";
const NO_NUMBER: &str = "coalesce(number, 0)";

/// Adds which rows, in which order and how many: one more than is wanted tells whether there are more. The order is
/// returned as it stands there.
fn push_part(
    query: &mut QueryBuilder<Postgres>,
    serving: &Serving,
    filter: &Filter,
    sort: Sort,
    part: Part<'_, Keyset>,
) -> Result<String, PageError> {
    within("orders", part.limit, limits::PAGE_ORDERS)?;
    filter.check()?;
    let downward = sort.descending != part.backward;
    push_filter(query, serving, filter)?;
    if let Some(from) = part.from {
        push_place(query, sort.field, from, downward)?;
    }
    let direction = if downward { "desc" } else { "asc" };
    let order = format!("{} {direction}, order_id {direction}", sort.field.column());
    query.push(" order by ").push(&order);
    query.push(" limit ");
    let limit = part.limit as i64 + 1;
    if filter.is_walk(sort.field) {
        // Named, so that the database can tell that the plan is the same for all values, and keeps it.
        query.push(limit);
    } else {
        query.push_bind(limit);
    }
    Ok(order)
}

fn read_listed(row: &PgRow, field: SortField) -> Result<Listed, sqlx::Error> {
    let id = row.try_get("order_id")?;
    let time = |column| row.try_get::<Option<DateTime<Utc>>, _>(column);
    let micros = |at: DateTime<Utc>| at.timestamp_micros();
    let value = match field {
        SortField::CreatedAt => time("created_at")?.map(micros),
        SortField::PlacedAt => time("placed_at")?.map(micros),
        SortField::Number => row.try_get("number")?,
        SortField::Total => row.try_get("grand")?,
    };
    let has_document = row.try_get::<Option<i64>, _>("offset")?.is_some();
    Ok(Listed {
        keyset: Keyset { field, value, id },
        newest: Position {
            partition: row.try_get::<i16, _>("partition")? as u16,
            offset: row.try_get("newest")?,
        },
        detail: has_document.then(|| order_detail::read(row)).transpose()?,
    })
}

fn push_filter(
    query: &mut QueryBuilder<Postgres>,
    serving: &Serving,
    filter: &Filter,
) -> Result<(), PageError> {
    query.push("true");
    if let Some(terms) = &filter.search {
        push_terms(query, serving, terms)?;
    }
    if let Some(number) = filter.number {
        query.push(" and coalesce(number, 0) = ").push_bind(number.0);
    }
    push_equal(
        query,
        "customer",
        filter.customer.as_ref().map(CustomerId::as_str),
    );
    push_equal(query, "channel", filter.channel.as_deref());
    push_equal(query, "currency", filter.currency.as_deref());
    let words: Vec<_> = filter.statuses.iter().map(|status| status.as_str()).collect();
    push_any(query, "status", &words);
    let words = filter.payment_statuses.iter().map(|status| status.as_str());
    push_any(query, "payment_status", &words.collect::<Vec<_>>());
    let words = filter.fulfillment_statuses.iter().map(|status| status.as_str());
    push_any(query, "fulfillment_status", &words.collect::<Vec<_>>());
    match filter.on_hold {
        Some(true) => drop(query.push(" and on_hold")),
        Some(false) => drop(query.push(" and not on_hold")),
        None => {}
    }
    push_range(query, "created_at", filter.created);
    push_range(query, NEVER_PLACED, filter.placed);
    if filter.placed.1.is_some() {
        query.push(" and placed_at is not null");
    }
    if let Some(from) = filter.total.0 {
        query.push(" and grand >= ").push_bind(from);
    }
    if let Some(until) = filter.total.1 {
        query.push(" and grand <= ").push_bind(until);
    }
    Ok(())
}

fn push_place(
    query: &mut QueryBuilder<Postgres>,
    field: SortField,
    from: &Keyset,
    downward: bool,
) -> Result<(), PageError> {
    if from.field != field {
        return Err(PageError::OtherSort);
    }
    let sign = if downward { "<" } else { ">" };
    let time =
        |micros: i64| DateTime::from_timestamp_micros(micros).filter(|at| STORABLE.contains(&at.timestamp()));
    match field {
        SortField::CreatedAt => {
            let at = from.value.and_then(time).ok_or(PageError::BadKeyset)?;
            query
                .push(format!(" and (created_at, order_id) {sign} ("))
                .push_bind(at);
        }
        SortField::PlacedAt => {
            let at = from
                .value
                .map(|micros| time(micros).ok_or(PageError::BadKeyset))
                .transpose()?;
            let at = at.map_or_else(
                || "-infinity".to_owned(),
                |at| at.to_rfc3339_opts(SecondsFormat::Micros, true),
            );
            query
                .push(format!(" and ({NEVER_PLACED}, order_id) {sign} ("))
                .push_bind(at)
                .push("::timestamptz");
        }
        SortField::Number => {
            let number = from.value.unwrap_or(0);
            query
                .push(format!(" and ({NO_NUMBER}, order_id) {sign} ("))
                .push_bind(number);
        }
        SortField::Total => {
            let total = from.value.ok_or(PageError::BadKeyset)?;
            query
                .push(format!(" and (grand, order_id) {sign} ("))
                .push_bind(total);
        }
    }
    query.push(", ").push_bind(from.id).push(")");
    Ok(())
}
