//! What is sold, as it is sold.

pub(super) mod queries;
