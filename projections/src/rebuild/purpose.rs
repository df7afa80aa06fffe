//! What a rebuild is for.

use super::{UnknownWord, tables::Schema};
use chrono::{DateTime, SubsecRound, Utc};

/// What a rebuild ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The new generation is served.
    Swap,
    /// It is compared and dropped.
    VerifyOnly,
    /// It is compared and stays aside, neither fed nor served: what another fold makes of the log.
    WhatIf,
    /// The same with the events that were recorded until an instant, which counts in microseconds.
    AsOf(DateTime<Utc>),
}

impl Purpose {
    /// As it is stored.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Swap => "swap",
            Self::VerifyOnly => "verify_only",
            Self::WhatIf => "what_if",
            Self::AsOf(_) => "as_of",
        }
    }

    /// From what is stored.
    pub(super) fn of(text: &str, as_of: Option<DateTime<Utc>>) -> Result<Self, UnknownWord> {
        match (text, as_of) {
            ("swap", _) => Ok(Self::Swap),
            ("verify_only", _) => Ok(Self::VerifyOnly),
            ("what_if", _) => Ok(Self::WhatIf),
            ("as_of", Some(instant)) => Ok(Self::AsOf(instant)),
            _ => Err(UnknownWord),
        }
    }

    /// The instant, where there is one.
    pub fn as_of(self) -> Option<DateTime<Utc>> {
        match self {
            Self::AsOf(instant) => Some(instant),
            _ => None,
        }
    }

    /// As the table keeps it: to the microsecond, which is what events are recorded to.
    pub(super) fn kept(self) -> Self {
        match self {
            Self::AsOf(instant) => Self::AsOf(instant.trunc_subsecs(6)),
            other => other,
        }
    }

    /// What is built is looked at and never served.
    pub(super) fn is_aside(self) -> bool {
        matches!(self, Self::WhatIf | Self::AsOf(_))
    }

    /// Where its tables lie.
    pub(super) fn schema(self) -> Schema {
        match self.is_aside() {
            true => Schema::Side,
            false => Schema::Public,
        }
    }
}
