//! Databases that a bench makes and drops; an existing log is never touched.

use super::{BenchError, rebuild::Spread};
use docket_event_store::{MasterKey, Store, StoreConfig, migrate};
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

/// The data is dropped with the database, and so may its key be a constant.
pub(super) const MASTER_KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

/// A database of the bench's own.
pub(super) struct BenchDatabase {
    server: PgConnectOptions,
    name: String,
    lanes: u16,
    kept: bool,
}

impl BenchDatabase {
    /// A new one, which is dropped at the end.
    pub(super) async fn create(server: &PgConnectOptions, lanes: u16) -> Result<Self, BenchError> {
        let name = format!("docket_bench_{}", Uuid::now_v7().simple());
        Self::of_name(server, lanes, name, false).await
    }

    /// The one that holds a shop of so many orders, made the first time and kept for the next.
    pub(super) async fn of_shop(
        server: &PgConnectOptions,
        lanes: u16,
        orders: u64,
    ) -> Result<Self, BenchError> {
        Self::of_name(server, lanes, format!("docket_bench_shop_{orders}"), true).await
    }

    /// The one that holds a log to rebuild from, made the first time and kept for the next.
    pub(super) async fn of_log(
        server: &PgConnectOptions,
        orders: u64,
        spread: Spread,
    ) -> Result<Self, BenchError> {
        let spread = match spread {
            Spread::Sequence => "sequence",
            Spread::Interleaved => "interleaved",
        };
        let name = format!("docket_bench_rebuild_{orders}_{spread}");
        Self::of_name(server, docket_event_store::limits::DEFAULT_LANES, name, true).await
    }

    async fn of_name(
        server: &PgConnectOptions,
        lanes: u16,
        name: String,
        kept: bool,
    ) -> Result<Self, BenchError> {
        let mut connection = PgConnection::connect_with(server).await?;
        let there: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(&name)
            .fetch_one(&mut connection)
            .await?;
        if !there {
            // The name is made of letters, digits and underscores.
            sqlx::query(AssertSqlSafe(format!("create database {name}")))
                .execute(&mut connection)
                .await?;
        }
        connection.close().await?;
        let database = Self {
            server: server.clone(),
            name,
            lanes,
            kept,
        };
        migrate(&database.options(), None).await?;
        Ok(database)
    }

    pub(super) fn options(&self) -> PgConnectOptions {
        self.server.clone().database(&self.name)
    }

    /// The bench's log, with a cache of so many bytes.
    pub(super) async fn store(&self, cache_bytes: u64) -> Result<Store, BenchError> {
        let key = MasterKey::from_hex(MASTER_KEY).map_err(|error| BenchError::Worker(error.to_string()))?;
        let config = StoreConfig {
            cache_bytes,
            lanes: self.lanes,
            ..StoreConfig::new(self.options(), key)
        };
        Ok(Store::open(config).await?)
    }

    /// Offsets are dense: nothing that was acknowledged is missing and nothing is there twice.
    pub(super) async fn check_log(&self) -> Result<(), BenchError> {
        let mut connection = PgConnection::connect_with(&self.options()).await?;
        let (heads, count): (i64, i64) =
            sqlx::query_as("select (select sum(head)::bigint from heads), (select count(*) from events)")
                .fetch_one(&mut connection)
                .await?;
        connection.close().await?;
        let (acknowledged, found) = (heads.unsigned_abs(), count.unsigned_abs());
        if acknowledged == found {
            Ok(())
        } else {
            Err(BenchError::Lost { acknowledged, found })
        }
    }

    /// Cleans up behind what was written, so that what is measured next does not meet it.
    pub(super) async fn settle(&self) -> Result<(), BenchError> {
        let mut connection = PgConnection::connect_with(&self.options()).await?;
        sqlx::query("vacuum (analyze)").execute(&mut connection).await?;
        checkpoint(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    /// Drops it, unless it is one that is kept.
    pub(super) async fn drop(self) -> Result<(), BenchError> {
        if self.kept {
            return Ok(());
        }
        let mut connection = PgConnection::connect_with(&self.server).await?;
        // Without force: that is refused to a role which may not end autovacuum, and without it the server ends autovacuum
        // by itself, and waits a few seconds for those who are leaving.
        let statement = format!("drop database {}", self.name);
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        Ok(())
    }
}

/// Writes everything down now. An owner of databases may not ask for it; then the rounds may meet a checkpoint.
pub(super) async fn checkpoint(connection: &mut PgConnection) -> Result<(), BenchError> {
    const NO_PRIVILEGE: &str = "42501";
    let Err(error) = sqlx::query("checkpoint").execute(connection).await else {
        return Ok(());
    };
    let code = error.as_database_error().and_then(|error| error.code());
    match code.is_some_and(|code| code == NO_PRIVILEGE) {
        true => Ok(()),
        false => Err(error.into()),
    }
}

/// Refuses a concurrency that the server has no connections for, before anything is made.
pub(super) async fn check_connections(server: &PgConnectOptions, needed: i64) -> Result<(), BenchError> {
    let mut connection = PgConnection::connect_with(server).await?;
    let available: i64 = sqlx::query_scalar(
        "select current_setting('max_connections')::bigint - count(*)
              - current_setting('superuser_reserved_connections')::bigint from pg_stat_activity",
    )
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    if available >= needed {
        Ok(())
    } else {
        Err(BenchError::Connections { available, needed })
    }
}
