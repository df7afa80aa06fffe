//! An event of the log as the order desk sees it.

use std::sync::Arc;

use async_graphql::{Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use docket_domain::StreamKind as Kind;
use docket_event_store as store;
use uuid::Uuid;

use crate::graphql::position::Position;

/// What a stream is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "docket_domain::StreamKind")]
pub enum StreamKind {
    /// An order.
    Order,
    /// A payment.
    Payment,
    /// A shipment.
    Shipment,
}

/// What happened, in a message of a subscription.
#[derive(Clone, Debug, SimpleObject)]
pub struct EventSummary {
    /// The event's id.
    pub id: Uuid,
    /// Its type: `order.placed`.
    #[graphql(name = "type")]
    pub event_type: String,
    /// The order's, payment's or shipment's id.
    pub stream: ID,
    /// What that is.
    pub kind: StreamKind,
    /// The event's number in its stream, from 1.
    pub version: i32,
    /// When it happened in the business.
    pub occurred_at: DateTime<Utc>,
    /// When the log took it.
    pub recorded_at: DateTime<Utc>,
    /// It was brought in from elsewhere.
    pub imported: bool,
}

impl EventSummary {
    pub(in crate::graphql) fn of(event: &store::RecordedEvent) -> Self {
        let kind: Kind = event.stream.kind;
        Self {
            id: event.event_id,
            event_type: event.event_type.to_string(),
            stream: ID(event.stream.to_string()),
            kind: kind.into(),
            version: event.version.0,
            occurred_at: event.command.occurred_at,
            recorded_at: event.recorded_at,
            imported: event.command.origin == store::Origin::Imported,
        }
    }
}

/// An event as the log holds it.
pub struct RecordedEvent(pub(in crate::graphql) Arc<store::RecordedEvent>);

/// An event with its envelope. Personal values in the payload are sealed.
#[Object]
impl RecordedEvent {
    /// Its id.
    async fn id(&self) -> Uuid {
        self.0.event_id
    }

    /// Its place in the log.
    async fn position(&self) -> Position {
        self.0.position.into()
    }

    /// The order's, payment's or shipment's id.
    async fn stream(&self) -> ID {
        ID(self.0.stream.to_string())
    }

    /// What that is.
    async fn kind(&self) -> StreamKind {
        self.0.stream.kind.into()
    }

    /// Its order's id.
    async fn order_id(&self) -> ID {
        ID(self.0.stream.order.to_string())
    }

    /// Its number in its stream, from 1.
    async fn version(&self) -> i32 {
        self.0.version.0
    }

    /// Its type: `order.placed`.
    #[graphql(name = "type")]
    async fn event_type(&self) -> String {
        self.0.event_type.to_string()
    }

    /// The version of its payload's form.
    async fn schema_version(&self) -> i32 {
        i32::from(self.0.schema_version)
    }

    /// Its payload, the JSON text as stored. Text, because a JSON number may be larger than a client's.
    async fn payload(&self) -> &str {
        &self.0.payload
    }

    /// It was brought in from elsewhere.
    async fn imported(&self) -> bool {
        self.0.command.origin == store::Origin::Imported
    }

    /// When it happened in the business.
    async fn occurred_at(&self) -> DateTime<Utc> {
        self.0.command.occurred_at
    }

    /// When the log took it.
    async fn recorded_at(&self) -> DateTime<Utc> {
        self.0.recorded_at
    }

    /// The command that did it.
    async fn command_id(&self) -> Uuid {
        self.0.command.command_id.0
    }

    /// What caused the command, where an event or another command did.
    async fn causation_id(&self) -> Option<Uuid> {
        self.0.command.causation_id
    }

    /// Who did it: customer, staff, system, gateway or carrier.
    async fn actor_kind(&self) -> &'static str {
        self.0.command.actor_kind.as_str()
    }

    /// Who did it: the id.
    async fn actor_id(&self) -> &str {
        &self.0.command.actor_id
    }

    /// The W3C trace context that the command arrived with.
    async fn traceparent(&self) -> Option<&str> {
        self.0.command.traceparent.as_deref()
    }

    /// Why this program cannot read it, where it cannot.
    async fn unreadable(&self) -> Option<String> {
        self.0.event.as_ref().err().map(ToString::to_string)
    }
}

/// A page of the history.
#[derive(SimpleObject)]
pub struct EventPage {
    /// The events, in order.
    pub events: Vec<RecordedEvent>,
    /// The place of the last of them, for `after`; none where there are none.
    pub end_cursor: Option<String>,
    /// There are more at this moment.
    pub has_next_page: bool,
}
