//! Postal addresses: the country in clear, because prices, taxes and reports need it; everything else personal.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use thiserror::Error;

use crate::ids::serde_as_text;
use crate::limits;
use crate::personal::{Personal, Sealable, SealedValue};
use crate::text::{Code, Name};

/// A country of ISO 3166-1, by its two upper-case letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CountryCode([u8; 2]);

/// Not a country.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{code:?} is not a country of ISO 3166-1 (two upper-case letters)")]
pub struct CountryError {
    code: String,
}

impl CountryCode {
    /// Finds a country by its two upper-case letters.
    pub fn try_new(code: &str) -> Result<Self, CountryError> {
        let known = iso_currency::Country::from_str(code).is_ok();
        match code.as_bytes() {
            &[a @ b'A'..=b'Z', b @ b'A'..=b'Z'] if known => Ok(Self([a, b])),
            _ => Err(CountryError {
                code: code.chars().take(8).collect(),
            }),
        }
    }

    /// Two letters.
    pub fn as_str(&self) -> &str {
        // Two ASCII letters by construction.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CountryCode {
    type Err = CountryError;

    fn from_str(code: &str) -> Result<Self, CountryError> {
        Self::try_new(code)
    }
}
serde_as_text!(CountryCode, "a country of ISO 3166-1 such as DE");

/// An address as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// In clear.
    pub country: CountryCode,
    /// The rest, sealed as one value.
    pub lines: Personal<AddressLines>,
}

/// The personal part of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressLines {
    /// Who receives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Where they work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<Name>,
    /// Street and house, 1 to 4 lines.
    pub street: Vec<Name>,
    /// As the country writes it; some countries have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<Code>,
    /// Town.
    pub city: Name,
    /// State, province or county.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Name>,
}

/// An address as a caller writes it: flat, and in clear.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddressInput {
    /// Who receives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Where they work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<Name>,
    /// Street and house, 1 to 4 lines.
    pub street: Vec<Name>,
    /// As the country writes it; some countries have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<Code>,
    /// Town.
    pub city: Name,
    /// State, province or county.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Name>,
    /// Two letters.
    pub country: CountryCode,
}

/// An address without a street, or with too much of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an address has 1 to {max} street lines, not {0}", max = limits::STREET_LINES)]
pub struct StreetLinesError(pub usize);

impl Address {
    /// An open address from a caller's.
    pub fn try_open(input: AddressInput) -> Result<Self, StreetLinesError> {
        let AddressInput {
            name,
            company,
            street,
            postal_code,
            city,
            region,
            country,
        } = input;
        if !(1..=limits::STREET_LINES).contains(&street.len()) {
            return Err(StreetLinesError(street.len()));
        }
        let lines = AddressLines {
            name,
            company,
            street,
            postal_code,
            city,
            region,
        };
        Ok(Self {
            country,
            lines: Personal::Open(lines),
        })
    }

    pub(crate) fn approximate_bytes(&self) -> usize {
        self.lines.approximate_bytes()
    }
}

impl Sealable for Address {
    fn seal_with(&mut self, seal: &mut dyn FnMut(&[u8]) -> SealedValue) {
        self.lines.seal_with(seal);
    }
}

impl fmt::Debug for AddressInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AddressInput({}, ..)", self.country)
    }
}

/// For commands: the flat, clear form.
pub mod clear {
    use super::*;

    /// Reads the flat form.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        Address::try_open(AddressInput::deserialize(deserializer)?).map_err(de::Error::custom)
    }

    /// Writes the flat form.
    pub fn serialize<S: Serializer>(address: &Address, serializer: S) -> Result<S::Ok, S::Error> {
        let Personal::Open(lines) = address.lines.clone() else {
            return Err(ser::Error::custom("a sealed value has no clear form"));
        };
        let AddressLines {
            name,
            company,
            street,
            postal_code,
            city,
            region,
        } = lines;
        let country = address.country;
        AddressInput {
            name,
            company,
            street,
            postal_code,
            city,
            region,
            country,
        }
        .serialize(serializer)
    }
}

/// As [`clear`], for fields that may be absent.
pub mod clear_option {
    use super::*;

    /// Reads the flat form; `null` is none.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
        let input = Option::<AddressInput>::deserialize(deserializer)?;
        input
            .map(Address::try_open)
            .transpose()
            .map_err(de::Error::custom)
    }

    /// Writes the flat form.
    pub fn serialize<S: Serializer>(address: &Option<Address>, serializer: S) -> Result<S::Ok, S::Error> {
        match address {
            Some(address) => clear::serialize(address, serializer),
            None => serializer.serialize_none(),
        }
    }
}
