//! What a shipment's events do to its state. Total: what is in the log has happened, so nothing here can refuse; an event
//! that names what is not there changes nothing.

use super::event::{CarrierStatus, ShipmentEvent, TrackingUpdated};
use super::state::{ParcelState, Shipment, ShipmentStatus};
use crate::ids::ParcelNumber;

/// The state after `event`.
#[must_use]
pub fn evolve(mut shipment: Shipment, event: &ShipmentEvent) -> Shipment {
    match event {
        ShipmentEvent::Created(event) => {
            shipment.status = ShipmentStatus::Created;
            shipment.location = Some(event.location.clone());
            shipment.ship_to = Some(event.ship_to.clone());
            shipment.lines.clone_from(&event.lines);
        }
        ShipmentEvent::LabelPurchased(event) => {
            shipment.status = ShipmentStatus::LabelPurchased;
            shipment.cost = event.cost;
            shipment.labelled_by_hand = event.by_hand;
            shipment.parcels = event.parcels.iter().cloned().map(new_parcel).collect();
        }
        ShipmentEvent::Dispatched(event) => {
            shipment.status = ShipmentStatus::Dispatched;
            shipment.dispatched_at = Some(event.dispatched_at);
        }
        ShipmentEvent::TrackingUpdated(event) => tracking_updated(&mut shipment, event),
        ShipmentEvent::DeliveryAttemptFailed(event) => {
            with_parcel(&mut shipment, event.parcel, |parcel| {
                parcel.failed_attempts = event.attempt
            });
        }
        ShipmentEvent::Delivered(_) => shipment.status = ShipmentStatus::Delivered,
        ShipmentEvent::Returned(_) => shipment.status = ShipmentStatus::Returned,
        ShipmentEvent::Failed(_) => shipment.status = ShipmentStatus::Failed,
        ShipmentEvent::Cancelled(_) => shipment.status = ShipmentStatus::Cancelled,
    }
    shipment
}

fn new_parcel(parcel: super::event::Parcel) -> ParcelState {
    let status = CarrierStatus::Unknown;
    ParcelState {
        parcel,
        status,
        farthest: status,
        moved_at: None,
        failed_attempts: 0,
    }
}

fn with_parcel(shipment: &mut Shipment, number: ParcelNumber, change: impl FnOnce(&mut ParcelState)) {
    if let Some(parcel) = shipment
        .parcels
        .iter_mut()
        .find(|parcel| parcel.parcel.number == number)
    {
        change(parcel);
    }
}

fn tracking_updated(shipment: &mut Shipment, event: &TrackingUpdated) {
    shipment
        .scans
        .insert((event.parcel, event.carrier_event_id.clone()));
    with_parcel(shipment, event.parcel, |parcel| {
        if event.current == event.status {
            parcel.moved_at = parcel.moved_at.max(Some(event.at));
        }
        if !matches!(
            event.current,
            CarrierStatus::Failure | CarrierStatus::ReturnToSender
        ) {
            parcel.farthest = parcel.farthest.max(event.current);
        }
        parcel.status = event.current;
    });
}
