//! The database that each test's own is a copy of.

/// Migrates the database at `url`. Must have closed its connections when it returns: a database that somebody
/// is connected to cannot be copied.
pub(crate) async fn migrate_template(_url: &str) {
    // docket_event_store::postgres::migrate::migrate(...) goes here.
}
