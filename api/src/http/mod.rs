//! The transports: GraphQL over HTTP, over WebSocket (graphql-transport-ws) and over server-sent events (graphql-sse,
//! distinct connections), all three at `/graphql`.
//!
//! They are ours and thin, over the engine's `execute` and `execute_stream`, because the stock integration runs
//! mutations over GET, accepts `text/plain`, closes WebSockets with the wrong codes and never times out. A request
//! goes through the files in this order:
//!
//! ```text
//! guard      is the host ours, is the origin fine        -> 421, 403
//! (here)     WebSocket or not                            -> websocket/
//! graphql    method, accept, body                        -> 405, 406, 415, 413, 408, 400
//! auth       whose token is it                           -> 401
//! trusted    which document is meant                     -> 400
//! request    measure and parse the document              -> 400
//! execute    run it: time limit, panics caught
//! answer     code every error, hide ours, write          (sse: as events)
//! ```
//!
//! Every number is in [`limits`]. Schemas keep their own limits (depth, complexity, aliases).

mod accept;
mod answer;
mod auth;
pub mod code;
mod drain;
mod execute;
mod graphql;
mod guard;
pub mod limits;
mod parsed;
mod queue;
mod request;
mod sse;
mod trace;
pub mod trusted;
mod websocket;

use std::{
    any::Any,
    net::{IpAddr, SocketAddr},
    panic::AssertUnwindSafe,
    sync::Arc,
};

use async_graphql::{Executor, ServerError};
use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::Extensions,
    response::{IntoResponse, Response},
    routing::any,
};
use futures::FutureExt;
use tokio::sync::Semaphore;

use self::request::{Operation, Params};
pub(crate) use self::{
    answer::{began, show_null},
    request::missing_variable,
};
pub use self::{
    auth::{AuthError, Authenticate, Session},
    drain::Drain,
    guard::{HostPolicy, guarded, network_of},
    limits::HttpLimits,
    trace::Trace,
    trusted::Trusted,
};
use crate::json::TakesJson;

/// Where all three transports listen.
pub const PATH: &str = "/graphql";

/// The transports of `executor` (any `async_graphql::Schema`) at [`PATH`], behind the host and origin checks.
///
/// Resolvers find in the request's data the authenticator's `Caller` and a [`Trace`]. Other routes of the same
/// listener are merged by the caller and want [`guarded`] as well. `drain` ends the long-lived connections.
pub fn router<E: Executor, A: Authenticate>(
    executor: E,
    authenticator: A,
    limits: HttpLimits,
    policy: HostPolicy,
    trusted: Trusted,
    drain: Drain,
) -> Router {
    let live = Arc::new(Semaphore::new(limits.max_live_connections));
    let in_flight = Semaphore::new(limits.max_in_flight);
    let transport = Arc::new(Transport {
        executor,
        authenticator,
        limits,
        trusted,
        drain,
        live,
        in_flight,
    });
    guarded(
        Router::new()
            .route(PATH, any(handle::<E, A>))
            .with_state(transport),
        policy,
    )
}

/// The address at the other end of a request's connection, in the request's data. Behind a proxy it is the proxy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

impl Peer {
    /// Where the listener said it.
    fn of(extensions: &Extensions) -> Option<Peer> {
        let ConnectInfo(address) = extensions.get::<ConnectInfo<SocketAddr>>()?;
        Some(Peer(address.ip()))
    }
}

/// A request with everything that resolvers and the door find in its data.
fn with_data(
    request: async_graphql::Request,
    caller: impl Any + Send + Sync,
    peer: Option<Peer>,
    trace: Trace,
) -> async_graphql::Request {
    let request = request.data(caller).data(trace).data(TakesJson);
    match peer {
        Some(peer) => request.data(peer),
        None => request,
    }
}

/// What every request of a router shares.
struct Transport<E, A> {
    executor: E,
    authenticator: A,
    limits: HttpLimits,
    trusted: Trusted,
    drain: Drain,
    /// One permit for each WebSocket and event stream.
    live: Arc<Semaphore>,
    /// One permit for each plain request.
    in_flight: Semaphore,
}

impl<E, A> Transport<E, A> {
    /// The operation that parameters stand for.
    fn prepare(&self, params: Params, trace: &Trace) -> Result<Operation, ServerError> {
        request::prepare(self.trusted.resolve(params)?, &self.limits, trace)
    }
}

async fn handle<E: Executor, A: Authenticate>(
    State(transport): State<Arc<Transport<E, A>>>,
    request: Request,
) -> Response {
    let trace = Trace::of(request.headers());
    let answered = async {
        if websocket::is_upgrade(&request) {
            websocket::upgrade(transport, request).await
        } else {
            graphql::handle(transport, request, trace.clone()).await
        }
    };
    // Resolvers are caught where they run; this is for a fault in the transport itself.
    let caught = AssertUnwindSafe(answered).catch_unwind().await;
    caught.unwrap_or_else(|panic| {
        answer::Refusal::internal(&trace, &execute::panic_text(&*panic)).into_response()
    })
}
