//! Whether this process can do its work: the database answers, every partition of every read model is fed and none
//! stands still.
//!
//! What is looked at costs one statement and is looked at once however many ask at a time. Lag alone is no reason:
//! a process that is catching up serves, and who names positions waits.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use docket_event_store::Store;
use docket_projections::{Owner, PartitionStatus, Projections};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// How long the database may take to answer before it counts as away.
const DATABASE_WAIT: Duration = Duration::from_secs(1);
/// How long an answer is given again: less than any probe's interval.
const ANSWER_LIFETIME: Duration = Duration::from_millis(250);

/// Whether the process is ready, and everything that it was judged by.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// It can do its work.
    pub ready: bool,
    /// Why it cannot; empty where it can.
    pub reasons: Vec<String>,
    /// The database answers.
    pub database: bool,
    /// The newest offset of every partition that this process knows of.
    pub feed: Vec<i64>,
    /// Requests that wait for read models.
    pub waiting: usize,
    /// Commands that wait to be appended.
    pub queued: usize,
    /// Every partition of every read model.
    pub projections: Vec<PartitionReadiness>,
}

/// How one partition of one read model fares.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionReadiness {
    /// The read model.
    pub projection: &'static str,
    /// The partition.
    pub partition: u16,
    /// The newest event in its rows.
    pub offset: i64,
    /// The log's newest event.
    pub head: i64,
    /// Events that are not in its rows yet.
    pub lag_events: i64,
    /// The age of the oldest of them.
    pub lag_seconds: f64,
    /// Who feeds it: `this`, `nobody`, or another process's id.
    pub owner: String,
    /// Why it stands still, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

impl From<PartitionStatus> for PartitionReadiness {
    fn from(status: PartitionStatus) -> Self {
        Self {
            projection: status.projection,
            partition: status.partition,
            offset: status.offset,
            head: status.head,
            lag_events: status.lag_events,
            lag_seconds: status.lag_seconds,
            owner: match status.owner {
                Owner::This => "this".to_owned(),
                Owner::Other(process) => process.to_string(),
                Owner::Nobody => "nobody".to_owned(),
            },
            stopped: status.stopped.map(|stopped| stopped.to_string()),
        }
    }
}

/// Looks now.
pub async fn readiness(store: &Store, projections: &Projections, stopping: bool) -> Readiness {
    let database = store.is_reachable(DATABASE_WAIT).await;
    // What is kept or being built beside what is served is nobody's concern here.
    let served = projections.status().into_iter().filter(|status| status.is_served);
    let partitions: Vec<PartitionReadiness> = served.map(Into::into).collect();
    let mut reasons = Vec::new();
    if stopping {
        reasons.push("the process is stopping".to_owned());
    }
    if !database {
        reasons.push(format!("the database did not answer within {DATABASE_WAIT:?}"));
    }
    if let Err(lost) = store.feed().intact() {
        reasons.push(lost.to_string());
    }
    if let Some(why) = store.append_refused() {
        reasons.push(format!("the database refuses to append: {why}"));
    }
    for PartitionReadiness {
        projection,
        partition,
        owner,
        stopped,
        lag_events,
        ..
    } in &partitions
    {
        if let Some(stopped) = stopped {
            reasons.push(format!(
                "{projection} stands still in partition {partition} at {stopped}"
            ));
        } else if owner == "nobody" && *lag_events > 0 {
            reasons.push(format!("nobody feeds partition {partition} of {projection}"));
        }
    }
    Readiness {
        ready: reasons.is_empty(),
        reasons,
        database,
        feed: store.feed().heads(),
        waiting: projections.waiting(),
        queued: store.queued(),
        projections: partitions,
    }
}

/// What `/readyz` looks at, and what it saw last.
#[derive(Clone)]
pub(super) struct Watch(Arc<Watched>);

struct Watched {
    store: Store,
    projections: Projections,
    stop: CancellationToken,
    /// Held while somebody looks, so that whoever asks meanwhile gets the same answer.
    last: Mutex<Option<(Instant, Readiness)>>,
}

impl Watch {
    pub(super) fn new(store: Store, projections: Projections, stop: CancellationToken) -> Watch {
        Watch(Arc::new(Watched {
            store,
            projections,
            stop,
            last: Mutex::new(None),
        }))
    }

    async fn look(&self) -> Readiness {
        let mut last = self.0.last.lock().await;
        let stopping = self.0.stop.is_cancelled();
        if let Some((at, seen)) = last.as_ref()
            && at.elapsed() < ANSWER_LIFETIME
            && !stopping
        {
            return seen.clone();
        }
        let seen = readiness(&self.0.store, &self.0.projections, stopping).await;
        *last = Some((Instant::now(), seen.clone()));
        seen
    }
}

/// `/readyz`: 200 or 503, with the same JSON.
pub(super) async fn answer(State(watch): State<Watch>) -> Response {
    let seen = watch.look().await;
    let status = if seen.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    // Numbers, texts and lists always serialize.
    let json = serde_json::to_string(&seen)
        .unwrap_or_else(|error| format!("{{\"ready\":false,\"reasons\":[\"{error}\"]}}"));
    let headers = [
        (header::CONTENT_TYPE, "application/json; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, json).into_response()
}
