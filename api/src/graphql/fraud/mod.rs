//! What looks like fraud, to people who look into it.

pub(super) mod queries;
mod signal;
