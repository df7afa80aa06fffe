//! `docket verify`: is the log whole, and is every read model its fold? Exit status 1 and the first difference if not.

use crate::{app::Database, config::Config};
use docket_projections::{Report, VerifyError, verify};
use indicatif::ProgressBar;
use serde_json::json;
use std::{error::Error, process::ExitCode};

pub(crate) async fn run(config: &Config, json: bool) -> Result<ExitCode, Box<dyn Error>> {
    let database = Database::open(config).await?;
    let store = database.store(config).await?;
    let partitions = u64::from(store.partitions().count());
    let bar = if json {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(partitions)
    };
    let verified = verify(&store, |_| bar.inc(1)).await;
    bar.finish_and_clear();
    store.close().await;
    database.close().await?;
    match verified {
        Ok(report) => {
            print(&report, json);
            Ok(ExitCode::SUCCESS)
        }
        Err(error @ VerifyError::Read(_)) => Err(error.into()),
        Err(difference) => {
            if json {
                println!(
                    "{}",
                    json!({"whole": false, "difference": difference.to_string()})
                );
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
    } = report;
    if json {
        let rows: serde_json::Map<_, _> = rows
            .iter()
            .map(|(name, count)| ((*name).to_owned(), (*count).into()))
            .collect();
        println!(
            "{}",
            json!({"whole": true, "partitions": partitions, "events": events, "commands": commands, "rows": rows})
        );
        return;
    }
    println!("Whole: {events} events of {commands} commands in {partitions} partitions, dense and in order.");
    for (name, count) in rows {
        println!("{name}: {count} rows, each the fold of the log.");
    }
}
