//! Operators' hands: how every read model and reactor fares, rebuilding one, and going back. What they do is what the verbs of
//! the command line do ([`docket_projections::rebuild`], [`docket_projections::overview`]).

pub(super) mod differences;
pub(super) mod mutations;
pub(super) mod payloads;
pub(super) mod queries;
pub(super) mod subscriptions;
pub(super) mod types;
