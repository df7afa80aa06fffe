//! Customers: what somebody bought.

pub(super) mod queries;
