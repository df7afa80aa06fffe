//! A process that appends, for the tests that kill it; see `docket_tests::client`.

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    docket_tests::client::run().await
}
