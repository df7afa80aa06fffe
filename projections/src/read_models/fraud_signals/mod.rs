//! `fraud_signals`: several failed payments of one person within minutes, and orders of a high value.
//!
//! A person's orders lie in all partitions, between which there is no order, so no row says "the third one". The model keeps
//! facts, each following from its own order's events: the orders that were placed and the payments that failed, with whose
//! they are, when, and how much. What several of them are a sign of is derived when it is asked for, by business time from the
//! *set* of them, so it is the same whatever came in first; a fact that is brought in later changes it as if it had been
//! there all along.
//!
//! Nothing personal is kept, sealed or not: a person is the subject of their orders, an id in the shop's own accounts or,
//! without one, the one order itself. When somebody is forgotten, nothing is to be done here: the facts stay
//! with the bare id, as in `customer_orders`.

mod apply;
mod query;
mod row;

pub use apply::{FraudSignalsProjector, high_value_over};
pub use query::{FAILED_PAYMENTS, Filter, Kind, Signal, WITHIN, count, page};
pub use row::{Fact, FactKey};

/// Its name: of its tables, its checkpoints and in every message.
pub const NAME: &str = "fraud_signals";
