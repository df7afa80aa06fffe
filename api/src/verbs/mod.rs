//! One file a verb.

pub mod bench;
pub mod events;
pub mod forget;
pub mod import;
pub mod migrate;
pub mod serve;
mod demo;
pub mod token;
pub mod verify;
