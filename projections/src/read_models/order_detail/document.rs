//! The document: the domain's states and what they do not keep (times, references, reasons).
//!
//! It is what is stored and what is read; everything that follows from it is a method, so that it is written once.

use crate::read_models::axes::{
    FulfillmentStatus, LineProgress, OrderPaymentStatus, Sums, fulfillment_status, line_progress,
    payment_status,
};
use chrono::{DateTime, Utc};
use docket_domain::{
    CaptureId, Case, Currency, LineId, OrderId, ParcelNumber, Personal, RefundId, ReturnId, Version,
    order::{Order, Totals},
    payment::{Failure, OperationStatus, Payment},
    shipment::{CarrierStatus, Shipment},
    text::{Name, Reason, Reference},
};
use docket_event_store::{Origin, Position};
use litemap::LiteMap;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use std::{fmt, marker::PhantomData, sync::Arc};

/// Payments, shipments, captures: room for so many entries is made at once.
const USUAL_ENTRIES: usize = 8;

/// When an order reached a status: the business times of the events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// When it was begun.
    #[serde(with = "docket_domain::instant")]
    pub created_at: DateTime<Utc>,
    /// When something happened to it, its payments or its shipments last.
    #[serde(with = "docket_domain::instant")]
    pub updated_at: DateTime<Utc>,
    /// When it was placed.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "docket_domain::instant::option"
    )]
    pub placed_at: Option<DateTime<Utc>>,
    /// When it was confirmed.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "docket_domain::instant::option"
    )]
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When it was completed.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "docket_domain::instant::option"
    )]
    pub completed_at: Option<DateTime<Utc>>,
    /// When it was called off.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "docket_domain::instant::option"
    )]
    pub cancelled_at: Option<DateTime<Utc>>,
    /// When it expired.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "docket_domain::instant::option"
    )]
    pub expired_at: Option<DateTime<Utc>>,
}

/// An order with its payments and shipments. Personal values are sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderDetail {
    /// Which order.
    pub id: OrderId,
    /// The newest event of the order, its payments and its shipments.
    pub position: Position,
    /// Of the order's own stream.
    pub version: Version,
    /// The rest.
    pub document: Document,
}

/// What is stored in one piece, as [`crate::read_models::stored::to_packed`] writes it: fields and variants are known by
/// their places there, in this type and in the domain's, so what changes them raises the fold's version. Maps are sorted
/// vectors: most have one entry, for which a tree would take room for eleven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Where the order's first event came from.
    #[serde(with = "origin")]
    pub origin: Origin,
    /// When it reached its statuses.
    pub times: Times,
    /// Why it was called off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_reason: Option<Reason>,
    /// The order's own state, but for how long a draft has lain idle: only decisions need it, and
    /// [`Times::updated_at`] is what people read.
    pub order: Order,
    /// When its returns were asked for and received.
    #[serde(
        default,
        skip_serializing_if = "LiteMap::is_empty",
        deserialize_with = "entries"
    )]
    pub returns: LiteMap<ReturnId, ReturnTimes>,
    /// When its flags were raised, one for each of [`Order::flags`].
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        with = "docket_domain::instant::list"
    )]
    pub flagged_at: Vec<DateTime<Utc>>,
    /// By number.
    #[serde(
        default,
        skip_serializing_if = "LiteMap::is_empty",
        deserialize_with = "entries"
    )]
    pub payments: LiteMap<u16, PaymentDetail>,
    /// By number.
    #[serde(
        default,
        skip_serializing_if = "LiteMap::is_empty",
        deserialize_with = "entries"
    )]
    pub shipments: LiteMap<u16, ShipmentDetail>,
}

/// What a return has beside its state in [`Order::returns`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnTimes {
    /// When it was asked for.
    #[serde(with = "docket_domain::instant")]
    pub requested_at: DateTime<Utc>,
    /// When it was received.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "docket_domain::instant::option"
    )]
    pub received_at: Option<DateTime<Utc>>,
}

/// A payment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentDetail {
    /// Its state.
    pub state: Payment,
    /// Of its stream.
    pub version: Version,
    /// When it was started.
    #[serde(with = "docket_domain::instant")]
    pub created_at: DateTime<Utc>,
    /// When something happened to it last.
    #[serde(with = "docket_domain::instant")]
    pub updated_at: DateTime<Utc>,
    /// When the gateway said yes to it first.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "docket_domain::instant::option"
    )]
    pub authorized_at: Option<DateTime<Utc>>,
    /// Why the gateway refused it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Why the rest was let go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub void_reason: Option<Reason>,
    /// What its captures have beside their state.
    #[serde(
        default,
        skip_serializing_if = "LiteMap::is_empty",
        deserialize_with = "entries"
    )]
    pub captures: LiteMap<CaptureId, CaptureDetail>,
    /// What its refunds have beside their state.
    #[serde(
        default,
        skip_serializing_if = "LiteMap::is_empty",
        deserialize_with = "entries"
    )]
    pub refunds: LiteMap<RefundId, RefundDetail>,
}

/// What a capture has beside its state in [`Payment::captures`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureDetail {
    /// When it was asked for.
    #[serde(with = "docket_domain::instant")]
    pub requested_at: DateTime<Utc>,
    /// For this shipment of the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipment: Option<u16>,
    /// The gateway's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// What a refund has beside its state in [`Payment::refunds`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundDetail {
    /// When it was asked for.
    #[serde(with = "docket_domain::instant")]
    pub requested_at: DateTime<Utc>,
    /// Why it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// For these pieces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<docket_domain::quantity::LineQuantity>,
    /// The gateway's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A shipment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShipmentDetail {
    /// Its state. The ids of its scans are left out: [`ShipmentDetail::scans`] has what people read.
    pub state: Shipment,
    /// Of its stream.
    pub version: Version,
    /// When it was started.
    #[serde(with = "docket_domain::instant")]
    pub created_at: DateTime<Utc>,
    /// When something happened to it last.
    #[serde(with = "docket_domain::instant")]
    pub updated_at: DateTime<Utc>,
    /// The carrier's time of its arrival.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "docket_domain::instant::option"
    )]
    pub delivered_at: Option<DateTime<Utc>>,
    /// The carrier's time of its return.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "docket_domain::instant::option"
    )]
    pub returned_at: Option<DateTime<Utc>>,
    /// Who took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<Personal<Name>>,
    /// Why it was given up or called off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Each parcel's newest scan.
    #[serde(
        default,
        skip_serializing_if = "LiteMap::is_empty",
        deserialize_with = "entries"
    )]
    pub scans: LiteMap<ParcelNumber, Scan>,
}

/// Where a carrier saw a parcel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// What it said.
    pub status: CarrierStatus,
    /// Its time.
    #[serde(with = "docket_domain::instant")]
    pub at: DateTime<Utc>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Personal<Name>>,
}

impl OrderDetail {
    /// An order of which the states are known and nothing else: what follows from them is right, and there are no times,
    /// references and reasons.
    pub fn of_states(id: OrderId, position: Position, version: Version, case: &Case) -> OrderDetail {
        let payment = |(number, state): (&u16, &Arc<Payment>)| {
            let state = Payment::clone(state);
            (
                *number,
                PaymentDetail {
                    state,
                    ..PaymentDetail::default()
                },
            )
        };
        let shipment = |(number, state): (&u16, &Arc<Shipment>)| {
            let mut state = Shipment::clone(state);
            state.scans.clear();
            (
                *number,
                ShipmentDetail {
                    state,
                    ..ShipmentDetail::default()
                },
            )
        };
        let (payments, shipments) = (case.payments.iter(), case.shipments.iter());
        OrderDetail {
            id,
            position,
            version,
            document: Document {
                origin: Origin::Live,
                times: Times::default(),
                cancel_reason: None,
                order: Order {
                    idle: None,
                    ..Order::clone(&case.order)
                },
                returns: LiteMap::new(),
                flagged_at: Vec::new(),
                payments: payments
                    .filter(|(_, state)| state.exists())
                    .map(payment)
                    .collect(),
                shipments: shipments
                    .filter(|(_, state)| state.exists())
                    .map(shipment)
                    .collect(),
            },
        }
    }

    /// The order's own state.
    pub fn order(&self) -> &Order {
        &self.document.order
    }

    fn payments(&self) -> impl Iterator<Item = &Payment> {
        self.document.payments.values().map(|payment| &payment.state)
    }

    /// Of every amount.
    pub fn currency(&self) -> Option<Currency> {
        self.document.order.currency
    }

    /// What it adds up to: as placed, or, in a draft, now.
    pub fn totals(&self) -> Totals {
        // The fold refused totals that do not fit.
        self.document.order.totals_now().unwrap_or_default()
    }

    /// The sums over its payments; `captured` is what was paid.
    pub fn sums(&self) -> Sums {
        // The fold refused sums that do not fit.
        Sums::of(self.payments()).unwrap_or_default()
    }

    /// What payers dispute of its payments and nobody has decided.
    pub fn disputed(&self) -> i64 {
        self.payments()
            .fold(0, |sum, payment| sum.saturating_add(payment.disputed()))
    }

    /// What its payments lost to payers who disputed them. It was captured before, so it is part of what was paid.
    pub fn lost(&self) -> i64 {
        self.payments()
            .fold(0, |sum, payment| sum.saturating_add(payment.lost()))
    }

    /// What was given back for a return, or, as `Pending`, is being given back.
    pub fn refunds_of(&self, return_id: ReturnId, status: OperationStatus) -> i64 {
        let refunds = self.payments().flat_map(|payment| payment.refunds.values());
        refunds
            .filter(|refund| refund.return_id == Some(return_id) && refund.status == status)
            .fold(0, |sum, refund| sum.saturating_add(refund.amount))
    }

    /// How far its payments have come.
    pub fn payment_status(&self) -> OrderPaymentStatus {
        payment_status(&self.document.order, &self.sums(), self.payments())
    }

    /// What became of the pieces of each line.
    pub fn line_progress(&self) -> Vec<(LineId, LineProgress)> {
        line_progress(
            &self.document.order,
            self.document.shipments.values().map(|shipment| &shipment.state),
        )
    }

    /// How far its shipments have come.
    pub fn fulfillment_status(&self) -> FulfillmentStatus {
        fulfillment_status(&self.document.order, &self.line_progress())
    }
}

/// Reads a map entry by entry: how many there are is not believed before they are there.
fn entries<'de, D, K, V>(deserializer: D) -> Result<LiteMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    struct Entries<K, V>(PhantomData<(K, V)>);

    impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Visitor<'de> for Entries<K, V> {
        type Value = LiteMap<K, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = LiteMap::with_capacity(map.size_hint().unwrap_or(1).min(USUAL_ENTRIES));
            while let Some((key, value)) = map.next_entry()? {
                entries.insert(key, value);
            }
            Ok(entries)
        }
    }

    deserializer.deserialize_map(Entries(PhantomData))
}

mod origin {
    use docket_event_store::Origin;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(origin: &Origin, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(origin.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Origin, D::Error> {
        let word = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let all = [Origin::Live, Origin::Imported];
        all.into_iter()
            .find(|origin| origin.as_str() == word)
            .ok_or_else(|| D::Error::custom("an unknown origin"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        interleaving::any_entity,
        projector::Projector,
        read_models::{
            order_detail::OrderDetailProjector,
            stored::{from_packed, to_packed},
        },
    };
    use docket_domain::testing::layout;

    /// See `states_are_laid_out_as_packed_documents_know_them` of the domain.
    #[test]
    fn documents_are_laid_out_as_their_rows_know_them() {
        let now = [
            layout::<Document>(),
            layout::<Times>(),
            layout::<ReturnTimes>(),
            layout::<PaymentDetail>(),
            layout::<CaptureDetail>(),
            layout::<RefundDetail>(),
            layout::<ShipmentDetail>(),
            layout::<Scan>(),
        ];
        assert_eq!(
            now.join("\n"),
            include_str!("../../../tests/rows/document.layout.txt").trim_end()
        );
    }

    /// An order that tried everything, one that did before there were returns, and a draft: rows that are there.
    const ROWS: [(&str, &str); 3] = [
        ("whole", include_str!("../../../tests/rows/whole.document.json")),
        ("full", include_str!("../../../tests/rows/full.document.json")),
        ("draft", include_str!("../../../tests/rows/draft.document.json")),
    ];

    /// Other bytes for the same are another version of the fold: rows that are there would not be read, or not be equal to
    /// what is folded.
    #[test]
    fn rows_stay_readable_and_are_written_as_they_were() {
        for (name, json) in ROWS {
            let document: Document = serde_json::from_str(json).unwrap();
            let path = format!("{}/tests/rows/{name}.document.cbor", env!("CARGO_MANIFEST_DIR"));
            let row = std::fs::read(path).unwrap();
            assert_eq!(to_packed(&document).unwrap(), row, "{name}");
            assert_eq!(from_packed::<Document>(&row).unwrap(), document, "{name}");
            assert!(row.len() * 2 < json.len(), "{} of {}", row.len(), json.len());
        }
        let whole = OrderDetailProjector
            .columns(&any_entity(&OrderDetailProjector))
            .pop()
            .unwrap();
        assert_eq!(whole.1, ROWS[0].1.trim_end());
    }

    #[test]
    fn what_is_packed_is_whole_or_an_error() {
        for (_, json) in ROWS {
            let mut document: Document = serde_json::from_str(json).unwrap();
            // A gateway's clock may be finer than the log's.
            document.times.placed_at = "2026-01-01T00:00:00.123456789Z".parse().ok();
            document.times.expired_at = "1969-12-31T23:59:59.999999Z".parse().ok();
            let packed = to_packed(&document).unwrap();
            assert_eq!(from_packed::<Document>(&packed).unwrap(), document);
            for length in 0..packed.len() {
                assert!(from_packed::<Document>(&packed[..length]).is_err(), "{length}");
            }
            // Whatever a damaged row says of its lengths: no panic, and no memory for it.
            for place in 0..packed.len() {
                for damage in [0xBB, 0x9B, 0x5B, 0x7B, 0xFF, 0x00] {
                    let mut damaged = packed.clone();
                    damaged[place] = damage;
                    let _ = from_packed::<Document>(&damaged);
                }
            }
        }
    }
}
