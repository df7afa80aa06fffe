//! One file a verb.

pub mod bench;
pub mod dead_letters;
mod demo;
pub mod events;
pub mod forget;
pub mod import;
pub mod migrate;
mod patience;
pub mod projections;
pub mod rebuild;
pub mod seed;
pub mod serve;
pub mod side;
mod simulate;
pub(crate) mod terminal;
pub mod token;
mod trusted;
pub mod verify;
