//! A WebSocket client that does nothing by itself.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderValue};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::http::{Client, deadline};

/// An open connection that speaks graphql-transport-ws.
pub struct Socket(WebSocketStream<TcpStream>);

impl Client {
    /// Opens a WebSocket with these headers; the status where it is refused.
    ///
    /// # Errors
    /// The status of the refusal.
    pub async fn socket(&self, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
        let url = format!("ws://{}/graphql", self.address());
        let mut request = url.into_client_request().expect("an address");
        for (name, value) in [("sec-websocket-protocol", "graphql-transport-ws")]
            .iter()
            .chain(headers)
        {
            let value = HeaderValue::from_str(value).expect("a header");
            request.headers_mut().insert(*name, value);
        }
        let stream = TcpStream::connect(self.address())
            .await
            .expect("the server listens");
        match deadline(client_async(request, stream)).await {
            Ok((stream, _)) => Ok(Socket(stream)),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }
}

impl Socket {
    /// Sends a message of the protocol.
    pub async fn send(&mut self, message: Value) {
        assert!(self.try_send(message).await, "the connection is open");
    }

    /// Sends a message that the server may cut off; whether it took it all.
    pub async fn try_send(&mut self, message: Value) -> bool {
        let sent = deadline(self.0.send(Message::text(message.to_string()))).await;
        sent.is_ok()
    }

    /// Says who is calling, and waits until that is acknowledged.
    pub async fn init(&mut self, token: &str) {
        self.send(json!({"type": "connection_init", "payload": {"token": token}}))
            .await;
        let answer = self.next().await;
        assert!(
            matches!(&answer, Ok(message) if message["type"] == "connection_ack"),
            "{answer:?}"
        );
    }

    /// Starts an operation.
    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({"query": query, "variables": variables});
        self.send(json!({"type": "subscribe", "id": id, "payload": payload}))
            .await;
    }

    /// The next message of the protocol, or the code and reason with which the server closed; code 0 where it went away
    /// without a word.
    ///
    /// # Errors
    /// When the connection is over.
    pub async fn next(&mut self) -> Result<Value, (u16, String)> {
        loop {
            match deadline(self.0.next()).await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Err((frame.code.into(), frame.reason.to_string()));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return Err((0, String::new())),
            }
        }
    }
}
