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

/// A value as bytes that are a third of its JSON and are read in half the time: CBOR (RFC 8949) in which structs' fields and
/// enums' variants are known by their place in the type, from 0.
pub(crate) fn to_packed<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, sqlx::Error> {
    serde_cbor_2::ser::to_vec_packed(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

pub(crate) fn from_packed<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, sqlx::Error> {
    serde_cbor_2::from_slice(bytes).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// Bytes from the digits of the database's text of them.
pub(crate) fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map(byte).collect()
}

/// A column of what [`to_packed`] writes.
pub(crate) fn packed_column<T: serde::de::DeserializeOwned>(
    row: &PgRow,
    column: &str,
) -> Result<T, sqlx::Error> {
    from_packed(row.try_get_raw(column)?.as_bytes().map_err(sqlx::Error::Decode)?)
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
