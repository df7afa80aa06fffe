//! The log as it lies in the database, read without the store's help.

use chrono::{DateTime, Utc};
use docket_domain::{CommandId, OrderId, StreamId, StreamKind, Version};
use docket_event_store::{Position, StoredAnswer};
use sqlx::{PgPool, Row, postgres::PgRow};
use uuid::Uuid;

/// An event, as far as it can be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Where it stands.
    pub position: Position,
    /// Its id.
    pub event_id: Uuid,
    /// Its stream.
    pub stream: StreamId,
    /// Its number there.
    pub version: i32,
    /// Its command.
    pub command: CommandId,
    /// When it was taken.
    pub recorded_at: DateTime<Utc>,
}

/// A command's stored answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedCommand {
    /// The command.
    pub id: CommandId,
    /// What its caller is told.
    pub answer: StoredAnswer,
}

/// Everything that the log holds, in one snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// The head of each partition.
    pub heads: Vec<i64>,
    /// All events by partition and offset.
    pub events: Vec<LoggedEvent>,
    /// All stored answers.
    pub commands: Vec<LoggedCommand>,
}

impl Log {
    /// Reads it all.
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn read(admin: &PgPool) -> Self {
        Self::try_read(admin).await.expect("the log can be read")
    }

    async fn try_read(admin: &PgPool) -> Result<Self, sqlx::Error> {
        let mut snapshot = admin
            .begin_with("begin isolation level repeatable read read only")
            .await?;
        let heads = sqlx::query_scalar("select head from heads order by partition")
            .fetch_all(&mut *snapshot)
            .await?;
        let events = sqlx::query(
            r#"select partition, "offset", event_id, order_id, stream_kind::text, stream_number, version, command_id,
                      recorded_at
                 from events order by partition, "offset""#,
        )
        .fetch_all(&mut *snapshot)
        .await?;
        let commands =
            sqlx::query(r#"select id, partition, "offset", events, version from command_ids order by id"#)
                .fetch_all(&mut *snapshot)
                .await?;
        snapshot.commit().await?;
        Ok(Self {
            heads,
            events: events.iter().map(event).collect::<Result<_, _>>()?,
            commands: commands.iter().map(command).collect::<Result<_, _>>()?,
        })
    }
}

fn event(row: &PgRow) -> Result<LoggedEvent, sqlx::Error> {
    let kind = match row.try_get::<&str, _>(4)? {
        "p" => StreamKind::Payment,
        "s" => StreamKind::Shipment,
        _ => StreamKind::Order,
    };
    Ok(LoggedEvent {
        position: position(row.try_get(0)?, row.try_get(1)?),
        event_id: row.try_get(2)?,
        stream: StreamId {
            order: OrderId(row.try_get(3)?),
            kind,
            number: row.try_get::<i16, _>(5)? as u16,
        },
        version: row.try_get(6)?,
        command: CommandId(row.try_get(7)?),
        recorded_at: row.try_get(8)?,
    })
}

fn command(row: &PgRow) -> Result<LoggedCommand, sqlx::Error> {
    Ok(LoggedCommand {
        id: CommandId(row.try_get(0)?),
        answer: StoredAnswer {
            position: position(row.try_get(1)?, row.try_get(2)?),
            events: row.try_get::<i16, _>(3)? as u16,
            version: Version(row.try_get(4)?),
        },
    })
}

fn position(partition: i16, offset: i64) -> Position {
    Position {
        partition: partition as u16,
        offset,
    }
}
