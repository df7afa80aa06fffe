//! A process that writes, to be killed at any moment and started again. What it is about to ask, it writes down first;
//! what it was answered counts when it is written down. A new life reads what the old one left, asks again, under the
//! same command ids, what has no answer yet, and goes on.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use docket_domain::{CommandId, OrderId, Version};
use docket_event_store::{ExecuteError, Position, Store, StoredAnswer};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::{
    client::program,
    history::History,
    orders::{add_line, create, id_of, request, set_quantity, store_config},
    seed::Seed,
};

/// Commands that one process has under way.
const TASKS: usize = 8;
/// Between two commands of a task: the log stays small enough to be judged as a whole.
const PAUSE: Duration = Duration::from_millis(10);
/// Before a command without an answer is asked again.
const AGAIN: Duration = Duration::from_millis(20);
/// Orders that all writers write, so that they meet.
const SHARED_ORDERS: u64 = 100;
/// For the last answers, once there are no more faults.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// It is about to be asked.
    Asked { key: String, input: Value },
    /// It was acknowledged.
    Done {
        key: String,
        partition: u16,
        offset: i64,
        events: u16,
        version: i32,
        repeated: bool,
    },
    /// It was refused by a rule.
    Refused { key: String },
    /// What must never happen.
    Broken { key: String, error: String },
}

/// The process, from the test's side, through all its lives.
#[derive(Debug)]
pub struct Writer {
    process: Child,
    url: String,
    file: PathBuf,
    number: u64,
}

/// How much a writer did.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// Commands acknowledged.
    pub done: usize,
    /// Of them, found in the log by a later life or try.
    pub repeated: usize,
    /// Commands refused.
    pub refused: usize,
}

impl Writer {
    /// Starts a writer's first life.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(url: String, folder: &Path, number: u64) -> Self {
        let file = folder.join(format!("writer-{number}"));
        Self {
            process: spawn(&url, &file, number),
            url,
            file,
            number,
        }
    }

    /// Kills it at once and starts its next life.
    ///
    /// # Panics
    /// When it cannot be killed or had ended by itself.
    pub async fn kill_9_and_restart(&mut self) {
        assert!(
            self.process.try_wait().is_ok_and(|ended| ended.is_none()),
            "a writer ended by itself"
        );
        self.process.kill().await.expect("the writer is killed");
        self.process = spawn(&self.url, &self.file, self.number);
    }

    /// Has it settle what it has asked, and takes down what it was answered.
    ///
    /// # Panics
    /// When it does not come to an end, or saw what must not happen.
    pub async fn finish(mut self, history: &mut History) -> Tally {
        drop(self.process.stdin.take());
        let ended = timeout(ENDS_WITHIN, self.process.wait()).await;
        let status = ended
            .expect("the writer settles everything in time")
            .expect("the writer ends");
        assert!(status.success(), "{status}");
        let mut tally = Tally::default();
        for line in lines(&self.file) {
            match line {
                Line::Asked { key, .. } => drop(history.asked.insert(id_of(&key))),
                Line::Done {
                    key,
                    partition,
                    offset,
                    events,
                    version,
                    repeated,
                } => {
                    tally.done += 1;
                    tally.repeated += usize::from(repeated);
                    let answer = StoredAnswer {
                        position: Position { partition, offset },
                        events,
                        version: Version(version),
                    };
                    history.acknowledged.push((id_of(&key), answer));
                }
                Line::Refused { key } => {
                    tally.refused += 1;
                    history.refused.insert(id_of(&key));
                }
                Line::Broken { key, error } => panic!("{key}: {error}"),
            }
        }
        let settled: HashSet<CommandId> = history.acknowledged.iter().map(|(id, _)| *id).collect();
        let open = history
            .asked
            .iter()
            .filter(|id| !settled.contains(id) && !history.refused.contains(id));
        assert_eq!(open.count(), 0, "what was asked has an answer in the end");
        tally
    }
}

fn spawn(url: &str, file: &Path, number: u64) -> Child {
    Command::new(program("docket-test-writer"))
        .args([url.as_ref(), file.as_os_str(), number.to_string().as_ref()])
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the writer starts")
}

fn lines(file: &Path) -> Vec<Line> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line is written whole or not at all"))
        .collect()
}

/// What the process still has to ask, and what it was answered.
struct Work {
    file: File,
    open: VecDeque<(String, Value)>,
    number: u64,
    next: u64,
    stop: bool,
}

impl Work {
    /// Goes on where the life before was killed.
    fn resume(path: &Path, number: u64) -> Result<Self, std::io::Error> {
        let mut open = HashMap::new();
        let mut next = 0;
        for line in lines(path) {
            match line {
                Line::Asked { key, input } => {
                    next += 1;
                    open.insert(key, input);
                }
                Line::Done { key, .. } | Line::Refused { key } | Line::Broken { key, .. } => {
                    open.remove(&key);
                }
            }
        }
        Ok(Self {
            file: OpenOptions::new().create(true).append(true).open(path)?,
            open: open.into_iter().collect(),
            number,
            next,
            stop: false,
        })
    }

    /// The next command; none when it is to stop.
    fn next(&mut self) -> Option<(String, Value)> {
        if let Some(open) = self.open.pop_front() {
            return Some(open);
        }
        if self.stop {
            return None;
        }
        let key = format!("{}-{}", self.number, self.next);
        let input = made(self.number, self.next);
        self.next += 1;
        self.note(&Line::Asked {
            key: key.clone(),
            input: input.clone(),
        });
        Some((key, input))
    }

    /// One write to the end of the file: a life that ends here has written all of it or nothing.
    fn note(&mut self, line: &Line) {
        let mut text = serde_json::to_string(line).expect("a line can be written");
        text.push('\n');
        self.file
            .write_all(text.as_bytes())
            .expect("the file takes a line");
    }
}

/// The command that follows from a writer's number and the command's.
fn made(writer: u64, number: u64) -> Value {
    let mut seed = Seed::of(writer << 32 | number);
    let shared = OrderId(Seed::of(seed.below(SHARED_ORDERS)).uuid());
    match seed.below(10) {
        0..4 => create(OrderId(seed.uuid())),
        4..6 => create(shared),
        6..9 => add_line(shared, 1 + seed.below(3) as u32),
        _ => set_quantity(shared, 1 + seed.below(3) as u32),
    }
}

/// The process's whole life.
///
/// # Errors
/// When it is not told what it needs.
pub async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || {
        arguments
            .next()
            .ok_or("a writer is given a database, a file and a number")
    };
    let (url, file, number) = (argument()?, argument()?, argument()?.parse()?);
    let config = store_config(PgConnectOptions::from_str(&url)?);
    let store = loop {
        match Store::open(config.clone()).await {
            Ok(store) => break store,
            Err(_) => sleep(AGAIN).await,
        }
    };
    let work = Arc::new(Mutex::new(Work::resume(Path::new(&file), number)?));
    let stop = Arc::clone(&work);
    tokio::spawn(async move {
        // The end of the input is the order to stop.
        let mut rest = Vec::new();
        let _ = tokio::io::stdin().read_to_end(&mut rest).await;
        stop.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
    });
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| tokio::spawn(write(store.clone(), Arc::clone(&work))))
        .collect();
    for task in tasks {
        task.await?;
    }
    Ok(())
}

async fn write(store: Store, work: Arc<Mutex<Work>>) {
    let work = || work.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let Some((key, input)) = work().next() else { return };
        let line = ask(&store, key, input).await;
        work().note(&line);
        sleep(PAUSE).await;
    }
}

/// Asks until there is an answer.
async fn ask(store: &Store, key: String, input: Value) -> Line {
    loop {
        match store.execute(request(&key, input.clone())).await {
            Ok(done) => {
                return Line::Done {
                    key,
                    partition: done.position.partition,
                    offset: done.position.offset,
                    events: done.events.len() as u16,
                    version: done.version.0,
                    repeated: done.repeated,
                };
            }
            Err(ExecuteError::Refused(_)) => return Line::Refused { key },
            Err(error @ (ExecuteError::IdReused | ExecuteError::Payload(_))) => {
                return Line::Broken {
                    key,
                    error: error.to_string(),
                };
            }
            // Out of reach, unknown, too much at once, or others were faster each time: the same again.
            Err(_) => sleep(AGAIN).await,
        }
    }
}
