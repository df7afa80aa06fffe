//! Days, lists of payments, and the proof that they agree.

use super::{
    NAME,
    days::{self, Movement},
    payments::{self, LedgerPayment},
};
use crate::{
    generation::{Generation, Serving, Texts},
    limits,
    read_models::{
        list::{self, Count, Listing, Page, Part, Place, SortColumn, within},
        order_summary::PageError,
        stored::{clamped, clamped_sum, parse},
    },
};
use chrono::{DateTime, NaiveDate, Utc};
use docket_domain::{Currency, payment::PaymentStatus};
use sqlx::{AssertSqlSafe, PgExecutor, Postgres, QueryBuilder, Row, SqlSafeStr, SqlStr, postgres::PgRow};

/// The columns of a [`Movement`].
const MOVED: [&str; 8] = [
    "authorized",
    "captured",
    "refunded",
    "voided",
    "expired",
    "lost",
    "failed",
    "disputes",
];
/// Those that payments have too.
const SHARED: [&str; 6] = ["authorized", "captured", "refunded", "voided", "expired", "lost"];

/// What moved on a day in one currency, in all partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayTotals {
    /// Of the events' business time, in UTC.
    pub day: NaiveDate,
    /// Of every amount.
    pub currency: Currency,
    /// What moved.
    pub movement: Movement,
}

fn movement(row: &PgRow) -> Result<Movement, sqlx::Error> {
    Ok(Movement {
        authorized: row.try_get("authorized")?,
        captured: row.try_get("captured")?,
        refunded: row.try_get("refunded")?,
        voided: row.try_get("voided")?,
        expired: row.try_get("expired")?,
        lost: row.try_get("lost")?,
        failed: row.try_get("failed")?,
        disputes: row.try_get("disputes")?,
    })
}

static DAYS: Texts<Generation, SqlStr> = Texts::new(days_in);

fn days_in(generation: Generation) -> SqlStr {
    let sums: Vec<String> = MOVED
        .iter()
        .map(|name| format!("{} as {name}", clamped_sum(name)))
        .collect();
    AssertSqlSafe(format!(
        "select day, currency, {} from {}
          where day between $1 and $2 and ($3::text is null or currency = $3)
          group by day, currency order by day, currency",
        sums.join(", "),
        generation.table(days::TABLE.name)
    ))
    .into_sql_str()
}

/// What moved on each day from one to another, both included. A day without movements is absent.
///
/// # Errors
/// When there are more days than [`limits::LEDGER_DAYS`], or the database does not answer.
pub async fn days<'e>(
    database: impl PgExecutor<'e>,
    serving: &Serving,
    (from, to): (NaiveDate, NaiveDate),
    currency: Option<Currency>,
) -> Result<Vec<DayTotals>, PageError> {
    let asked = (to - from).num_days().saturating_add(1);
    let size = usize::try_from(asked).unwrap_or(0);
    if size > limits::LEDGER_DAYS {
        return Err(PageError::TooLarge {
            what: "days",
            size,
            limit: limits::LEDGER_DAYS,
        });
    }
    let rows = sqlx::query(SqlStr::clone(&DAYS.of(serving.of(NAME)?)))
        .bind(from)
        .bind(to)
        .bind(currency.map(Currency::code))
        .fetch_all(database)
        .await
        .map_err(PageError::Read)?;
    let day = |row: &PgRow| {
        Ok(DayTotals {
            day: row.try_get("day")?,
            currency: parse(row.try_get("currency")?, "a currency")?,
            movement: movement(row)?,
        })
    };
    rows.iter()
        .map(day)
        .collect::<Result<_, sqlx::Error>>()
        .map_err(PageError::Read)
}

/// By how much payments and days differ in one currency: what all payments add up to, less what all days do. It must be 0
/// everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Of every amount.
    pub currency: Currency,
    /// The differences; payments do not count failures and disputes, so those are 0.
    pub difference: Movement,
    /// Payments whose authorized amount is not what can be captured, was captured, let go and ran out.
    pub unbalanced: i64,
}

impl Drift {
    /// Whether everything agrees.
    pub fn is_zero(&self) -> bool {
        self.difference == Movement::default() && self.unbalanced == 0
    }
}

static DRIFT: Texts<Generation, SqlStr> = Texts::new(drift_in);

fn drift_in(generation: Generation) -> SqlStr {
    let list = |form: &dyn Fn(&str) -> String| {
        SHARED
            .iter()
            .map(|name| form(name))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let sums = list(&|name| format!("sum({name}) as {name}"));
    let difference = |name: &str| clamped(&format!("coalesce(p.{name}, 0) - coalesce(d.{name}, 0)"));
    AssertSqlSafe(format!(
        "select coalesce(p.currency, d.currency) as currency, {}, 0::bigint as failed, 0::bigint as disputes,
                coalesce(p.unbalanced, 0) as unbalanced
           from (select currency, {sums},
                        count(*) filter (where authorized::numeric <> capturable::numeric + captured + voided + expired)
                            as unbalanced
                   from {} where $1::text is null or currency = $1 group by currency) p
           full join (select currency, {sums} from {} where $1::text is null or currency = $1 group by currency) d
             on d.currency = p.currency
          order by 1",
        list(&|name| format!("{} as {name}", difference(name))),
        generation.table(payments::TABLE.name),
        generation.table(days::TABLE.name)
    ))
    .into_sql_str()
}

/// By how much payments and days differ, by currency. It reads every payment.
///
/// # Errors
/// When the database does not answer.
pub async fn drift<'e>(
    database: impl PgExecutor<'e>,
    serving: &Serving,
    currency: Option<Currency>,
) -> Result<Vec<Drift>, sqlx::Error> {
    let rows = sqlx::query(SqlStr::clone(&DRIFT.of(serving.of(NAME)?)))
        .bind(currency.map(Currency::code))
        .fetch_all(database)
        .await?;
    let drift = |row: &PgRow| {
        Ok(Drift {
            currency: parse(row.try_get("currency")?, "a currency")?,
            difference: movement(row)?,
            unbalanced: row.try_get("unbalanced")?,
        })
    };
    rows.iter().map(drift).collect()
}

/// What a list of payments is sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortField {
    /// When it was started.
    #[default]
    CreatedAt,
    /// When something happened to it last.
    UpdatedAt,
    /// How long the gateway holds what it holds: only those of which it holds something for a limited time.
    CaptureBefore,
    /// What is to be paid, in minor units whatever the currency.
    Amount,
}

impl SortField {
    fn column(self) -> SortColumn {
        let (number, name) = match self {
            SortField::CreatedAt => (0, "created_at"),
            SortField::UpdatedAt => (1, "updated_at"),
            SortField::CaptureBefore => (2, "capture_before"),
            SortField::Amount => (3, "amount"),
        };
        SortColumn {
            number,
            name,
            is_time: self != SortField::Amount,
            is_optional: self == SortField::CaptureBefore,
        }
    }
}

/// The order of a list of payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub field: SortField,
    /// The newest or largest first.
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

/// What a list of payments shows; everything that is given must hold. Empty lists and `None` ask for nothing.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In one of these statuses.
    pub statuses: Vec<PaymentStatus>,
    /// Through this gateway.
    pub gateway: Option<String>,
    /// In this currency.
    pub currency: Option<Currency>,
    /// Of which the gateway holds something, or nothing.
    pub capturable: Option<bool>,
    /// Disputed and undecided, or not.
    pub disputed: Option<bool>,
    /// Started at or after, and before.
    pub created: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    /// What is to be paid: from, and up to, in minor units.
    pub amount: (Option<i64>, Option<i64>),
}

impl Listing for Filter {
    type Field = SortField;

    fn check(&self) -> Result<(), PageError> {
        within("filter values", self.statuses.len(), limits::FILTER_VALUES)
    }

    fn push_table(&self, query: &mut QueryBuilder<Postgres>, generation: Generation) {
        query.push(generation.table(payments::TABLE.name));
    }

    fn push(&self, query: &mut QueryBuilder<Postgres>, field: SortField) {
        if field == SortField::CaptureBefore {
            // As the index has it.
            query.push(" and capturable > 0");
        }
        let statuses: Vec<&'static str> = self.statuses.iter().map(|status| status.as_str()).collect();
        list::push_any(query, "status", &statuses);
        list::push_equal(query, "gateway", self.gateway.as_deref());
        list::push_equal(query, "currency", self.currency.map(Currency::code));
        for (column, wanted) in [("capturable", self.capturable), ("disputed", self.disputed)] {
            match wanted {
                Some(true) => drop(query.push(format!(" and {column} > 0"))),
                Some(false) => drop(query.push(format!(" and {column} <= 0"))),
                None => {}
            }
        }
        list::push_range(query, "created_at", self.created);
        if let Some(from) = self.amount.0 {
            query.push(" and amount >= ").push_bind(from);
        }
        if let Some(to) = self.amount.1 {
            query.push(" and amount <= ").push_bind(to);
        }
    }

    fn column(field: SortField) -> SortColumn {
        field.column()
    }
}

impl LedgerPayment {
    /// Its place in a list that it is on.
    pub fn place(&self, field: SortField) -> Place {
        let value = match field {
            SortField::CreatedAt => self.created_at.timestamp_micros(),
            SortField::UpdatedAt => self.updated_at.timestamp_micros(),
            SortField::CaptureBefore => self.capture_before.unwrap_or_default().timestamp_micros(),
            SortField::Amount => self.amount,
        };
        Place {
            sort: field.column().number,
            value,
            order: self.order_id.0,
            number: self.number,
        }
    }
}

/// A part of the list of payments.
///
/// # Errors
/// When too much is asked for, the place is not of this list, or the database does not answer.
pub async fn page<'e>(
    database: impl PgExecutor<'e>,
    serving: &Serving,
    filter: &Filter,
    sort: Sort,
    part: Part<'_>,
) -> Result<Page<LedgerPayment>, PageError> {
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
