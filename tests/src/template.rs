//! The database that each test's own is a copy of.

use sqlx::postgres::PgConnectOptions;

/// Migrates a database. It has closed its connections when it returns: a database that somebody is connected to cannot
/// be copied.
pub(crate) async fn migrate_template(database: &PgConnectOptions) {
    docket_event_store::migrate(database, None)
        .await
        .expect("the template can be migrated");
}
