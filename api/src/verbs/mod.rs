//! One file a verb.

pub mod bench;
mod demo;
pub mod events;
pub mod forget;
pub mod import;
pub mod migrate;
pub mod serve;
pub mod token;
mod trusted;
pub mod verify;
