//! The binary `docket`.

use clap::Parser as _;
use docket::cli::Cli;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    docket::cli::run(Cli::parse()).await
}
