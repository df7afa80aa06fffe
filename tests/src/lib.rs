//! The ground that the tests of promises stand on: the real PostgreSQL, an empty database for each test, faults
//! on demand, and races that are forced instead of slept for.
//!
//! ```no_run
//! # async fn example() {
//! let db = docket_tests::database().await; // migrated, and nobody else's
//! let pool = sqlx::PgPool::connect_with(db.connect_options()).await;
//!
//! let cluster = docket_tests::private_cluster().await; // a server of its own, to be killed
//! let db = cluster.database().await;
//! cluster.kill_9_postgres();
//! cluster.wait_until_up().await;
//! cluster.remove().await;
//! # }
//! ```
//!
//! One server serves all test binaries of a run; the program `docket-test-keeper` starts it and takes it down
//! when no test has used it for some seconds, so that a test that fails, hangs or is killed cleans up nothing
//! and yet leaves nothing behind. A test's database is dropped when the test succeeds; that of a failed one can
//! be looked at until then.

pub mod appends;
pub mod client;
pub mod identity_provider;
pub mod server;

mod database;
mod head_row;
pub mod history;
pub mod orders;
mod private_cluster;
mod proxy;
mod scratch;
mod seed;
mod shared_cluster;
mod subscriber;
mod template;
mod wait;
pub mod writer;

pub use database::{Backup, TestDatabase, database, empty_database};
pub use head_row::{HeadRows, blocked_stores, end_session};
pub use private_cluster::{PrivateCluster, kill_9, private_cluster};
pub use proxy::Proxy;
pub use scratch::{Scratch, scratch};
pub use seed::Seed;
pub use shared_cluster::keep;
pub use subscriber::Subscriber;
pub use wait::{Backend, backend_pid, blocked_by, eventually, wait_until_blocked, wait_until_blocked_by};
