//! What each event does to a row.
//!
//! The domain's own states are folded beside the row, and the row follows from them: no rule of money or quantity is
//! written twice.

use super::{
    NAME,
    row::{self, COLUMNS, Entity, Facts, OrderSummary},
};
use crate::{
    projector::{ApplyError, Generation, PgQuery, Projector, ProjectorSql, RowsOf, Table, Touch, one_table},
    read_models::axes::{self, FulfillmentStatus, OrderPaymentStatus, Sums},
};
use chrono::SubsecRound;
use docket_domain::{
    Event, OrderId,
    order::{self, Drafted, Order, OrderEvent, OrderStatus, Totals},
    payment::{self, Payment},
    shipment::{self, Shipment},
};
use docket_event_store::RecordedEvent;
use sqlx::postgres::PgRow;
use std::sync::Arc;

const OVERFLOW: &str = "its order's amounts do not fit 64 bits together";
const NOT_DRAFTED: &str = "it is its order's first event and not order.drafted";

/// The fold of `order_summary`.
#[derive(Debug, Clone, Copy, Default)]
pub struct OrderSummaryProjector;

impl Projector for OrderSummaryProjector {
    type Key = OrderId;
    type Entity = Entity;
    type Carried = ();

    // Lists and orders are what people wait for.
    const CACHE_SHARE: u32 = 4;

    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i32 {
        1
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
        entity: Option<Entity>,
        event: &RecordedEvent,
        fact: &Event,
        (): &mut (),
    ) -> Result<Entity, ApplyError> {
        let mut entity = match (entity, fact) {
            (Some(entity), _) => entity,
            (None, Event::Order(OrderEvent::Drafted(drafted))) => begin(event, drafted),
            (None, _) => return Err(ApplyError::Impossible(NOT_DRAFTED)),
        };
        evolve(&mut entity.facts, event, fact);
        mark(&mut entity.row, event, fact);
        Ok(entity)
    }

    fn settle(&self, entity: &mut Entity) -> Result<(), ApplyError> {
        derive(entity)
    }

    fn entity(&self, row: &PgRow) -> Result<(OrderId, Entity), sqlx::Error> {
        let entity = row::read_entity(row)?;
        Ok((entity.row.id, entity))
    }

    fn bind<'q>(
        &self,
        query: PgQuery<'q>,
        entities: &[(OrderId, Arc<Entity>)],
    ) -> Result<PgQuery<'q>, sqlx::Error> {
        row::bind(query, entities)
    }

    fn approximate_bytes(&self, entity: &Entity) -> usize {
        let facts = &entity.facts;
        size_of::<Entity>()
            + facts.order.approximate_bytes()
            + facts
                .payments
                .values()
                .map(Payment::approximate_bytes)
                .sum::<usize>()
            + facts
                .shipments
                .values()
                .map(Shipment::approximate_bytes)
                .sum::<usize>()
    }

    fn columns(&self, entity: &Entity) -> Vec<(&'static str, String)> {
        row::columns(entity)
    }
}

/// The row of an order that was just drafted; the rest follows.
fn begin(event: &RecordedEvent, drafted: &Drafted) -> Entity {
    let at = event.command.occurred_at.trunc_subsecs(6);
    let row = OrderSummary {
        id: event.stream.order,
        position: event.position,
        version: event.version,
        origin: event.command.origin,
        number: None,
        status: OrderStatus::Draft,
        payment_status: OrderPaymentStatus::Unpaid,
        fulfillment_status: FulfillmentStatus::Unfulfilled,
        on_hold: false,
        customer: drafted.customer.clone(),
        channel: drafted.channel.clone(),
        currency: drafted.currency,
        totals: Totals::default(),
        cancelled_value: 0,
        sums: Sums::default(),
        lines: 0,
        pieces: 0,
        payments: 0,
        shipments: 0,
        created_at: at,
        updated_at: at,
        placed_at: None,
        confirmed_at: None,
        completed_at: None,
        cancelled_at: None,
        expired_at: None,
    };
    Entity {
        row,
        facts: Facts::default(),
    }
}

/// Folds the domain's states, and drops what the row does not follow from: it would only make the row larger.
fn evolve(facts: &mut Facts, event: &RecordedEvent, fact: &Event) {
    let (number, at) = (event.stream.number, event.command.occurred_at);
    match fact {
        Event::Order(event) => {
            let order = order::evolve(std::mem::take(&mut facts.order), event, at);
            facts.order = Order {
                name: None,
                email: None,
                phone: None,
                note: None,
                shipping_address: None,
                billing_address: None,
                flags: Vec::new(),
                idle: None,
                ..order
            };
        }
        Event::Payment(event) => {
            let payment = facts.payments.entry(number).or_default();
            *payment = payment::evolve(std::mem::take(payment), event);
            (payment.method, payment.reference, payment.action) = (None, None, None);
        }
        Event::Shipment(event) => {
            let shipment = facts.shipments.entry(number).or_default();
            let next = shipment::evolve(std::mem::take(shipment), event);
            *shipment = Shipment {
                ship_to: None,
                parcels: Vec::new(),
                cost: None,
                scans: Default::default(),
                ..next
            };
        }
    }
}

/// What the envelope says.
fn mark(row: &mut OrderSummary, event: &RecordedEvent, fact: &Event) {
    // The log keeps microseconds; an event that was handed over in process may know more.
    let at = event.command.occurred_at.trunc_subsecs(6);
    row.position = event.position;
    row.updated_at = at;
    let Event::Order(fact) = fact else { return };
    row.version = event.version;
    match fact {
        OrderEvent::Placed(_) => row.placed_at = Some(at),
        OrderEvent::Confirmed(_) => row.confirmed_at = Some(at),
        OrderEvent::Completed(_) => row.completed_at = Some(at),
        OrderEvent::Cancelled(_) => row.cancelled_at = Some(at),
        OrderEvent::Expired(_) => row.expired_at = Some(at),
        _ => {}
    }
}

/// What follows from the states.
fn derive(entity: &mut Entity) -> Result<(), ApplyError> {
    let Facts {
        order,
        payments,
        shipments,
    } = &entity.facts;
    let overflow = ApplyError::Impossible(OVERFLOW);
    let sums = Sums::of(payments.values()).ok_or(overflow)?;
    let progress = axes::line_progress(order, shipments.values());
    let row = &mut entity.row;
    row.number = order.number;
    row.status = order.status;
    row.payment_status = axes::payment_status(order, &sums, payments.values());
    row.fulfillment_status = axes::fulfillment_status(order, &progress);
    row.on_hold = !order.holds.is_empty();
    row.totals = order.totals_now().map_err(|_| ApplyError::Impossible(OVERFLOW))?;
    row.cancelled_value = order.cancelled_value;
    row.sums = sums;
    row.lines = u32::try_from(order.lines.len()).unwrap_or(u32::MAX);
    row.pieces = progress.iter().map(|(_, line)| line.ordered).sum();
    row.payments = u32::try_from(payments.len()).unwrap_or(u32::MAX);
    row.shipments = u32::try_from(shipments.len()).unwrap_or(u32::MAX);
    Ok(())
}
