//! Lists of shipments.

use super::{
    NAME,
    row::{BoardShipment, BoardStatus, TABLE},
};
use crate::{
    generation::{Generation, Serving},
    limits,
    read_models::{
        list::{self, Count, Listing, Page, Part, Place, SortColumn, within},
        order_summary::PageError,
    },
};
use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, Postgres, QueryBuilder};

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortField {
    /// Until when it should be dispatched, or delivered.
    #[default]
    Due,
    /// When its pieces were set aside.
    Allocated,
    /// Since when the carrier has it: only those that one has.
    Dispatched,
}

impl SortField {
    fn column(self) -> SortColumn {
        let (number, name) = match self {
            SortField::Due => (0, "due_at"),
            SortField::Allocated => (1, "allocated_at"),
            SortField::Dispatched => (2, "dispatched_at"),
        };
        SortColumn {
            number,
            name,
            is_time: true,
            is_optional: self == SortField::Dispatched,
        }
    }
}

/// The order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub field: SortField,
    /// The last one first.
    pub descending: bool,
}

/// What a list shows; everything that is given must hold. Empty lists and `None` ask for nothing.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In one of these statuses.
    pub statuses: Vec<BoardStatus>,
    /// Open, or ended.
    pub open: Option<bool>,
    /// Went wrong, or not.
    pub failed: Option<bool>,
    /// Open and due before this instant, or not.
    pub late: Option<(bool, DateTime<Utc>)>,
    /// Of goods that lie here.
    pub location: Option<String>,
    /// Carried by.
    pub carrier: Option<String>,
    /// With a parcel that the carrier calls so.
    pub tracking_number: Option<String>,
    /// With the carrier since at or after, and before.
    pub dispatched: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
}

impl Listing for Filter {
    type Field = SortField;

    fn check(&self) -> Result<(), PageError> {
        within("filter values", self.statuses.len(), limits::FILTER_VALUES)
    }

    fn push_table(&self, query: &mut QueryBuilder<Postgres>, generation: Generation) {
        let table = generation.table(TABLE.name);
        match &self.tracking_number {
            None => drop(query.push(&table)),
            // One of very many: found first and sorted then. The planner takes it for one of two hundred, and would walk
            // the index of the sort until it meets it; it does not look into a query with an offset.
            Some(number) => drop(
                query
                    .push(format!("(select * from {table} where tracking_numbers @> "))
                    .push_bind(vec![number.clone()])
                    .push(" offset 0)"),
            ),
        }
    }

    fn push(&self, query: &mut QueryBuilder<Postgres>, _: SortField) {
        let statuses: Vec<&'static str> = self.statuses.iter().map(|status| status.as_str()).collect();
        list::push_any(query, "status", &statuses);
        for (column, wanted) in [("open", self.open), ("failed", self.failed)] {
            match wanted {
                Some(true) => drop(query.push(format!(" and {column}"))),
                Some(false) => drop(query.push(format!(" and not {column}"))),
                None => {}
            }
        }
        match self.late {
            Some((true, now)) => drop(query.push(" and open and due_at < ").push_bind(now)),
            Some((false, now)) => drop(
                query
                    .push(" and (not open or due_at >= ")
                    .push_bind(now)
                    .push(")"),
            ),
            None => {}
        }
        list::push_equal(query, "location", self.location.as_deref());
        list::push_equal(query, "carrier", self.carrier.as_deref());
        list::push_range(query, "dispatched_at", self.dispatched);
    }

    fn column(field: SortField) -> SortColumn {
        field.column()
    }
}

impl BoardShipment {
    /// Its place in a list that it is on.
    pub fn place(&self, field: SortField) -> Place {
        let at = match field {
            SortField::Due => self.due_at,
            SortField::Allocated => self.allocated_at,
            SortField::Dispatched => self.dispatched_at.unwrap_or(self.due_at),
        };
        Place {
            sort: field.column().number,
            value: at.timestamp_micros(),
            order: self.order_id.0,
            number: self.number,
        }
    }
}

/// A part of the list.
///
/// # Errors
/// When too much is asked for, the place is not of this list, or the database does not answer.
pub async fn page<'e>(
    database: impl PgExecutor<'e>,
    serving: &Serving,
    filter: &Filter,
    sort: Sort,
    part: Part<'_>,
) -> Result<Page<BoardShipment>, PageError> {
    list::page(
        database,
        serving.of(NAME)?,
        filter,
        (sort.field, sort.descending),
        part,
    )
    .await
}

/// How many rows the list has that is sorted by this, counted up to [`limits::COUNT_ORDERS`].
///
/// # Errors
/// When too much is asked for, or the database does not answer.
pub async fn count<'e>(
    database: impl PgExecutor<'e>,
    serving: &Serving,
    filter: &Filter,
    field: SortField,
) -> Result<Count, PageError> {
    list::count(database, serving.of(NAME)?, filter, field).await
}
