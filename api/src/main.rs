//! The binary `docket`.

use clap::Parser as _;
use docket::cli::Cli;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    docket::cli::run(Cli::parse()).await
}
