//! Scalars. What does not fit a JavaScript number travels as text: GraphQL's `Int` has 32 bits, and the library would
//! print a larger number as one without a word.

use async_graphql::{
    ComplexObject, InputObject, InputValueError, InputValueResult, Scalar, ScalarType, SimpleObject, Value,
};
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use docket_domain::{CountryCode, Currency, Money};
use serde::{Serialize, Serializer};

use super::{
    error::Refused,
    plain::{Plain, leaf, shown},
};

/// A whole number of 64 bits, written as a string of digits; a number is read too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BigInt(pub i64);

#[Scalar(name = "BigInt")]
impl ScalarType for BigInt {
    fn parse(value: Value) -> InputValueResult<Self> {
        let parsed = match &value {
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.as_i64(),
            _ => return Err(InputValueError::expected_type(value)),
        };
        parsed
            .map(BigInt)
            .ok_or_else(|| InputValueError::custom("a whole number of 64 bits is expected"))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

impl Serialize for BigInt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A day, written as `2026-01-31`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day(pub NaiveDate);

#[Scalar(name = "Date")]
impl ScalarType for Day {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        let day = text.parse().map(Day);
        day.map_err(|_| InputValueError::custom("a day as `2026-01-31` is expected"))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// A decimal number, written as a string: exact, in the number of places that its currency has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal(pub String);

#[Scalar(name = "Decimal")]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = value else {
            return Err(InputValueError::expected_type(value));
        };
        let digits = text.strip_prefix('-').unwrap_or(&text);
        let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') && digits.len() <= 40;
        let ends_in_digits = digits.split('.').count() <= 2 && digits.split('.').all(|part| !part.is_empty());
        if plain && ends_in_digits {
            Ok(Decimal(text))
        } else {
            Err(InputValueError::custom("a decimal number is expected"))
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// A currency of ISO 4217 with a minor unit, by its three upper-case letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CurrencyScalar(pub Currency);

#[Scalar(
    name = "Currency",
    specified_by_url = "https://www.iso.org/iso-4217-currency-codes.html"
)]
impl ScalarType for CurrencyScalar {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(code) => Ok(CurrencyScalar(Currency::try_new(code)?)),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.code().to_owned())
    }
}

/// A country of ISO 3166-1, by its two upper-case letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CountryScalar(pub CountryCode);

#[Scalar(
    name = "CountryCode",
    specified_by_url = "https://www.iso.org/iso-3166-country-codes.html"
)]
impl ScalarType for CountryScalar {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(code) => Ok(CountryScalar(CountryCode::try_new(code)?)),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.as_str().to_owned())
    }
}

/// An instant to look for, of a year from 1 to 9999: what is recorded has no other, and the database's own calendar ends
/// where the library's goes on.
pub(super) fn instant(named: DateTime<Utc>) -> Result<DateTime<Utc>, Refused> {
    if (1..=9999).contains(&named.year()) {
        return Ok(named);
    }
    Err(Refused::bad_input(format!(
        "A time has a year from 1 to 9999, not {}.",
        named.year()
    )))
}

/// An amount of money as it is shown.
pub type MoneyValue = Plain<Amount>;

/// An amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SimpleObject)]
#[graphql(name = "Money", complex)]
pub struct Amount {
    /// In minor units: cents where the currency has cents.
    pub amount_minor: BigInt,
    /// Of this currency.
    pub currency: CurrencyScalar,
}

leaf!(BigInt, CurrencyScalar);

shown!(Amount, |amount| {
    amountMinor: &amount.amount_minor,
    currency: &amount.currency,
    amount: amount.in_major_units().0,
});

impl Amount {
    fn in_major_units(&self) -> Decimal {
        let shown = Money::new(self.amount_minor.0, self.currency.0).to_string();
        // The text is the amount, a space and the currency.
        Decimal(shown.split(' ').next().unwrap_or_default().to_owned())
    }
}

#[ComplexObject]
impl Amount {
    /// In major units, with the places of its currency: `19.99`.
    async fn amount(&self) -> Decimal {
        self.in_major_units()
    }
}

impl MoneyValue {
    /// `amount_minor` minor units of `currency`.
    pub fn new(amount_minor: i64, currency: Currency) -> Self {
        Plain(Amount {
            amount_minor: BigInt(amount_minor),
            currency: CurrencyScalar(currency),
        })
    }
}

impl From<Money> for MoneyValue {
    fn from(money: Money) -> Self {
        Self::new(money.amount_minor, money.currency)
    }
}

/// An amount of money as it is asked for.
#[derive(Clone, Copy, Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MoneyInput {
    /// In minor units: cents where the currency has cents.
    pub amount_minor: BigInt,
    /// Of this currency.
    pub currency: CurrencyScalar,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_big_integer_is_text_and_never_a_float() {
        assert_eq!(BigInt(5_000_000_000).to_value(), Value::from("5000000000"));
        assert_eq!(
            BigInt::parse(Value::from("-9223372036854775808")).unwrap(),
            BigInt(i64::MIN)
        );
        assert_eq!(BigInt::parse(Value::from(7)).unwrap(), BigInt(7));
        for wrong in [
            Value::from("9223372036854775808"),
            Value::from(1.5),
            Value::from("1e3"),
            Value::from(""),
            Value::Null,
        ] {
            assert!(BigInt::parse(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_decimal_is_digits_with_at_most_one_point() {
        for right in ["0", "-1.50", "19.99"] {
            assert!(Decimal::parse(Value::from(right)).is_ok(), "{right}");
        }
        for wrong in ["", "-", ".5", "5.", "1.2.3", "1e3", "NaN", "1,5"] {
            assert!(Decimal::parse(Value::from(wrong)).is_err(), "{wrong}");
        }
    }
}
