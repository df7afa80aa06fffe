//! Payments.

pub(super) mod disputes;
pub(super) mod inputs;
pub(super) mod ledger;
pub(super) mod mutations;
pub(in crate::graphql) mod parts;
pub(super) mod types;
