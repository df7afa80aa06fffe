//! Instants that the database has a date for.

use chrono::{DateTime, Datelike as _, Utc};

/// An instant is too far away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the year {0} is not between 1 and 9999")]
pub struct YearError(pub i32);

/// PostgreSQL's calendar begins in 4714 BC, ours long before; both are far from any order.
///
/// # Errors
/// When the year, in UTC, is not between 1 and 9999.
pub fn known_to_the_database(instant: DateTime<Utc>) -> Result<(), YearError> {
    match instant.year() {
        1..=9_999 => Ok(()),
        year => Err(YearError(year)),
    }
}
