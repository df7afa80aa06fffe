//! The loop that accepts connections and speaks HTTP/1.1 on them.
//!
//! It is ours, over hyper, because axum's own has no limits: a client that never ends its headers, never reads, or opens
//! connections without end would hold memory and descriptors for ever. Here every wait ends and everything is counted:
//!
//! ```text
//! places     so many connections, and so many of one address    -> 503, or closed where TLS is spoken
//! tls        the handshake: in time, so many at once             -> closed; 400 to who speaks plain HTTP
//! (hyper)    the head of a request: in time, so large            -> closed; 431
//! stall      an answer that nobody reads                         -> closed
//! ```
//!
//! HTTP/1.1 alone: a WebSocket over HTTP/2 needs another handshake that few clients know, and the streams of one HTTP/2
//! connection would be a second kind of thing to count and to bound.

mod places;
mod stall;
pub mod tls;

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{Router, extract::ConnectInfo};
use hyper::{Request, body::Incoming, server::conn::http1, service::Service as _};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    places::{Full, Place, Places},
    stall::Stall,
    tls::Tls,
};

/// Connections at once in one process: 15,000, which is [`MAX_LIVE_CONNECTIONS`](crate::http::limits::MAX_LIVE_CONNECTIONS)
/// streams, the requests in flight, and as many that idle. Below the 16,384 descriptors that services are commonly given.
pub const MAX_CONNECTIONS: usize = 15_000;
/// Connections of one address at once: 1,000, an office behind one address and its browsers' six each.
pub const MAX_CONNECTIONS_PER_ADDRESS: usize = 1_000;
/// How long the head of a request may take to arrive, and a connection between two requests may idle: 30 s, half of
/// what common proxies keep an idle connection for, so that it is mostly the client who closes.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest head of a request, in bytes: 32 KiB. Cookies, a token and a traceparent take a tenth; the rest is for a GET
/// with its document.
pub const MAX_HEAD_BYTES: usize = 32 * 1024;
/// The most headers of a request: 100, as hyper keeps on its stack.
pub const MAX_HEADERS: usize = 100;
/// What hyper may buffer of a connection each way, in bytes: 128 KiB. With [`MAX_CONNECTIONS`] of the worst kind 1.9 GiB
/// each way; a connection that idles holds 8 KiB.
pub const MAX_CONNECTION_BUFFER: usize = 128 * 1024;
/// How long bytes may wait for a client that reads nothing: 60 s, above every time that a stream gives its client.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the loop rests when the process has no descriptors left: 1 s.
const REST: Duration = Duration::from_secs(1);
/// How long a connection that is turned away may take to take its answer: 1 s.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// What the loop allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenLimits {
    /// See [`MAX_CONNECTIONS`].
    pub connections: usize,
    /// See [`MAX_CONNECTIONS_PER_ADDRESS`].
    pub connections_per_address: usize,
    /// Addresses that speak for many: their connections are not counted by address.
    pub proxies: Vec<IpAddr>,
    /// See [`HEAD_TIMEOUT`].
    pub head_timeout: Duration,
    /// See [`STALL_TIMEOUT`].
    pub stall_timeout: Duration,
    /// See [`tls::HANDSHAKE_TIMEOUT`].
    pub handshake_timeout: Duration,
    /// See [`tls::MAX_HANDSHAKES`].
    pub handshakes: usize,
}

impl Default for ListenLimits {
    fn default() -> Self {
        ListenLimits {
            connections: MAX_CONNECTIONS,
            connections_per_address: MAX_CONNECTIONS_PER_ADDRESS,
            proxies: Vec::new(),
            head_timeout: HEAD_TIMEOUT,
            stall_timeout: STALL_TIMEOUT,
            handshake_timeout: tls::HANDSHAKE_TIMEOUT,
            handshakes: tls::MAX_HANDSHAKES,
        }
    }
}

/// Serves `app` until `stop`, then lets the requests in flight end. A request finds its peer as [`ConnectInfo`].
///
/// WebSockets outlive it: [`Drain`](crate::http::Drain) waits for them.
pub async fn listen(
    listener: TcpListener,
    app: Router,
    tls: Option<Tls>,
    limits: ListenLimits,
    stop: CancellationToken,
) {
    let door = Arc::new(Door {
        app: TowerToHyperService::new(app),
        handshakes: tls.map(|tls| tls::Handshakes::new(tls, limits.handshakes, limits.handshake_timeout)),
        limits,
        stop: stop.clone(),
    });
    let places = Places::new(&door.limits);
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                rest_after(error).await;
                continue;
            }
        };
        match places.take(peer.ip()) {
            Ok(place) => {
                let door = Arc::clone(&door);
                connections.spawn(async move { door.connection(stream, peer, place).await });
            }
            Err(full) => {
                let speaks_tls = door.handshakes.is_some();
                turn_away(stream, &full, speaks_tls).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}

/// A connection that died before it was taken is its client's matter; a process without descriptors has to wait for some.
async fn rest_after(error: io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    ) {
        return;
    }
    tracing::error!(%error, "connections cannot be accepted");
    tokio::time::sleep(REST).await;
}

/// Tells a client that there is no place for it. What it sends is not read, so it may see a reset instead.
async fn turn_away(mut stream: TcpStream, full: &Full, speaks_tls: bool) {
    metrics::counter!("docket_connections_refused_total", "what" => full.what).increment(1);
    if speaks_tls {
        return;
    }
    let answer = plain_answer("503 Service Unavailable", "retry-after: 1\r\n", &full.json());
    // A fresh socket has room for it, so this does not wait.
    let _ = stream.try_write(answer.as_bytes());
    let _ = timeout(REFUSAL_TIMEOUT, stream.shutdown()).await;
}

/// A whole answer of a connection that never reaches the router.
fn plain_answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json; charset=utf-8\r\n{headers}content-length: {length}\r\n\
         cache-control: no-store\r\nconnection: close\r\n\r\n{body}"
    )
}

/// What every connection shares.
struct Door {
    app: TowerToHyperService<Router>,
    handshakes: Option<tls::Handshakes>,
    limits: ListenLimits,
    stop: CancellationToken,
}

impl Door {
    async fn connection(&self, stream: TcpStream, peer: SocketAddr, place: Place) {
        // Answers are written whole; waiting for more to send along only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended at once");
            return;
        }
        match &self.handshakes {
            None => self.speak(stream, peer, place).await,
            Some(handshakes) => {
                let shaken = self.stop.run_until_cancelled(handshakes.shake(stream)).await;
                if let Some(Some(stream)) = shaken {
                    self.speak(stream, peer, place).await;
                }
            }
        }
    }

    async fn speak<S>(&self, stream: S, peer: SocketAddr, place: Place)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // The place goes with the socket, which a WebSocket keeps after this has returned.
        let stream = Stall::new(stream, self.limits.stall_timeout, place);
        let app = self.app.clone();
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            answer(app.call(request))
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_timeout)
            .max_header_size(MAX_HEAD_BYTES)
            .max_buf_size(MAX_CONNECTION_BUFFER);
        let connection = http
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// The router cannot fail, and its future says so in its type only here.
async fn answer<R>(answering: impl Future<Output = Result<R, Infallible>>) -> Result<R, Infallible> {
    answering.await
}
