//! The binary `docket`.
use clap::Parser;
#[derive(Parser)]
enum Cli {
    Bench(docket::bench::BenchArgs),
}
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Cli::Bench(args) = Cli::parse();
    let options: sqlx::postgres::PgConnectOptions = std::env::var("DATABASE_URL")?.parse()?;
    Ok(docket::bench::run(&options, &args).await?)
}
