//! Orders.

pub(super) mod connection;
pub(super) mod documents;
pub(super) mod facts;
pub(super) mod follow;
pub(super) mod inputs;
pub(super) mod load;
pub(super) mod mutations;
pub(super) mod parts;
pub(super) mod queries;
pub(super) mod returns;
pub(super) mod source;
pub(super) mod subscriptions;
pub(super) mod timeline;
mod types;
pub(super) mod view;
