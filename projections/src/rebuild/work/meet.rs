//! Where a new generation and the one that is served are seen at the same offsets.

use super::Work;
use crate::{
    limits,
    rebuild::{RebuildError, swap, tables},
};
use sqlx::PgConnection;
use tokio::time::{Instant, sleep};

impl Work {
    /// Fills the new generation until it is near the old one.
    pub(super) async fn follow(&self, connection: &mut PgConnection) -> Result<(), RebuildError> {
        let name = self.model.name();
        let (mut behind, until) = (i64::MAX, Instant::now() + limits::REBUILD_PATIENCE);
        while behind > limits::SWAP_NEAR && Instant::now() < until {
            let wanted = swap::offsets(connection, name, self.from()).await?;
            self.fill(connection, &wanted, false).await?;
            let wanted = swap::offsets(connection, name, self.from()).await?;
            let there = swap::offsets(connection, name, self.generation()).await?;
            behind = swap::behind(&there, &wanted);
        }
        Ok(())
    }

    /// Holds both generations at the same offsets just long enough to export a snapshot; its name. It lives as long as the
    /// transaction that is begun on `snapshot`. `None` where they do not meet: after a crash the new one may be ahead of an
    /// old one that nobody feeds, and what the old one has parked by now is not in its rows; what is built aside may show that.
    pub(super) async fn meet(
        &self,
        connection: &mut PgConnection,
        snapshot: &mut PgConnection,
    ) -> Result<Option<String>, RebuildError> {
        let name = self.model.name();
        let until = Instant::now() + limits::SWAP_PATIENCE;
        loop {
            let wanted = match swap::hold(connection, name, self.from()).await {
                Err(error) if tables::is_lock_timeout(&error) && Instant::now() < until => continue,
                held => held?,
            };
            self.fill(connection, &wanted, true).await?;
            let exported = export(snapshot).await?;
            // The hold may have run out before that, and the new one may have been ahead.
            let old = swap::offsets(snapshot, name, self.from()).await?;
            let new = swap::offsets(snapshot, name, self.generation()).await?;
            let parked = match self.purpose().is_aside() {
                true => 0,
                false => swap::parked(snapshot, name, self.from()).await?,
            };
            swap::release(connection, name, self.from()).await?;
            if old == new && parked == 0 {
                return Ok(Some(exported));
            }
            sqlx::query("rollback").execute(&mut *snapshot).await?;
            let is_ahead = new.iter().zip(&old).any(|(new, old)| new > old);
            let never = is_ahead && !swap::is_fed(connection, name, self.from()).await?;
            if parked > 0 || never || Instant::now() > until {
                return Ok(None);
            }
            sleep(limits::SWAP_AGAIN).await;
        }
    }
}

/// The name of a snapshot, which lives as long as the transaction that is begun for it.
pub(super) async fn export(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    sqlx::query("begin isolation level repeatable read read only")
        .execute(&mut *connection)
        .await?;
    sqlx::query_scalar("select pg_export_snapshot()")
        .fetch_one(&mut *connection)
        .await
}
