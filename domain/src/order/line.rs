//! A line of an order, and what lines add up to.

use serde::{Deserialize, Serialize};

use crate::ids::LineId;
use crate::money::{MoneyError, proportion};
use crate::quantity::Quantity;
use crate::text::{Code, Name};

/// A line as it is sold. Amounts are minor units of the order's currency; discount and tax are of the whole line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Which line.
    pub id: LineId,
    /// What is sold.
    pub sku: Code,
    /// As the customer knows it.
    pub name: Name,
    /// How many.
    pub quantity: Quantity,
    /// For one, before discount and tax.
    pub unit_price: i64,
    /// Off the whole line.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub discount: i64,
    /// What the discount was computed from, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_bp: Option<u32>,
    /// On the whole line, after discount.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tax: i64,
    /// What the tax was computed from, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_rate_bp: Option<u32>,
    /// Goods, not a licence.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub requires_shipping: bool,
    /// Of one piece, in grams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_g: Option<u32>,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_true(flag: &bool) -> bool {
    *flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) fn is_zero(amount: &i64) -> bool {
    *amount == 0
}

impl Line {
    /// Price times quantity.
    pub fn gross(&self) -> Result<i64, MoneyError> {
        gross(self.unit_price, self.quantity.get())
    }

    /// What the customer pays for the line.
    pub fn total(&self) -> Result<i64, MoneyError> {
        let net = self
            .gross()?
            .checked_sub(self.discount)
            .ok_or(MoneyError::Overflow)?;
        net.checked_add(self.tax).ok_or(MoneyError::Overflow)
    }

    /// What the customer pays for the first `pieces` of the line. Shares of a line are taken as differences of this, so
    /// that, however it is cut, they add up to its total.
    pub fn value_of(&self, pieces: u32) -> Result<i64, MoneyError> {
        proportion(self.total()?, u64::from(pieces), u64::from(self.quantity.get()))
    }
}

/// Price times quantity.
pub(crate) fn gross(unit_price: i64, quantity: u32) -> Result<i64, MoneyError> {
    unit_price
        .checked_mul(i64::from(quantity))
        .ok_or(MoneyError::Overflow)
}

/// What an order adds up to, in minor units of its currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Prices times quantities.
    pub subtotal: i64,
    /// Off all lines.
    pub discount: i64,
    /// For the shipping method.
    pub shipping: i64,
    /// On all lines.
    pub tax: i64,
    /// subtotal - discount + tax + shipping.
    pub grand: i64,
}

impl Totals {
    /// Adds up.
    pub fn of<'a>(lines: impl IntoIterator<Item = &'a Line>, shipping: i64) -> Result<Self, MoneyError> {
        fn add(sum: &mut i64, amount: i64) -> Result<(), MoneyError> {
            *sum = sum.checked_add(amount).ok_or(MoneyError::Overflow)?;
            Ok(())
        }
        let mut totals = Totals {
            shipping,
            ..Totals::default()
        };
        for line in lines {
            add(&mut totals.subtotal, line.gross()?)?;
            add(&mut totals.discount, line.discount)?;
            add(&mut totals.tax, line.tax)?;
        }
        // A discount is never more than its line, so this cannot fall below zero.
        for amount in [totals.subtotal, -totals.discount, totals.tax, totals.shipping] {
            add(&mut totals.grand, amount)?;
        }
        Ok(totals)
    }
}
