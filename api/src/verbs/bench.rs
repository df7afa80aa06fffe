//! `docket bench`.

use crate::{
    app::Database,
    bench::{self, BenchArgs},
    config::Config,
};
use std::error::Error;

pub(crate) async fn run(config: &Config, args: &BenchArgs, json: bool) -> Result<(), Box<dyn Error>> {
    let database = Database::open(config).await?;
    let outcome = bench::run(database.options(), args, json).await;
    database.close().await?;
    Ok(outcome?)
}
