//! Given, when, then for every command, and for every rule that refuses one.
#![expect(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod access;
mod disputes;
#[path = "../fixtures/mod.rs"]
mod fixtures;
mod orders_draft;
mod orders_sale;
mod payments;
mod returns;
mod shipments;
mod values;
mod watch;
