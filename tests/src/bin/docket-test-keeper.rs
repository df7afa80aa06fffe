//! Keeps the PostgreSQL server of a test run; started by the first test that needs it.

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    docket_tests::keep().await
}
