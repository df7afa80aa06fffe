//! One statement before a refusal, a conflict or *not found* is passed on: is an answer stored for the command, and are
//! the versions that the decision was taken on still the newest?

use super::{read::in_partition, stream_kind_code};
use crate::{
    append::{RequestHash, StoredAnswer},
    position::Position,
};
use docket_domain::{CommandId, StreamId, Version};
use sqlx::{PgExecutor, Row};
use std::collections::HashSet;
use uuid::Uuid;

const SETTLE: &str = r#"
select k."offset", k.version, k.partition, k.events, k.request_hash = $5 as same_request, s.versions
  from (select array_agg(coalesce((
                    select max(e.version) from events e
                     where e.order_id = $2 and e.stream_kind = x.kind
                       and e.stream_number = x.number), 0) order by x.i) as versions
          from unnest($3::"char"[], $4::smallint[]) with ordinality x (kind, number, i)) s
  left join command_ids k on k.id = $1"#;

const ANSWERED: &str = r#"
select k.id from unnest($1::uuid[], $2::bytea[]) x (id, hash)
  join command_ids k on k.id = x.id and k.request_hash = x.hash"#;

/// What the log holds.
pub(crate) struct Settled {
    /// The command's stored answer and whether it was given to the same request.
    pub(crate) stored: Option<(StoredAnswer, bool)>,
    /// The newest version of each stream asked for.
    pub(crate) versions: Vec<Version>,
}

/// Asks for a command's stored answer and the newest versions of streams, all of one order.
pub(crate) async fn settle(
    executor: impl PgExecutor<'_>,
    partition: u16,
    command: CommandId,
    hash: &RequestHash,
    streams: &[StreamId],
) -> Result<Settled, sqlx::Error> {
    let order = streams.first().map(|stream| stream.order.0);
    let kinds: Vec<i8> = streams
        .iter()
        .map(|stream| stream_kind_code(stream.kind))
        .collect();
    let numbers: Vec<i16> = streams.iter().map(|stream| stream.number as i16).collect();
    let row = sqlx::query(in_partition(SETTLE, partition))
        .bind(command.0)
        .bind(order)
        .bind(kinds)
        .bind(numbers)
        .bind(hash.bytes())
        .fetch_one(executor)
        .await?;
    let versions: Option<Vec<i32>> = row.try_get("versions")?;
    let stored = match row.try_get::<Option<i64>, _>("offset")? {
        None => None,
        Some(offset) => {
            let partition: i16 = row.try_get("partition")?;
            let answer = StoredAnswer {
                position: Position {
                    partition: partition as u16,
                    offset,
                },
                events: row.try_get::<i16, _>("events")? as u16,
                version: Version(row.try_get("version")?),
            };
            Some((answer, row.try_get("same_request")?))
        }
    };
    Ok(Settled {
        stored,
        versions: versions.unwrap_or_default().into_iter().map(Version).collect(),
    })
}

/// Which of some requests have a stored answer.
pub(crate) async fn answered(
    executor: impl PgExecutor<'_>,
    requests: &[(CommandId, RequestHash)],
) -> Result<HashSet<CommandId>, sqlx::Error> {
    let ids: Vec<_> = requests.iter().map(|(id, _)| id.0).collect();
    let hashes: Vec<_> = requests.iter().map(|(_, hash)| hash.bytes()).collect();
    let found: Vec<Uuid> = sqlx::query_scalar(ANSWERED)
        .bind(ids)
        .bind(hashes)
        .fetch_all(executor)
        .await?;
    Ok(found.into_iter().map(CommandId).collect())
}
