//! Serves the schema of the transport tests until Ctrl-C, for a GraphQL client of your choice:
//!
//! ```text
//! cargo run -p docket --example toy_server -- 127.0.0.1:8090
//! node tests/conformance/run.mjs http://127.0.0.1:8090/graphql good
//! ```

use docket::http::{Drain, HostPolicy, HttpLimits, PATH};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[path = "../tests/transport/toy.rs"]
mod toy;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("http://{}{PATH}", listener.local_addr()?);
    let stop = CancellationToken::new();
    let drain = Drain::new(stop.clone());
    let world = toy::World::new();
    let router = toy::toy(world, HttpLimits::default(), HostPolicy::default(), drain.clone());
    let stopped = stop.clone();
    let serving = axum::serve(listener, router).with_graceful_shutdown(stopped.cancelled_owned());
    let (served, ()) = tokio::join!(serving, async {
        let _ = tokio::signal::ctrl_c().await;
        stop.cancel();
        drain.drained().await;
    });
    served
}
