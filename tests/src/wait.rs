//! Waiting for what will come, with a deadline. A race is forced by holding a lock until the other side is seen to
//! wait for it; nothing is slept for and hoped.

use std::panic::Location;
use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tokio::time::Instant;

const POLL: Duration = Duration::from_millis(10);
/// How long a session may take to get to the lock it is expected to wait for.
pub(crate) const BLOCKED_WITHIN: Duration = Duration::from_secs(10);

/// What `probe` finds in the end; panics at the caller's line when it has found nothing by the deadline.
#[track_caller]
pub fn eventually<T>(
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        let started = Instant::now();
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            assert!(
                started.elapsed() < deadline,
                "{caller}: nothing within {deadline:?}"
            );
            tokio::time::sleep(POLL).await;
        }
    }
}

/// A session of the server, by its process id or by the name that the client gave itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// `pg_backend_pid()` of the session.
    Pid(i32),
    /// `application_name` of the session.
    Application(String),
}

impl From<i32> for Backend {
    fn from(pid: i32) -> Self {
        Self::Pid(pid)
    }
}

impl From<&str> for Backend {
    fn from(name: &str) -> Self {
        Self::Application(name.to_owned())
    }
}

/// The process id of the session behind `connection`.
pub async fn backend_pid(connection: &mut PgConnection) -> i32 {
    let pid = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(connection)
        .await;
    pid.expect("the session answers")
}

/// Returns when `backend` waits for a lock that another session holds; its process id.
#[track_caller]
pub fn wait_until_blocked(admin: &PgPool, backend: impl Into<Backend>) -> impl Future<Output = i32> {
    let (pid, name) = match backend.into() {
        Backend::Pid(pid) => (Some(pid), None),
        Backend::Application(name) => (None, Some(name)),
    };
    let blocked = "select pid from pg_stat_activity
                   where (pid = $1 or application_name = $2) and cardinality(pg_blocking_pids(pid)) > 0";
    eventually(BLOCKED_WITHIN, async move || {
        let query = sqlx::query_scalar(blocked).bind(pid).bind(&name);
        query.fetch_optional(admin).await.expect("locks can be looked at")
    })
}

/// Returns when at least `count` sessions wait for locks that the session `holder` holds; their process ids.
#[track_caller]
pub fn wait_until_blocked_by(admin: &PgPool, holder: i32, count: usize) -> impl Future<Output = Vec<i32>> {
    eventually(BLOCKED_WITHIN, async move || {
        Some(blocked_by(admin, holder).await).filter(|blocked| blocked.len() >= count)
    })
}

/// The sessions that wait, at this moment, for locks that the session `holder` holds.
pub async fn blocked_by(admin: &PgPool, holder: i32) -> Vec<i32> {
    let blocked = "select pid from pg_stat_activity where $1 = any(pg_blocking_pids(pid)) order by pid";
    sqlx::query_scalar(blocked)
        .bind(holder)
        .fetch_all(admin)
        .await
        .expect("locks can be looked at")
}
