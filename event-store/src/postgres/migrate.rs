//! Creating and upgrading the database, and refusing one that is not ours.

use crate::partition::{DEFAULT_PARTITIONS, Partitions};
use sqlx::{
    Connection, PgConnection, Row,
    migrate::{MigrateError, Migrator},
    postgres::PgConnectOptions,
};

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database cannot be reached.
    #[error("the database cannot be reached")]
    Connect(#[source] sqlx::Error),
    /// A query about the database's state failed.
    #[error("the database cannot be examined")]
    Examine(#[source] sqlx::Error),
    /// Somebody else's tables are there.
    #[error(
        "database {database:?} holds another program's tables ({example}, ...) and no Docket log: Docket would mix its \
         tables with them; create an empty database and name it in DATABASE_URL"
    )]
    Foreign {
        /// The database.
        database: String,
        /// One of the tables.
        example: String,
    },
    /// A migration failed.
    #[error("the database cannot be migrated")]
    Migrate(#[source] MigrateError),
    /// The database is older than this binary and was not to be changed.
    #[error("the database holds no Docket log, or an older one: run `docket migrate`")]
    NotMigrated,
    /// P is fixed at creation.
    #[error(
        "the log was created with {actual} partitions and {configured} are configured: with another number an order's \
         new events would land in another partition than its old ones, and their order would be lost; leave the \
         setting away or set it to {actual}"
    )]
    PartitionsChanged {
        /// What is configured.
        configured: u16,
        /// What the log has.
        actual: u16,
    },
    /// The partitions' number in the database is out of range.
    #[error("the log says that it has {0} partitions, which is out of range")]
    BadPartitions(i16),
}

/// Creates what is missing and upgrades what is old. Safe to run twice and from several processes at once.
///
/// # Errors
/// When the database is somebody else's, has another number of partitions, or does not answer.
pub async fn migrate(options: &PgConnectOptions, partitions: Option<u16>) -> Result<Partitions, OpenError> {
    let mut connection = PgConnection::connect_with(options)
        .await
        .map_err(OpenError::Connect)?;
    refuse_foreign(&mut connection).await?;
    let wanted = partitions.unwrap_or(DEFAULT_PARTITIONS);
    sqlx::query("select set_config('docket.partitions', $1, false)")
        .bind(wanted.to_string())
        .execute(&mut connection)
        .await
        .map_err(OpenError::Examine)?;
    MIGRATIONS
        .run(&mut connection)
        .await
        .map_err(OpenError::Migrate)?;
    let found = check(&mut connection, partitions).await;
    // The answer is in; a connection that does not close politely changes nothing.
    let _ = connection.close().await;
    found
}

/// The partitions of the log in a database that must be there and as new as this binary.
pub(crate) async fn check(
    connection: &mut PgConnection,
    configured: Option<u16>,
) -> Result<Partitions, OpenError> {
    let newest = MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0);
    let applied: Option<bool> = sqlx::query_scalar("select to_regclass('docket') is not null")
        .fetch_one(&mut *connection)
        .await
        .map_err(OpenError::Examine)?;
    if applied != Some(true) {
        return Err(OpenError::NotMigrated);
    }
    let row = sqlx::query(
        "select d.partitions, coalesce((select max(version) from _sqlx_migrations where success), 0) from docket d",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(OpenError::Examine)?;
    let count: i16 = row.try_get(0).map_err(OpenError::Examine)?;
    let version: i64 = row.try_get(1).map_err(OpenError::Examine)?;
    if version < newest {
        return Err(OpenError::NotMigrated);
    }
    let actual = u16::try_from(count)
        .ok()
        .and_then(Partitions::try_new)
        .ok_or(OpenError::BadPartitions(count))?;
    match configured {
        Some(configured) if configured != actual.count() => Err(OpenError::PartitionsChanged {
            configured,
            actual: actual.count(),
        }),
        _ => Ok(actual),
    }
}

async fn refuse_foreign(connection: &mut PgConnection) -> Result<(), OpenError> {
    let row = sqlx::query(
        "select current_database()::text, to_regclass('docket') is not null,
                (select min(c.oid::regclass::text) from pg_class c join pg_namespace n on n.oid = c.relnamespace
                  where c.relkind in ('r', 'p', 'v', 'm') and n.nspname = current_schema()
                    and c.relname <> '_sqlx_migrations'
                    -- What an extension brought along, such as pg_stat_statements, is nobody's program.
                    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass
                                       and d.objid = c.oid and d.deptype = 'e'))",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(OpenError::Examine)?;
    let ours: bool = row.try_get(1).map_err(OpenError::Examine)?;
    let example: Option<String> = row.try_get(2).map_err(OpenError::Examine)?;
    match example {
        Some(example) if !ours => {
            let database = row.try_get(0).map_err(OpenError::Examine)?;
            Err(OpenError::Foreign { database, example })
        }
        _ => Ok(()),
    }
}
