//! The append-only, partitioned log of Docket on PostgreSQL.
//!
//! An acknowledged command is durable. Offsets in a partition and versions in a stream are dense from 1 and commit in
//! that order, so a reader that has seen offset *n* has seen everything up to *n*. Everything about one order shares one
//! partition. A command id runs once in the whole log; its answer is stored beside its events.
//!
//! The write path is [`execute`]: load, decide, append, answer. [`lane`] is its group commit, `postgres/append.rs` its
//! statement. The read path is [`feed`].

pub mod append;
mod cache;
pub mod command_id;
mod commit;
pub mod connections;
pub mod envelope;
pub mod execute;
pub mod feed;
pub mod gather;
pub mod index_key;
mod lane;
pub mod limits;
mod load;
mod numbers;
pub mod partition;
pub mod personal;
pub mod position;
pub mod postgres;
pub mod store;
mod wakeup;

pub use append::{Append, AppendError, AppendOutcome, NewEvent, RequestHash, StoredAnswer, StreamWrite};
pub use cache::Folded;
pub use connections::{Connections, InUse, Turn};
pub use envelope::{CommandEnvelope, Origin, RecordedEvent};
pub use execute::{After, ExecuteError, Executed, Request};
pub use feed::{Feed, FeedError};
pub use index_key::IndexKey;
pub use partition::Partitions;
pub use personal::{MasterKey, Opener, PersonalError, Vault};
pub use position::Position;
pub use postgres::{
    UnknownCode,
    migrate::{OpenError, migrate},
    snapshot::LoadError,
    stream_kind_code, stream_kind_of,
};
pub use store::{Store, StoreConfig, StoreError};
