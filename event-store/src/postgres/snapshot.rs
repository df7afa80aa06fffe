//! Folding a stream: from its snapshot, where a good one exists, and the events after it.

use super::{read, stream_kind_code};
use crate::{cache::Folded, limits};
use docket_domain::{DecodeError, State, StreamId, Version};
use sqlx::{PgConnection, PgPool, Row};

/// Raised whenever a state's fields change their meaning: older snapshots are then passed over. 2: a draft knows when
/// somebody worked on it last, which the events before a snapshot of format 1 would not tell any more.
const STATE_FORMAT: i16 = 2;

const LOAD_SNAPSHOT: &str = r#"
select version, state::text from snapshots
 where order_id = $1 and stream_kind = $2 and stream_number = $3 and format = $4"#;

const SAVE_SNAPSHOT: &str = r#"
insert into snapshots (order_id, stream_kind, stream_number, format, version, state)
values ($1, $2, $3, $4, $5, $6::json)
on conflict (order_id, stream_kind, stream_number) do update
   set version = excluded.version, format = excluded.format, state = excluded.state
 where snapshots.version < excluded.version or snapshots.format <> excluded.format"#;

/// Why a stream could not be folded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The database did not answer.
    #[error("a stream cannot be read")]
    Read(#[source] sqlx::Error),
    /// The stream holds an event that this binary cannot decode; nothing is decided over a part of it.
    #[error("version {version} of stream {stream} cannot be decoded")]
    Decode {
        /// The stream.
        stream: StreamId,
        /// The event's version.
        version: Version,
        /// Why.
        #[source]
        source: DecodeError,
    },
}

/// Folds what a stream has got since it was folded before, to its newest version or to `until`.
pub(crate) async fn catch_up(
    connection: &mut PgConnection,
    partition: u16,
    stream: StreamId,
    mut folded: Folded,
    until: Option<Version>,
) -> Result<Folded, LoadError> {
    // Short streams are the rule: the first page tells whether a snapshot can help.
    let mut first = true;
    loop {
        let page = read::facts(
            &mut *connection,
            partition,
            stream,
            folded.version,
            limits::PAGE_EVENTS,
        )
        .await
        .map_err(LoadError::Read)?;
        let full = page.len() == limits::PAGE_EVENTS;
        if full && first && until.is_none() {
            first = false;
            let snapshot = load_snapshot(connection, stream).await.map_err(LoadError::Read)?;
            if let Some(snapshot) = snapshot.filter(|snapshot| snapshot.version > folded.version) {
                folded = snapshot;
                continue;
            }
        }
        for (version, at, fact) in page {
            if until.is_some_and(|until| version > until) {
                return Ok(folded);
            }
            let fact = fact.map_err(|source| LoadError::Decode {
                stream,
                version,
                source,
            })?;
            folded.state = folded.state.evolve(&fact, at);
            folded.version = version;
        }
        if !full {
            return Ok(folded);
        }
    }
}

async fn load_snapshot(
    connection: &mut PgConnection,
    stream: StreamId,
) -> Result<Option<Folded>, sqlx::Error> {
    let row = sqlx::query(LOAD_SNAPSHOT)
        .bind(stream.order.0)
        .bind(stream_kind_code(stream.kind))
        .bind(stream.number as i16)
        .bind(STATE_FORMAT)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    // A snapshot is a cache: one that does not decode is as good as none.
    let state = serde_json::from_str::<State>(row.try_get(1)?).ok();
    let version = Version(row.try_get(0)?);
    Ok(state.map(|state| Folded { state, version }))
}

/// Keeps a folded stream, unless a newer one is kept.
pub(crate) async fn save(pool: &PgPool, stream: StreamId, folded: &Folded) -> Result<(), sqlx::Error> {
    let state = serde_json::to_string(&folded.state).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query(SAVE_SNAPSHOT)
        .bind(stream.order.0)
        .bind(stream_kind_code(stream.kind))
        .bind(stream.number as i16)
        .bind(STATE_FORMAT)
        .bind(folded.version.0)
        .bind(state)
        .execute(pool)
        .await?;
    Ok(())
}
