//! Shipments.

pub(super) mod board;
pub(super) mod inputs;
pub(super) mod mutations;
pub(super) mod subscriptions;
pub(super) mod types;
