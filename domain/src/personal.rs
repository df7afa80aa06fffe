//! Personal data, sealed before it is stored.
//!
//! A [`Personal`] value is *open* only between a command's arrival and its decision. Serializing an open one is an
//! error, so nothing readable can get into an event, a snapshot or Kafka by oversight. Sealing is deterministic under
//! the subject's key: equal values of one subject have equal bytes, which is all that a decision compares.
//!
//! Commands come from people and programs that know the clear value; for them [`clear`] and [`clear_option`] read and
//! write the open form.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{self, DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};

/// A value about a person.
#[derive(Clone, PartialEq, Eq)]
pub enum Personal<T> {
    /// In clear: on its way in.
    Open(T),
    /// Encrypted with its subject's key.
    Sealed(SealedValue),
    /// Its subject has been forgotten.
    Forgotten,
}

/// The bytes of a sealed value; in JSON, and whatever else people read, base64url without padding.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedValue(Arc<[u8]>);

impl SealedValue {
    /// Takes what the sealing made.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// What to open.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SealedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedValue({} bytes)", self.0.len())
    }
}

/// Something that can be sealed in place, whatever its type.
pub trait Sealable {
    /// Seals an open value; a sealed or forgotten one stays as it is. A value that cannot be written as JSON stays
    /// open too, and is then refused by whatever would store it.
    fn seal_with(&mut self, seal: &mut dyn FnMut(&[u8]) -> SealedValue);
}

/// Sees every personal field of a command in turn.
pub trait PersonalVisitor {
    /// Sees one.
    fn visit(&mut self, field: &mut dyn Sealable);
}

impl<F: FnMut(&mut dyn Sealable)> PersonalVisitor for F {
    fn visit(&mut self, field: &mut dyn Sealable) {
        self(field);
    }
}

impl<T: Serialize> Personal<T> {
    /// Seals an open value in place; see [`Sealable::seal_with`].
    pub fn seal_with(&mut self, seal: &mut dyn FnMut(&[u8]) -> SealedValue) {
        if let Personal::Open(value) = self
            && let Ok(json) = serde_json::to_vec(value)
        {
            *self = Personal::Sealed(seal(&json));
        }
    }
}

impl<T: Serialize> Sealable for Personal<T> {
    fn seal_with(&mut self, seal: &mut dyn FnMut(&[u8]) -> SealedValue) {
        Personal::seal_with(self, seal);
    }
}

impl<T: DeserializeOwned + Clone> Personal<T> {
    /// The clear value. `None` where the subject is forgotten, its key gone, or the bytes are not this type's: a value
    /// that cannot be opened reads as the mark, never as an error, so that rebuilt equals live.
    pub fn open_with(&self, open: &dyn Fn(&SealedValue) -> Option<Vec<u8>>) -> Option<T> {
        match self {
            Personal::Open(value) => Some(value.clone()),
            Personal::Sealed(sealed) => serde_json::from_slice(&open(sealed)?).ok(),
            Personal::Forgotten => None,
        }
    }
}

impl<T: DeserializeOwned + Clone> Personal<T> {
    /// The same in clear, or the mark: for a fold that reads clear values. What was opened cannot be stored.
    #[must_use]
    pub fn opened_with(&self, open: &dyn Fn(&SealedValue) -> Option<Vec<u8>>) -> Self {
        self.open_with(open).map_or(Personal::Forgotten, Personal::Open)
    }
}

impl<T> Personal<T> {
    /// About how much memory it holds.
    pub(crate) fn approximate_bytes(&self) -> usize {
        match self {
            Personal::Sealed(sealed) => sealed.0.len(),
            Personal::Open(_) | Personal::Forgotten => 0,
        }
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Personal::Open(_) => f.write_str("Open(..)"),
            Personal::Sealed(sealed) => f.debug_tuple("Sealed").field(sealed).finish(),
            Personal::Forgotten => f.write_str("Forgotten"),
        }
    }
}

impl<T> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Personal::Open(_) => Err(ser::Error::custom(
                "personal data must be sealed before it is stored",
            )),
            Personal::Sealed(sealed) if serializer.is_human_readable() => {
                serializer.serialize_str(&URL_SAFE_NO_PAD.encode(sealed.as_bytes()))
            }
            Personal::Sealed(sealed) => serializer.serialize_bytes(sealed.as_bytes()),
            Personal::Forgotten => serializer.serialize_unit(),
        }
    }
}

impl<'de, T> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SealedVisitor;
        impl Visitor<'_> for SealedVisitor {
            type Value = Option<SealedValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sealed value, as bytes or in base64url, or null")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let bytes = URL_SAFE_NO_PAD.decode(text).map_err(E::custom)?;
                Ok(Some(SealedValue::new(bytes)))
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Some(SealedValue::new(bytes)))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(None)
            }
        }
        let sealed = deserializer.deserialize_any(SealedVisitor)?;
        Ok(sealed.map_or(Personal::Forgotten, Personal::Sealed))
    }
}

/// For commands: the clear value, as callers write it. A sealed value has no clear form and is refused.
pub mod clear {
    use super::*;

    /// Reads the clear value.
    pub fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
        d: D,
    ) -> Result<Personal<T>, D::Error> {
        T::deserialize(d).map(Personal::Open)
    }

    /// Writes the clear value.
    pub fn serialize<S: Serializer, T: Serialize>(
        value: &Personal<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Personal::Open(value) => value.serialize(serializer),
            Personal::Sealed(_) => Err(ser::Error::custom("a sealed value has no clear form")),
            Personal::Forgotten => serializer.serialize_unit(),
        }
    }
}

/// As [`clear`], for fields that may be absent.
pub mod clear_option {
    use super::*;

    /// Reads the clear value; `null` is none.
    pub fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
        d: D,
    ) -> Result<Option<Personal<T>>, D::Error> {
        Ok(Option::<T>::deserialize(d)?.map(Personal::Open))
    }

    /// Writes the clear value.
    pub fn serialize<S: Serializer, T: Serialize>(
        value: &Option<Personal<T>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => clear::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }
}
