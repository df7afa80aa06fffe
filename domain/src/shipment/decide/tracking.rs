//! What a carrier reports. It reports late, twice and out of order: every scan is recorded once, and moves its parcel
//! only forward (P1), except that it may fail to be handed over, or be sent back.

use super::Decided;
use crate::context::Context;
use crate::decide::Decision;
use crate::limits;
use crate::shipment::command::RecordTracking;
use crate::shipment::error::ShipmentError;
use crate::shipment::event::{
    CarrierStatus, Delivered, DeliveryAttemptFailed, Returned, ShipmentEvent, TrackingUpdated,
};
use crate::shipment::state::{ParcelState, Shipment, ShipmentStatus};

pub(crate) fn record_tracking(shipment: &Shipment, command: &RecordTracking, context: &Context) -> Decided {
    let number = command.parcel;
    let parcel = shipment
        .parcel(number)
        .ok_or(ShipmentError::UnknownParcel { parcel: number })?;
    if shipment
        .scans
        .contains(&(number, command.carrier_event_id.clone()))
    {
        return Ok(Decision::NothingToDo);
    }
    if context.is_future(command.at) {
        return Err(ShipmentError::ScanInFuture { at: command.at });
    }
    if shipment.scans.len() >= limits::SHIPMENT_SCANS {
        return Err(ShipmentError::TooManyScans {
            limit: limits::SHIPMENT_SCANS,
        });
    }
    require_underway(shipment, command.status)?;
    let current = after_scan(parcel, command);
    let mut events = vec![ShipmentEvent::TrackingUpdated(Box::new(TrackingUpdated {
        parcel: number,
        status: command.status,
        current,
        carrier_event_id: command.carrier_event_id.clone(),
        at: command.at,
        place: command.place.clone(),
    }))];
    if command.status == CarrierStatus::Failure && current == CarrierStatus::Failure {
        events.push(ShipmentEvent::DeliveryAttemptFailed(DeliveryAttemptFailed {
            parcel: number,
            attempt: parcel.failed_attempts.saturating_add(1),
            reason: command.reason.clone(),
            at: command.at,
        }));
    }
    if shipment.status == ShipmentStatus::Dispatched {
        events.extend(end(shipment, command, current));
    }
    Ok(Decision::Events(events))
}

/// Before its dispatch a parcel is at most announced: a scan that says more is refused, and comes again once the dispatch
/// is known. Taken now, it could never deliver the shipment.
fn require_underway(shipment: &Shipment, status: CarrierStatus) -> Result<(), ShipmentError> {
    let announced = matches!(status, CarrierStatus::Unknown | CarrierStatus::PreTransit);
    if announced || shipment.was_dispatched() {
        return Ok(());
    }
    let allowed = &[
        ShipmentStatus::Dispatched,
        ShipmentStatus::Delivered,
        ShipmentStatus::Returned,
        ShipmentStatus::Failed,
    ];
    Err(ShipmentError::IllegalTransition {
        from: shipment.status,
        attempted: "be under way",
        allowed,
    })
}

/// P1: a parcel's status after a scan.
fn after_scan(parcel: &ParcelState, scan: &RecordTracking) -> CarrierStatus {
    let newer = parcel.moved_at.is_none_or(|moved_at| scan.at >= moved_at);
    match (parcel.status, scan.status) {
        // It is where it ends: at the customer's, or on its way home, where a carrier reports its arrival as delivered.
        (end @ (CarrierStatus::Delivered | CarrierStatus::ReturnToSender), _) => end,
        (_, CarrierStatus::ReturnToSender) => CarrierStatus::ReturnToSender,
        (_, CarrierStatus::Failure) if newer => CarrierStatus::Failure,
        (CarrierStatus::Failure, CarrierStatus::Delivered) => CarrierStatus::Delivered,
        (CarrierStatus::Failure, forward) if newer && forward >= parcel.farthest => forward,
        (current, CarrierStatus::Failure) | (current @ CarrierStatus::Failure, _) => current,
        (current, forward) => current.max(forward),
    }
}

/// The shipment ends when its last parcel does and all ended alike. Which goods were in which parcel is not known, so one
/// that ends differently leaves the shipment to a person.
fn end(shipment: &Shipment, command: &RecordTracking, current: CarrierStatus) -> Option<ShipmentEvent> {
    let (at, lines) = (command.at, || shipment.lines.clone());
    let others_too = shipment
        .parcels
        .iter()
        .filter(|parcel| parcel.parcel.number != command.parcel)
        .all(|parcel| parcel.status == current);
    match current {
        CarrierStatus::Delivered if others_too => {
            let signed_by = command.signed_by.clone();
            Some(ShipmentEvent::Delivered(Delivered {
                at,
                signed_by,
                lines: lines(),
            }))
        }
        CarrierStatus::ReturnToSender if others_too => {
            Some(ShipmentEvent::Returned(Returned { at, lines: lines() }))
        }
        _ => None,
    }
}
