//! What a shipment decides: about its making, and about what its carrier reports.

mod making;
mod tracking;

pub(crate) use making::{buy_label, cancel, create, dispatch, mark_failed};
pub(crate) use tracking::record_tracking;

use super::error::ShipmentError;
use super::event::ShipmentEvent;
use super::state::{Shipment, ShipmentStatus};
use crate::decide::Decision;

type Decided = Result<Decision<ShipmentEvent>, ShipmentError>;

/// Refuses unless the shipment has one of the statuses.
fn require(
    shipment: &Shipment,
    attempted: &'static str,
    allowed: &'static [ShipmentStatus],
) -> Result<(), ShipmentError> {
    if allowed.contains(&shipment.status) {
        Ok(())
    } else {
        Err(ShipmentError::IllegalTransition {
            from: shipment.status,
            attempted,
            allowed,
        })
    }
}
