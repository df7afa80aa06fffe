//! Instants as serde writes them in states: RFC 3339 in a form that people read, as in JSON; microseconds since 1970 in one
//! that they do not, where reading a text would take longer than all else of a field. What has a finer part than
//! microseconds is written as text there too, so that nothing is lost.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{
    Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};

struct Instant(DateTime<Utc>);

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer).map(Self)
    }
}

/// Writes an instant.
///
/// # Errors
/// The serializer's.
pub fn serialize<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    let micros = at.timestamp_micros();
    let is_whole = DateTime::from_timestamp_micros(micros) == Some(*at);
    if is_whole && !serializer.is_human_readable() {
        serializer.serialize_i64(micros)
    } else {
        at.serialize(serializer)
    }
}

/// Reads an instant.
///
/// # Errors
/// When it is none, or none that chrono knows.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    struct Either;
    impl Visitor<'_> for Either {
        type Value = DateTime<Utc>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an instant: microseconds since 1970, or RFC 3339")
        }

        fn visit_i64<E: de::Error>(self, micros: i64) -> Result<Self::Value, E> {
            DateTime::from_timestamp_micros(micros).ok_or_else(|| E::custom("an instant out of range"))
        }

        fn visit_u64<E: de::Error>(self, micros: u64) -> Result<Self::Value, E> {
            let micros = i64::try_from(micros).map_err(|_| E::custom("an instant out of range"))?;
            self.visit_i64(micros)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            text.parse().map_err(E::custom)
        }
    }
    if deserializer.is_human_readable() {
        serde::Deserialize::deserialize(deserializer)
    } else {
        deserializer.deserialize_any(Either)
    }
}

/// The same for one that may be absent.
pub mod option {
    use super::Instant;
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes an instant or nothing.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(at: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(Instant).serialize(serializer)
    }

    /// Reads an instant or nothing.
    ///
    /// # Errors
    /// When it is none, or none that chrono knows.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<DateTime<Utc>>, D::Error> {
        let read = Option::<Instant>::deserialize(deserializer)?;
        Ok(read.map(|Instant(at)| at))
    }
}

/// The same for a list.
pub mod list {
    use super::Instant;
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes instants.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(all: &[DateTime<Utc>], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(all.iter().copied().map(Instant))
    }

    /// Reads instants.
    ///
    /// # Errors
    /// When one is none, or none that chrono knows.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<DateTime<Utc>>, D::Error> {
        let read = Vec::<Instant>::deserialize(deserializer)?;
        Ok(read.into_iter().map(|Instant(at)| at).collect())
    }
}
