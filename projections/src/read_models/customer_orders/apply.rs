//! What each event does to a row.

use super::row::{CustomerOrder, TABLE};
use crate::{
    json_table,
    projector::{ApplyError, Generation, PgQuery, Projector, ProjectorSql, RowsOf, Table, Touch},
};
use chrono::SubsecRound;
use docket_domain::{
    Event, OrderId,
    order::{OrderEvent, OrderStatus},
    payment::PaymentEvent,
};
use docket_event_store::RecordedEvent;
use sqlx::postgres::PgRow;
use std::sync::Arc;

const NOT_DRAFTED: &str = "its order never began";

/// The fold of `customer_orders`.
#[derive(Debug, Clone, Copy, Default)]
pub struct CustomerOrdersProjector;

impl Projector for CustomerOrdersProjector {
    type Key = OrderId;
    type Entity = CustomerOrder;
    type Carried = ();

    const CACHE_SHARE: u32 = 1;

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

    fn touches(&self, event: &RecordedEvent, fact: &Event) -> impl IntoIterator<Item = Touch<OrderId>> {
        counts(fact).then(|| Touch::order(event))
    }

    fn apply(
        &self,
        _: &OrderId,
        row: Option<CustomerOrder>,
        event: &RecordedEvent,
        fact: &Event,
        (): &mut (),
    ) -> Result<CustomerOrder, ApplyError> {
        // The log keeps microseconds; an event that was handed over in process may know more.
        let at = event.command.occurred_at.trunc_subsecs(6);
        let mut row = match (row, fact) {
            (Some(row), _) => row,
            (None, Event::Order(OrderEvent::Drafted(fact))) => CustomerOrder {
                order_id: event.stream.order,
                partition: event.position.partition,
                offset: event.position.offset,
                customer: fact.customer.clone(),
                currency: fact.currency,
                status: OrderStatus::Draft,
                grand: 0,
                cancelled_value: 0,
                captured: 0,
                refunded: 0,
                created_at: at,
                placed_at: None,
            },
            (None, _) => return Err(ApplyError::Impossible(NOT_DRAFTED)),
        };
        row.offset = event.position.offset;
        match fact {
            Event::Order(OrderEvent::Placed(fact)) => {
                (row.status, row.placed_at, row.grand) = (OrderStatus::Placed, Some(at), fact.totals.grand);
            }
            Event::Order(OrderEvent::Confirmed(_)) => row.status = OrderStatus::Confirmed,
            Event::Order(OrderEvent::Completed(_)) => row.status = OrderStatus::Completed,
            Event::Order(OrderEvent::Cancelled(_)) => row.status = OrderStatus::Cancelled,
            Event::Order(OrderEvent::Expired(_)) => row.status = OrderStatus::Expired,
            Event::Order(OrderEvent::LinesCancelled(fact)) => {
                row.cancelled_value = row.cancelled_value.saturating_add(fact.value);
            }
            Event::Payment(PaymentEvent::Captured(fact)) => {
                row.captured = row.captured.saturating_add(fact.amount);
            }
            Event::Payment(PaymentEvent::Refunded(fact)) => {
                row.refunded = row.refunded.saturating_add(fact.amount);
            }
            _ => {}
        }
        Ok(row)
    }

    fn entity(&self, row: &PgRow) -> Result<(OrderId, CustomerOrder), sqlx::Error> {
        let row: CustomerOrder = json_table::read(row)?;
        Ok((row.order_id, row))
    }

    fn bind<'q>(
        &self,
        query: PgQuery<'q>,
        entities: &[(OrderId, Arc<CustomerOrder>)],
    ) -> Result<PgQuery<'q>, sqlx::Error> {
        let rows: Vec<&CustomerOrder> = entities.iter().map(|(_, row)| row.as_ref()).collect();
        json_table::bind(query, &rows)
    }

    fn approximate_bytes(&self, row: &CustomerOrder) -> usize {
        let customer = row
            .customer
            .as_ref()
            .map_or(0, |customer| customer.as_str().len());
        size_of::<CustomerOrder>() + 64 + customer
    }

    fn columns(&self, row: &CustomerOrder) -> Vec<(&'static str, String)> {
        TABLE.columns_of(row)
    }
}

/// Whether an event changes what a customer bought, paid or got back.
fn counts(fact: &Event) -> bool {
    match fact {
        Event::Order(
            OrderEvent::Drafted(_)
            | OrderEvent::Placed(_)
            | OrderEvent::Confirmed(_)
            | OrderEvent::LinesCancelled(_)
            | OrderEvent::Cancelled(_)
            | OrderEvent::Expired(_)
            | OrderEvent::Completed(_),
        ) => true,
        Event::Order(
            OrderEvent::LineAdded(_)
            | OrderEvent::LineQuantityChanged(_)
            | OrderEvent::DetailsSet(_)
            | OrderEvent::Abandoned(_)
            | OrderEvent::AddressCorrected(_)
            | OrderEvent::HoldPlaced(_)
            | OrderEvent::HoldReleased(_)
            | OrderEvent::Flagged(_)
            | OrderEvent::PersonalDataForgotten(_)
            | OrderEvent::FulfillmentAllocated(_)
            | OrderEvent::FulfillmentReleased(_)
            | OrderEvent::PaymentAttached(_)
            | OrderEvent::ReturnRequested(_)
            | OrderEvent::ReturnReceived(_),
        ) => false,
        Event::Payment(PaymentEvent::Captured(_) | PaymentEvent::Refunded(_)) => true,
        Event::Payment(
            PaymentEvent::Initiated(_)
            | PaymentEvent::ActionRequired(_)
            | PaymentEvent::Authorized(_)
            | PaymentEvent::AuthorizationFailed(_)
            | PaymentEvent::AuthorizationAdjusted(_)
            | PaymentEvent::AuthorizationExpired(_)
            | PaymentEvent::CaptureRequested(_)
            | PaymentEvent::CaptureFailed(_)
            | PaymentEvent::Voided(_)
            | PaymentEvent::RefundRequested(_)
            | PaymentEvent::RefundFailed(_)
            | PaymentEvent::DisputeOpened(_)
            | PaymentEvent::DisputeClosed(_),
        )
        | Event::Shipment(_) => false,
    }
}
