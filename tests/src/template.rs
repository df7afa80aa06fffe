//! The database that each test's own is a copy of.

use docket_event_store::migrate;

/// Migrates the database at `url`. Has closed its connections when it returns: a database that somebody is connected to
/// cannot be copied.
pub(crate) async fn migrate_template(url: &str) {
    let options = url.parse().expect("a cluster gives well-formed addresses");
    migrate(&options, None)
        .await
        .expect("the migrations run on an empty database");
}
