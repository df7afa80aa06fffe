//! `docket migrate`: creates or upgrades the database. Safe to run twice.

use crate::{app::Database, config::Config};
use serde_json::json;
use std::error::Error;

pub(crate) async fn run(config: &Config, json: bool) -> Result<(), Box<dyn Error>> {
    let database = Database::open(config).await?;
    let migrated = database.migrate(config).await;
    database.close().await?;
    let partitions = migrated?.count();
    if json {
        println!("{}", json!({"partitions": partitions}));
    } else {
        println!("The database is up to date: {partitions} partitions.");
    }
    Ok(())
}
