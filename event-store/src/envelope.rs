//! An event as the log holds it: the domain's fact and everything around it.

use crate::{position::Position, postgres::UnknownCode};
use chrono::{DateTime, Utc};
use docket_domain::{ActorKind, CommandId, DecodeError, Event, StreamId, Version};
use std::{borrow::Cow, sync::Arc};
use uuid::Uuid;

/// Where an event came from. Reactors and processes ignore what was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It happened here, now.
    Live,
    /// It was brought in from elsewhere, or seeded.
    Imported,
}

impl Origin {
    /// Its code in the column `origin`.
    pub fn code(self) -> i8 {
        match self {
            Self::Live => b'l' as i8,
            Self::Imported => b'i' as i8,
        }
    }

    /// The origin with a code.
    ///
    /// # Errors
    /// When there is none.
    pub fn from_code(code: i8) -> Result<Self, UnknownCode> {
        match code as u8 {
            b'l' => Ok(Self::Live),
            b'i' => Ok(Self::Imported),
            _ => Err(UnknownCode::new(code, "an origin")),
        }
    }

    /// `live` or `imported`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Imported => "imported",
        }
    }
}

/// What every event of one command shares.
#[derive(Debug, Clone)]
pub struct CommandEnvelope {
    /// The command's id, unique in the whole log.
    pub command_id: CommandId,
    /// Where the events come from.
    pub origin: Origin,
    /// When it happened in the business, in whole microseconds: the log keeps no more.
    pub occurred_at: DateTime<Utc>,
    /// What caused the command, where an event or another command did.
    pub causation_id: Option<Uuid>,
    /// Who did it: the kind.
    pub actor_kind: ActorKind,
    /// Who did it: the id, at most [`crate::limits::MAX_ACTOR_ID_BYTES`].
    pub actor_id: Arc<str>,
    /// The W3C trace context that the command arrived with.
    pub traceparent: Option<Arc<str>>,
}

/// An event that is in the log for ever.
#[derive(Debug, Clone)]
pub struct RecordedEvent {
    /// Its place in the log.
    pub position: Position,
    /// Its id, a UUIDv7.
    pub event_id: Uuid,
    /// The stream that it belongs to; its order is the correlation id.
    pub stream: StreamId,
    /// Its number in the stream, from 1.
    pub version: Version,
    /// The type's name on disk, such as `order.placed`.
    pub event_type: Cow<'static, str>,
    /// The schema version of the payload on disk.
    pub schema_version: u16,
    /// When the database took it, never decreasing in a partition.
    pub recorded_at: DateTime<Utc>,
    /// What it shares with the other events of its command.
    pub command: Arc<CommandEnvelope>,
    /// The payload as stored; personal values are sealed.
    pub payload: Box<str>,
    /// The decoded fact. One that this binary cannot decode is kept as its error, never skipped.
    pub event: Result<Event, Arc<DecodeError>>,
}

impl RecordedEvent {
    /// An estimate of the memory it takes, in bytes.
    pub fn approximate_bytes(&self) -> usize {
        // The decoded fact takes about as much as its text.
        size_of::<Self>() + size_of::<CommandEnvelope>() + 3 * self.payload.len()
    }
}
