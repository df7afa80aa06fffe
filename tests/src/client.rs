//! A process of its own that appends what it is told: one command a line on its standard input. A test kills it, or
//! ends it by closing the input.
//!
//! A line is a key and a command, `{"key": "k", "input": {"command": ...}}`; the answer is a line on its standard
//! output: what the log stored, or why there is nothing.

use std::{path::PathBuf, process::Stdio, str::FromStr};

use docket_event_store::Store;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::orders::{request, store_config};

/// The other process, from the test's side. Killed when it is dropped.
#[derive(Debug)]
pub struct Client {
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Client {
    /// Starts one on the database at `url`.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(url: &str) -> Self {
        let mut process = Command::new(program("docket-test-client"))
            .arg(url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the client starts");
        let input = process.stdin.take().expect("the input is piped");
        let output = process.stdout.take().expect("the output is piped");
        let mut client = Self {
            process,
            input,
            output: BufReader::new(output).lines(),
        };
        assert_eq!(client.answer().await, json!("ready"));
        client
    }

    /// Tells it what to do, and does not wait.
    ///
    /// # Panics
    /// When it is gone.
    pub async fn send(&mut self, key: &str, input: &Value) {
        let line = format!("{}\n", json!({"key": key, "input": input}));
        self.input
            .write_all(line.as_bytes())
            .await
            .expect("the client listens");
    }

    /// What it says next.
    ///
    /// # Panics
    /// When it is gone.
    pub async fn answer(&mut self) -> Value {
        let line = self.output.next_line().await.expect("the client can be read");
        serde_json::from_str(&line.expect("the client is there")).expect("the client speaks JSON")
    }

    /// Kills it at once, and returns when it is gone.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub async fn kill_9(mut self) {
        self.process.kill().await.expect("the client is killed");
    }
}

/// Where cargo puts the programs of this crate.
pub(crate) fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile = test.ancestors().find(|path| path.join("deps").is_dir());
    profile.expect("tests run from the target folder").join(name)
}

/// The process's whole life.
///
/// # Errors
/// When the log cannot be opened or a line is not what it should be.
pub async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("a client is given the database")?;
    let store = Store::open(store_config(PgConnectOptions::from_str(&url)?)).await?;
    println!("{}", json!("ready"));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let line: Value = serde_json::from_str(&line)?;
        let key = line["key"].as_str().ok_or("a line has a key")?;
        let answer = match store.execute(request(key, line["input"].clone())).await {
            Ok(done) => json!({"partition": done.position.partition, "offset": done.position.offset,
                               "version": done.version, "repeated": done.repeated}),
            Err(error) => json!({"error": error.to_string()}),
        };
        println!("{answer}");
    }
    Ok(())
}
