//! Live projection workers and the read models of Docket.
//!
//! A read model is the fold of the log, whatever the interleaving of partitions; its rows and its checkpoint commit
//! together. Partitions are shared between processes by leases with a fencing epoch. An event that cannot be applied
//! is parked with its order, or stops its partition; either in the open, and nothing is skipped unless somebody has said so.
//!
//! The flow: [`supervisor`](crate::Projections::start) claims partitions, a worker for each reads the feed, `fold.rs`
//! folds a batch, `commit.rs` writes it in one statement, `wait.rs` wakes who waits for it. [`read_models`] hold the
//! folds and the queries, [`verify`] proves that rows are the fold of the log.

mod board;
mod calendar;
mod checkpoint;
mod commit;
pub mod dead_letter;
mod excerpt;
mod fold;
pub mod generation;
#[cfg(test)]
mod interleaving;
mod json_table;
mod lag;
mod lease;
pub mod limits;
mod observer;
pub mod overview;
mod owner;
pub mod projector;
pub mod reactor;
pub mod reactors;
pub mod read_models;
pub mod rebuild;
mod start;
mod supervisor;
pub mod verify;
mod wait;
mod worker;

pub use calendar::{YearError, known_to_the_database};
pub use checkpoint::{StopClass, Stopped};
pub use excerpt::name as shown_name;
pub use generation::{NotServed, Serving};
pub use lag::{Owner, PartitionStatus};
pub use observer::Observer;
pub use projector::{ApplyError, Generation, Projector};
pub use start::{OnFailure, Projections, ProjectionsConfig, StartError};
pub use verify::{Report, VerifyError, verify};
pub use wait::WaitError;

/// What to do about rows that were folded from another history.
pub(crate) const OTHER_HISTORY: &str = "the log was restored from an older backup than what follows it: restore read \
    models and reactors from the same backup, or fold the read models anew (docs/operations.md)";
