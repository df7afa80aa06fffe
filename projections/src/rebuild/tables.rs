//! A generation's tables: made from the templates of its version, indexed last, dropped.

use super::{Outcome, Progress, RebuildError, Step, held::Held, operation};
use crate::{generation::Generation, limits, projector::Table, read_models::ReadModel};
use futures::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Postgres, pool::PoolConnection};
use std::{fmt, time::Duration};
use tokio::time::Instant;

/// Where the tables of a generation lie. Its number is the read model's own in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Schema {
    /// With those that are served.
    Public,
    /// Apart: they are looked at and neither fed nor served.
    Side,
}

impl Schema {
    /// The whole name of a table.
    pub(super) fn table(self, generation: Generation, name: &str) -> String {
        format!("{self}.{}", generation.table(name))
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Side => "side",
        })
    }
}

/// A connection for work that may take longer than a request. It is closed afterwards. Its statements are one process each:
/// how many there are at a time is what the rebuild was told.
pub(super) async fn workbench(pool: &PgPool) -> Result<PoolConnection<Postgres>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    connection.close_on_drop();
    sqlx::raw_sql(
        "set statement_timeout = 0; set idle_in_transaction_session_timeout = 0; set maintenance_work_mem = '128MB';
         set max_parallel_maintenance_workers = 0; set max_parallel_workers_per_gather = 0",
    )
        .execute(&mut *connection)
        .await?;
    Ok(connection)
}

/// The same, where statements that name tables without a schema find those of this one first.
pub(super) async fn workbench_in(
    pool: &PgPool,
    schema: Schema,
) -> Result<PoolConnection<Postgres>, sqlx::Error> {
    let mut connection = workbench(pool).await?;
    if schema != Schema::Public {
        let path = format!("set search_path = {schema}, {}", Schema::Public);
        sqlx::query(AssertSqlSafe(path)).execute(&mut *connection).await?;
    }
    Ok(connection)
}

/// Refuses where the tables of this version of a fold are not known to the database.
pub(super) async fn refuse_unless_migrated(pool: &PgPool, model: &dyn ReadModel) -> Result<(), RebuildError> {
    let version = model.version();
    for table in model.tables() {
        let there: bool = sqlx::query_scalar("select to_regclass($1) is not null")
            .bind(template(table, version))
            .fetch_one(pool)
            .await?;
        if !there {
            return Err(RebuildError::NoTemplate {
                projection: model.name().to_owned(),
                version,
            });
        }
    }
    Ok(())
}

fn template(table: &Table, version: i32) -> String {
    format!("templates.{}_v{version}", table.name)
}

/// Makes empty tables, with the rights that the tables have which are served, and enters the next step: in one transaction, so
/// that whoever has lost the lease, or whose rebuild was called off meanwhile, leaves no tables behind.
pub(super) async fn create(
    connection: &mut PgConnection,
    tables: &[Table],
    version: i32,
    held: &Held,
    (schema, generation): (Schema, Generation),
) -> Result<(), RebuildError> {
    let from = held.operation.from;
    let mut transaction = connection.begin().await?;
    for table in tables {
        let name = schema.table(generation, table.name);
        let there: bool = sqlx::query_scalar("select to_regclass($1) is not null")
            .bind(&name)
            .fetch_one(&mut *transaction)
            .await?;
        if there {
            continue;
        }
        sqlx::query("select copy_table($1::regclass, $2, $3, false)")
            .bind(template(table, version))
            .bind(schema.to_string())
            .bind(generation.table(table.name))
            .execute(&mut *transaction)
            .await?;
        // A table that is new in this version has no earlier one to take rights from.
        sqlx::query("select copy_grants(to_regclass($1), $2::regclass) where to_regclass($1) is not null")
            .bind(Schema::Public.table(from, table.name))
            .bind(&name)
            .execute(&mut *transaction)
            .await?;
    }
    // Last, because those who renew the lease wait for it.
    held.enter(&mut transaction, Step::Load).await?;
    Ok(transaction.commit().await?)
}

/// Builds the indexes that are not there yet, some at a time, and tells the planner what the tables hold. Nothing of it can be
/// held back once it has begun; before each it makes way.
pub(super) async fn index(
    pool: &PgPool,
    tables: &[Table],
    version: i32,
    (schema, generation): (Schema, Generation),
    parallel: u16,
    progress: &Progress,
) -> Result<(), RebuildError> {
    let mut indexes: Vec<(String, String)> = Vec::new();
    for table in tables {
        let of_table: Vec<String> = sqlx::query_scalar(
            "select indexrelid::regclass::text from pg_index where indrelid = $1::regclass and not indisprimary",
        )
        .bind(template(table, version))
        .fetch_all(pool)
        .await?;
        indexes.extend(
            of_table
                .into_iter()
                .map(|index| (index, generation.table(table.name))),
        );
    }
    let build =
        |(index, table)| -> BoxFuture<'_, _> { Box::pin(build(pool, schema, index, table, progress)) };
    let parallel = usize::from(parallel.max(1));
    let building = stream::iter(indexes.into_iter().map(build).collect::<Vec<_>>());
    building
        .buffer_unordered(parallel)
        .try_collect::<Vec<()>>()
        .await?;
    for table in tables {
        make_way(progress).await?;
        let mut connection = workbench(pool).await?;
        let statement = format!("vacuum (analyze) {}", schema.table(generation, table.name));
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn make_way(progress: &Progress) -> Result<(), RebuildError> {
    progress.make_way(limits::REBUILD_YIELD_INDEX).await;
    match progress.unpaused().await {
        true => Ok(()),
        false => Err(RebuildError::Interrupted),
    }
}

async fn build(
    pool: &PgPool,
    schema: Schema,
    index: String,
    table: String,
    progress: &Progress,
) -> Result<(), RebuildError> {
    make_way(progress).await?;
    let mut connection = workbench(pool).await?;
    sqlx::query("select copy_index($1::regclass, $2, $3)")
        .bind(index)
        .bind(schema.to_string())
        .bind(table)
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// Takes a generation away: its tables, its checkpoints, its row, and with it the rebuild that made it, where it ends so. One
/// that is served stays; `false` then. Whoever reads it is waited for, a moment at a time, so that nobody waits behind; after
/// [`limits::ROLLBACK_PATIENCE`] it is [`RebuildError::InUse`].
pub(super) async fn drop(
    connection: &mut PgConnection,
    (projection, generation): (&str, Generation),
    tables: &[Table],
    ends: Option<(&Held, Outcome)>,
) -> Result<bool, RebuildError> {
    let until = Instant::now() + limits::ROLLBACK_PATIENCE;
    loop {
        match try_drop(connection, (projection, generation), tables, ends).await {
            Err(RebuildError::Database(error)) if is_lock_timeout(&error) => {
                if Instant::now() > until {
                    return Err(RebuildError::InUse(projection.to_owned()));
                }
                tokio::time::sleep(limits::SWAP_LOCK * 5).await;
            }
            other => return other,
        }
    }
}

async fn try_drop(
    connection: &mut PgConnection,
    (projection, generation): (&str, Generation),
    tables: &[Table],
    ends: Option<(&Held, Outcome)>,
) -> Result<bool, RebuildError> {
    let mut transaction = connection.begin().await?;
    set_lock_timeout(&mut transaction, limits::SWAP_LOCK).await?;
    if operation::pointer(&mut transaction, projection).await? == generation {
        transaction.rollback().await?;
        return Ok(false);
    }
    if let Some((held, outcome)) = ends {
        held.end(&mut transaction, outcome).await?;
    }
    for table in tables {
        // They lie in one of them.
        let names = [Schema::Public, Schema::Side].map(|schema| schema.table(generation, table.name));
        let statement = format!("drop table if exists {}", names.join(", "));
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut *transaction)
            .await?;
    }
    for table in ["dead_letters", "checkpoints", "generations"] {
        let statement = format!("delete from {table} where projection = $1 and generation = $2");
        sqlx::query(AssertSqlSafe(statement))
            .bind(projection)
            .bind(generation.0)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// Takes away what was built aside and is done, but for one that is to stay; how many builds that were.
pub(super) async fn drop_sides(
    connection: &mut PgConnection,
    projection: &str,
    tables: &[Table],
    stays: Option<Generation>,
) -> Result<usize, RebuildError> {
    let sides: Vec<i32> = sqlx::query_scalar(
        "select generation from generations where projection = $1 and state = 'side' and generation is distinct from $2",
    )
    .bind(projection)
    .bind(stays.map(|stays| stays.0))
    .fetch_all(&mut *connection)
    .await?;
    for generation in &sides {
        drop(connection, (projection, Generation(*generation)), tables, None).await?;
    }
    Ok(sides.len())
}

/// Locks are waited for a moment only: everybody who comes later would queue behind.
pub(super) async fn set_lock_timeout(
    transaction: &mut PgConnection,
    most: Duration,
) -> Result<(), sqlx::Error> {
    let statement = format!("set local lock_timeout = {}", most.as_millis());
    sqlx::query(AssertSqlSafe(statement)).execute(transaction).await?;
    Ok(())
}

pub(super) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == "55P03")
}
