//! Reading stored words back into types.

use std::str::FromStr;

use sqlx::{Row, postgres::PgRow};

/// A word that this program does not write.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not {expected}")]
struct UnknownWord {
    text: String,
    expected: &'static str,
}

pub(crate) fn unknown(text: &str, expected: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(UnknownWord {
        text: text.chars().take(80).collect(),
        expected,
    }))
}

/// A value from the text that the log's types write.
pub(crate) fn parse<T: FromStr>(text: &str, expected: &'static str) -> Result<T, sqlx::Error> {
    text.parse().map_err(|_| unknown(text, expected))
}

pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// A column of the type json. Its text is looked at once for what it is, and not again in each of its strings.
pub(crate) fn json_column<T: serde::de::DeserializeOwned>(
    row: &PgRow,
    column: &str,
) -> Result<T, sqlx::Error> {
    from_json(row.try_get_raw(column)?.as_str().map_err(sqlx::Error::Decode)?)
}

/// SQL of a sum of minor units. Should it not fit 64 bits, it is the nearest number that does: nothing that can be bought
/// adds up to so much, and an answer should not fail for it.
pub(crate) fn clamped_sum(expression: &str) -> String {
    clamped(&format!("coalesce(sum({expression}), 0)"))
}

/// SQL of a number of 64 bits that is nearest to a `numeric`.
pub(crate) fn clamped(expression: &str) -> String {
    format!(
        "least(greatest({expression}, {}), {})::bigint",
        i64::MIN,
        i64::MAX
    )
}
