//! What people are told of their orders: by which rules, exactly once, in numbers without a gap, whoever dies meanwhile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod kills;
mod ledger;
mod registration;
mod rules;
mod shop;
