//! An HTTP client that can also say what no well-behaved client says.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No wait of a test is longer; reaching it is the failure. Above the thirty seconds after which the server gives up.
const DEADLINE: Duration = Duration::from_secs(45);

/// What comes of `what`, which must come before the deadline.
pub async fn deadline<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(DEADLINE, what)
        .await
        .expect("it happens before the deadline")
}

/// A request, byte by byte what the test wants it to be.
#[derive(Debug, Clone)]
pub struct Ask {
    method: &'static str,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Ask {
    /// A request without a body.
    pub fn new(method: &'static str, target: impl Into<String>) -> Ask {
        let headers = vec![("connection".to_owned(), "close".to_owned())];
        Ask {
            method,
            target: target.into(),
            headers,
            body: Vec::new(),
        }
    }

    /// A body for `/graphql`.
    pub fn post(body: impl Into<Vec<u8>>) -> Ask {
        let body = body.into();
        let length = body.len().to_string();
        let ask = Ask::new("POST", "/graphql").header("content-type", "application/json");
        Ask { body, ..ask }.header("content-length", &length)
    }

    /// An operation with its variables.
    pub fn operation(query: &str, variables: Value) -> Ask {
        Ask::post(json!({"query": query, "variables": variables}).to_string())
    }

    /// Sets a header, or leaves it away when the value is empty.
    pub fn header(mut self, name: &str, value: &str) -> Ask {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a header, also a second one of the same name.
    pub fn and(mut self, name: &str, value: &str) -> Ask {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As it goes over the wire.
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

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status of HTTP.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Reply {
    /// Reads an answer; `None` where it has not come whole.
    pub fn parse(text: &str) -> Option<Reply> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked {
            unchunked(body)?
        } else {
            body.to_owned()
        };
        Some(Reply {
            status,
            head: head.to_owned(),
            body,
        })
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of the first error, or of the first rule that refused, or `none`.
    pub fn code(&self) -> String {
        let json = self.json();
        let errors = json["errors"][0]["extensions"]["code"].as_str();
        let rules = || json["data"].as_object()?.values().next()?["userErrors"][0]["code"].as_str();
        errors.or_else(rules).unwrap_or("none").to_owned()
    }

    /// The first field of the data of an operation that succeeded.
    #[track_caller]
    pub fn data(&self) -> Value {
        assert_eq!(self.code(), "none", "{self:?}");
        let json = self.json();
        let first = json["data"].as_object().and_then(|data| data.values().next());
        first.unwrap_or_else(|| panic!("no data: {self:?}")).clone()
    }
}

fn unchunked(mut text: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, rest) = text.split_once("\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body += rest.get(..size)?;
        text = rest.get(size..)?.strip_prefix("\r\n")?;
    }
}

/// One caller of one server: a connection a request.
#[derive(Debug, Clone)]
pub struct Client {
    address: SocketAddr,
    token: String,
}

impl Client {
    /// A caller with a token; an empty one is nobody's.
    pub fn new(address: SocketAddr, token: impl Into<String>) -> Client {
        Client {
            address,
            token: token.into(),
        }
    }

    /// Its token.
    pub fn token(&self) -> &str {
        &self.token
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same caller at a server that was started again.
    pub fn at(&self, address: SocketAddr) -> Client {
        Client {
            address,
            token: self.token.clone(),
        }
    }

    /// The request with this caller's token, where it carries none of its own.
    pub fn signed(&self, ask: Ask) -> Ask {
        if self.token.is_empty() || ask.headers.iter().any(|(name, _)| name == "authorization") {
            return ask;
        }
        ask.header("authorization", &format!("Bearer {}", self.token))
    }

    /// Sends a request and reads the whole answer; an error is a connection that ended without one.
    ///
    /// # Errors
    /// When the server is not there, or goes away before it has answered.
    pub async fn attempt(&self, ask: Ask) -> io::Result<Reply> {
        let bytes = self.signed(ask).bytes(self.address);
        let mut stream = TcpStream::connect(self.address).await?;
        // A server that refuses early may not read it all; what counts is whether it answers.
        let written = stream.write_all(&bytes).await;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer).await;
        match Reply::parse(&String::from_utf8_lossy(&answer)) {
            Some(reply) => Ok(reply),
            None => {
                written.and(read)?;
                Err(io::ErrorKind::UnexpectedEof.into())
            }
        }
    }

    /// Sends a request to a server that must answer.
    pub async fn ask(&self, ask: Ask) -> Reply {
        deadline(self.attempt(ask)).await.expect("the server answers")
    }

    /// Runs an operation.
    pub async fn run(&self, query: &str, variables: Value) -> Reply {
        self.ask(Ask::operation(query, variables)).await
    }

    /// Runs the mutation `name` on its input.
    pub async fn mutate(&self, name: &str, input: Value) -> Reply {
        self.ask(mutation(name, input)).await
    }

    /// Asks whether the server is ready: the status and the reasons.
    pub async fn ready(&self) -> (u16, Value) {
        let reply = self.ask(Ask::new("GET", "/readyz")).await;
        (reply.status, reply.json()["reasons"].clone())
    }
}

/// The request that runs the mutation `name` on its input.
pub fn mutation(name: &str, input: Value) -> Ask {
    let mut letters = name.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_ascii_uppercase())
        .into_iter();
    let kind: String = first.chain(letters).chain("Input".chars()).collect();
    let query = format!(
        "mutation($input: {kind}!) {{ {name}(input: $input) {{ order {{ id status }} version \
         position {{ partition offset }} userErrors {{ code message field }} }} }}"
    );
    Ask::operation(&query, json!({"input": input}))
}
