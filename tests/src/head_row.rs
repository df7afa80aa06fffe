//! Holding head rows, so that appends meet each other where a test wants them to.

use sqlx::{Connection, PgConnection, PgPool};

use crate::database::TestDatabase;
use crate::wait::{BLOCKED_WITHIN, backend_pid, eventually};

/// Head rows that a transaction beside the store holds, until it lets go.
#[derive(Debug)]
pub struct HeadRows {
    holder: PgConnection,
    pid: i32,
    admin: PgPool,
}

impl HeadRows {
    /// Holds the heads of these partitions.
    ///
    /// # Panics
    /// When the database does not answer, or somebody holds them.
    pub async fn hold(database: &TestDatabase, partitions: &[u16]) -> Self {
        let options = database.connect_options().application_name("holder");
        let mut holder = PgConnection::connect_with(&options)
            .await
            .expect("the holder connects");
        let pid = backend_pid(&mut holder).await;
        let partitions: Vec<_> = partitions.iter().map(|partition| *partition as i16).collect();
        sqlx::query("begin")
            .execute(&mut holder)
            .await
            .expect("the holder begins");
        let locked =
            sqlx::query("select from heads where partition = any ($1) order by partition for update nowait")
                .bind(&partitions)
                .fetch_all(&mut holder)
                .await;
        assert_eq!(locked.expect("the heads are free").len(), partitions.len());
        Self {
            holder,
            pid,
            admin: database.admin().clone(),
        }
    }

    /// The session that holds them.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Returns when at least `count` sessions of stores wait for a lock, for these heads or behind one who does; their
    /// process ids.
    pub async fn waiting(&self, count: usize) -> Vec<i32> {
        eventually(BLOCKED_WITHIN, async || {
            Some(blocked_stores(&self.admin).await).filter(|pids| pids.len() >= count)
        })
        .await
    }

    /// Lets go.
    ///
    /// # Panics
    /// When the holder is gone.
    pub async fn release(mut self) {
        sqlx::query("rollback")
            .execute(&mut self.holder)
            .await
            .expect("the holder lets go");
        self.holder.close().await.expect("the holder leaves");
    }
}

/// The sessions of stores that wait for somebody's lock in this database at this moment.
pub async fn blocked_stores(admin: &PgPool) -> Vec<i32> {
    let blocked = "select pid from pg_stat_activity
                    where application_name = 'docket' and datname = current_database()
                      and cardinality(pg_blocking_pids(pid)) > 0
                    order by pid";
    sqlx::query_scalar(blocked)
        .fetch_all(admin)
        .await
        .expect("locks can be looked at")
}

/// Ends a session as an administrator would.
pub async fn end_session(admin: &PgPool, pid: i32) {
    let ended: bool = sqlx::query_scalar("select pg_terminate_backend($1)")
        .bind(pid)
        .fetch_one(admin)
        .await
        .expect("sessions can be ended");
    assert!(ended, "there is no session {pid}");
}
