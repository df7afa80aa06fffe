//! Where an event stands in the log.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// An event's place: the partition and its number there, dense from 1. Offset 0 is before the first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The partition, from 0.
    pub partition: u16,
    /// The event's number in the partition, from 1.
    pub offset: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

/// A text that is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a position is a partition and an offset from 1, such as 3:1024")]
pub struct NoPosition;

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let (partition, offset) = text.split_once(':').ok_or(NoPosition)?;
        let offset = offset.parse().ok().filter(|offset| *offset > 0);
        Ok(Self {
            partition: partition.parse().map_err(|_| NoPosition)?,
            offset: offset.ok_or(NoPosition)?,
        })
    }
}
