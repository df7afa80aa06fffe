//! Quantities.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::LineId;
use crate::limits;

/// How many pieces: 1 to [`limits::QUANTITY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Quantity(u32);

/// A quantity out of its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a quantity of {0} is not between 1 and {max}", max = limits::QUANTITY)]
pub struct QuantityError(pub u32);

impl Quantity {
    /// Checks a number of pieces.
    pub fn try_new(pieces: u32) -> Result<Self, QuantityError> {
        if (1..=limits::QUANTITY).contains(&pieces) {
            Ok(Self(pieces))
        } else {
            Err(QuantityError(pieces))
        }
    }

    /// The number of pieces.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Quantity {
    type Error = QuantityError;

    fn try_from(pieces: u32) -> Result<Self, QuantityError> {
        Self::try_new(pieces)
    }
}

impl From<Quantity> for u32 {
    fn from(quantity: Quantity) -> u32 {
        quantity.0
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Some pieces of one line, in commands and events alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineQuantity {
    /// Which line.
    pub line: LineId,
    /// How many of its pieces.
    pub quantity: Quantity,
}

/// What is left of some pieces without others. Each line is there once.
pub(crate) fn without(all: &[LineQuantity], taken: &[LineQuantity]) -> Vec<LineQuantity> {
    let left = |pieces: &LineQuantity| {
        let taken = taken.iter().find(|taken| taken.line == pieces.line);
        let taken = taken.map_or(0, |taken| taken.quantity.get());
        let quantity = Quantity::try_new(pieces.quantity.get().saturating_sub(taken)).ok()?;
        let line = pieces.line;
        Some(LineQuantity { line, quantity })
    };
    all.iter().filter_map(left).collect()
}
