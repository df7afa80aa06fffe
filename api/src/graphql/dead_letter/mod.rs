//! Dead letters: what could not be applied to a read model, and what operators do about it. It is what the verbs of the
//! command line do ([`docket_projections::dead_letter`]).

pub(super) mod mutations;
pub(super) mod payloads;
pub(super) mod queries;
pub(super) mod types;
