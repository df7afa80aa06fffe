//! How far the read models are behind the log: events and seconds for each partition.
//!
//! Seconds are the age of the oldest event that is not in the rows: 0 at the head, growing while nothing moves, however
//! few events wait. Gauges carry read model and partition, so a partition that stands still is seen beside fifteen that do
//! not.

use crate::{
    board::{Cell, Line},
    checkpoint::Stopped,
    generation::Generation,
    supervisor::Shared,
};
use chrono::{DateTime, Utc};
use docket_event_store::Feed;
use std::sync::Arc;
use uuid::Uuid;

/// Who feeds a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// This process.
    This,
    /// Another process.
    Other(Uuid),
    /// Nobody now.
    Nobody,
}

/// How one partition of one read model fares.
#[derive(Debug, Clone)]
pub struct PartitionStatus {
    /// The read model.
    pub projection: &'static str,
    /// Which of its generations.
    pub generation: Generation,
    /// It is the one that is served.
    pub is_served: bool,
    /// The partition.
    pub partition: u16,
    /// The newest event in the rows, as far as this process knows.
    pub offset: i64,
    /// The log's newest event, as far as this process knows.
    pub head: i64,
    /// Events that are not in the rows yet.
    pub lag_events: i64,
    /// The age of the oldest of them, measured once a second.
    pub lag_seconds: f64,
    /// Who feeds it.
    pub owner: Owner,
    /// Why it stands still, where it does.
    pub stopped: Option<Arc<Stopped>>,
    /// Orders whose events wait as dead letters.
    pub parked: usize,
}

/// The state of every partition of every read model.
pub(crate) fn status(shared: &Shared, now: DateTime<Utc>) -> Vec<PartitionStatus> {
    let (feed, serving) = (shared.store.feed(), shared.serving());
    let of = |line: &Line, partition: u16, cell: &Cell| {
        let progress = cell.progress.borrow().clone();
        let head = feed.head(partition);
        let lag_events = (head - progress.offset).max(0);
        PartitionStatus {
            projection: line.projection,
            generation: line.generation,
            is_served: serving.of(line.projection).ok() == Some(line.generation),
            partition,
            offset: progress.offset,
            head,
            lag_events,
            lag_seconds: if lag_events == 0 {
                0.0
            } else {
                age(cell.behind_since(), now)
            },
            owner: match progress.owner {
                Some(owner) if owner == shared.config.process => Owner::This,
                Some(owner) => Owner::Other(owner),
                None => Owner::Nobody,
            },
            stopped: progress.stopped,
            parked: progress.parked,
        }
    };
    let lines = shared.board.lines();
    let all = lines.iter().flat_map(|line| {
        (0..)
            .zip(&line.cells)
            .map(move |(partition, cell)| of(line, partition, cell))
    });
    all.collect()
}

/// Looks how old the oldest event is that each partition has not folded yet, and sets the gauges.
pub(crate) async fn measure(shared: &Shared) {
    let feed = shared.store.feed();
    for line in shared.board.lines() {
        for (partition, cell) in (0..).zip(&line.cells) {
            let offset = cell.progress.borrow().offset;
            let since = oldest_after(feed, partition, offset).await;
            cell.set_behind_since(since);
        }
    }
    // What is kept beside the one that is served, or catches up with it, is nobody's alarm.
    for status in status(shared, Utc::now())
        .into_iter()
        .filter(|status| status.is_served)
    {
        let labels = [
            ("projection", status.projection.to_owned()),
            ("partition", status.partition.to_string()),
        ];
        metrics::gauge!("docket_projection_lag_events", &labels).set(status.lag_events as f64);
        metrics::gauge!("docket_projection_lag_seconds", &labels).set(status.lag_seconds);
        metrics::gauge!("docket_projection_stopped", &labels)
            .set(f64::from(u8::from(status.stopped.is_some())));
        metrics::gauge!("docket_projection_parked_orders", &labels).set(status.parked as f64);
    }
}

async fn oldest_after(feed: &Feed, partition: u16, offset: i64) -> Option<DateTime<Utc>> {
    if feed.head(partition) <= offset {
        return None;
    }
    // A log that cannot be read now is measured the next time.
    let events = feed.read(partition, offset, 1).await.ok()?;
    events.first().map(|event| event.recorded_at)
}

/// Seconds since `since`; the clocks of process and database may differ, so never less than zero.
fn age(since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> f64 {
    since.map_or(0.0, |since| (now - since).as_seconds_f64().max(0.0))
}

#[cfg(test)]
mod tests {
    use super::age;
    use chrono::{TimeDelta, Utc};

    #[test]
    fn an_age_is_never_negative() {
        let now = Utc::now();
        assert!((age(Some(now - TimeDelta::milliseconds(1_500)), now) - 1.5).abs() < 1e-9);
        assert!(age(Some(now + TimeDelta::seconds(5)), now).abs() < f64::EPSILON);
        assert!(age(None, now).abs() < f64::EPSILON);
    }
}
