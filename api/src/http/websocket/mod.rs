//! GraphQL over WebSocket: the graphql-transport-ws protocol, with its close codes (see `close.rs`).
//!
//! The token comes in the `connection_init` payload, which a browser can set, or in the `Authorization` header of
//! the upgrade; the payload wins. Host and origin were checked before the upgrade, because a browser lets any page
//! open a WebSocket anywhere.

mod close;
mod connection;
mod message;

use std::sync::Arc;

use async_graphql::Executor;
use axum::{
    extract::{FromRequestParts, Request, ws::WebSocketUpgrade},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};

use self::connection::Connection;
use super::{Peer, Transport, answer::Refusal, auth::Authenticate};

/// The subprotocol that is spoken here.
const PROTOCOL: &str = "graphql-transport-ws";

/// Whether the client asks to change over to WebSocket.
pub(super) fn is_upgrade(request: &Request) -> bool {
    let upgrade = request.headers().get(header::UPGRADE);
    upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Changes over to WebSocket.
pub(super) async fn upgrade<E: Executor, A: Authenticate>(
    transport: Arc<Transport<E, A>>,
    request: Request,
) -> Response {
    let (mut parts, _) = request.into_parts();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return Refusal::bad_request(rejection.body_text()).into_response(),
    };
    let Ok(live) = transport.live.clone().try_acquire_owned() else {
        return Refusal::overloaded("Too many connections are open; try again.").into_response();
    };
    let tracked = transport.drain.enter();
    let mut upgrade = upgrade
        .max_message_size(transport.limits.max_body_bytes)
        .max_frame_size(transport.limits.max_body_bytes)
        .protocols([PROTOCOL]);
    let spoken = upgrade.selected_protocol().is_some();
    if !spoken {
        // The close code can only be read on an open connection, and clients give up a handshake that selects none
        // of their protocols. So one of theirs is selected and the connection closed at once.
        let theirs = upgrade
            .requested_protocols()
            .find(|name| !name.is_empty())
            .cloned();
        theirs
            .into_iter()
            .for_each(|name| upgrade.set_selected_protocol(name));
    }
    let (headers, peer) = (authorization(&parts.headers), Peer::of(&parts.extensions));
    upgrade.on_upgrade(move |socket| async move {
        let (_live, _tracked) = (live, tracked);
        Connection::new(transport, socket, headers, peer)
            .serve(spoken)
            .await;
    })
}

/// What the connection must remember of the upgrade: only who asked.
fn authorization(headers: &HeaderMap) -> HeaderMap {
    let values = headers.get_all(header::AUTHORIZATION).iter().cloned();
    values
        .map(|value: HeaderValue| (header::AUTHORIZATION, value))
        .collect()
}
