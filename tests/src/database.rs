//! A database for each test, copied from a migrated template.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::shared_cluster::{self, Addresses};
use crate::template::migrate_template;

/// Guards the making of a template between processes; any number that nothing else locks.
const TEMPLATE_LOCK: i64 = 0x0064_6f63_6b65_7400;

/// Connections for looking at what the test does, never the ones it does it with.
const ADMIN_CONNECTIONS: u32 = 4;

/// A migrated database in the run's server, for one test alone.
pub async fn database() -> TestDatabase {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let addresses = shared_cluster::addresses();
    let template = TEMPLATE.get_or_init(|| template(addresses)).await;
    TestDatabase::copy(addresses, template, true).await
}

/// A database without anything in it, for one test alone.
pub async fn empty_database() -> TestDatabase {
    TestDatabase::copy(shared_cluster::addresses(), "template1", true).await
}

/// A test's own database. Dropped with the handle, unless the test is failing.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    addresses: Addresses,
    admin: PgPool,
    drop_it: bool,
}

impl TestDatabase {
    pub(crate) async fn copy(addresses: &Addresses, template: &str, drop_it: bool) -> Self {
        let name = format!("test_{}", Uuid::new_v4().simple());
        execute(
            &addresses.docket,
            &format!("create database {name} template {template}"),
        )
        .await;
        let superuser = addresses
            .superuser
            .clone()
            .database(&name)
            .application_name("test-admin");
        let admin = PgPoolOptions::new()
            .max_connections(ADMIN_CONNECTIONS)
            .connect_lazy_with(superuser);
        Self {
            name,
            addresses: addresses.clone(),
            admin,
            drop_it,
        }
    }

    /// How docket itself connects.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.addresses.docket.clone().database(&self.name)
    }

    /// The same as a `DATABASE_URL`, for a process of its own.
    pub fn url(&self) -> String {
        self.connect_options().to_url_lossy().to_string()
    }

    /// A copy of the database as it is now. Every session is ended for it.
    ///
    /// # Panics
    /// When it cannot be copied.
    pub async fn back_up(&self) -> Backup {
        let name = format!("{}_backup", self.name);
        let (original, superuser) = (&self.name, &self.addresses.superuser);
        // Nobody may be connected to what is copied.
        execute(
            superuser,
            &format!("alter database {original} allow_connections false"),
        )
        .await;
        let end = format!(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{original}'"
        );
        execute(superuser, &end).await;
        let create = format!("create database {name} template {original}");
        execute(&self.addresses.docket, &create).await;
        execute(
            superuser,
            &format!("alter database {original} allow_connections true"),
        )
        .await;
        Backup(name)
    }

    /// Puts a backup in the database's place, as an operator would: under everybody who is connected.
    ///
    /// # Panics
    /// When it cannot be put there.
    pub async fn restore(&self, Backup(backup): Backup) {
        execute(
            &self.addresses.docket,
            &format!("drop database {} with (force)", self.name),
        )
        .await;
        let rename = format!("alter database {backup} rename to {}", self.name);
        execute(&self.addresses.docket, &rename).await;
    }

    /// A superuser's pool on this database, for looking at locks, ending sessions and doing damage.
    pub fn admin(&self) -> &PgPool {
        &self.admin
    }
}

/// A copy of a database, to be put back.
#[derive(Debug)]
pub struct Backup(String);

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if !self.drop_it || std::thread::panicking() {
            return;
        }
        // A thread of its own: no waiting here, and the test's runtime may be about to end. If the process ends
        // first, the database goes with the cluster.
        let (superuser, name) = (self.addresses.superuser.clone(), self.name.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let mut connection = PgConnection::connect_with(&superuser).await?;
                let drop = format!("drop database {name} with (force)");
                sqlx::raw_sql(sqlx::AssertSqlSafe(drop))
                    .execute(&mut connection)
                    .await
            })?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        });
    }
}

/// The name of this run's template, made by the first process that asks. A run is known by the process that
/// started this one (cargo), because the next run may bring other migrations.
pub(crate) async fn template(addresses: &Addresses) -> String {
    let name = format!("template_{}", std::os::unix::process::parent_id());
    let mut lock = PgConnection::connect_with(&addresses.docket)
        .await
        .expect("the test server answers");
    let locked = sqlx::query("select pg_advisory_lock($1)")
        .bind(TEMPLATE_LOCK)
        .execute(&mut lock)
        .await;
    locked.expect("the template can be locked");
    let found = sqlx::query("select from pg_database where datname = $1")
        .bind(&name)
        .fetch_optional(&mut lock)
        .await;
    if found.expect("databases can be listed").is_none() {
        // Under another name until it is whole: a run that was killed here is no danger to the next one.
        let fresh = format!("{name}_fresh");
        execute(
            &addresses.docket,
            &format!("drop database if exists {fresh} with (force)"),
        )
        .await;
        execute(&addresses.docket, &format!("create database {fresh}")).await;
        migrate_template(addresses.docket.clone().database(&fresh).to_url_lossy().as_str()).await;
        execute(
            &addresses.docket,
            &format!("alter database {fresh} rename to {name}"),
        )
        .await;
    }
    lock.close().await.expect("the lock's connection ends");
    name
}

async fn execute(options: &PgConnectOptions, statement: &str) {
    let run = async {
        let mut connection = PgConnection::connect_with(options).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
            .execute(&mut connection)
            .await?;
        connection.close().await
    };
    run.await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}
