//! Bad input of every kind gets its typed error; nothing is half done, and the process goes on serving.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod callers;
mod documents;
mod ids;
mod shop;
mod transport;
mod values;
