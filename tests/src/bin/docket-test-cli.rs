//! The binary `docket`, where tests of its command line find it: cargo names a package's own binaries to its tests.

use clap::Parser as _;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    docket::cli::run(docket::cli::Cli::parse()).await
}
