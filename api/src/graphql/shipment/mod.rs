//! Shipments.

pub(super) mod board;
pub(super) mod inputs;
pub(super) mod mutations;
pub(super) mod types;
