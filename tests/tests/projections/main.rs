//! The read models: rows and checkpoint together, one owner at a time, nothing skipped, nothing old passed off as new.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod history;
mod list;
mod live;
mod owners;
mod poison;
mod shop;
mod verify;
