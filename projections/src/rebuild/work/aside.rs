//! What a build aside does otherwise: where it is filled to, what it is compared by, and how it stays.

use super::{Work, meet::export};
use crate::{
    fold::chain,
    rebuild::{Outcome, Purpose, RebuildError, Step, differences, instant, swap, tables},
};
use sqlx::{Connection, PgConnection};

impl Work {
    /// How far a build aside is filled: to where what is served is, or was at an instant. `None` where it is none.
    pub(super) async fn aside_upto(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Option<Vec<i64>>, sqlx::Error> {
        match self.purpose() {
            Purpose::Swap | Purpose::VerifyOnly => Ok(None),
            Purpose::WhatIf => {
                let offsets = swap::offsets(connection, self.model.name(), self.from()).await?;
                Ok(Some(offsets))
            }
            Purpose::AsOf(at) => {
                let partitions = self.store.partitions().count();
                Ok(Some(instant::offsets(connection, partitions, at).await?))
            }
        }
    }

    /// Compares a build aside with what is served, in one snapshot, and leaves it as it is.
    pub(super) async fn set_aside(&mut self, connection: &mut PgConnection) -> Result<Outcome, RebuildError> {
        let mut snapshot = tables::workbench(self.pool()).await?;
        let exported = match self.purpose() {
            Purpose::AsOf(_) => export(&mut snapshot).await?,
            _ => {
                self.follow(connection).await?;
                let met = self.meet(connection, &mut snapshot).await?;
                met.ok_or_else(|| RebuildError::NotHeld(self.model.name().to_owned()))?
            }
        };
        let generations = (self.from(), self.generation());
        let found = differences::find(self.pool(), &*self.model, &exported, generations, self.parallel());
        self.differences = found.await?;
        self.rows = self.differences.iter().map(|table| table.rows()).sum();
        sqlx::query("rollback").execute(&mut *snapshot).await?;
        self.unpaused().await?;
        self.stay(connection).await?;
        self.left(Step::Verify);
        // Whoever reads what was built aside before keeps it a while.
        let (name, tables, stays) = (self.model.name(), self.model.tables(), Some(self.generation()));
        if let Err(error) = tables::drop_sides(connection, name, tables, stays).await {
            tracing::warn!(
                error = chain(&error),
                "what was built aside before was not dropped"
            );
        }
        Ok(Outcome::Aside)
    }

    /// It is done and stays as it is: without checkpoints there is nothing that could be fed, claimed or waited for.
    async fn stay(&self, connection: &mut PgConnection) -> Result<(), RebuildError> {
        let mut transaction = connection.begin().await?;
        self.held
            .differs(&mut transaction, self.rows, &self.differences)
            .await?;
        self.held.end(&mut transaction, Outcome::Aside).await?;
        for statement in [
            "update generations set state = 'side' where projection = $1 and generation = $2",
            "delete from checkpoints where projection = $1 and generation = $2",
        ] {
            sqlx::query(statement)
                .bind(self.model.name())
                .bind(self.generation().0)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
