//! Bounded text.
//!
//! A [`Text`] is never empty, never longer than its limit in bytes, and holds no control characters (so no NUL, which
//! PostgreSQL cannot store); with `MULTILINE`, tabs and line breaks are allowed. It is checked where it is made,
//! also when it is deserialized, so nothing behind that door checks again. Copies are cheap.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::limits;

/// A short code: a stock-keeping unit, a channel, a location.
pub type Code = Text<{ limits::CODE_BYTES }>;
/// A name, or a line of an address.
pub type Name = Text<{ limits::NAME_BYTES }>;
/// An e-mail address; only its length and characters are checked, the proof of an address is mail that arrives.
pub type Email = Text<{ limits::EMAIL_BYTES }>;
/// A reference that a gateway or carrier gives.
pub type Reference = Text<{ limits::REFERENCE_BYTES }>;
/// Why something was done.
pub type Reason = Text<{ limits::REASON_BYTES }>;
/// A note of several lines.
pub type Note = Text<{ limits::NOTE_BYTES }, true>;
/// A link.
pub type Url = Text<{ limits::URL_BYTES }>;
/// A language tag such as `de-AT`.
pub type Locale = Text<{ limits::LOCALE_BYTES }>;

/// Text of 1 to `MAX` bytes without control characters; see the module.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<const MAX: usize, const MULTILINE: bool = false>(Arc<str>);

/// Why a text was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TextError {
    /// Nothing but white space.
    #[error("the text is empty")]
    Empty,
    /// Too many bytes.
    #[error("the text has {length} bytes, at most {limit} are allowed")]
    TooLong {
        /// What it has.
        length: usize,
        /// What it may have.
        limit: usize,
    },
    /// A control character.
    #[error("the text has the control character U+{code:04X} at byte {at}")]
    Control {
        /// The character.
        code: u32,
        /// Where it stands.
        at: usize,
    },
}

impl<const MAX: usize, const MULTILINE: bool> Text<MAX, MULTILINE> {
    /// Checks and copies a text.
    pub fn try_new(text: impl AsRef<str>) -> Result<Self, TextError> {
        let text = text.as_ref();
        if text.len() > MAX {
            return Err(TextError::TooLong {
                length: text.len(),
                limit: MAX,
            });
        }
        // Most texts, seen at a glance.
        if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.bytes().any(|byte| byte != b' ') {
            return Ok(Self(text.into()));
        }
        if text.trim().is_empty() {
            return Err(TextError::Empty);
        }
        let allowed = |c: char| !c.is_control() || (MULTILINE && matches!(c, '\t' | '\n' | '\r'));
        match text.char_indices().find(|&(_, c)| !allowed(c)) {
            Some((at, c)) => Err(TextError::Control {
                code: u32::from(c),
                at,
            }),
            None => Ok(Self(text.into())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize, const MULTILINE: bool> AsRef<str> for Text<MAX, MULTILINE> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize, const MULTILINE: bool> fmt::Display for Text<MAX, MULTILINE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize, const MULTILINE: bool> fmt::Debug for Text<MAX, MULTILINE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<const MAX: usize, const MULTILINE: bool> std::str::FromStr for Text<MAX, MULTILINE> {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        Self::try_new(text)
    }
}

impl<const MAX: usize, const MULTILINE: bool> TryFrom<String> for Text<MAX, MULTILINE> {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        Self::try_new(text)
    }
}

impl<const MAX: usize, const MULTILINE: bool> TryFrom<&str> for Text<MAX, MULTILINE> {
    type Error = TextError;

    fn try_from(text: &str) -> Result<Self, TextError> {
        Self::try_new(text)
    }
}

impl<const MAX: usize, const MULTILINE: bool> Serialize for Text<MAX, MULTILINE> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de, const MAX: usize, const MULTILINE: bool> Deserialize<'de> for Text<MAX, MULTILINE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A visitor, because it sees the text in place: one allocation instead of two on the path of every rebuild.
        struct TextVisitor<const MAX: usize, const MULTILINE: bool>;
        impl<const MAX: usize, const MULTILINE: bool> Visitor<'_> for TextVisitor<MAX, MULTILINE> {
            type Value = Text<MAX, MULTILINE>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a text of at most {MAX} bytes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Text::try_new(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}
