//! Events as they are stored: a type, a schema version and a JSON payload.
//!
//! Every event has a row in its aggregate's table (`order/event.rs` and its neighbours): variant, type, current version,
//! upcasters. The payload is the struct alone; type and version are columns of the log. A stored payload never changes:
//! when a struct does, its version rises by one, an upcaster that lifts the old JSON joins the row, and the golden file
//! of the old version stays. A payload of the current version is read straight into its struct, because that is what a
//! rebuild spends its time on; only old ones take the way over a JSON tree.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::order::OrderEvent;
use crate::payment::PaymentEvent;
use crate::shipment::ShipmentEvent;
use crate::stream::StreamKind;

/// Any event of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// About an order.
    Order(OrderEvent),
    /// About a payment.
    Payment(PaymentEvent),
    /// About a shipment.
    Shipment(ShipmentEvent),
}

/// An event cannot be stored: a personal value in it is still open.
#[derive(Debug, Error)]
#[error("the payload of {event_type} cannot be written")]
pub struct PayloadError {
    /// Of this event.
    pub event_type: &'static str,
    /// What stood in the way.
    #[source]
    pub source: serde_json::Error,
}

/// A stored event cannot be read.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// This program does not know the type; a newer one may.
    #[error("the event type {event_type:?} is unknown")]
    UnknownType {
        /// As stored.
        event_type: String,
    },
    /// A newer program wrote it.
    #[error("{event_type} has schema version {found}, this program knows 1 to {known}")]
    UnknownVersion {
        /// Of this type.
        event_type: &'static str,
        /// The newest version that this program knows.
        known: u16,
        /// As stored.
        found: u16,
    },
    /// The payload is not what its type and version say.
    #[error("the payload of {event_type} version {schema_version} does not fit")]
    Malformed {
        /// Of this type.
        event_type: &'static str,
        /// As stored.
        schema_version: u16,
        /// Where it does not.
        #[source]
        source: serde_json::Error,
    },
    /// An old payload could not be lifted.
    #[error("{event_type} cannot be lifted from schema version {from}: {reason}")]
    Upcast {
        /// Of this type.
        event_type: &'static str,
        /// The version whose upcaster failed.
        from: u16,
        /// What it missed.
        reason: &'static str,
    },
}

/// Lifts a payload by one schema version, in place.
pub(crate) type Upcaster = fn(&mut Map<String, Value>) -> Result<(), &'static str>;

impl Event {
    /// Its type, such as `order.placed`.
    pub fn event_type(&self) -> &'static str {
        match self {
            Event::Order(event) => event.event_type(),
            Event::Payment(event) => event.event_type(),
            Event::Shipment(event) => event.event_type(),
        }
    }

    /// The current schema version of its type.
    pub fn schema_version(&self) -> u16 {
        match self {
            Event::Order(event) => event.schema_version(),
            Event::Payment(event) => event.schema_version(),
            Event::Shipment(event) => event.schema_version(),
        }
    }

    /// What kind of stream it belongs to.
    pub fn kind(&self) -> StreamKind {
        match self {
            Event::Order(_) => StreamKind::Order,
            Event::Payment(_) => StreamKind::Payment,
            Event::Shipment(_) => StreamKind::Shipment,
        }
    }

    /// Its payload as compact JSON.
    pub fn payload(&self) -> Result<String, PayloadError> {
        let written = match self {
            Event::Order(event) => event.payload(),
            Event::Payment(event) => event.payload(),
            Event::Shipment(event) => event.payload(),
        };
        written.map_err(|source| PayloadError {
            event_type: self.event_type(),
            source,
        })
    }

    /// Reads a stored event of any version.
    pub fn from_payload(event_type: &str, schema_version: u16, payload: &str) -> Result<Event, DecodeError> {
        let event = match event_type.split_once('.') {
            Some(("order", _)) => OrderEvent::from_payload(event_type, schema_version, payload)
                .map(|event| event.map(Event::Order)),
            Some(("payment", _)) => PaymentEvent::from_payload(event_type, schema_version, payload)
                .map(|event| event.map(Event::Payment)),
            Some(("shipment", _)) => ShipmentEvent::from_payload(event_type, schema_version, payload)
                .map(|event| event.map(Event::Shipment)),
            _ => None,
        };
        event.unwrap_or_else(|| {
            Err(DecodeError::UnknownType {
                event_type: event_type.chars().take(80).collect(),
            })
        })
    }

    /// Every type with its current schema version.
    pub fn types() -> impl Iterator<Item = (&'static str, u16)> {
        [OrderEvent::TYPES, PaymentEvent::TYPES, ShipmentEvent::TYPES]
            .into_iter()
            .flatten()
            .copied()
    }
}

/// Reads one payload; `upcasters[n]` lifts version n + 1 to n + 2.
pub(crate) fn decode<T: DeserializeOwned>(
    event_type: &'static str,
    upcasters: &[Upcaster],
    schema_version: u16,
    payload: &str,
) -> Result<T, DecodeError> {
    let malformed = |source| DecodeError::Malformed {
        event_type,
        schema_version,
        source,
    };
    let known = current_version(upcasters);
    if schema_version == known {
        return serde_json::from_str(payload).map_err(malformed);
    }
    if schema_version == 0 || schema_version > known {
        return Err(DecodeError::UnknownVersion {
            event_type,
            known,
            found: schema_version,
        });
    }
    let mut tree: Map<String, Value> = serde_json::from_str(payload).map_err(malformed)?;
    for (from, upcast) in (1..).zip(upcasters).skip(usize::from(schema_version) - 1) {
        upcast(&mut tree).map_err(|reason| DecodeError::Upcast {
            event_type,
            from,
            reason,
        })?;
    }
    serde_json::from_value(Value::Object(tree)).map_err(malformed)
}

/// One more than there are upcasters.
pub(crate) const fn current_version(upcasters: &[Upcaster]) -> u16 {
    // A list in the source text is far shorter than 65,535.
    upcasters.len() as u16 + 1
}

/// The table of an aggregate's events. A row is `Variant(Payload) = "type", [upcasters];` and makes the variant, its
/// type name, its version (one more than it has upcasters) and its way to and from a payload.
macro_rules! events {
    ($(#[$meta:meta])* $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident($payload:ty) = $type:literal, [$($upcaster:path),*];)+
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_meta])* $variant($payload),)+
        }

        impl $name {
            /// Every type with its current schema version.
            pub const TYPES: &'static [(&'static str, u16)] =
                &[$(($type, $crate::event::current_version(&[$($upcaster),*]))),+];

            /// The type's name as it is stored.
            pub fn event_type(&self) -> &'static str {
                match self { $($name::$variant(_) => $type,)+ }
            }

            /// The current schema version of the type.
            pub fn schema_version(&self) -> u16 {
                match self { $($name::$variant(_) => const { $crate::event::current_version(&[$($upcaster),*]) },)+ }
            }

            /// The payload as compact JSON.
            pub(crate) fn payload(&self) -> Result<String, serde_json::Error> {
                match self { $($name::$variant(payload) => serde_json::to_string(payload),)+ }
            }

            /// Reads a payload of any version; `None` where the type is not this aggregate's.
            pub(crate) fn from_payload(
                event_type: &str,
                schema_version: u16,
                payload: &str,
            ) -> Option<Result<Self, $crate::event::DecodeError>> {
                match event_type {
                    $($type => Some(
                        $crate::event::decode::<$payload>($type, &[$($upcaster),*], schema_version, payload)
                            .map($name::$variant),
                    ),)+
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use events;
