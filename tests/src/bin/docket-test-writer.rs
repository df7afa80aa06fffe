//! A process that writes until it is told to stop, and survives being killed; see `docket_tests::writer`.

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    docket_tests::writer::run().await
}
