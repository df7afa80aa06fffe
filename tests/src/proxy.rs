//! A line to the server that can be cut, and on which what is said can be held back: how a statement gets lost on its
//! way, an answer on its way back, and a database out of reach.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use crate::{database::TestDatabase, wait::eventually};

/// The message that ends a request in PostgreSQL's protocol.
const SYNC: [u8; 5] = [b'S', 0, 0, 0, 4];
const HELD_WITHIN: Duration = Duration::from_secs(10);

/// What the line does.
#[derive(Debug, Clone, Default)]
struct Mode {
    /// Requests in which this occurs, and what the same connection asks after them.
    hold_requests: Option<Arc<[u8]>>,
    hold_answers: bool,
    refuse: bool,
}

/// A line to one database's server.
#[derive(Debug)]
pub struct Proxy {
    options: PgConnectOptions,
    folder: PathBuf,
    line: Arc<Line>,
}

#[derive(Debug)]
struct Line {
    mode: watch::Sender<Mode>,
    /// Cancelled to cut every connection; a new one for those that come.
    cut: Mutex<CancellationToken>,
    /// What is held of each connection.
    held: Mutex<Vec<Held>>,
    server: PathBuf,
}

#[derive(Debug, Default, Clone)]
struct Held {
    requests: Arc<Mutex<Vec<u8>>>,
    answers: Arc<Mutex<Vec<u8>>>,
}

impl TestDatabase {
    /// A line to this database.
    ///
    /// # Panics
    /// When it cannot be laid.
    pub fn proxy(&self) -> Proxy {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let options = self.connect_options();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("docket-proxy-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the line's folder can be made");
        let name = format!(".s.PGSQL.{}", options.get_port());
        let socket = options
            .get_socket()
            .expect("the test server is reached by a socket");
        let line = Arc::new(Line {
            mode: watch::Sender::default(),
            cut: Mutex::default(),
            held: Mutex::default(),
            server: socket.join(&name),
        });
        let listener = UnixListener::bind(folder.join(&name)).expect("the line can be laid");
        tokio::spawn(Arc::clone(&line).accept(listener));
        Proxy {
            options: options.socket(&folder),
            folder,
            line,
        }
    }
}

impl Proxy {
    /// How to connect over this line.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// The same as a `DATABASE_URL`.
    pub fn url(&self) -> String {
        self.options.to_url_lossy().to_string()
    }

    /// Keeps requests back in which `needle` occurs, until [`pass`](Self::pass).
    pub fn hold_requests(&self, needle: &[u8]) {
        self.line
            .mode
            .send_modify(|mode| mode.hold_requests = Some(needle.into()));
    }

    /// Keeps answers back, until [`pass`](Self::pass).
    pub fn hold_answers(&self) {
        self.line.mode.send_modify(|mode| mode.hold_answers = true);
    }

    /// Lets everything through, what was held first.
    pub fn pass(&self) {
        self.line.mode.send_replace(Mode::default());
    }

    /// Cuts every connection; what is held is lost.
    pub fn cut(&self) {
        let mut cut = self.line.cut.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *cut).cancel();
        for held in self
            .line
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            held.requests
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
            held.answers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
        }
    }

    /// Cuts every connection and takes no new one, until [`pass`](Self::pass).
    pub fn refuse(&self) {
        self.line.mode.send_modify(|mode| mode.refuse = true);
        self.cut();
    }

    /// Returns when a whole request is held.
    pub async fn wait_until_held(&self) {
        eventually(HELD_WITHIN, async || self.line.holds().then_some(())).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        // Nothing is lost with a folder that stays in the system's folder for such.
        let _ = std::fs::remove_dir_all::<&Path>(&self.folder);
    }
}

impl Line {
    async fn accept(self: Arc<Self>, listener: UnixListener) {
        while let Ok((client, _)) = listener.accept().await {
            // Before the look at the mode: who is let in while the line is cut is cut as well.
            let cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if !self.mode.borrow().refuse
                && let Ok(server) = UnixStream::connect(&self.server).await
            {
                self.carry(client, server, cut);
            }
        }
    }

    fn carry(&self, client: UnixStream, server: UnixStream, cut: CancellationToken) {
        let held = Held::default();
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(held.clone());
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let requests = forward(
            from_client,
            to_server,
            self.mode.subscribe(),
            requests_held,
            held.requests,
        );
        let answers = forward(
            from_server,
            to_client,
            self.mode.subscribe(),
            answers_held,
            held.answers,
        );
        let (requests_cut, answers_cut) = (cut.clone(), cut);
        tokio::spawn(async move { requests_cut.run_until_cancelled(requests).await });
        tokio::spawn(async move { answers_cut.run_until_cancelled(answers).await });
    }

    fn holds(&self) -> bool {
        let mode = self.mode.borrow().clone();
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().any(|held| {
            let held = held.requests.lock().unwrap_or_else(PoisonError::into_inner);
            held.ends_with(&SYNC) && requests_held(&mode, &held)
        })
    }
}

fn requests_held(mode: &Mode, requests: &[u8]) -> bool {
    let needle = mode.hold_requests.as_deref();
    needle
        .is_some_and(|needle| needle.is_empty() || requests.windows(needle.len()).any(|part| part == needle))
}

fn answers_held(mode: &Mode, _: &[u8]) -> bool {
    mode.hold_answers
}

/// Carries one direction until its source ends, holding back while it must.
async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    holds: fn(&Mode, &[u8]) -> bool,
    held: Arc<Mutex<Vec<u8>>>,
) {
    let mut chunk = vec![0; 64 * 1024];
    let mut open = true;
    while open || !held.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
        tokio::select! {
            read = from.read(&mut chunk), if open => match read {
                Ok(length @ 1..) => held.lock().unwrap_or_else(PoisonError::into_inner).extend(&chunk[..length]),
                _ => open = false,
            },
            changed = mode.changed() => if changed.is_err() { return },
        }
        let ready = {
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            if holds(&mode.borrow_and_update(), &held) {
                continue;
            }
            std::mem::take(&mut *held)
        };
        if to.write_all(&ready).await.is_err() {
            return;
        }
    }
}
