//! Group commit: one task and one connection a lane, which serves the partitions whose number modulo the lanes is its
//! own.
//!
//! A lane takes everything that waits for its partitions while its previous batch commits; there is no linger timer, so
//! an idle log has the latency of one commit. A batch never holds two commands with one id, nor two of which one writes
//! a stream that the other reads or writes: the later one waits for the next batch.
//!
//! When an answer is lost the lane sends the same batch again, on the checking path, until an answer comes: an id that
//! is not in the log proves nothing, because the old backend may still wait for a lock and commit later. Whichever comes
//! second meets the id. Where no answer comes in time the callers are told so, never that it failed.
//!
//! A new connection may reach a log that was restored from a backup. What the process remembers of the old one is no
//! ground for the fast path, which never sees that a version is too high: a lane that connects anew drops what is
//! remembered, and takes the checking path until everything that was decided before is through.

use crate::{
    append::{Append, AppendError, AppendOutcome},
    cache::StateCache,
    commit::Committed,
    feed::{Feed, FeedError},
    limits,
    partition::Partitions,
    position::Position,
    postgres::append::{self, Batch, Verdict},
    wakeup::Hints,
};
use docket_domain::{StreamId, Version};
use quick_cache::unsync::Cache;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

type Reply = oneshot::Sender<Result<AppendOutcome, AppendError>>;

/// The append side of a process: its lanes and their bounded queues.
pub(crate) struct Lanes {
    lanes: Vec<Entrance>,
    partitions: Partitions,
    feed: Feed,
}

struct Entrance {
    queue: mpsc::Sender<Queued>,
    bytes: Arc<Semaphore>,
}

struct Queued {
    partition: u16,
    append: Append,
    since: Instant,
    reply: Reply,
    /// Gives its bytes back to the queue when it leaves the lane.
    _bytes: OwnedSemaphorePermit,
}

/// What every lane of a process shares.
#[derive(Clone)]
pub(crate) struct LaneContext {
    pub(crate) options: PgConnectOptions,
    pub(crate) partitions: Partitions,
    pub(crate) feed: Feed,
    pub(crate) cache: Arc<StateCache>,
    pub(crate) hints: Hints,
    pub(crate) refusals: Refusals,
}

/// What the server last refused an append for that is not the command's fault: no room, no right to write. Lanes of one
/// process share it; reading goes on meanwhile, so nothing else tells.
#[derive(Clone, Default)]
pub(crate) struct Refusals(Arc<Mutex<Option<LastRefusal>>>);

struct LastRefusal {
    at: Instant,
    why: Arc<str>,
}

impl Refusals {
    fn note(&self, why: &Arc<str>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(LastRefusal {
            at: Instant::now(),
            why: Arc::clone(why),
        });
    }

    /// The last one, if it is no older than [`limits::REFUSAL_LIFETIME`].
    pub(crate) fn last(&self) -> Option<Arc<str>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = last
            .as_ref()
            .filter(|last| last.at.elapsed() < limits::REFUSAL_LIFETIME);
        recent.map(|last| Arc::clone(&last.why))
    }
}

impl Lanes {
    /// Starts the lanes; each ends when it is told to stop, or the last entrance is dropped, and its queue is empty.
    pub(crate) fn start(
        count: u16,
        context: &LaneContext,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let count = count.clamp(1, limits::MAX_LANES.min(context.partitions.count()));
        let lane = |_| {
            let (queue, waiting) = mpsc::channel(limits::MAX_QUEUED_COMMANDS);
            tasks.spawn(Lane::new(context.clone(), waiting).run(stop.clone()));
            Entrance {
                queue,
                bytes: Arc::new(Semaphore::new(limits::MAX_QUEUED_BYTES)),
            }
        };
        Self {
            lanes: (0..count).map(lane).collect(),
            partitions: context.partitions,
            feed: context.feed.clone(),
        }
    }

    /// Appends one command's events. A caller that goes away does not stop it.
    ///
    /// # Errors
    /// See [`AppendError`]; only `OutcomeUnknown` leaves open whether it is in the log.
    pub(crate) async fn append(&self, append: Append) -> Result<AppendOutcome, AppendError> {
        append.check()?;
        let lost = |error: FeedError| AppendError::Unavailable(error.to_string().into());
        self.feed.intact().map_err(lost)?;
        let command_id = append.command_id();
        let partition = self.partitions.of(append.target.order);
        let entrance = &self.lanes[usize::from(partition) % self.lanes.len()];
        // An event costs more than its payload; an append of no events is not free either.
        let bytes = append.payload_bytes() + 512 * (1 + append.event_count());
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let permit = Arc::clone(&entrance.bytes).try_acquire_many_owned(bytes);
        let permit = permit.map_err(|_| AppendError::Overloaded)?;
        let (reply, answer) = oneshot::channel();
        let queued = Queued {
            partition,
            append,
            since: Instant::now(),
            reply,
            _bytes: permit,
        };
        entrance
            .queue
            .try_send(queued)
            .map_err(|_| AppendError::Overloaded)?;
        answer
            .await
            .unwrap_or(Err(AppendError::OutcomeUnknown(command_id)))
    }

    /// Commands that wait, over all lanes.
    pub(crate) fn queued(&self) -> usize {
        self.lanes
            .iter()
            .map(|lane| limits::MAX_QUEUED_COMMANDS - lane.queue.capacity())
            .sum()
    }
}

struct Lane {
    context: LaneContext,
    waiting: mpsc::Receiver<Queued>,
    /// Taken from the queue, not yet in a batch.
    backlog: Vec<Queued>,
    connection: Option<PgConnection>,
    /// The newest versions that this lane committed or met: its writers collide here, not in the database.
    known: Cache<StreamId, Version>,
    /// The newest event that this lane committed in each partition: the feed may not have it yet, where it waits for
    /// another process's events before it.
    committed: HashMap<u16, (Position, Uuid)>,
    /// Whether the process may remember something of the log already.
    remembers: bool,
    /// What was decided before this came out of a memory that a new connection has put in doubt.
    doubtful_until: Instant,
}

impl Lane {
    fn new(context: LaneContext, waiting: mpsc::Receiver<Queued>) -> Self {
        Self {
            context,
            waiting,
            backlog: Vec::new(),
            connection: None,
            known: Cache::new(limits::MAX_KNOWN_VERSIONS),
            committed: HashMap::new(),
            remembers: false,
            doubtful_until: Instant::now(),
        }
    }

    async fn run(mut self, stop: CancellationToken) {
        // Before anything is read, so that every later connection is known for a new one.
        if let Err(error) = self.connect(Instant::now() + limits::MAX_ANSWER_WAIT).await {
            tracing::warn!(error = %error, "an append lane has no connection yet");
        }
        self.remembers = true;
        while let Some(batch) = self.next_batch(&stop).await {
            let answered = batch.len();
            self.commit(batch).await;
            self.gather(answered).await;
        }
        if let Some(connection) = self.connection.take() {
            // The server notices a closed socket as well; there is nobody left to tell.
            let _ = connection.close().await;
        }
    }

    /// Lets those come back who were just answered, so that they get into the next batch instead of the one after it: a
    /// statement has a high price before its first row. It is no timer: when nobody comes, it ends after a few turns of
    /// the runtime.
    async fn gather(&mut self, answered: usize) {
        // No more than fit: who waits behind a full batch gains nothing by waiting longer.
        let room = limits::MAX_BATCH_COMMANDS.saturating_sub(self.backlog.len());
        let expected = (self.waiting.len() + answered).min(room);
        let (mut turns, mut quiet_turns) = (0, 0);
        while self.waiting.len() < expected
            && quiet_turns < limits::GATHER_TURNS
            && turns < limits::MAX_GATHER_TURNS
        {
            turns += 1;
            let before = self.waiting.len();
            task::yield_now().await;
            let somebody_came = self.waiting.len() > before;
            quiet_turns = if somebody_came { 0 } else { quiet_turns + 1 };
        }
    }

    /// Everything that waits and may stand in one statement; `None` when nobody can ask any more.
    async fn next_batch(&mut self, stop: &CancellationToken) -> Option<Vec<Queued>> {
        loop {
            if self.backlog.is_empty() {
                let first = tokio::select! {
                    biased;
                    first = self.waiting.recv() => first,
                    () = stop.cancelled(), if !self.waiting.is_closed() => {
                        // Nobody comes in any more; who is in is answered.
                        self.waiting.close();
                        continue;
                    }
                };
                self.backlog.push(first?);
            }
            while self.backlog.len() < 2 * limits::MAX_BATCH_COMMANDS {
                let Ok(queued) = self.waiting.try_recv() else {
                    break;
                };
                self.backlog.push(queued);
            }
            let batch = self.take_batch();
            if !batch.is_empty() {
                return Some(batch);
            }
        }
    }

    fn take_batch(&mut self) -> Vec<Queued> {
        let backlog = mem::take(&mut self.backlog);
        let mut batch = Vec::with_capacity(backlog.len());
        let mut claims = Claims::for_up_to(backlog.len());
        for queued in backlog {
            if queued.since.elapsed() > limits::MAX_QUEUE_WAIT {
                let why = Arc::from("the command waited too long in the append queue");
                answer(queued, Err(AppendError::Unavailable(why)));
            } else if let Some(conflict) = self.known_conflict(&queued.append) {
                metrics::counter!("docket_append_conflicts_total", "seen_by" => "lane").increment(1);
                answer(queued, Ok(conflict));
            } else if claims.admit(&queued.append) {
                batch.push(queued);
            } else {
                self.backlog.push(queued);
            }
        }
        // A partition's events one after the other: its table and indexes are at hand for the next.
        batch.sort_by_key(|queued| queued.partition);
        batch
    }

    fn known_conflict(&mut self, append: &Append) -> Option<AppendOutcome> {
        let writes = append.writes.iter().map(|write| (write.stream, write.expected));
        for (stream, expected) in writes.chain(append.reads.iter().copied()) {
            let known = self.known.get(&stream).copied();
            if let Some(actual) = known.filter(|actual| *actual > expected) {
                return Some(AppendOutcome::Conflict {
                    stream,
                    expected,
                    actual,
                });
            }
        }
        None
    }

    async fn commit(&mut self, batch: Vec<Queued>) {
        metrics::histogram!("docket_append_batch_commands").record(batch.len() as f64);
        let looks_up = batch.iter().any(|queued| !queued.append.reads.is_empty());
        let (tickets, commands): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|queued| ((queued.reply, queued._bytes), (queued.partition, queued.append)))
            .unzip();
        let batch = Batch { commands };
        let started = Instant::now();
        let deadline = Instant::now() + limits::MAX_ANSWER_WAIT;
        let verdicts = self.send(&batch, looks_up, deadline).await;
        metrics::histogram!("docket_append_batch_seconds").record(started.elapsed().as_secs_f64());
        let replies = tickets.into_iter().map(|(reply, _)| reply);
        match verdicts {
            Ok(verdicts) => self.deliver(batch, verdicts, replies.collect()),
            Err(Failure::Refused(_)) if batch.commands.len() > 1 => {
                for (command, reply) in batch.commands.into_iter().zip(replies) {
                    let alone = Batch {
                        commands: vec![command],
                    };
                    // One deadline for all of them: whoever waits behind the batch waits no longer for it.
                    match self.send(&alone, true, deadline).await {
                        Ok(verdicts) => self.deliver(alone, verdicts, vec![reply]),
                        Err(failure) => fail(&failure, &alone, [reply]),
                    }
                }
            }
            Err(failure) => fail(&failure, &batch, replies),
        }
    }

    /// Sends a batch until it has an answer, or the wait for one is over.
    async fn send(
        &mut self,
        batch: &Batch,
        mut checked: bool,
        deadline: Instant,
    ) -> Result<Vec<Verdict>, Failure> {
        let mut back_off = Duration::from_millis(10);
        let mut sent = false;
        loop {
            let feed = self.context.feed.clone();
            let error = match self.connect(deadline).await {
                Err(error) => error,
                Ok((connection, doubtful)) => {
                    if let Err(lost) = feed.intact() {
                        let why = Failure::NothingDone(lost.to_string().into());
                        return Err(if sent { Failure::Unknown } else { why });
                    }
                    checked |= doubtful;
                    let statement = async {
                        if checked {
                            append::checked(connection, batch).await
                        } else {
                            append::fast(connection, batch).await
                        }
                    };
                    match timeout_at(deadline, statement).await {
                        Ok(Ok(verdicts)) => return Ok(verdicts),
                        Ok(Err(error)) if is_definite(&error) => {
                            if !checked && is_unique_violation(&error) {
                                checked = true;
                                continue;
                            }
                            tracing::warn!(error = %error, commands = batch.commands.len(), "the log refused a batch");
                            let why = Arc::from(error.to_string());
                            if !is_data_error(&error) {
                                self.context.refusals.note(&why);
                            }
                            if sent {
                                error
                            } else if is_data_error(&error) {
                                return Err(Failure::Refused(why));
                            } else {
                                return Err(Failure::NothingDone(why));
                            }
                        }
                        Ok(Err(error)) => {
                            sent = true;
                            error
                        }
                        Err(_) => {
                            self.connection = None;
                            return Err(Failure::Unknown);
                        }
                    }
                }
            };
            // The answer was lost or there is no connection: the same again, on the path that meets its own id.
            self.connection = None;
            checked = true;
            if Instant::now() + back_off >= deadline {
                let why = || Failure::NothingDone(error.to_string().into());
                return Err(if sent { Failure::Unknown } else { why() });
            }
            sleep(back_off).await;
            back_off = (back_off * 2).min(Duration::from_millis(500));
        }
    }

    /// The connection, and whether what was decided until now is in doubt.
    async fn connect(&mut self, deadline: Instant) -> Result<(&mut PgConnection, bool), sqlx::Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connect = async {
                    let mut connection = PgConnection::connect_with(&self.context.options).await?;
                    match self
                        .context
                        .feed
                        .check_history(&mut connection, self.committed.values().copied())
                        .await
                    {
                        Err(FeedError::Read(error)) => Err(error),
                        // A log that lost its newest events refuses in `send`.
                        _ => Ok(connection),
                    }
                };
                let made = timeout_at(deadline, connect).await;
                let connection = made.map_err(|_| sqlx::Error::PoolTimedOut)??;
                if self.remembers {
                    self.known.clear();
                    self.context.cache.clear();
                    self.doubtful_until = Instant::now() + limits::MAX_QUEUE_WAIT;
                }
                connection
            }
        };
        let doubtful = Instant::now() < self.doubtful_until;
        Ok((self.connection.insert(connection), doubtful))
    }

    fn deliver(&mut self, batch: Batch, verdicts: Vec<Verdict>, replies: Vec<Reply>) {
        let mut committed = Committed::default();
        let mut outcomes = Vec::with_capacity(replies.len());
        let mut appended = 0_u64;
        for ((partition, append), verdict) in batch.commands.into_iter().zip(verdicts) {
            outcomes.push(match verdict {
                Verdict::Appended { answer, recorded_at } => {
                    for write in &append.writes {
                        self.known
                            .insert(write.stream, write.expected.after(write.events.len()));
                    }
                    let events = committed.take(partition, append, answer, recorded_at);
                    appended += events.len() as u64;
                    Ok(AppendOutcome::Appended { answer, events })
                }
                Verdict::Stored {
                    answer,
                    same_request: true,
                } => Ok(AppendOutcome::AlreadyDone(answer)),
                Verdict::Stored {
                    same_request: false, ..
                } => Ok(AppendOutcome::IdReused),
                Verdict::Conflict {
                    stream,
                    expected,
                    actual,
                } => {
                    metrics::counter!("docket_append_conflicts_total", "seen_by" => "database").increment(1);
                    self.known.insert(stream, actual);
                    Ok(AppendOutcome::Conflict {
                        stream,
                        expected,
                        actual,
                    })
                }
            });
        }
        metrics::counter!("docket_append_events_total").increment(appended);
        for (partition, events) in committed.partitions() {
            if let Some(last) = events.last() {
                self.committed.insert(partition, (last.position, last.event_id));
            }
            self.context.feed.hand_over(partition, &events);
        }
        if appended > 0 {
            self.context.hints.raise();
        }
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            // A caller that went away asks again under the same id and gets its stored answer.
            let _ = reply.send(outcome);
        }
    }
}

/// Why a batch has no verdicts.
enum Failure {
    /// It is not in the log.
    NothingDone(Arc<str>),
    /// It is not in the log, and what it holds is the reason: its commands are sent one by one, so that one that cannot
    /// be stored does not fail its neighbours.
    Refused(Arc<str>),
    /// It may be in the log.
    Unknown,
}

fn fail(failure: &Failure, batch: &Batch, replies: impl IntoIterator<Item = Reply>) {
    for ((_, append), reply) in batch.commands.iter().zip(replies) {
        let error = match failure {
            Failure::NothingDone(why) | Failure::Refused(why) => AppendError::Unavailable(Arc::clone(why)),
            Failure::Unknown => AppendError::OutcomeUnknown(append.command_id()),
        };
        // A caller that went away asks again under the same id.
        let _ = reply.send(Err(error));
    }
}

/// What the commands of a batch hold, so that no two of them touch.
#[derive(Default)]
struct Claims {
    ids: HashSet<Uuid>,
    written: HashSet<StreamId>,
    read: HashSet<StreamId>,
    events: usize,
    bytes: usize,
}

impl Claims {
    fn for_up_to(commands: usize) -> Self {
        Self {
            ids: HashSet::with_capacity(commands),
            written: HashSet::with_capacity(commands),
            ..Self::default()
        }
    }

    /// Takes a command in, unless it touches another or the batch is full. What is turned away holds nothing, so the
    /// order of two commands may turn; their versions decide, not their order.
    fn admit(&mut self, append: &Append) -> bool {
        let (events, bytes) = (append.event_count(), append.payload_bytes());
        let full = self.ids.len() >= limits::MAX_BATCH_COMMANDS
            || self.events + events > limits::MAX_BATCH_EVENTS
            || self.bytes + bytes > limits::MAX_BATCH_BYTES;
        if full && !self.ids.is_empty() {
            return false;
        }
        let touches = self.ids.contains(&append.command_id().0)
            || append
                .writes
                .iter()
                .any(|w| self.written.contains(&w.stream) || self.read.contains(&w.stream))
            || append
                .reads
                .iter()
                .any(|(stream, _)| self.written.contains(stream));
        if touches {
            return false;
        }
        self.ids.insert(append.command_id().0);
        self.written
            .extend(append.writes.iter().map(|write| write.stream));
        self.read.extend(append.reads.iter().map(|(stream, _)| *stream));
        self.events += events;
        self.bytes += bytes;
        true
    }
}

fn answer(queued: Queued, outcome: Result<AppendOutcome, AppendError>) {
    // A caller that went away needs no answer.
    let _ = queued.reply.send(outcome);
}

/// The server itself said that the statement failed, so it was rolled back. A server that is shutting down (class 57P)
/// or a broken connection (class 08) says nothing about a commit.
fn is_definite(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| !code.starts_with("57P") && !code.starts_with("08"))
}

/// Classes 22 (data exception) and 23 (integrity constraint violation).
fn is_data_error(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

fn is_unique_violation(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation())
}
