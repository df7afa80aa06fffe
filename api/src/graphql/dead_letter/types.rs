//! Dead letters as operators see them.

use async_graphql::{ComplexObject, Enum, SimpleObject, connection::PageInfo};
use chrono::{DateTime, Utc};
use docket_projections::dead_letter::{self, Discarded, Failure, Letter, Sequence};
use uuid::Uuid;

use crate::graphql::{cursor, paging::Window, position::Position, scalars::BigInt};

/// What kind of trouble keeps an event out of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "docket_projections::StopClass")]
pub enum DeadLetterClass {
    /// The event cannot be decoded.
    Decode,
    /// The event does not fit what came before.
    Apply,
    /// The database refused the rows that the event makes.
    Sql,
    /// The projector panicked.
    Panic,
    /// The log does not hold the event that the rows were folded from last.
    History,
    /// As many orders wait as may.
    Full,
}

/// Why an event could not be applied.
#[derive(Clone, Debug, SimpleObject)]
pub struct DeadLetterFailure {
    /// What kind of trouble.
    pub class: DeadLetterClass,
    /// In words, at most 1,000 bytes.
    pub reason: String,
    /// How often it was tried.
    pub attempts: i32,
    /// When it was tried last.
    pub failed_at: DateTime<Utc>,
}

impl From<Failure> for DeadLetterFailure {
    fn from(failure: Failure) -> Self {
        Self {
            class: failure.class.into(),
            reason: failure.reason,
            attempts: failure.attempts,
            failed_at: failure.failed_at,
        }
    }
}

/// An order whose events wait.
#[derive(Clone, Debug, SimpleObject)]
pub struct DeadLetterSequence {
    /// The read model.
    pub read_model: String,
    /// Which of its generations.
    pub generation: i32,
    /// The order's id.
    pub order: Uuid,
    /// The first event that waits: the others wait for it.
    pub position: Position,
    /// Its type: `order.placed`; `?` where the log does not hold it.
    #[graphql(name = "type")]
    pub event_type: String,
    /// It is about to be tried again.
    pub is_wanted: bool,
    /// Events that wait behind it.
    pub behind: BigInt,
    /// Why it could not be applied; none where it has not been tried since those before it were.
    pub failure: Option<DeadLetterFailure>,
}

impl From<Sequence> for DeadLetterSequence {
    fn from(sequence: Sequence) -> Self {
        Self {
            read_model: sequence.projection,
            generation: sequence.generation.0,
            order: sequence.order.0,
            position: sequence.position.into(),
            event_type: sequence.event_type,
            is_wanted: sequence.is_wanted,
            behind: BigInt(sequence.behind),
            failure: sequence.failure.map(Into::into),
        }
    }
}

/// An order that waits, on a page.
#[derive(Clone, Debug, SimpleObject)]
pub struct DeadLetterEdge {
    /// The place of this order in the list.
    pub cursor: String,
    /// The order.
    pub node: DeadLetterSequence,
}

impl From<Sequence> for DeadLetterEdge {
    fn from(sequence: Sequence) -> Self {
        Self {
            cursor: cursor::of_letter(&sequence.place()),
            node: sequence.into(),
        }
    }
}

/// A page of orders that wait.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct DeadLetterConnection {
    /// The orders with their places.
    pub edges: Vec<DeadLetterEdge>,
    /// What lies before and after.
    pub page_info: PageInfo,
}

#[ComplexObject]
impl DeadLetterConnection {
    /// The orders without their places.
    async fn nodes(&self) -> Vec<&DeadLetterSequence> {
        self.edges.iter().map(|edge| &edge.node).collect()
    }
}

impl DeadLetterConnection {
    /// Of what was found behind a place: one more than the page holds, where there is more.
    pub(super) fn of(found: Vec<Sequence>, window: &Window<dead_letter::Place>) -> Self {
        let has_more = found.len() > window.limit;
        let edges: Vec<DeadLetterEdge> = found.into_iter().take(window.limit).map(Into::into).collect();
        let page_info = window.page_info(
            edges.first().map(|edge| &edge.cursor),
            edges.last().map(|edge| &edge.cursor),
            has_more,
        );
        Self { edges, page_info }
    }
}

/// An event that waits.
#[derive(Clone, Debug, SimpleObject)]
pub struct DeadLetter {
    /// It is missing in the rows of this generation.
    pub generation: i32,
    /// Its place in the log.
    pub position: Position,
    /// Its id.
    pub event_id: Uuid,
    /// Its type: `order.placed`.
    #[graphql(name = "type")]
    pub event_type: String,
    /// The version of its payload's form.
    pub schema_version: i32,
    /// When the log took it.
    pub recorded_at: DateTime<Utc>,
    /// Its payload, the JSON text as stored: personal values are sealed. Text, because a JSON number may be larger than a client's.
    pub payload: String,
    /// Why it could not be applied; none for what waits behind.
    pub failure: Option<DeadLetterFailure>,
}

impl From<Letter> for DeadLetter {
    fn from(letter: Letter) -> Self {
        Self {
            generation: letter.generation.0,
            position: letter.position.into(),
            event_id: letter.event_id,
            event_type: letter.event_type,
            schema_version: i32::from(letter.schema_version),
            recorded_at: letter.recorded_at,
            payload: letter.payload,
            failure: letter.failure.map(Into::into),
        }
    }
}

/// An event that a read model passes over for good.
#[derive(Clone, Debug, SimpleObject)]
pub struct DiscardedEvent {
    /// The read model.
    pub read_model: String,
    /// The event's place in the log.
    pub position: Position,
    /// Its order's id.
    pub order: Uuid,
    /// Why somebody has decided so.
    pub reason: String,
    /// Who: `operator:ada` for a caller of this API, and whatever was given to the command line.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Why it could not be applied, as it was known then.
    pub failure: String,
}

impl From<Discarded> for DiscardedEvent {
    fn from(discarded: Discarded) -> Self {
        Self {
            read_model: discarded.projection,
            position: discarded.position.into(),
            order: discarded.order.0,
            reason: discarded.reason,
            by: discarded.by,
            at: discarded.at,
            failure: discarded.failure,
        }
    }
}
