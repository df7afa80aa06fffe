//! A server process of the bench's own, and clients that keep their connections: what is measured over HTTP is
//! measured as a user sees it, with a token, with every limit on and with every read model fed.

use super::{BenchError, database::BenchDatabase};
use crate::{auth, catch_up::MAX_STILL};
use docket_domain::Role;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1::{self, SendRequest},
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use sqlx::{ConnectOptions as _, PgPool, postgres::PgPoolOptions};
use std::{collections::VecDeque, net::SocketAddr, process::Stdio, time::Duration};
use tokio::{
    fs,
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

/// How long the server may take to come up, an index on a large database included.
const MAX_START: Duration = Duration::from_secs(60);
/// How long one answer may take.
const MAX_ANSWER: Duration = Duration::from_secs(30);
/// How long a token of the bench holds.
const TOKEN: Duration = Duration::from_secs(24 * 3600);

/// `docket serve` as a process; it dies with this.
pub(super) struct ServerProcess {
    process: Child,
    pub(super) address: SocketAddr,
    pool: PgPool,
}

/// This program, on a bench's database.
pub(super) fn docket(database: &BenchDatabase) -> Result<Command, BenchError> {
    let program = std::env::current_exe();
    let program =
        program.map_err(|error| BenchError::Worker(format!("this program is not found: {error}")))?;
    let mut command = Command::new(program);
    command
        .env("DATABASE_URL", database.options().to_url_lossy().as_str())
        .env("DOCKET_MASTER_KEY", super::database::MASTER_KEY)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    Ok(command)
}

/// Fills a database with a shop of so many orders, as `docket seed` does; what is there already stays.
pub(super) async fn seed(database: &BenchDatabase, orders: u64) -> Result<(), BenchError> {
    let failed = |error: String| BenchError::Worker(format!("the shop cannot be filled: {error}"));
    let mut command = docket(database)?;
    // The end is fixed, so that the same orders are there the next time.
    let arguments = [
        "seed",
        "--until",
        "2026-01-01T00:00:00Z",
        "--orders",
        &orders.to_string(),
    ];
    let ended = command.args(arguments).stdout(Stdio::null()).status().await;
    match ended.map_err(|error| failed(error.to_string()))? {
        status if status.success() => Ok(()),
        status => Err(failed(status.to_string())),
    }
}

impl ServerProcess {
    pub(super) async fn start(database: &BenchDatabase) -> Result<Self, BenchError> {
        let failed =
            |error: std::io::Error| BenchError::Worker(format!("the server does not start: {error}"));
        let mut process = docket(database)?
            .args([
                "serve",
                "--json",
                "--listen",
                "127.0.0.1:0",
                "--metrics-listen",
                "127.0.0.1:0",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let said = process.stdout.take().map(|out| BufReader::new(out).lines());
        let greeting = async {
            let mut said = said?;
            while let Ok(Some(line)) = said.next_line().await {
                let address = serde_json::from_str::<Value>(&line).ok().and_then(|line| {
                    let url = line.get("url")?.as_str()?;
                    url.strip_prefix("http://")?.split('/').next()?.parse().ok()
                });
                if address.is_some() {
                    return address;
                }
            }
            None
        };
        let address: Option<SocketAddr> = timeout(MAX_START, greeting).await.ok().flatten();
        let address =
            address.ok_or_else(|| BenchError::Worker("the server did not say where it is".into()))?;
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .connect_with(database.options())
            .await?;
        Ok(Self {
            process,
            address,
            pool,
        })
    }

    /// Resolves when every read model is where the log ends.
    pub(super) async fn caught_up(&self) -> Result<(), BenchError> {
        const BEHIND: &str = r#"select sum(h.head - coalesce(c."offset", 0))::bigint
              from heads h cross join projections p
              left join checkpoints c on c.projection = p.name and c.generation = p.generation and c.partition = h.partition"#;
        let (mut least, mut since) = (i64::MAX, Instant::now());
        loop {
            let behind: i64 = sqlx::query_scalar(BEHIND).fetch_one(&self.pool).await?;
            if behind == 0 {
                return Ok(());
            }
            if behind < least {
                (least, since) = (behind, Instant::now());
            } else if since.elapsed() > MAX_STILL {
                return Err(BenchError::Worker(
                    "the read models do not reach the end of the log".into(),
                ));
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// The database behind it, for what a bench has to know and does not measure.
    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(super) async fn token(&self, role: Role, actor: &str) -> Result<String, BenchError> {
        let token = auth::create_token(&self.pool, role, actor, "bench", TOKEN).await;
        token
            .map(|token| token.text)
            .map_err(|error| BenchError::Worker(error.to_string()))
    }

    /// A client with a token of its own.
    pub(super) async fn client(&self, role: Role, actor: &str) -> Result<Client, BenchError> {
        Client::connect(self.address, self.token(role, actor).await?).await
    }

    /// The process's resident memory, in bytes.
    pub(super) async fn resident_bytes(&self) -> Result<u64, BenchError> {
        let unknown = || BenchError::Worker("the server's memory cannot be read".into());
        let pid = self.process.id().ok_or_else(unknown)?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))
            .await
            .map_err(|_| unknown())?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: Option<u64> = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
        kib.map(|kib| kib * 1024).ok_or_else(unknown)
    }

    pub(super) async fn stop(mut self) -> Result<(), BenchError> {
        self.pool.close().await;
        let stopped = self.process.kill().await;
        stopped.map_err(|error| BenchError::Worker(format!("the server does not stop: {error}")))
    }
}

/// One connection and who takes turns on it.
pub(super) struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    authorizations: VecDeque<String>,
}

impl Client {
    pub(super) async fn connect(address: SocketAddr, token: String) -> Result<Self, BenchError> {
        let failed = |error: String| BenchError::Worker(format!("the server cannot be reached: {error}"));
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| failed(error.to_string()))?;
        stream
            .set_nodelay(true)
            .map_err(|error| failed(error.to_string()))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(error.to_string()))?;
        tokio::spawn(connection);
        Ok(Self {
            sender,
            host: address.to_string(),
            authorizations: VecDeque::from([format!("Bearer {token}")]),
        })
    }

    /// Somebody more takes turns on this connection.
    pub(super) fn share(&mut self, token: &str) {
        self.authorizations.push_back(format!("Bearer {token}"));
    }

    async fn send(&mut self, body: String, accept: &str) -> Result<Response<Incoming>, BenchError> {
        self.authorizations.rotate_left(1);
        let authorization = self.authorizations.front().map_or("", String::as_str);
        let request = Request::post("/graphql")
            .header(HOST, &self.host)
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, accept)
            .body(Full::from(body))
            .map_err(|error| BenchError::Worker(error.to_string()))?;
        let answer = timeout(MAX_ANSWER, async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        });
        let answer = answer.await;
        let answer = answer.map_err(|_| BenchError::Worker("no answer came".into()))?;
        answer.map_err(|error| BenchError::Worker(format!("no answer came: {error}")))
    }

    /// Asks, and gives the answer's text; an answer with errors is a failure.
    pub(super) async fn ask(&mut self, body: String) -> Result<Bytes, BenchError> {
        let answer = self.send(body, "application/json").await?;
        let body = answer.into_body().collect().await;
        let body = body
            .map_err(|error| BenchError::Worker(error.to_string()))?
            .to_bytes();
        // Errors are written before the data.
        if body.starts_with(br#"{"data":{"#) {
            Ok(body)
        } else {
            Err(BenchError::Worker(
                String::from_utf8_lossy(&body).chars().take(500).collect(),
            ))
        }
    }

    /// Subscribes by server-sent events.
    pub(super) async fn follow(&mut self, body: String) -> Result<Incoming, BenchError> {
        let answer = self.send(body, "text/event-stream").await?;
        if answer.status().is_success() {
            Ok(answer.into_body())
        } else {
            Err(BenchError::Worker(format!(
                "a subscription was refused: {}",
                answer.status()
            )))
        }
    }
}

/// A request's body.
pub(super) fn body(query: &str, variables: &Value) -> String {
    serde_json::json!({"query": query, "variables": variables}).to_string()
}
