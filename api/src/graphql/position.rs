//! Positions: what a mutation gives and a query can name, to read its own writes.

use async_graphql::{Context, InputObject, SimpleObject};
use docket_event_store::Feed;
use docket_projections::{Projections, WaitError};

use super::{
    error::{PARKED, Refused, STALE, sentence},
    limits,
    scalars::BigInt,
    services,
};
use crate::http::code;

/// An event's place in the log.
#[derive(Clone, Copy, Debug, SimpleObject)]
pub struct Position {
    /// The partition, from 0.
    pub partition: i32,
    /// The event's number in the partition, from 1.
    pub offset: BigInt,
}

impl From<docket_event_store::Position> for Position {
    fn from(position: docket_event_store::Position) -> Self {
        Self {
            partition: i32::from(position.partition),
            offset: BigInt(position.offset),
        }
    }
}

/// A place that what is read must have reached.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct PositionInput {
    /// The partition, from 0.
    pub partition: i32,
    /// The event's number in the partition, from 1.
    pub offset: BigInt,
}

impl PositionInput {
    /// The same as the log knows it.
    pub(super) fn checked(&self) -> Result<docket_event_store::Position, Refused> {
        let partition = u16::try_from(self.partition);
        let partition = partition.map_err(|_| no_such_partition(self.partition))?;
        if self.offset.0 < 0 {
            return Err(Refused::bad_input(format!(
                "An offset of {} is negative.",
                self.offset.0
            )));
        }
        Ok(docket_event_store::Position {
            partition,
            offset: self.offset.0,
        })
    }
}

/// The positions that a caller named, as the log knows them.
fn checked(named: &[PositionInput]) -> Result<Vec<docket_event_store::Position>, Refused> {
    if named.len() > limits::MAX_MIN_POSITIONS {
        let limit = limits::MAX_MIN_POSITIONS;
        return Err(Refused::bad_input(format!(
            "A query names at most {limit} positions, not {}.",
            named.len()
        )));
    }
    named.iter().map(PositionInput::checked).collect()
}

fn no_such_partition(partition: i32) -> Refused {
    Refused::bad_input(format!("There is no partition {partition}."))
}

/// Waits until the read models that a query touches are at or past every position that it names.
pub(super) async fn wait(
    ctx: &Context<'_>,
    read_models: &[&'static str],
    named: Option<&[PositionInput]>,
) -> Result<(), Refused> {
    let positions = checked(named.unwrap_or_default())?;
    if positions.is_empty() {
        return Ok(());
    }
    wait_for(&services(ctx)?.projections, read_models, &positions).await
}

/// Waits until read models are at or past every position.
pub(super) async fn wait_for(
    projections: &Projections,
    read_models: &[&'static str],
    positions: &[docket_event_store::Position],
) -> Result<(), Refused> {
    let waited = projections.wait_for(read_models, positions).await;
    waited.map_err(refused)
}

/// The same where what waits among dead letters counts as passed.
pub(super) async fn wait_past(
    projections: &Projections,
    read_models: &[&'static str],
    positions: &[docket_event_store::Position],
) -> Result<(), Refused> {
    let waited = projections.wait_past(read_models, positions).await;
    waited.map_err(refused)
}

fn refused(error: WaitError) -> Refused {
    match &error {
        WaitError::Stale {
            projection,
            partition,
            reached,
            wanted,
            ..
        } => Refused::new(STALE, sentence(&error))
            .with("readModel", *projection)
            .with("partition", i32::from(*partition))
            .with("reached", reached.to_string())
            .with("wanted", wanted.to_string()),
        WaitError::Parked { projection, position } => Refused::new(PARKED, sentence(&error))
            .with("readModel", *projection)
            .with("partition", i32::from(position.partition))
            .with("offset", position.offset.to_string()),
        WaitError::Letters(_) => Refused::new(
            code::UNAVAILABLE,
            "The read models cannot be read now. Try again later.",
        ),
        WaitError::Overloaded => Refused::new(
            code::OVERLOADED,
            "Too many queries wait for read models. Try again later.",
        ),
        WaitError::TooMany(_) => Refused::bad_input(sentence(&error)),
        WaitError::NoSuchPartition(partition) => no_such_partition(i32::from(*partition)),
        WaitError::NotServed(not_served) => not_served.clone().into(),
    }
}

/// Waits until this process knows the log up to every position that a query names; what another process appended
/// arrives a little later.
pub(super) async fn wait_for_log(feed: &Feed, named: Option<&[PositionInput]>) -> Result<(), Refused> {
    let until = tokio::time::Instant::now() + limits::MAX_CURSOR_WAIT;
    for position in checked(named.unwrap_or_default())? {
        let docket_event_store::Position { partition, offset } = position;
        let head = feed
            .watch(partition)
            .ok_or_else(|| no_such_partition(i32::from(partition)));
        let mut head = head?;
        // An error means that the feed is gone with its process.
        let _ = tokio::time::timeout_at(until, head.wait_for(|head| *head >= offset)).await;
        let reached = feed.head(partition);
        if reached < offset {
            let message =
                format!("The log is known up to offset {reached} of partition {partition}, not {offset}.");
            return Err(Refused::new(STALE, message)
                .with("partition", i32::from(partition))
                .with("reached", reached.to_string())
                .with("wanted", offset.to_string()));
        }
    }
    Ok(())
}
