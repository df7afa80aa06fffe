//! Payments.

pub(super) mod disputes;
pub(super) mod inputs;
pub(super) mod ledger;
pub(super) mod mutations;
mod parts;
pub(super) mod types;
