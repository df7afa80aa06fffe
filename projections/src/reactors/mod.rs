//! The reactors, a folder each: what is remembered of an order, the rules, the ledger and its queries.

pub mod notifications;
