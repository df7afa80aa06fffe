//! `docket verify`: is the log whole, and is every read model its fold? Exit status 1 and the first difference if not.
//! The read models are fed to the end of the log first, so that all of it is compared.

use crate::{
    app::Database,
    catch_up::{CatchUpError, catch_up},
    cli::chain,
    config::Config,
};
use docket_projections::{Report, StartError, VerifyError, verify};
use indicatif::ProgressBar;
use serde_json::json;
use std::{error::Error, process::ExitCode};

/// What is not as it should be.
#[derive(Debug, thiserror::Error)]
enum Difference {
    #[error(transparent)]
    Found(VerifyError),
    #[error(transparent)]
    NotFed(CatchUpError),
}

pub(crate) async fn run(config: &Config, json: bool) -> Result<ExitCode, Box<dyn Error>> {
    let database = Database::open(config).await?;
    let store = database.store(config).await?;
    let partitions = u64::from(store.partitions().count());
    let bar = if json {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(partitions)
    };
    let verified = match catch_up(&store, config).await {
        Ok(()) => verify(&store, |_| bar.inc(1)).await.map_err(Difference::Found),
        Err(error) => Err(Difference::NotFed(error)),
    };
    bar.finish_and_clear();
    store.close().await;
    database.close().await?;
    match verified {
        Ok(report) => {
            print(&report, json);
            Ok(ExitCode::SUCCESS)
        }
        Err(Difference::Found(error @ VerifyError::Read(_))) => Err(error.into()),
        Err(Difference::NotFed(CatchUpError::Start(error @ StartError::Read(_)))) => Err(error.into()),
        Err(difference) => {
            let difference = chain(&difference);
            if json {
                println!("{}", json!({"whole": false, "difference": difference}));
            } else {
                println!("Not whole: {difference}");
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

fn print(report: &Report, json: bool) {
    let Report {
        partitions,
        events,
        commands,
        rows,
        left_out,
    } = report;
    if json {
        let rows: serde_json::Map<_, _> = rows
            .iter()
            .map(|(name, count)| ((*name).to_owned(), (*count).into()))
            .collect();
        println!(
            "{}",
            json!({"whole": true, "partitions": partitions, "events": events, "commands": commands, "rows": rows,
                   "leftOut": left_out})
        );
        return;
    }
    println!("Whole: {events} events of {commands} commands in {partitions} partitions, dense and in order.");
    for (name, count) in rows {
        println!("{name}: {count} rows, each the fold of the log.");
    }
}
