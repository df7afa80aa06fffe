//! What each event does to a row.

use super::row::{BoardShipment, BoardStatus, TABLE};
use crate::{
    json_table,
    projector::{ApplyError, Generation, PgQuery, Projector, ProjectorSql, RowsOf, Table, Touch},
};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use docket_domain::{
    Event, ShipmentId,
    order::{FulfillmentAllocated, OrderEvent},
    quantity::LineQuantity,
    shipment::{CarrierStatus, ShipmentEvent, Tracking},
};
use docket_event_store::RecordedEvent;
use sqlx::postgres::PgRow;
use std::{collections::BTreeMap, sync::Arc};

/// How soon after its allocation a shipment should be with its carrier: two days, what a shop promises that ships the next
/// working day.
pub const DISPATCH_WITHIN: TimeDelta = TimeDelta::days(2);
/// How soon after its dispatch a shipment should have arrived: seven days, after which a parcel is asked after.
pub const DELIVER_WITHIN: TimeDelta = TimeDelta::days(7);

const NOT_ALLOCATED: &str = "its shipment was never allocated";

/// The fold of `shipment_board`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ShipmentBoardProjector;

impl Projector for ShipmentBoardProjector {
    type Key = ShipmentId;
    type Entity = BoardShipment;
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

    fn touches(&self, event: &RecordedEvent, fact: &Event) -> impl IntoIterator<Item = Touch<ShipmentId>> {
        let order = event.stream.order;
        match fact {
            Event::Order(OrderEvent::FulfillmentAllocated(fact)) => {
                Some(Touch::begins(ShipmentId::new(order, fact.shipment)))
            }
            Event::Order(OrderEvent::FulfillmentReleased(fact)) => {
                Some(Touch::changes(ShipmentId::new(order, fact.shipment)))
            }
            Event::Shipment(_) => Some(Touch::changes(ShipmentId::new(order, event.stream.number))),
            Event::Order(_) | Event::Payment(_) => None,
        }
    }

    fn apply(
        &self,
        key: &ShipmentId,
        row: Option<BoardShipment>,
        event: &RecordedEvent,
        fact: &Event,
        (): &mut (),
    ) -> Result<BoardShipment, ApplyError> {
        // The log keeps microseconds; an event that was handed over in process may know more.
        let at = event.command.occurred_at.trunc_subsecs(6);
        let mut row = match (row, fact) {
            (None, Event::Order(OrderEvent::FulfillmentAllocated(fact))) => begin(*key, event, fact, at),
            (Some(row), _) => row,
            (None, _) => return Err(ApplyError::Impossible(NOT_ALLOCATED)),
        };
        (row.offset, row.updated_at) = (event.position.offset, at);
        match fact {
            // It was never started; or its shipment was called off, and said so itself.
            Event::Order(OrderEvent::FulfillmentReleased(_)) if row.status == BoardStatus::Allocated => {
                close(&mut row, BoardStatus::Released, at);
            }
            // The shipment does not hold these.
            Event::Order(OrderEvent::FulfillmentReleased(fact))
                if ![BoardStatus::Failed, BoardStatus::Cancelled].contains(&row.status) =>
            {
                row.pieces = row.pieces.saturating_sub(pieces(&fact.lines));
            }
            Event::Shipment(fact) => change(&mut row, fact, at),
            Event::Order(_) | Event::Payment(_) => {}
        }
        Ok(row)
    }

    fn entity(&self, row: &PgRow) -> Result<(ShipmentId, BoardShipment), sqlx::Error> {
        let row: BoardShipment = json_table::read(row)?;
        Ok((row.id(), row))
    }

    fn bind<'q>(
        &self,
        query: PgQuery<'q>,
        entities: &[(ShipmentId, Arc<BoardShipment>)],
    ) -> Result<PgQuery<'q>, sqlx::Error> {
        let rows: Vec<&BoardShipment> = entities.iter().map(|(_, row)| row.as_ref()).collect();
        json_table::bind(query, &rows)
    }

    fn approximate_bytes(&self, row: &BoardShipment) -> usize {
        let numbers: usize = row
            .tracking_numbers
            .iter()
            .map(|number| number.as_str().len() + 32)
            .sum();
        size_of::<BoardShipment>() + 256 + numbers + 48 * row.carrier_statuses.len()
    }

    fn columns(&self, row: &BoardShipment) -> Vec<(&'static str, String)> {
        TABLE.columns_of(row)
    }
}

fn pieces(lines: &[LineQuantity]) -> u64 {
    lines.iter().map(|line| u64::from(line.quantity.get())).sum()
}

fn begin(
    id: ShipmentId,
    event: &RecordedEvent,
    fact: &FulfillmentAllocated,
    at: DateTime<Utc>,
) -> BoardShipment {
    BoardShipment {
        order_id: id.order,
        number: id.number,
        partition: event.position.partition,
        offset: event.position.offset,
        status: BoardStatus::Allocated,
        open: true,
        failed: false,
        location: None,
        carrier: None,
        service: None,
        tracking_numbers: Vec::new(),
        carrier_statuses: BTreeMap::new(),
        pieces: pieces(&fact.lines),
        parcels: 0,
        failed_attempts: 0,
        allocated_at: at,
        created_at: None,
        labelled_at: None,
        dispatched_at: None,
        delivered_at: None,
        closed_at: None,
        due_at: after(at, DISPATCH_WITHIN),
        updated_at: at,
    }
}

/// What does not fit the calendar is due at once.
fn after(at: DateTime<Utc>, within: TimeDelta) -> DateTime<Utc> {
    at.checked_add_signed(within).unwrap_or(at)
}

fn close(row: &mut BoardShipment, status: BoardStatus, at: DateTime<Utc>) {
    (row.status, row.open, row.closed_at) = (status, false, Some(at));
    row.failed = status == BoardStatus::Failed;
}

fn follow<'a>(row: &mut BoardShipment, tracking: impl Iterator<Item = &'a Tracking> + Clone) {
    let Some(first) = tracking.clone().next() else {
        return;
    };
    row.carrier = Some(first.carrier.clone());
    row.service.clone_from(&first.service);
    row.tracking_numbers = tracking
        .map(|tracking| tracking.tracking_number.clone())
        .collect();
}

fn change(row: &mut BoardShipment, fact: &ShipmentEvent, at: DateTime<Utc>) {
    match fact {
        ShipmentEvent::Created(fact) => {
            (row.status, row.created_at) = (BoardStatus::Created, Some(at));
            row.location = Some(fact.location.clone());
        }
        ShipmentEvent::LabelPurchased(fact) => {
            (row.status, row.labelled_at) = (BoardStatus::LabelPurchased, Some(at));
            row.parcels = u32::try_from(fact.parcels.len()).unwrap_or(u32::MAX);
            follow(row, fact.parcels.iter().map(|parcel| &parcel.tracking));
        }
        ShipmentEvent::Dispatched(fact) => {
            let since = fact.dispatched_at.trunc_subsecs(6);
            (row.status, row.dispatched_at) = (BoardStatus::Dispatched, Some(since));
            row.due_at = after(since, DELIVER_WITHIN);
            follow(row, fact.tracking.iter());
        }
        ShipmentEvent::TrackingUpdated(fact) => {
            row.carrier_statuses.insert(fact.parcel, fact.current);
            if row.open {
                row.failed = row.failed_attempts > 0 || row.carrier_statuses.values().any(went_wrong);
            }
        }
        ShipmentEvent::DeliveryAttemptFailed(_) => {
            row.failed_attempts = row.failed_attempts.saturating_add(1);
            row.failed |= row.open;
        }
        ShipmentEvent::Delivered(fact) => {
            row.delivered_at = Some(fact.at.trunc_subsecs(6));
            close(row, BoardStatus::Delivered, at);
        }
        ShipmentEvent::Returned(_) => close(row, BoardStatus::Returned, at),
        ShipmentEvent::Failed(_) => close(row, BoardStatus::Failed, at),
        ShipmentEvent::Cancelled(_) => close(row, BoardStatus::Cancelled, at),
    }
}

fn went_wrong(status: &CarrierStatus) -> bool {
    match status {
        CarrierStatus::Failure | CarrierStatus::ReturnToSender => true,
        CarrierStatus::Unknown
        | CarrierStatus::PreTransit
        | CarrierStatus::InTransit
        | CarrierStatus::OutForDelivery
        | CarrierStatus::AvailableForPickup
        | CarrierStatus::Delivered => false,
    }
}

#[cfg(test)]
mod tests {
    use super::ShipmentBoardProjector;
    use crate::{interleaving::any_entity, projector::Projector, read_models::shipment_board::BoardStatus};

    #[test]
    fn a_full_life_ends_delivered_and_every_column_is_compared() {
        let row = any_entity(&ShipmentBoardProjector);
        assert_eq!(
            (row.status, row.open, row.failed),
            (BoardStatus::Delivered, false, false)
        );
        assert_eq!((row.parcels, row.tracking_numbers.len()), (1, 1));
        let columns = ShipmentBoardProjector.columns(&row);
        assert!(columns.iter().all(|(_, value)| !value.is_empty()), "{columns:?}");
    }
}
