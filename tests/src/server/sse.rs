//! A reader of server-sent events that reads no faster than the test wants.

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::http::{Ask, Client, deadline};

/// An open stream of events.
#[derive(Debug)]
pub struct Events {
    stream: BufReader<TcpStream>,
    status: u16,
    text: String,
}

impl Client {
    /// Subscribes over server-sent events.
    pub async fn follow(&self, query: &str, variables: Value) -> Events {
        let ask = Ask::operation(query, variables).header("accept", "text/event-stream");
        let mut stream = TcpStream::connect(self.address())
            .await
            .expect("the server listens");
        let bytes = self.signed(ask).bytes(self.address());
        stream.write_all(&bytes).await.expect("the server reads");
        let mut stream = BufReader::new(stream);
        let (mut line, mut status, mut chunked) = (String::new(), 0, false);
        loop {
            line.clear();
            deadline(stream.read_line(&mut line)).await.expect("an answer");
            if status == 0 {
                status = line
                    .split(' ')
                    .nth(1)
                    .and_then(|status| status.parse().ok())
                    .expect("a status");
            }
            chunked |= line
                .to_ascii_lowercase()
                .starts_with("transfer-encoding: chunked");
            if line == "\r\n" || line.is_empty() {
                let mut text = String::new();
                if !chunked {
                    // What is refused at once has a length, and is the whole answer.
                    deadline(stream.read_to_string(&mut text)).await.expect("UTF-8");
                }
                return Events { stream, status, text };
            }
        }
    }
}

impl Events {
    /// The status of HTTP.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The next result; none when the stream is over, in the open (`complete`) or not.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = event.to_owned();
                self.text = rest.to_owned();
                if event.starts_with("event: complete") {
                    return None;
                }
                if let Some(data) = event.strip_prefix("event: next\ndata: ") {
                    return Some(serde_json::from_str(data).expect("JSON"));
                }
            }
            self.chunk().await?;
        }
    }

    /// The next event of the log that the subscription shows; what only carries a cursor is passed over, and its cursor
    /// kept in `cursor`.
    pub async fn event(&mut self, cursor: &mut Option<String>) -> Option<Value> {
        loop {
            let message = self.next().await?;
            let data = message["data"].as_object().and_then(|data| data.values().next());
            let Some(shown) = data.filter(|shown| !shown.is_null()) else {
                panic!("the subscription failed: {message}");
            };
            *cursor = shown["cursor"].as_str().map(str::to_owned);
            if !shown["event"].is_null() {
                return Some(shown.clone());
            }
        }
    }

    async fn chunk(&mut self) -> Option<()> {
        let mut size = String::new();
        deadline(self.stream.read_line(&mut size)).await.ok()?;
        let size = usize::from_str_radix(size.trim(), 16)
            .ok()
            .filter(|size| *size > 0)?;
        let mut chunk = vec![0; size + 2];
        deadline(self.stream.read_exact(&mut chunk)).await.ok()?;
        chunk.truncate(size);
        self.text += &String::from_utf8(chunk).expect("UTF-8");
        Some(())
    }
}
