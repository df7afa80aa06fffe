//! What each event does to the document.

use super::{
    NAME,
    document::{Document, OrderDetail, PaymentDetail, Scan, ShipmentDetail, Times},
    query::{COLUMNS, read},
};
use crate::{
    projector::{
        ApplyError, Generation, PgQuery, Projector, ProjectorSql, RowsOf, Table, Touch, fact, one_table,
    },
    read_models::{
        axes::Sums,
        stored::{from_hex, from_packed, to_json, to_packed},
    },
};
use chrono::{DateTime, SubsecRound, Utc};
use docket_domain::{
    Event, OrderId,
    order::{self, Order, OrderEvent},
    payment::{self, PaymentEvent},
    shipment::{self, ShipmentEvent},
};
use docket_event_store::RecordedEvent;
use litemap::LiteMap;
use sqlx::postgres::PgRow;
use std::sync::Arc;

const OVERFLOW: &str = "its order's amounts do not fit 64 bits together";
const NOT_DRAFTED: &str = "it is its order's first event and not order.drafted";

/// The fold of `order_detail`.
#[derive(Debug, Clone, Copy, Default)]
pub struct OrderDetailProjector;

impl Projector for OrderDetailProjector {
    type Key = OrderId;
    type Entity = OrderDetail;
    type Carried = ();

    // Lists and orders are what people wait for.
    const CACHE_SHARE: u32 = 4;

    fn name(&self) -> &'static str {
        NAME
    }

    // 1: documents were JSON.
    fn version(&self) -> i32 {
        2
    }

    fn tables(&self) -> &'static [Table] {
        &[Table {
            name: NAME,
            rows: RowsOf::Order,
        }]
    }

    fn sql(&self, generation: Generation) -> ProjectorSql {
        one_table(generation, NAME, COLUMNS)
    }

    fn touches(&self, event: &RecordedEvent, _: &Event) -> impl IntoIterator<Item = Touch<OrderId>> {
        [Touch::order(event)]
    }

    fn apply(
        &self,
        _: &OrderId,
        entity: Option<OrderDetail>,
        event: &RecordedEvent,
        fact: &Event,
        (): &mut (),
    ) -> Result<OrderDetail, ApplyError> {
        apply(entity, event, fact)
    }

    fn entity(&self, row: &PgRow) -> Result<(OrderId, OrderDetail), sqlx::Error> {
        let detail = read(row)?;
        Ok((detail.id, detail))
    }

    fn bind<'q>(
        &self,
        query: PgQuery<'q>,
        entities: &[(OrderId, Arc<OrderDetail>)],
    ) -> Result<PgQuery<'q>, sqlx::Error> {
        fn all<T>(entities: &[(OrderId, Arc<OrderDetail>)], value: impl Fn(&OrderDetail) -> T) -> Vec<T> {
            entities.iter().map(|(_, detail)| value(detail)).collect()
        }
        let documents: Vec<Vec<u8>> = entities
            .iter()
            .map(|(_, detail)| to_packed(&detail.document))
            .collect::<Result<_, _>>()?;
        Ok(query
            .bind(all(entities, |detail| detail.id.0))
            .bind(all(entities, |detail| detail.position.offset))
            .bind(all(entities, |detail| detail.version.0))
            .bind(all(entities, |detail| detail.position.partition as i16))
            .bind(documents))
    }

    fn approximate_bytes(&self, detail: &OrderDetail) -> usize {
        let document = &detail.document;
        let payment = |payment: &PaymentDetail| {
            payment.state.approximate_bytes() + 128 * (payment.captures.len() + payment.refunds.len())
        };
        let shipment =
            |shipment: &ShipmentDetail| shipment.state.approximate_bytes() + 256 * shipment.scans.len();
        size_of::<OrderDetail>()
            + document.order.approximate_bytes()
            + document.payments.values().map(payment).sum::<usize>()
            + document.shipments.values().map(shipment).sum::<usize>()
    }

    fn readable(&self, column: &str, text: String) -> String {
        let bytes = text
            .strip_prefix("\\x")
            .filter(|_| column == "document")
            .and_then(from_hex);
        let document = bytes.and_then(|bytes| from_packed::<Document>(&bytes).ok());
        let json = document.and_then(|document| to_json(&document).ok());
        json.unwrap_or(text)
    }

    fn columns(&self, detail: &OrderDetail) -> Vec<(&'static str, String)> {
        vec![
            ("order_id", detail.id.to_string()),
            ("partition", detail.position.partition.to_string()),
            ("offset", detail.position.offset.to_string()),
            ("version", detail.version.to_string()),
            (
                "document",
                to_json(&detail.document).unwrap_or_else(|error| error.to_string()),
            ),
        ]
    }
}

/// An order as it was after some of its events, which must be those of one order from its first on, in order; `None`
/// without events.
///
/// # Errors
/// When an event cannot be decoded or does not fit.
pub fn fold<'a>(
    events: impl IntoIterator<Item = &'a RecordedEvent>,
) -> Result<Option<OrderDetail>, ApplyError> {
    events
        .into_iter()
        .try_fold(None, |detail, event| apply(detail, event, fact(event)?).map(Some))
}

fn apply(
    detail: Option<OrderDetail>,
    event: &RecordedEvent,
    fact: &Event,
) -> Result<OrderDetail, ApplyError> {
    // The log keeps microseconds; an event that was handed over in process may know more.
    let at = event.command.occurred_at.trunc_subsecs(6);
    let mut detail = match (detail, fact) {
        (Some(detail), _) => detail,
        (None, Event::Order(OrderEvent::Drafted(_))) => begin(event, at),
        (None, _) => return Err(ApplyError::Impossible(NOT_DRAFTED)),
    };
    detail.position = event.position;
    let document = &mut detail.document;
    document.times.updated_at = at;
    let number = event.stream.number;
    match fact {
        Event::Order(fact) => {
            detail.version = event.version;
            apply_order(document, fact, at);
        }
        Event::Payment(fact) => {
            let payment = document.payments.entry(number).or_default();
            payment.version = event.version;
            apply_payment(payment, fact, at);
        }
        Event::Shipment(fact) => {
            let shipment = document.shipments.entry(number).or_default();
            shipment.version = event.version;
            apply_shipment(shipment, fact, at);
        }
    }
    let overflow = |()| ApplyError::Impossible(OVERFLOW);
    document.order.totals_now().map_err(|_| overflow(()))?;
    Sums::of(document.payments.values().map(|payment| &payment.state))
        .ok_or(())
        .map_err(overflow)?;
    Ok(detail)
}

fn begin(event: &RecordedEvent, at: DateTime<Utc>) -> OrderDetail {
    OrderDetail {
        id: event.stream.order,
        position: event.position,
        version: event.version,
        document: Document {
            origin: event.command.origin,
            times: Times {
                created_at: at,
                updated_at: at,
                ..Times::default()
            },
            cancel_reason: None,
            order: Order::default(),
            returns: LiteMap::new(),
            flagged_at: Vec::new(),
            payments: LiteMap::new(),
            shipments: LiteMap::new(),
        },
    }
}

fn apply_order(document: &mut Document, fact: &OrderEvent, at: DateTime<Utc>) {
    document.order = order::evolve(std::mem::take(&mut document.order), fact, at);
    // Only decisions need it; the times have when something happened last.
    document.order.idle = None;
    let times = &mut document.times;
    match fact {
        OrderEvent::Placed(_) => times.placed_at = Some(at),
        OrderEvent::Confirmed(_) => times.confirmed_at = Some(at),
        OrderEvent::Completed(_) => times.completed_at = Some(at),
        OrderEvent::Expired(_) => times.expired_at = Some(at),
        OrderEvent::Cancelled(fact) => {
            times.cancelled_at = Some(at);
            document.cancel_reason = Some(fact.reason.clone());
        }
        OrderEvent::ReturnRequested(fact) => {
            document.returns.entry(fact.return_id).or_default().requested_at = at;
        }
        OrderEvent::ReturnReceived(fact) => {
            document.returns.entry(fact.return_id).or_default().received_at = Some(at);
        }
        OrderEvent::Flagged(_) => document.flagged_at.push(at),
        _ => {}
    }
}

fn apply_payment(payment: &mut PaymentDetail, fact: &PaymentEvent, at: DateTime<Utc>) {
    payment.state = payment::evolve(std::mem::take(&mut payment.state), fact);
    payment.updated_at = at;
    match fact {
        PaymentEvent::Initiated(_) => payment.created_at = at,
        PaymentEvent::Authorized(fact) => {
            payment.authorized_at = payment.authorized_at.or(Some(fact.at));
            payment.failure = None;
        }
        PaymentEvent::AuthorizationFailed(fact) => payment.failure = Some(fact.failure.clone()),
        PaymentEvent::Voided(fact) => payment.void_reason = Some(fact.reason.clone()),
        PaymentEvent::CaptureRequested(fact) => {
            let capture = payment.captures.entry(fact.capture).or_default();
            (capture.requested_at, capture.shipment) = (at, fact.shipment);
        }
        PaymentEvent::Captured(fact) => {
            let capture = payment.captures.entry(fact.capture).or_default();
            (capture.reference, capture.failure) = (Some(fact.reference.clone()), None);
        }
        PaymentEvent::CaptureFailed(fact) => {
            let capture = payment.captures.entry(fact.capture).or_default();
            (capture.reference, capture.failure) = (fact.reference.clone(), Some(fact.failure.clone()));
        }
        PaymentEvent::RefundRequested(fact) => {
            let refund = payment.refunds.entry(fact.refund).or_default();
            (refund.requested_at, refund.reason) = (at, Some(fact.reason.clone()));
            refund.lines.clone_from(&fact.lines);
        }
        PaymentEvent::Refunded(fact) => {
            let refund = payment.refunds.entry(fact.refund).or_default();
            (refund.reference, refund.failure) = (Some(fact.reference.clone()), None);
        }
        PaymentEvent::RefundFailed(fact) => {
            let refund = payment.refunds.entry(fact.refund).or_default();
            (refund.reference, refund.failure) = (fact.reference.clone(), Some(fact.failure.clone()));
        }
        PaymentEvent::ActionRequired(_)
        | PaymentEvent::AuthorizationAdjusted(_)
        | PaymentEvent::AuthorizationExpired(_)
        | PaymentEvent::DisputeOpened(_)
        | PaymentEvent::DisputeClosed(_) => {}
    }
}

fn apply_shipment(shipment: &mut ShipmentDetail, fact: &ShipmentEvent, at: DateTime<Utc>) {
    shipment.state = shipment::evolve(std::mem::take(&mut shipment.state), fact);
    // Only decisions need the ids of the scans; they may be thousands.
    shipment.state.scans.clear();
    shipment.updated_at = at;
    match fact {
        ShipmentEvent::Created(_) => shipment.created_at = at,
        ShipmentEvent::TrackingUpdated(fact) => {
            let newer = shipment
                .scans
                .get(&fact.parcel)
                .is_none_or(|known| known.at <= fact.at);
            if newer {
                let scan = Scan {
                    status: fact.status,
                    at: fact.at,
                    place: fact.place.clone(),
                };
                shipment.scans.insert(fact.parcel, scan);
            }
        }
        ShipmentEvent::Delivered(fact) => {
            shipment.delivered_at = Some(fact.at);
            shipment.signed_by.clone_from(&fact.signed_by);
        }
        ShipmentEvent::Returned(fact) => shipment.returned_at = Some(fact.at),
        ShipmentEvent::Failed(fact) => shipment.reason = Some(fact.reason.clone()),
        ShipmentEvent::Cancelled(fact) => shipment.reason = Some(fact.reason.clone()),
        ShipmentEvent::LabelPurchased(_)
        | ShipmentEvent::Dispatched(_)
        | ShipmentEvent::DeliveryAttemptFailed(_) => {}
    }
}
