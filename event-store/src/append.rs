//! What is asked of the log, and what it answers.

use crate::{
    envelope::{CommandEnvelope, RecordedEvent},
    limits,
    position::Position,
};
use docket_domain::{CommandId, Event, StreamId, Version};
use ring::digest;
use std::sync::Arc;
use uuid::Uuid;

/// A digest of what a command asks: its operation's name and its input as received. The same command id with another
/// hash is refused. The first 16 bytes of SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHash([u8; 16]);

impl RequestHash {
    /// The hash of an operation and its input in canonical JSON.
    pub fn of(operation: &str, canonical_input: &[u8]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(operation.as_bytes());
        context.update(&[0]);
        context.update(canonical_input);
        let mut hash = [0; 16];
        hash.copy_from_slice(&context.finish().as_ref()[..16]);
        Self(hash)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// An event that is to be appended.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// A fresh UUIDv7.
    pub event_id: Uuid,
    /// The fact.
    pub event: Event,
    /// The fact as it will be stored.
    pub payload: Box<str>,
}

/// The events that a command appends to one stream.
#[derive(Debug, Clone)]
pub struct StreamWrite {
    /// The stream.
    pub stream: StreamId,
    /// The version that the decision was taken on; 0 where the stream does not exist.
    pub expected: Version,
    /// At least one.
    pub events: Vec<NewEvent>,
}

/// One command's append: all of it or nothing, in one partition.
#[derive(Debug, Clone)]
pub struct Append {
    /// What all its events share; the command's id is in it.
    pub envelope: Arc<CommandEnvelope>,
    /// What the command asks.
    pub request_hash: RequestHash,
    /// The streams that it writes; none when there was nothing to do.
    pub writes: Vec<StreamWrite>,
    /// The streams that the decision read and does not write, with the versions read.
    pub reads: Vec<(StreamId, Version)>,
    /// The stream that the answer's version speaks of; one of the streams named.
    pub target: StreamId,
}

impl Append {
    /// Its command's id.
    pub fn command_id(&self) -> CommandId {
        self.envelope.command_id
    }

    /// How many events it appends.
    pub fn event_count(&self) -> usize {
        self.writes.iter().map(|write| write.events.len()).sum()
    }

    /// The bytes of its payloads.
    pub fn payload_bytes(&self) -> usize {
        self.writes
            .iter()
            .flat_map(|write| &write.events)
            .map(|event| event.payload.len())
            .sum()
    }

    /// The version of its target once it is in.
    pub(crate) fn target_version(&self) -> Version {
        for write in &self.writes {
            if write.stream == self.target {
                return write.expected.after(write.events.len());
            }
        }
        self.reads
            .iter()
            .find(|(stream, _)| *stream == self.target)
            .map_or(Version::NONE, |(_, version)| *version)
    }

    /// Whether it keeps the log's limits and is whole.
    pub(crate) fn check(&self) -> Result<(), AppendError> {
        let streams = self.writes.len() + self.reads.len();
        let order = self.target.order;
        let foreign = self
            .writes
            .iter()
            .any(|w| w.stream.order != order || w.events.is_empty())
            || self.reads.iter().any(|(stream, _)| stream.order != order);
        if streams == 0 || foreign {
            return Err(AppendError::Malformed);
        }
        let largest = self
            .writes
            .iter()
            .flat_map(|w| &w.events)
            .map(|e| e.payload.len())
            .max()
            .unwrap_or(0);
        for (what, size, limit) in [
            ("event bytes", largest, limits::MAX_EVENT_BYTES),
            ("command bytes", self.payload_bytes(), limits::MAX_COMMAND_BYTES),
            ("command events", self.event_count(), limits::MAX_COMMAND_EVENTS),
            ("command streams", streams, limits::MAX_COMMAND_STREAMS),
            (
                "actor id bytes",
                self.envelope.actor_id.len(),
                limits::MAX_ACTOR_ID_BYTES,
            ),
        ] {
            if size > limit {
                return Err(AppendError::TooLarge { what, size, limit });
            }
        }
        Ok(())
    }
}

/// The answer that the log keeps for a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The position of the command's last event; of the partition's head where there was nothing to do.
    pub position: Position,
    /// How many events it appended; 0 means that there was nothing to do.
    pub events: u16,
    /// The version of the command's target after it.
    pub version: Version,
}

/// What became of one append. Each command of a batch gets its own.
#[derive(Debug)]
#[must_use]
pub enum AppendOutcome {
    /// It is durable now.
    Appended {
        /// The stored answer.
        answer: StoredAnswer,
        /// Its events in order.
        events: Vec<Arc<RecordedEvent>>,
    },
    /// The same command ran before: this is its stored answer.
    AlreadyDone(StoredAnswer),
    /// The command id was used for another request.
    IdReused,
    /// A stream is not at the version that the decision was taken on; nothing was appended. The one who asked must show
    /// that no answer is stored before passing this on.
    Conflict {
        /// The stream.
        stream: StreamId,
        /// The version that was expected.
        expected: Version,
        /// The version that the log holds.
        actual: Version,
    },
}

/// Why an append has no outcome.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The lane's queue is full; nothing was done.
    #[error("the append queue is full")]
    Overloaded,
    /// The database could not be reached or refused the statement; nothing was done.
    #[error("the log is not available: {0}")]
    Unavailable(Arc<str>),
    /// The statement was sent and no answer came in time: it may or may not be in the log. Sending the same command
    /// again under the same id settles it.
    #[error("the outcome of command {0} is unknown; repeat it with the same key")]
    OutcomeUnknown(CommandId),
    /// A limit of the log is passed; nothing was done.
    #[error("{size} {what} are over the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        size: usize,
        /// How large it may be.
        limit: usize,
    },
    /// An append that names no stream, an empty write, or streams of several orders: a caller's bug.
    #[error("an append must name streams of one order, and events for each stream that it writes")]
    Malformed,
}
