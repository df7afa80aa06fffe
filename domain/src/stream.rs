//! Streams: the events of one order, payment or shipment.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{OrderId, ParseIdError, PaymentId, ShipmentId, serde_as_text};

/// What a stream is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamKind {
    /// An order.
    Order,
    /// A payment.
    Payment,
    /// A shipment.
    Shipment,
}

impl StreamKind {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            StreamKind::Order => "order",
            StreamKind::Payment => "payment",
            StreamKind::Shipment => "shipment",
        }
    }
}

impl fmt::Display for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StreamKind {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        match text {
            "order" => Ok(StreamKind::Order),
            "payment" => Ok(StreamKind::Payment),
            "shipment" => Ok(StreamKind::Shipment),
            _ => Err(ParseIdError::new(
                text,
                "a kind of stream (order, payment, shipment)",
            )),
        }
    }
}

/// One stream. Its text is the id of what it is about; its partition key is the order's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// The order that everything in it belongs to.
    pub order: OrderId,
    /// What it is about.
    pub kind: StreamKind,
    /// Which of the order's, from 1; 0 for the order itself.
    pub number: u16,
}

impl StreamId {
    /// The order's own stream.
    pub fn order(order: OrderId) -> Self {
        Self {
            order,
            kind: StreamKind::Order,
            number: 0,
        }
    }

    /// A payment's stream.
    pub fn payment(order: OrderId, number: u16) -> Self {
        Self {
            order,
            kind: StreamKind::Payment,
            number,
        }
    }

    /// A shipment's stream.
    pub fn shipment(order: OrderId, number: u16) -> Self {
        Self {
            order,
            kind: StreamKind::Shipment,
            number,
        }
    }

    /// What decides the partition: the order's id, lower-case and hyphenated.
    pub fn partition_key(&self) -> String {
        self.order.to_string()
    }
}

impl From<OrderId> for StreamId {
    fn from(id: OrderId) -> Self {
        Self::order(id)
    }
}

impl From<PaymentId> for StreamId {
    fn from(id: PaymentId) -> Self {
        Self::payment(id.order, id.number)
    }
}

impl From<ShipmentId> for StreamId {
    fn from(id: ShipmentId) -> Self {
        Self::shipment(id.order, id.number)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            StreamKind::Order => self.order.fmt(f),
            StreamKind::Payment => PaymentId::new(self.order, self.number).fmt(f),
            StreamKind::Shipment => ShipmentId::new(self.order, self.number).fmt(f),
        }
    }
}

impl FromStr for StreamId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        if let Ok(order) = text.parse::<OrderId>() {
            return Ok(order.into());
        }
        if let Ok(payment) = text.parse::<PaymentId>() {
            return Ok(payment.into());
        }
        match text.parse::<ShipmentId>() {
            Ok(shipment) => Ok(shipment.into()),
            Err(_) => Err(ParseIdError::new(
                text,
                "a stream's id (<order>, <order>-p1 or <order>-s1)",
            )),
        }
    }
}
serde_as_text!(StreamId, "a stream's id (<order>, <order>-p1 or <order>-s1)");

/// How many events a stream holds: 0 where it does not exist, 1 after its first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub i32);

impl Version {
    /// Of a stream that does not exist.
    pub const NONE: Version = Version(0);

    /// After `events` more.
    pub fn after(self, events: usize) -> Self {
        Version(self.0.saturating_add(i32::try_from(events).unwrap_or(i32::MAX)))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
