//! From allocated goods to a parcel that a carrier has, or to its giving up.

use std::collections::BTreeSet;

use super::{Decided, require};
use crate::actor::ActorKind;
use crate::context::Context;
use crate::decide::Decision;
use crate::ids::ParcelNumber;
use crate::limits;
use crate::order::{Allocation, Order, OrderStatus};
use crate::quantity::LineQuantity;
use crate::shipment::command::{BuyLabel, CancelShipment, CreateShipment, MarkShipmentFailed, ParcelInput};
use crate::shipment::error::ShipmentError;
use crate::shipment::event::{
    Cancelled, Cost, Created, Dispatched, Failed, LabelPurchased, Parcel, ShipmentEvent,
};
use crate::shipment::state::{Shipment, ShipmentStatus};
use crate::text::Url;

/// Goods leave only for an order that is confirmed and not stopped.
fn require_shippable(order: &Order) -> Result<(), ShipmentError> {
    const ALLOWED: &[OrderStatus] = &[OrderStatus::Confirmed];
    if !ALLOWED.contains(&order.status) {
        return Err(ShipmentError::OrderNotShippable {
            status: order.status,
            allowed: ALLOWED,
        });
    }
    if !order.holds.is_empty() {
        return Err(ShipmentError::OnHold {
            reasons: order.holds.iter().copied().collect(),
        });
    }
    Ok(())
}

/// Starts the shipment that the order allocated goods to.
pub(crate) fn create(order: &Order, existing: Option<&Shipment>, command: &CreateShipment) -> Decided {
    let shipment = command.shipment;
    let allocation = order
        .allocations
        .get(&shipment.number)
        .ok_or(ShipmentError::NotAllocated { shipment })?;
    let lines = command.lines.as_ref().unwrap_or(&allocation.lines);
    if let Some(existing) = existing {
        let same = existing.location.as_ref() == Some(&command.location)
            && &existing.lines == lines
            && (command.ship_to.is_none() || command.ship_to == existing.ship_to);
        return if same {
            Ok(Decision::NothingToDo)
        } else {
            Err(ShipmentError::AlreadyExists { shipment })
        };
    }
    require_shippable(order)?;
    if allocation.released {
        return Err(ShipmentError::NotAllocated { shipment });
    }
    require_allocated(allocation, lines)?;
    let ship_to = command
        .ship_to
        .as_ref()
        .or(order.shipping_address.as_ref())
        .ok_or(ShipmentError::NoAddress)?;
    Ok(Decision::one(ShipmentEvent::Created(Box::new(Created {
        location: command.location.clone(),
        ship_to: ship_to.clone(),
        lines: lines.clone(),
    }))))
}

/// Q2: each line at most once, and at most what was set aside.
fn require_allocated(allocation: &Allocation, lines: &[LineQuantity]) -> Result<(), ShipmentError> {
    if lines.is_empty() {
        return Err(ShipmentError::NoLines);
    }
    let mut seen = BTreeSet::new();
    for &LineQuantity { line, quantity } in lines {
        if !seen.insert(line) {
            return Err(ShipmentError::DuplicateLine { line });
        }
        let set_aside = allocation.lines.iter().find(|allocated| allocated.line == line);
        let allocated = set_aside.map_or(0, |allocated| allocated.quantity.get());
        if quantity.get() > allocated {
            return Err(ShipmentError::ExceedsAllocated {
                line,
                allocated,
                requested: quantity.get(),
            });
        }
    }
    Ok(())
}

pub(crate) fn buy_label(shipment: &Shipment, command: &BuyLabel, context: &Context) -> Decided {
    let count = command.parcels.len();
    if !(1..=limits::SHIPMENT_PARCELS).contains(&count) {
        return Err(ShipmentError::ParcelCount {
            count,
            limit: limits::SHIPMENT_PARCELS,
        });
    }
    let parcels = (1..)
        .zip(&command.parcels)
        .map(|(number, input)| parcel(number, input));
    let parcels = parcels.collect::<Result<Vec<_>, _>>()?;
    let cost = match command.cost {
        Some(cost) => Some(Cost {
            amount: cost.positive_in(cost.currency)?,
            currency: cost.currency,
        }),
        None => None,
    };
    if shipment.status == ShipmentStatus::LabelPurchased {
        let same = shipment.cost == cost && shipment.parcels.iter().map(|known| &known.parcel).eq(&parcels);
        if same {
            return Ok(Decision::NothingToDo);
        }
    }
    require(shipment, "be labelled", &[ShipmentStatus::Created])?;
    let by_hand = context.actor.kind == ActorKind::Staff;
    Ok(Decision::one(ShipmentEvent::LabelPurchased(LabelPurchased {
        parcels,
        cost,
        by_hand,
    })))
}

fn parcel(number: u16, input: &ParcelInput) -> Result<Parcel, ShipmentError> {
    let measure = |what, value: Option<u32>, limit| match value {
        Some(value) if !(1..=limit).contains(&value) => Err(ShipmentError::Measure { what, value, limit }),
        _ => Ok(value),
    };
    let is_link = |url: &Url| {
        let scheme = url.as_str().split_once("://").map(|(scheme, _)| scheme);
        scheme.is_some_and(|scheme| {
            ["https", "http"]
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known))
        })
    };
    if !input.tracking.url.as_ref().is_none_or(is_link) {
        return Err(ShipmentError::NotALink);
    }
    Ok(Parcel {
        number: ParcelNumber(number),
        weight_g: measure("a weight in grams", input.weight_g, limits::WEIGHT_G)?,
        length_mm: measure("a length in millimetres", input.length_mm, limits::SIDE_MM)?,
        width_mm: measure("a width in millimetres", input.width_mm, limits::SIDE_MM)?,
        height_mm: measure("a height in millimetres", input.height_mm, limits::SIDE_MM)?,
        tracking: input.tracking.clone(),
    })
}

/// Reads the order, so that a cancellation or a hold and a dispatch cannot both win.
pub(crate) fn dispatch(order: &Order, shipment: &Shipment, context: &Context) -> Decided {
    if shipment.status == ShipmentStatus::Dispatched {
        return Ok(Decision::NothingToDo);
    }
    require(shipment, "be dispatched", &[ShipmentStatus::LabelPurchased])?;
    require_shippable(order)?;
    Ok(Decision::one(ShipmentEvent::Dispatched(Dispatched {
        dispatched_at: context.now,
        tracking: shipment
            .parcels
            .iter()
            .map(|parcel| parcel.parcel.tracking.clone())
            .collect(),
    })))
}

pub(crate) fn mark_failed(shipment: &Shipment, command: &MarkShipmentFailed) -> Decided {
    const ALLOWED: &[ShipmentStatus] = &[
        ShipmentStatus::Created,
        ShipmentStatus::LabelPurchased,
        ShipmentStatus::Dispatched,
    ];
    if shipment.status == ShipmentStatus::Failed {
        return Ok(Decision::NothingToDo);
    }
    require(shipment, "fail", ALLOWED)?;
    Ok(Decision::one(ShipmentEvent::Failed(Failed {
        reason: command.reason.clone(),
    })))
}

pub(crate) fn cancel(shipment: &Shipment, command: &CancelShipment) -> Decided {
    if shipment.status == ShipmentStatus::Cancelled {
        return Ok(Decision::NothingToDo);
    }
    require(
        shipment,
        "be cancelled",
        &[ShipmentStatus::Created, ShipmentStatus::LabelPurchased],
    )?;
    Ok(Decision::one(ShipmentEvent::Cancelled(Cancelled {
        reason: command.reason.clone(),
    })))
}
