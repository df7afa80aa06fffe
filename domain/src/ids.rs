//! Identifiers.
//!
//! A payment's and a shipment's id contain their order's, so the partition follows from any id and no look-up table
//! stands between them. Numbers are dense from 1 within their parent and are given by a decision, never by a caller.
//! Every id has one text form, which is what serde, `Display` and `FromStr` speak.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

/// An id's text does not have its form.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not {expected}")]
pub struct ParseIdError {
    text: String,
    expected: &'static str,
}

impl ParseIdError {
    pub(crate) fn new(text: &str, expected: &'static str) -> Self {
        // The text comes from outside: what is shown of it is bounded.
        Self {
            text: text.chars().take(80).collect(),
            expected,
        }
    }
}

/// serde by `Display` and `FromStr`, reading the text in place.
macro_rules! serde_as_text {
    ($type:ty, $expected:literal) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct TextVisitor;
                impl serde::de::Visitor<'_> for TextVisitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(TextVisitor)
            }
        }
    };
}
pub(crate) use serde_as_text;

/// Reads a UUID in its hyphenated form only: one id, one text.
fn parse_uuid(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

/// Reads `<uuid>-<letter><number>`.
fn parse_child(text: &str, letter: &str) -> Option<(OrderId, u16)> {
    let (order, rest) = text.split_at_checked(36)?;
    let number = parse_number(rest.strip_prefix('-')?.strip_prefix(letter)?)?;
    Some((OrderId(parse_uuid(order)?), number))
}

/// Reads a number from 1 as it is shown: no sign, no leading zero.
pub(crate) fn parse_number(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    if plain { text.parse().ok() } else { None }
}

/// An order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub Uuid);

impl OrderId {
    /// No order: what a creation has before it is given its id. Never decided.
    pub const NIL: OrderId = OrderId(Uuid::nil());
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl FromStr for OrderId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        parse_uuid(text)
            .map(Self)
            .ok_or_else(|| ParseIdError::new(text, "an order's id (a hyphenated UUID)"))
    }
}
serde_as_text!(OrderId, "an order's id (a hyphenated UUID)");

/// The id of one command, unique in the whole log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub Uuid);

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl FromStr for CommandId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        parse_uuid(text)
            .map(Self)
            .ok_or_else(|| ParseIdError::new(text, "a command's id (a hyphenated UUID)"))
    }
}
serde_as_text!(CommandId, "a command's id (a hyphenated UUID)");

macro_rules! child_id {
    ($(#[$doc:meta])* $name:ident, $letter:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            /// Whose it is.
            pub order: OrderId,
            /// Which of the order's, from 1.
            pub number: u16,
        }

        impl $name {
            /// The `number`th of `order`.
            pub fn new(order: OrderId, number: u16) -> Self {
                Self { order, number }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{}-", $letter, "{}"), self.order, self.number)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                match parse_child(text, $letter) {
                    Some((order, number)) => Ok(Self { order, number }),
                    None => Err(ParseIdError::new(text, $expected)),
                }
            }
        }
        serde_as_text!($name, $expected);
    };
}

child_id!(
    /// A payment, shown as `<order>-p1`.
    PaymentId, "p", "a payment's id (<order>-p1)"
);
child_id!(
    /// A shipment, shown as `<order>-s1`.
    ShipmentId, "s", "a shipment's id (<order>-s1)"
);

impl PaymentId {
    /// What a gateway is given as our reference for a capture: `<order>-p1-c1`.
    pub fn capture_reference(&self, capture: CaptureId) -> String {
        format!("{self}-c{capture}")
    }

    /// What a gateway is given as our reference for a refund: `<order>-p1-r1`.
    pub fn refund_reference(&self, refund: RefundId) -> String {
        format!("{self}-r{refund}")
    }
}

macro_rules! number_id {
    ($($(#[$doc:meta])* $name:ident, $expected:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u16);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_number(text).map(Self).ok_or_else(|| ParseIdError::new(text, $expected))
            }
        }
    )+};
}

number_id! {
    /// A line of an order, from 1.
    LineId, "a line's number";
    /// A capture of a payment, from 1.
    CaptureId, "a capture's number";
    /// A refund of a payment, from 1.
    RefundId, "a refund's number";
    /// A return of an order, from 1.
    ReturnId, "a return's number";
    /// A parcel of a shipment, from 1.
    ParcelNumber, "a parcel's number";
}

/// The number that people call an order by. From a sequence: unique, holes allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderNumber(pub i64);

impl fmt::Display for OrderNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for OrderNumber {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.parse()
            .map(Self)
            .map_err(|_| ParseIdError::new(text, "an order's number"))
    }
}
