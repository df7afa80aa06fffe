//! Money: whole minor units of an ISO 4217 currency, never a float.
//!
//! Arithmetic is checked: a different currency or an overflow is an error, never another number. Shares are allotted by
//! largest remainder, so that parts always add up to the whole.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::ids::serde_as_text;
use crate::limits;

/// A currency of ISO 4217 that has a minor unit by the standard's table. Gold, testing codes and the like have none, and
/// are refused: an amount of theirs would have no meaning in minor units.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// The euro.
    pub const EUR: Currency = Currency(iso_currency::Currency::EUR);
    /// The United States dollar.
    pub const USD: Currency = Currency(iso_currency::Currency::USD);

    /// Finds a currency by its three upper-case letters.
    pub fn try_new(code: &str) -> Result<Self, MoneyError> {
        let shown = || code.chars().take(8).collect::<String>();
        let currency = iso_currency::Currency::from_code(code)
            .ok_or_else(|| MoneyError::UnknownCurrency { code: shown() })?;
        match currency.exponent() {
            Some(_) => Ok(Self(currency)),
            None => Err(MoneyError::NoMinorUnit { code: shown() }),
        }
    }

    /// Three letters.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Decimal places: 2 for EUR, 0 for JPY, 3 for KWD.
    pub fn exponent(self) -> u16 {
        // Present by construction; a currency without it was refused.
        self.0.exponent().unwrap_or(0)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(code: &str) -> Result<Self, MoneyError> {
        Self::try_new(code)
    }
}
serde_as_text!(Currency, "an ISO 4217 currency such as EUR");

/// Why an amount was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MoneyError {
    /// Not in ISO 4217.
    #[error("{code:?} is not a currency of ISO 4217")]
    UnknownCurrency {
        /// As it was given.
        code: String,
    },
    /// In ISO 4217, without a minor unit.
    #[error("{code} has no minor unit, so nothing can be priced in it")]
    NoMinorUnit {
        /// As it was given.
        code: String,
    },
    /// Two currencies where one is needed; nothing is ever exchanged.
    #[error("the amount is in {found}, but {expected} is needed")]
    CurrencyMismatch {
        /// What is needed.
        expected: Currency,
        /// What was given.
        found: Currency,
    },
    /// Zero or less.
    #[error("an amount of {amount_minor} is not greater than zero")]
    NotPositive {
        /// What was given.
        amount_minor: i64,
    },
    /// Less than zero.
    #[error("an amount of {amount_minor} is negative")]
    Negative {
        /// What was given.
        amount_minor: i64,
    },
    /// The result does not fit 64 bits.
    #[error("the amount is too large")]
    Overflow,
    /// There is nothing to share by.
    #[error("an amount cannot be shared by weights that add up to zero")]
    NoWeights,
}

/// An amount in minor units. In JSON: `{"amountMinor": 1999, "currency": "EUR"}`; the number may be a string of digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Money {
    /// Minor units.
    #[serde(deserialize_with = "number_or_digits")]
    pub amount_minor: i64,
    /// Of this currency.
    pub currency: Currency,
}

impl Money {
    /// `amount_minor` minor units of `currency`.
    pub fn new(amount_minor: i64, currency: Currency) -> Self {
        Self {
            amount_minor,
            currency,
        }
    }

    /// The minor units, where they are more than zero, at most [`limits::AMOUNT`], and of `currency`.
    pub fn positive_in(self, currency: Currency) -> Result<i64, MoneyError> {
        match self.not_negative_in(currency)? {
            0 => Err(MoneyError::NotPositive { amount_minor: 0 }),
            amount => Ok(amount),
        }
    }

    /// The minor units, where they are zero or more, at most [`limits::AMOUNT`], and of `currency`.
    pub fn not_negative_in(self, currency: Currency) -> Result<i64, MoneyError> {
        if self.currency != currency {
            return Err(MoneyError::CurrencyMismatch {
                expected: currency,
                found: self.currency,
            });
        }
        if self.amount_minor < 0 {
            return Err(MoneyError::Negative {
                amount_minor: self.amount_minor,
            });
        }
        if self.amount_minor > limits::AMOUNT {
            return Err(MoneyError::Overflow);
        }
        Ok(self.amount_minor)
    }

    /// The sum.
    pub fn checked_add(self, other: Money) -> Result<Money, MoneyError> {
        self.combine(other, i64::checked_add)
    }

    /// The difference.
    pub fn checked_sub(self, other: Money) -> Result<Money, MoneyError> {
        self.combine(other, i64::checked_sub)
    }

    /// The product.
    pub fn checked_mul(self, factor: i64) -> Result<Money, MoneyError> {
        let amount = self
            .amount_minor
            .checked_mul(factor)
            .ok_or(MoneyError::Overflow)?;
        Ok(Money::new(amount, self.currency))
    }

    fn combine(self, other: Money, how: fn(i64, i64) -> Option<i64>) -> Result<Money, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch {
                expected: self.currency,
                found: other.currency,
            });
        }
        let amount = how(self.amount_minor, other.amount_minor).ok_or(MoneyError::Overflow)?;
        Ok(Money::new(amount, self.currency))
    }

    /// Shares the amount by `weights`; see [`allocate`].
    pub fn allocate(self, weights: &[u64]) -> Result<Vec<Money>, MoneyError> {
        let parts = allocate(self.amount_minor, weights)?;
        Ok(parts
            .into_iter()
            .map(|part| Money::new(part, self.currency))
            .collect())
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = usize::from(self.currency.exponent());
        let sign = if self.amount_minor < 0 { "-" } else { "" };
        let digits = format!(
            "{:0>width$}",
            self.amount_minor.unsigned_abs(),
            width = places + 1
        );
        let (whole, part) = digits.split_at(digits.len() - places);
        let point = if places == 0 { "" } else { "." };
        write!(f, "{sign}{whole}{point}{part} {}", self.currency)
    }
}

/// Shares `amount` by `weights`: everyone gets the whole units of their exact share, and the units that are left go to the
/// largest remainders, of equal ones to the first. The parts add up to `amount`, also where it is negative.
pub fn allocate(amount: i64, weights: &[u64]) -> Result<Vec<i64>, MoneyError> {
    let total: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
    if total == 0 {
        return Err(MoneyError::NoWeights);
    }
    let size = u128::from(amount.unsigned_abs());
    let mut rest = size;
    // size < 2^64 and weight < 2^64: the product fits, and a share is never larger than `size`.
    let mut shares: Vec<(usize, u128, u128)> = weights
        .iter()
        .enumerate()
        .map(|(at, &weight)| {
            let product = size * u128::from(weight);
            (at, product / total, product % total)
        })
        .collect();
    for (_, share, _) in &shares {
        rest -= share;
    }
    shares.sort_by(|a, b| b.2.cmp(&a.2).then(a.0.cmp(&b.0)));
    for (_, share, _) in shares
        .iter_mut()
        .take(usize::try_from(rest).unwrap_or(usize::MAX))
    {
        *share += 1;
    }
    shares.sort_by_key(|&(at, ..)| at);
    let sign = if amount < 0 { -1 } else { 1 };
    shares
        .into_iter()
        .map(|(_, share, _)| {
            i128::try_from(share)
                .ok()
                .and_then(|share| i64::try_from(sign * share).ok())
        })
        .collect::<Option<_>>()
        .ok_or(MoneyError::Overflow)
}

/// `amount` times `numerator / denominator`, half up, for amounts of zero and more.
pub(crate) fn proportion(amount: i64, numerator: u64, denominator: u64) -> Result<i64, MoneyError> {
    let amount = i128::from(amount);
    let (numerator, denominator) = (i128::from(numerator), i128::from(denominator));
    if denominator == 0 {
        return Err(MoneyError::NoWeights);
    }
    let rounded = (amount * numerator * 2 + denominator).div_euclid(denominator * 2);
    i64::try_from(rounded).map_err(|_| MoneyError::Overflow)
}

/// A whole number as JSON's number or as a string of digits: JavaScript has no exact 64-bit number.
fn number_or_digits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    struct NumberVisitor;
    impl Visitor<'_> for NumberVisitor {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number of minor units")
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<i64, E> {
            Ok(number)
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<i64, E> {
            i64::try_from(number).map_err(|_| E::custom(MoneyError::Overflow))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<i64, E> {
            let digits = text.strip_prefix('-').unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(E::custom("an amount is a whole number of minor units"));
            }
            text.parse().map_err(|_| E::custom(MoneyError::Overflow))
        }
    }
    deserializer.deserialize_any(NumberVisitor)
}
