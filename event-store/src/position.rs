//! Where an event stands in the log.

use serde::{Deserialize, Serialize};
use std::fmt;

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
