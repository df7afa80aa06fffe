//! The raw history, for the order desk.

pub(super) mod queries;
pub(super) mod types;
