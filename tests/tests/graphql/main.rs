//! The GraphQL door over a real database: what it does, what it refuses, and how it tells.

mod counts;
mod cursors;
mod delivery;
mod desk;
mod disputes;
mod exceptions;
mod guards;
mod happy_path;
mod idempotency;
mod isolation;
mod limits;
mod lists;
mod matrix;
mod node;
mod notifications;
mod refusals;
mod returns;
mod schema;
mod sequence;
mod server;
mod subscriptions;
mod time_travel;
mod tokens;
mod walk;
mod watch;
mod whole_path;
