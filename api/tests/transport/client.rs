//! A server on a free port, and clients that can also say what no well-behaved client says.

use std::{net::SocketAddr, time::Duration};

use docket::{
    http::{Drain, HostPolicy, HttpLimits, PATH},
    server::listen::{ListenLimits, listen},
};
use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};
use tokio_util::sync::CancellationToken;

use crate::toy::{World, toy};

/// No wait of a test is longer; reaching it is the failure.
const DEADLINE: Duration = Duration::from_secs(20);

pub async fn within<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(DEADLINE, what)
        .await
        .expect("it did not happen before the deadline")
}

/// Waits until a number that the server keeps is `wanted`.
pub async fn becomes(count: &watch::Sender<usize>, wanted: usize) {
    within(count.subscribe().wait_for(|count| *count == wanted))
        .await
        .expect("the server is alive");
}

pub struct Server {
    pub address: SocketAddr,
    pub world: World,
    pub drain: Drain,
    pub stop: CancellationToken,
}

impl Server {
    pub async fn start() -> Server {
        Server::with(HttpLimits::default(), HostPolicy::default()).await
    }

    pub async fn limited(limits: HttpLimits) -> Server {
        Server::with(limits, HostPolicy::default()).await
    }

    pub async fn with(limits: HttpLimits, policy: HostPolicy) -> Server {
        Server::listening(limits, policy, ListenLimits::default()).await
    }

    pub async fn listening(limits: HttpLimits, policy: HostPolicy, connections: ListenLimits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (world, stop) = (World::new(), CancellationToken::new());
        let drain = Drain::new(stop.clone());
        let router = toy(world.clone(), limits, policy, drain.clone());
        tokio::spawn(listen(listener, router, None, connections, stop.clone()));
        Server {
            address,
            world,
            drain,
            stop,
        }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address)
            .await
            .expect("the server listens")
    }

    /// Sends a request and reads the whole answer.
    pub async fn ask(&self, ask: Ask) -> Reply {
        let mut stream = self.connect().await;
        stream
            .write_all(&ask.bytes(self.address))
            .await
            .expect("the server reads");
        let mut answer = Vec::new();
        within(stream.read_to_end(&mut answer)).await.expect("an answer");
        Reply::parse(&String::from_utf8(answer).expect("UTF-8"))
    }

    /// POSTs a document, accepting `application/graphql-response+json`.
    pub async fn graphql(&self, query: &str) -> Reply {
        self.ask(Ask::query(query).header("accept", "application/graphql-response+json"))
            .await
    }
}

/// A request, byte by byte what the test wants it to be.
pub struct Ask {
    method: &'static str,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Ask {
    pub fn new(method: &'static str, target: impl Into<String>) -> Ask {
        let headers = vec![("connection".to_owned(), "close".to_owned())];
        Ask {
            method,
            target: target.into(),
            headers,
            body: Vec::new(),
        }
    }

    pub fn post(body: impl Into<Vec<u8>>) -> Ask {
        let ask = Ask::new("POST", PATH).header("content-type", "application/json");
        let body = body.into();
        Ask { body, ..ask }.sized()
    }

    pub fn query(query: &str) -> Ask {
        Ask::post(serde_json::json!({ "query": query }).to_string())
    }

    /// `parameters` are written as they are.
    pub fn get(parameters: &str) -> Ask {
        Ask::new("GET", format!("{PATH}?{parameters}"))
    }

    fn sized(self) -> Ask {
        let length = self.body.len().to_string();
        self.header("content-length", &length)
    }

    /// Sets a header, or leaves it away when the value is empty.
    pub fn header(mut self, name: &str, value: &str) -> Ask {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn bytes(&self, address: SocketAddr) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            head += &format!("host: {address}\r\n");
        }
        for (name, value) in self.headers.iter().filter(|(_, value)| !value.is_empty()) {
            head += &format!("{name}: {value}\r\n");
        }
        let mut bytes = (head + "\r\n").into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    fn parse(text: &str) -> Reply {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status");
        Reply {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn code(&self) -> String {
        self.json()["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap_or("none")
            .to_owned()
    }
}

/// A WebSocket client that does nothing by itself.
pub struct Socket(pub WebSocketStream<TcpStream>);

impl Socket {
    /// Opened, not initialised.
    pub async fn open(server: &Server) -> Socket {
        Socket::with(server, &[("sec-websocket-protocol", "graphql-transport-ws")]).await
    }

    pub async fn with(server: &Server, headers: &[(&'static str, &str)]) -> Socket {
        Socket::attempt(server, headers)
            .await
            .unwrap_or_else(|status| panic!("refused with {status}"))
    }

    /// The status of the refusal, where there is one.
    pub async fn attempt(server: &Server, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
        let url = format!("ws://{}{PATH}", server.address);
        let mut request = url.into_client_request().expect("an address");
        for (name, value) in headers {
            request
                .headers_mut()
                .insert(*name, HeaderValue::from_str(value).expect("a header"));
        }
        match within(client_async(request, server.connect().await)).await {
            Ok((stream, _)) => Ok(Socket(stream)),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Opened and acknowledged, with the good token.
    pub async fn ready(server: &Server) -> Socket {
        let mut socket = Socket::open(server).await;
        socket
            .init(serde_json::json!({ "token": crate::toy::TOKEN }))
            .await;
        socket
    }

    pub async fn init(&mut self, payload: Value) {
        self.send(serde_json::json!({ "type": "connection_init", "payload": payload }))
            .await;
        assert_eq!(
            self.receive().await,
            serde_json::json!({ "type": "connection_ack" })
        );
    }

    pub async fn send(&mut self, message: Value) {
        self.send_raw(Message::text(message.to_string())).await;
    }

    pub async fn send_raw(&mut self, message: Message) {
        within(self.0.send(message))
            .await
            .expect("the connection is open");
    }

    pub async fn subscribe(&mut self, id: &str, query: &str) {
        self.send(serde_json::json!({ "type": "subscribe", "id": id, "payload": { "query": query } }))
            .await;
    }

    /// The next message of the protocol.
    pub async fn receive(&mut self) -> Value {
        match self.frame().await {
            Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("expected a message, got {other:?}"),
        }
    }

    /// The next frame that is no ping.
    async fn frame(&mut self) -> Message {
        loop {
            match within(self.0.next())
                .await
                .expect("the connection is open")
                .expect("a frame")
            {
                Message::Ping(_) => {}
                frame => return frame,
            }
        }
    }

    /// Reads until the server closes; code and reason.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(frame) = self.frame().await {
                let frame = frame.expect("a code");
                return (frame.code.into(), frame.reason.to_string());
            }
        }
    }
}
