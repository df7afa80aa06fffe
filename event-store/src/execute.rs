//! The write path on one screen: load -> decide -> append -> answer, and again after a conflict.
//!
//! A stored answer goes before every other outcome. A refusal, *not found* or a conflict is passed on only after one
//! statement showed that no answer is stored for the command and that the versions it was decided on are still the
//! newest: the cache may be stale where another process writes. *Nothing to do* goes through the lane as an append of no
//! events whose streams are all only read, so that its answer is stored under the lock.

use crate::{
    append::{Append, AppendError, AppendOutcome, NewEvent, RequestHash, StoredAnswer, StreamWrite},
    cache::Folded,
    command_id,
    envelope::{CommandEnvelope, Origin, RecordedEvent},
    feed::FeedError,
    limits,
    load::LoadedCase,
    personal::PersonalError,
    position::Position,
    postgres::{read, settle, snapshot::LoadError},
    store::Store,
};
use chrono::{DateTime, SubsecRound, Utc};
use docket_domain::{
    Actor, Case, Command, CommandId, Context, Decision, OrderNumber, PayloadError, Refusal, Sealable,
    StreamEvent, StreamId, Version, decide, order::OrderError,
};
use std::{collections::HashSet, sync::Arc};
use uuid::Uuid;

/// A command and everything around it.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is asked.
    pub command: Command,
    /// Its id: [`command_id::derive`].
    pub command_id: CommandId,
    /// What the caller sent, hashed.
    pub request_hash: RequestHash,
    /// Who asks; from the token, never from input.
    pub actor: Actor,
    /// The version that the command's target must have, where the caller names one.
    pub expected_version: Option<Version>,
    /// When it happened in the business; now where it is not named.
    pub occurred_at: Option<DateTime<Utc>>,
    /// Whether it happens now or is brought in.
    pub origin: Origin,
    /// The event or command that caused it.
    pub causation_id: Option<Uuid>,
    /// The trace context that it arrived with.
    pub traceparent: Option<Arc<str>>,
}

/// What a command did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It appended events.
    Done,
    /// What it asks for was so already.
    NothingToDo,
}

/// An acknowledged command: durable, and answered the same for ever.
#[derive(Debug, Clone)]
pub struct Executed {
    /// The stream that the command is about.
    pub target: StreamId,
    /// The position of its last event; of the partition's head at that time where there was nothing to do.
    pub position: Position,
    /// The target's version after it.
    pub version: Version,
    /// Whether it appended anything.
    pub outcome: Outcome,
    /// Whether this is the stored answer of an earlier try.
    pub repeated: bool,
    /// Its events, of an earlier try too.
    pub events: Vec<Arc<RecordedEvent>>,
    /// The order as this try left it; none of an earlier one, and none where there was nothing to do.
    pub after: Option<After>,
}

/// An order right after a command: its state at [`Executed::position`], as far as the decision needed it.
#[derive(Debug, Clone)]
pub struct After {
    /// Of the order's own stream.
    pub version: Version,
    /// The states; [`Case::is_whole`] says whether they are all.
    pub case: Case,
}

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// A rule of the domain refused it.
    #[error(transparent)]
    Refused(Refusal),
    /// A stream is at another version than the caller named, or writers were faster each time.
    #[error("stream {stream} is at version {actual}, not {expected}")]
    VersionConflict {
        /// The stream.
        stream: StreamId,
        /// What was expected.
        expected: Version,
        /// What the log holds.
        actual: Version,
    },
    /// The command id was used for another request.
    #[error("the idempotency key was used for another request")]
    IdReused,
    /// The log did not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// Its streams could not be folded; nothing was done.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Its personal data could not be sealed; nothing was done.
    #[error(transparent)]
    Personal(#[from] PersonalError),
    /// No order number could be drawn; nothing was done.
    #[error("no order number could be drawn")]
    Number(#[source] sqlx::Error),
    /// A decided event could not be written; nothing was done.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// Whether an answer is stored could not be read; nothing was done by this try.
    #[error("the stored answer could not be read")]
    Settle(#[source] sqlx::Error),
    /// The command was done before, and its events could not be read.
    #[error(transparent)]
    Read(#[from] FeedError),
}

/// What one round of load, decide and append came to.
enum Round {
    Answered(Executed),
    /// The log moved under the decision: load anew.
    Again {
        stream: StreamId,
        expected: Version,
        actual: Version,
    },
}

impl Store {
    /// Runs a command once: decides it over the newest state and appends what it decides, or gives the stored answer
    /// where it ran before. A conflict is decided again, at most [`limits::MAX_DECISIONS`] times, unless the caller
    /// named a version.
    ///
    /// # Errors
    /// See [`ExecuteError`]. Only [`AppendError::OutcomeUnknown`] leaves open whether it is in the log.
    pub async fn execute(&self, mut request: Request) -> Result<Executed, ExecuteError> {
        let order = command_id::order_of(&request.actor, request.command_id);
        let command = request.command.with_order(order).with_customer_of(&request.actor);
        request.command = command;
        let mut newest = false;
        let mut last = None;
        for _ in 0..limits::MAX_DECISIONS {
            let loaded = self.load_case(&request.command, newest).await?;
            self.seal(&mut request, &loaded).await?;
            match self.round(&request, loaded, newest).await? {
                Round::Answered(executed) => return Ok(executed),
                Round::Again {
                    stream,
                    expected,
                    actual,
                } => {
                    // The log is behind what this process remembers, or thought to be: fold it from its beginning.
                    if actual < expected {
                        self.0.cache.forget(&stream);
                    }
                    last = Some((stream, expected, actual));
                }
            }
            newest = true;
        }
        let (stream, expected, actual) =
            last.unwrap_or((request.command.target(), Version::NONE, Version::NONE));
        let conflict = |actual| ExecuteError::VersionConflict {
            stream,
            expected,
            actual,
        };
        // A lane may have seen the last conflict by itself: an earlier try may be in the log by now.
        match self.settle_conflict(&request, conflict(actual)).await? {
            Round::Answered(executed) => Ok(executed),
            Round::Again { actual, .. } => Err(conflict(actual)),
        }
    }

    /// Which of some requests ran before, so that [`Store::execute`] would give their stored answers: one statement for
    /// who resumes a long list of them.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn answered(
        &self,
        requests: &[(CommandId, RequestHash)],
    ) -> Result<HashSet<CommandId>, sqlx::Error> {
        if requests.is_empty() {
            return Ok(HashSet::new());
        }
        settle::answered(self.pool(), requests).await
    }

    async fn round(
        &self,
        request: &Request,
        loaded: LoadedCase,
        newest: bool,
    ) -> Result<Round, ExecuteError> {
        let target = request.command.target();
        let needs_number = request.command.needs_order_number();
        let mut decided = decide_on(request, &loaded, needs_number.then_some(UNDRAWN));
        // Who may not see an order is not told its version either; and an id that somebody else took is only taken.
        if let Err(
            hidden @ (Refusal::Access(_)
            | Refusal::NotFound { .. }
            | Refusal::Order(OrderError::AlreadyExists { .. })),
        ) = decided
        {
            return self.settle(request, &loaded, ExecuteError::Refused(hidden)).await;
        }
        let actual = loaded.version(target);
        if let Some(expected) = request.expected_version.filter(|expected| *expected != actual) {
            // A version above the loaded one may be real where another process writes: read it anew first.
            if !newest && expected > actual {
                return Ok(Round::Again {
                    stream: target,
                    expected,
                    actual,
                });
            }
            let conflict = ExecuteError::VersionConflict {
                stream: target,
                expected,
                actual,
            };
            return self.settle(request, &loaded, conflict).await;
        }
        // A number is drawn only for an order that is placed.
        if needs_number && decided.as_ref().is_ok_and(|(_, events)| !events.is_empty()) {
            let number = self.next_order_number().await.map_err(ExecuteError::Number)?;
            decided = decide_on(request, &loaded, Some(number));
        }
        let (context, events) = match decided {
            Ok(decided) => decided,
            Err(refusal) => {
                return self
                    .settle(request, &loaded, ExecuteError::Refused(refusal))
                    .await;
            }
        };
        let append = append_of(request, &context, &loaded, events)?;
        match self.append(append).await? {
            AppendOutcome::Appended { answer, events } => {
                let left = self.remember(loaded, &events);
                // Where it did nothing, its position is the partition's and not the order's.
                let after = left.filter(|_| !events.is_empty());
                let executed = executed(target, answer, false, events);
                Ok(Round::Answered(Executed { after, ..executed }))
            }
            AppendOutcome::AlreadyDone(answer) => self.repeated(target, answer).await.map(Round::Answered),
            AppendOutcome::IdReused => Err(ExecuteError::IdReused),
            AppendOutcome::Conflict {
                stream,
                expected,
                actual,
            } => {
                if request.expected_version.is_some() && stream == target {
                    let conflict = ExecuteError::VersionConflict {
                        stream,
                        expected,
                        actual,
                    };
                    return self.settle_conflict(request, conflict).await;
                }
                Ok(Round::Again {
                    stream,
                    expected,
                    actual,
                })
            }
        }
    }

    /// Passes a refusal on, if the log agrees: no stored answer, and nothing newer than what it was decided on.
    async fn settle(
        &self,
        request: &Request,
        loaded: &LoadedCase,
        refusal: ExecuteError,
    ) -> Result<Round, ExecuteError> {
        let (streams, versions): (Vec<_>, Vec<_>) = loaded.versions().unzip();
        let settled = self.ask(request, &streams).await?;
        if let Some((answer, same_request)) = settled.stored {
            return self.stored(request, answer, same_request).await;
        }
        let newer = streams
            .iter()
            .zip(&versions)
            .zip(&settled.versions)
            .find(|((_, loaded), now)| now != loaded);
        match newer {
            Some(((stream, expected), actual)) => Ok(Round::Again {
                stream: *stream,
                expected: *expected,
                actual: *actual,
            }),
            None => Err(refusal),
        }
    }

    /// Passes on that the named version is not the newest, with the newest.
    async fn settle_conflict(
        &self,
        request: &Request,
        conflict: ExecuteError,
    ) -> Result<Round, ExecuteError> {
        let stream = match &conflict {
            ExecuteError::VersionConflict { stream, .. } => *stream,
            _ => request.command.target(),
        };
        let settled = self.ask(request, &[stream]).await?;
        if let Some((answer, same_request)) = settled.stored {
            return self.stored(request, answer, same_request).await;
        }
        Err(match (conflict, settled.versions.first()) {
            (ExecuteError::VersionConflict { stream, expected, .. }, Some(actual)) => {
                ExecuteError::VersionConflict {
                    stream,
                    expected,
                    actual: *actual,
                }
            }
            (conflict, _) => conflict,
        })
    }

    async fn ask(&self, request: &Request, streams: &[StreamId]) -> Result<settle::Settled, ExecuteError> {
        let partition = self.partition_of(request.command.order());
        let settled = async {
            let mut connection = self.reader().await?;
            let hash = &request.request_hash;
            let settled =
                settle::settle(&mut *connection, partition, request.command_id, hash, streams).await;
            connection.finish(settled)
        };
        settled.await.map_err(ExecuteError::Settle)
    }

    async fn stored(
        &self,
        request: &Request,
        answer: StoredAnswer,
        same_request: bool,
    ) -> Result<Round, ExecuteError> {
        if !same_request {
            return Err(ExecuteError::IdReused);
        }
        self.repeated(request.command.target(), answer)
            .await
            .map(Round::Answered)
    }

    async fn repeated(&self, target: StreamId, answer: StoredAnswer) -> Result<Executed, ExecuteError> {
        let Position { partition, offset } = answer.position;
        let count = usize::from(answer.events);
        let events = match count {
            0 => Vec::new(),
            _ => {
                let read = read::partition(self.pool(), partition, offset - count as i64, count).await;
                read.map_err(FeedError::Read)?
            }
        };
        Ok(executed(target, answer, true, events))
    }

    /// Seals what is personal in a command with its subject's key; what is sealed already stays. Decisions see sealed
    /// values only.
    async fn seal(&self, request: &mut Request, loaded: &LoadedCase) -> Result<(), ExecuteError> {
        let mut holds_any = false;
        request
            .command
            .visit_personal(&mut |_: &mut dyn Sealable| holds_any = true);
        if !holds_any {
            return Ok(());
        }
        let Some(subject) = request.command.subject(&loaded.case.order) else {
            // The order does not exist: the decision says so.
            return Ok(());
        };
        let key = self.vault().key_of(&subject).await?;
        let mut failed = None;
        request.command.visit_personal(&mut |field: &mut dyn Sealable| {
            field.seal_with(&mut |clear| match key.seal(clear) {
                Ok(sealed) => sealed,
                Err(error) => {
                    failed = Some(error);
                    docket_domain::SealedValue::new(Vec::new())
                }
            });
        });
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Folds what was just committed into the cache, and into what was loaded.
    fn remember(&self, mut loaded: LoadedCase, events: &[Arc<RecordedEvent>]) -> Option<After> {
        for same_stream in events.chunk_by(|a, b| a.stream == b.stream) {
            let Some(stream) = same_stream.first().map(|event| event.stream) else {
                continue;
            };
            let mut folded = Folded {
                state: loaded.state(stream),
                version: loaded.version(stream),
            };
            let before = folded.version;
            for event in same_stream {
                if let Ok(fact) = &event.event {
                    folded.state = folded.state.evolve(fact, event.command.occurred_at);
                }
                folded.version = event.version;
            }
            let folded = Arc::new(folded);
            if before.0 / limits::SNAPSHOT_EVERY != folded.version.0 / limits::SNAPSHOT_EVERY {
                self.keep_snapshot(stream, Arc::clone(&folded));
            }
            self.0.cache.put(stream, Arc::clone(&folded));
            loaded.put(stream, folded);
        }
        loaded.after()
    }
}

/// What an order number is before one is drawn.
const UNDRAWN: OrderNumber = OrderNumber(0);

/// The decision over what is loaded, and the context that it was taken in; no events where there is nothing to do.
fn decide_on(
    request: &Request,
    loaded: &LoadedCase,
    order_number: Option<OrderNumber>,
) -> Result<(Context, Vec<StreamEvent>), Refusal> {
    let imported = request.origin == Origin::Imported;
    let context = Context::try_new(Utc::now(), request.occurred_at, request.actor.clone(), imported)?;
    // To the precision that the log stores: what is handed over live equals what is read again.
    let context = Context {
        now: context.now.trunc_subsecs(6),
        order_number,
        ..context
    };
    match decide(&loaded.case, &request.command, &context)? {
        Decision::Events(events) => Ok((context, events)),
        Decision::NothingToDo => Ok((context, Vec::new())),
    }
}

fn executed(
    target: StreamId,
    answer: StoredAnswer,
    repeated: bool,
    events: Vec<Arc<RecordedEvent>>,
) -> Executed {
    let outcome = if answer.events == 0 {
        Outcome::NothingToDo
    } else {
        Outcome::Done
    };
    Executed {
        target,
        position: answer.position,
        version: answer.version,
        outcome,
        repeated,
        events,
        after: None,
    }
}

/// The append of a decision: what it writes, and every other stream that it was decided over.
fn append_of(
    request: &Request,
    context: &Context,
    loaded: &LoadedCase,
    events: Vec<StreamEvent>,
) -> Result<Append, PayloadError> {
    let mut writes: Vec<StreamWrite> = Vec::new();
    for StreamEvent { stream, event } in events {
        let payload = event.payload()?.into_boxed_str();
        let new = NewEvent {
            event_id: Uuid::now_v7(),
            event,
            payload,
        };
        match writes.iter_mut().find(|write| write.stream == stream) {
            Some(write) => write.events.push(new),
            None => writes.push(StreamWrite {
                stream,
                expected: loaded.version(stream),
                events: vec![new],
            }),
        }
    }
    let written = |stream: &StreamId| writes.iter().any(|write| write.stream == *stream);
    let reads = loaded.versions().filter(|(stream, _)| !written(stream)).collect();
    let envelope = CommandEnvelope {
        command_id: request.command_id,
        origin: request.origin,
        occurred_at: context.now,
        causation_id: request.causation_id,
        actor_kind: context.actor.kind,
        actor_id: Arc::from(context.actor.id.as_str()),
        traceparent: request.traceparent.clone(),
    };
    Ok(Append {
        envelope: Arc::new(envelope),
        request_hash: request.request_hash,
        writes,
        reads,
        target: request.command.target(),
    })
}
