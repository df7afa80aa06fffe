//! The entry that an event makes.

use super::entry::{Entry, Facts, Kind, TABLE};
use crate::{
    json_table,
    projector::{ApplyError, Generation, PgQuery, Projector, ProjectorSql, RowsOf, Table, Touch},
};
use chrono::SubsecRound;
use docket_domain::{
    ActorKind, Event, LineId,
    order::{AddressKind, ConfirmMode, HoldReason, OrderEvent, Signal},
    payment::{DisputeOutcome, Failure, PaymentEvent},
    quantity::{LineQuantity, Quantity},
    shipment::{CarrierStatus, ShipmentEvent, Tracking},
    text::Code,
};
use docket_event_store::{Position, RecordedEvent};
use sqlx::postgres::PgRow;
use std::sync::Arc;

/// The fold of `order_timeline`.
#[derive(Debug, Clone, Copy, Default)]
pub struct OrderTimelineProjector;

impl Projector for OrderTimelineProjector {
    type Key = Position;
    type Entity = Entry;
    type Carried = ();

    // An entry is never changed.
    const CACHE_SHARE: u32 = 0;

    fn name(&self) -> &'static str {
        super::NAME
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [Table] {
        &[Table {
            name: TABLE.name,
            rows: RowsOf::Order,
        }]
    }

    fn sql(&self, generation: Generation) -> ProjectorSql {
        TABLE.of_orders(generation)
    }

    fn touches(&self, event: &RecordedEvent, fact: &Event) -> impl IntoIterator<Item = Touch<Position>> {
        is_told(fact).then(|| Touch::begins(event.position))
    }

    fn apply(
        &self,
        key: &Position,
        _: Option<Entry>,
        event: &RecordedEvent,
        fact: &Event,
        (): &mut (),
    ) -> Result<Entry, ApplyError> {
        let (kind, facts) = told(fact).ok_or(ApplyError::Impossible("it has no entry"))?;
        let actor_kind = event.command.actor_kind;
        Ok(Entry {
            partition: key.partition,
            offset: key.offset,
            order_id: event.stream.order,
            number: event.stream.number,
            // The log keeps microseconds; an event that was handed over in process may know more.
            at: event.command.occurred_at.trunc_subsecs(6),
            kind,
            internal: kind.is_internal(),
            actor_kind,
            actor_id: (actor_kind != ActorKind::Customer).then(|| event.command.actor_id.to_string()),
            facts,
        })
    }

    fn entity(&self, row: &PgRow) -> Result<(Position, Entry), sqlx::Error> {
        let entry: Entry = json_table::read(row)?;
        Ok((entry.position(), entry))
    }

    fn bind<'q>(
        &self,
        query: PgQuery<'q>,
        entities: &[(Position, Arc<Entry>)],
    ) -> Result<PgQuery<'q>, sqlx::Error> {
        let rows: Vec<&Entry> = entities.iter().map(|(_, entry)| entry.as_ref()).collect();
        json_table::bind(query, &rows)
    }

    fn approximate_bytes(&self, _: &Entry) -> usize {
        // Nothing is remembered.
        size_of::<Entry>()
    }

    fn columns(&self, entry: &Entry) -> Vec<(&'static str, String)> {
        TABLE.columns_of(entry)
    }
}

/// That an order lists a payment is told by the payment's own first event.
fn is_told(fact: &Event) -> bool {
    !matches!(fact, Event::Order(OrderEvent::PaymentAttached(_)))
}

fn told(fact: &Event) -> Option<(Kind, Facts)> {
    match fact {
        Event::Order(fact) => of_order(fact),
        Event::Payment(fact) => Some(of_payment(fact)),
        Event::Shipment(fact) => Some(of_shipment(fact)),
    }
}

/// A word of ours: far shorter than a code may be.
fn word(word: &str) -> Option<Code> {
    Code::try_new(word).ok()
}

fn money(amount: i64, currency: docket_domain::Currency) -> Facts {
    Facts {
        amount: Some(amount),
        currency: Some(currency),
        ..Facts::default()
    }
}

fn of_order(fact: &OrderEvent) -> Option<(Kind, Facts)> {
    let none = Facts::default;
    Some(match fact {
        OrderEvent::Drafted(fact) => (
            Kind::Drafted,
            Facts {
                code: Some(fact.channel.clone()),
                ..none()
            },
        ),
        OrderEvent::LineAdded(fact) => (
            Kind::LineAdded,
            Facts {
                sku: Some(fact.line.sku.clone()),
                line: Some(fact.line.id.0),
                quantities: Some((0, fact.line.quantity.get())),
                ..money(fact.line.unit_price, fact.currency)
            },
        ),
        OrderEvent::LineQuantityChanged(fact) => (
            Kind::LineQuantityChanged,
            Facts {
                line: Some(fact.line.0),
                quantities: Some((fact.from, fact.to)),
                ..none()
            },
        ),
        OrderEvent::DetailsSet(fact) => (
            Kind::DetailsSet,
            Facts {
                code: fact.shipping_method.as_ref().map(|method| method.code.clone()),
                ..none()
            },
        ),
        OrderEvent::Abandoned(fact) => (
            Kind::Abandoned,
            Facts {
                ordinal: Some(fact.reminder.into()),
                ..none()
            },
        ),
        OrderEvent::Flagged(fact) => (
            Kind::Flagged,
            Facts {
                code: word(match fact.signal {
                    Signal::FraudPattern => "fraud_pattern",
                    Signal::HighValue => "high_value",
                }),
                evidence: fact.evidence.iter().cloned().collect(),
                ..none()
            },
        ),
        OrderEvent::ReturnRequested(fact) => (
            Kind::ReturnRequested,
            Facts {
                ordinal: Some(fact.return_id.0.into()),
                lines: fact
                    .lines
                    .iter()
                    .map(|line| pieces(line.line, line.quantity))
                    .collect(),
                ..money(fact.refund_due, fact.currency)
            },
        ),
        OrderEvent::ReturnReceived(fact) => (
            Kind::ReturnReceived,
            Facts {
                ordinal: Some(fact.return_id.0.into()),
                lines: fact
                    .lines
                    .iter()
                    .map(|line| pieces(line.line, line.quantity))
                    .collect(),
                ..money(fact.refund_due, fact.currency)
            },
        ),
        OrderEvent::Placed(fact) => (
            Kind::Placed,
            Facts {
                order_number: Some(fact.number.0),
                until: Some(fact.payment_due_at),
                ..money(fact.totals.grand, fact.currency)
            },
        ),
        OrderEvent::AddressCorrected(fact) => (
            Kind::AddressCorrected,
            Facts {
                code: word(match fact.which {
                    AddressKind::Shipping => "shipping",
                    AddressKind::Billing => "billing",
                }),
                ..none()
            },
        ),
        OrderEvent::Confirmed(fact) => (
            Kind::Confirmed,
            Facts {
                code: word(match fact.mode {
                    ConfirmMode::Automatic => "automatic",
                    ConfirmMode::Manual => "manual",
                }),
                ..money(fact.authorized, fact.currency)
            },
        ),
        OrderEvent::HoldPlaced(fact) => (Kind::HoldPlaced, of_hold(fact.reason)),
        OrderEvent::HoldReleased(fact) => (Kind::HoldReleased, of_hold(fact.reason)),
        OrderEvent::PersonalDataForgotten(_) => (Kind::PersonalDataForgotten, none()),
        OrderEvent::LinesCancelled(fact) => (
            Kind::LinesCancelled,
            Facts {
                lines: fact.lines.clone(),
                reason: Some(fact.reason.clone()),
                ..money(fact.value, fact.currency)
            },
        ),
        OrderEvent::Cancelled(fact) => (
            Kind::Cancelled,
            Facts {
                reason: Some(fact.reason.clone()),
                ..none()
            },
        ),
        OrderEvent::Expired(fact) => (
            Kind::Expired,
            Facts {
                until: Some(fact.due_at),
                ..none()
            },
        ),
        OrderEvent::FulfillmentAllocated(fact) => (
            Kind::FulfillmentAllocated,
            Facts {
                shipment: Some(fact.shipment),
                lines: fact.lines.clone(),
                ..none()
            },
        ),
        OrderEvent::FulfillmentReleased(fact) => (
            Kind::FulfillmentReleased,
            Facts {
                shipment: Some(fact.shipment),
                lines: fact.lines.clone(),
                ..none()
            },
        ),
        OrderEvent::PaymentAttached(_) => return None,
        OrderEvent::Completed(_) => (Kind::Completed, none()),
    })
}

fn pieces(line: LineId, quantity: Quantity) -> LineQuantity {
    LineQuantity { line, quantity }
}

fn of_hold(reason: HoldReason) -> Facts {
    Facts {
        code: word(match reason {
            HoldReason::Fraud => "fraud",
            HoldReason::Address => "address",
            HoldReason::Payment => "payment",
            HoldReason::Stock => "stock",
            HoldReason::Manual => "manual",
        }),
        ..Facts::default()
    }
}

/// Why a gateway did not do it.
fn refused(failure: &Failure, facts: Facts) -> Facts {
    Facts {
        code: Some(failure.code.clone()),
        advice: failure.recommended_action.clone(),
        ..facts
    }
}

fn of_payment(fact: &PaymentEvent) -> (Kind, Facts) {
    match fact {
        PaymentEvent::Initiated(fact) => (
            Kind::PaymentInitiated,
            Facts {
                gateway: Some(fact.gateway.clone()),
                code: Some(fact.method.kind.clone()),
                ..money(fact.amount, fact.currency)
            },
        ),
        PaymentEvent::ActionRequired(fact) => (
            Kind::ActionRequired,
            Facts {
                code: Some(fact.kind.clone()),
                until: fact.expires_at,
                ..Facts::default()
            },
        ),
        PaymentEvent::Authorized(fact) => (
            Kind::Authorized,
            Facts {
                reference: Some(fact.reference.clone()),
                until: fact.capture_before,
                ..money(fact.amount, fact.currency)
            },
        ),
        PaymentEvent::AuthorizationFailed(fact) => (
            Kind::AuthorizationFailed,
            Facts {
                reference: fact.reference.clone(),
                ..refused(&fact.failure, Facts::default())
            },
        ),
        PaymentEvent::AuthorizationAdjusted(fact) => (
            Kind::AuthorizationAdjusted,
            Facts {
                before: Some(fact.old),
                reference: fact.reference.clone(),
                until: fact.capture_before,
                ..money(fact.new, fact.currency)
            },
        ),
        PaymentEvent::AuthorizationExpired(fact) => {
            (Kind::AuthorizationExpired, money(fact.released, fact.currency))
        }
        PaymentEvent::CaptureRequested(fact) => (
            Kind::CaptureRequested,
            Facts {
                ordinal: Some(fact.capture.0.into()),
                shipment: fact.shipment,
                ..money(fact.amount, fact.currency)
            },
        ),
        PaymentEvent::Captured(fact) => (
            Kind::Captured,
            Facts {
                ordinal: Some(fact.capture.0.into()),
                reference: Some(fact.reference.clone()),
                ..money(fact.amount, fact.currency)
            },
        ),
        PaymentEvent::CaptureFailed(fact) => (
            Kind::CaptureFailed,
            Facts {
                ordinal: Some(fact.capture.0.into()),
                reference: fact.reference.clone(),
                ..refused(&fact.failure, money(fact.amount, fact.currency))
            },
        ),
        PaymentEvent::Voided(fact) => (
            Kind::Voided,
            Facts {
                reason: Some(fact.reason.clone()),
                ..money(fact.amount, fact.currency)
            },
        ),
        PaymentEvent::RefundRequested(fact) => (
            Kind::RefundRequested,
            Facts {
                ordinal: Some(fact.refund.0.into()),
                reason: Some(fact.reason.clone()),
                lines: fact.lines.clone(),
                ..money(fact.amount, fact.currency)
            },
        ),
        PaymentEvent::Refunded(fact) => (
            Kind::Refunded,
            Facts {
                ordinal: Some(fact.refund.0.into()),
                reference: Some(fact.reference.clone()),
                ..money(fact.amount, fact.currency)
            },
        ),
        PaymentEvent::DisputeOpened(fact) => (
            Kind::DisputeOpened,
            Facts {
                reference: Some(fact.dispute.clone()),
                code: fact.reason.clone(),
                until: fact.respond_by,
                ..money(fact.amount, fact.currency)
            },
        ),
        PaymentEvent::DisputeClosed(fact) => (
            Kind::DisputeClosed,
            Facts {
                reference: Some(fact.dispute.clone()),
                code: word(match fact.outcome {
                    DisputeOutcome::Won => "won",
                    DisputeOutcome::Lost => "lost",
                    DisputeOutcome::Withdrawn => "withdrawn",
                }),
                ..money(fact.amount, fact.currency)
            },
        ),
        PaymentEvent::RefundFailed(fact) => (
            Kind::RefundFailed,
            Facts {
                ordinal: Some(fact.refund.0.into()),
                reference: fact.reference.clone(),
                ..refused(&fact.failure, money(fact.amount, fact.currency))
            },
        ),
    }
}

/// How parcels are followed.
fn tracked<'a>(tracking: impl Iterator<Item = &'a Tracking> + Clone) -> Facts {
    Facts {
        carrier: tracking.clone().next().map(|tracking| tracking.carrier.clone()),
        tracking_numbers: tracking
            .map(|tracking| tracking.tracking_number.clone())
            .collect(),
        ..Facts::default()
    }
}

fn of_shipment(fact: &ShipmentEvent) -> (Kind, Facts) {
    let none = Facts::default;
    match fact {
        ShipmentEvent::Created(fact) => (
            Kind::ShipmentCreated,
            Facts {
                location: Some(fact.location.clone()),
                lines: fact.lines.clone(),
                ..none()
            },
        ),
        ShipmentEvent::LabelPurchased(fact) => (
            Kind::LabelPurchased,
            tracked(fact.parcels.iter().map(|parcel| &parcel.tracking)),
        ),
        ShipmentEvent::Dispatched(fact) => (Kind::Dispatched, tracked(fact.tracking.iter())),
        ShipmentEvent::TrackingUpdated(fact) => (
            Kind::TrackingUpdated,
            Facts {
                ordinal: Some(fact.parcel.0.into()),
                code: word(carrier_word(fact.status)),
                ..none()
            },
        ),
        ShipmentEvent::DeliveryAttemptFailed(fact) => (
            Kind::DeliveryAttemptFailed,
            Facts {
                ordinal: Some(fact.attempt),
                reason: fact.reason.clone(),
                ..none()
            },
        ),
        ShipmentEvent::Delivered(fact) => (
            Kind::Delivered,
            Facts {
                lines: fact.lines.clone(),
                ..none()
            },
        ),
        ShipmentEvent::Returned(fact) => (
            Kind::Returned,
            Facts {
                lines: fact.lines.clone(),
                ..none()
            },
        ),
        ShipmentEvent::Failed(fact) => (
            Kind::ShipmentFailed,
            Facts {
                reason: Some(fact.reason.clone()),
                ..none()
            },
        ),
        ShipmentEvent::Cancelled(fact) => (
            Kind::ShipmentCancelled,
            Facts {
                reason: Some(fact.reason.clone()),
                ..none()
            },
        ),
    }
}

fn carrier_word(status: CarrierStatus) -> &'static str {
    match status {
        CarrierStatus::Unknown => "unknown",
        CarrierStatus::PreTransit => "pre_transit",
        CarrierStatus::InTransit => "in_transit",
        CarrierStatus::OutForDelivery => "out_for_delivery",
        CarrierStatus::AvailableForPickup => "available_for_pickup",
        CarrierStatus::Delivered => "delivered",
        CarrierStatus::ReturnToSender => "return_to_sender",
        CarrierStatus::Failure => "failure",
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, told};
    use crate::interleaving::full_life;

    /// An entry is named like its event, so that the history and the timeline speak of the same things.
    #[test]
    fn kinds_are_named_like_events() {
        let mut entries = 0;
        for event in full_life() {
            if let Some((kind, _)) = told(&event.event) {
                assert_eq!(kind.as_str(), event.event.event_type());
                entries += 1;
            }
        }
        assert!(entries > 20, "{entries}");
        let mut words: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        words.retain(|word| !docket_domain::Event::types().any(|(name, _)| name == *word));
        assert!(words.is_empty(), "{words:?}");
    }
}
