//! `latency`: at 100 commands a second, from the acknowledgement to the read model's row and to a subscriber's message.
//!
//! The load is open: a command starts when its time comes, whether or not the one before is done. The row is awaited as
//! a query with `minPosition` awaits it, and then read; the message is a GraphQL subscription's, with its order.

use super::{BenchError, command::request, database::BenchDatabase, measure::Measured};
use crate::{auth::Caller, graphql::Api};
use async_graphql::{Data, Executor as _, Value as GraphqlValue};
use docket_domain::{Actor, Role};
use docket_event_store::{Position, Store, limits};
use docket_projections::{Projections, ProjectionsConfig, read_models::order_detail};
use futures::StreamExt as _;
use serde_json::{Map, Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    task::{JoinHandle, JoinSet},
    time,
};

const COMMANDS_PER_SECOND: u32 = 100;
/// Connections are made and statements prepared before the clock starts.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long the messages of a round may lag behind its end.
const MAX_DRAIN: Duration = Duration::from_secs(10);
const SUBSCRIPTION: &str = "subscription { ordersChanged { position { partition offset } order { id number status lines { sku } } } }";

/// When each command was acknowledged, and when its message came.
#[derive(Default)]
struct Times {
    acknowledged: HashMap<Position, Instant>,
    delivered: HashMap<Position, Instant>,
}

pub(super) struct LatencyBench {
    store: Store,
    projections: Projections,
    times: Arc<Mutex<Times>>,
    subscriber: JoinHandle<()>,
    acknowledgements: Vec<Duration>,
}

impl LatencyBench {
    pub(super) async fn open(database: &BenchDatabase) -> Result<Self, BenchError> {
        let store = database.store(limits::CACHE_BYTES).await?;
        let projections = Projections::start(store.clone(), ProjectionsConfig::default())
            .await
            .map_err(|error| BenchError::Worker(error.to_string()))?;
        let times: Arc<Mutex<Times>> = Arc::default();
        let mut data = Data::default();
        data.insert(Caller::known(Role::Staff, "bench"));
        let api = Api::new(store.clone(), projections.clone());
        let request = async_graphql::Request::new(SUBSCRIPTION);
        let mut messages = api.execute_stream(request, Some(Arc::new(data)));
        // The first message is the cursor: from then on nothing is missed.
        match messages.next().await {
            Some(first) if first.errors.is_empty() => {}
            other => return Err(BenchError::Worker(format!("{other:?}"))),
        }
        let seen = Arc::clone(&times);
        let subscriber = tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                let now = Instant::now();
                if let Some(position) = position_of(&message.data) {
                    seen.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .delivered
                        .insert(position, now);
                }
            }
        });
        let mut bench = Self {
            store,
            projections,
            times,
            subscriber,
            acknowledgements: Vec::new(),
        };
        bench.round(WARM_UP).await?;
        bench.acknowledgements.clear();
        *bench.times.lock().unwrap_or_else(PoisonError::into_inner) = Times::default();
        Ok(bench)
    }

    pub(super) async fn round(&mut self, length: Duration) -> Result<Measured, BenchError> {
        let started = Instant::now();
        let mut ticks = time::interval(Duration::from_secs(1) / COMMANDS_PER_SECOND);
        let mut running = JoinSet::new();
        while started.elapsed() < length {
            ticks.tick().await;
            let (store, projections, times) = (
                self.store.clone(),
                self.projections.clone(),
                Arc::clone(&self.times),
            );
            running.spawn(async move { one(&store, &projections, &times).await });
        }
        let (mut rows, mut positions) = (Vec::new(), Vec::new());
        while let Some(done) = running.join_next().await {
            let (position, acknowledgement, row) =
                done.map_err(|error| BenchError::Worker(error.to_string()))??;
            self.acknowledgements.push(acknowledgement);
            positions.push(position);
            rows.push(row);
        }
        let elapsed = started.elapsed();
        self.drain(&positions).await?;
        Ok(Measured::new(rows.len() as u64, elapsed, rows))
    }

    /// Every command's message came, or the bench fails.
    async fn drain(&self, positions: &[Position]) -> Result<(), BenchError> {
        let deadline = Instant::now() + MAX_DRAIN;
        loop {
            let missing = {
                let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
                positions
                    .iter()
                    .filter(|position| !times.delivered.contains_key(position))
                    .count()
            };
            if missing == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(BenchError::Worker(format!("{missing} messages did not come")));
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) async fn finish(self) -> Result<Map<String, Value>, BenchError> {
        self.subscriber.abort();
        let messages: Vec<Duration> = {
            let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
            let delay = |(position, at): (&Position, &Instant)| {
                times
                    .delivered
                    .get(position)
                    .map(|seen| seen.saturating_duration_since(*at))
            };
            times.acknowledged.iter().filter_map(delay).collect()
        };
        let messages = Measured::new(0, Duration::ZERO, messages);
        let acknowledgements = Measured::new(0, Duration::ZERO, self.acknowledgements);
        let mut more = Map::new();
        more.insert("commands_per_s".into(), COMMANDS_PER_SECOND.into());
        more.insert("message_p50_ms".into(), messages.quantile_ms(0.5).into());
        more.insert("message_p99_ms".into(), messages.quantile_ms(0.99).into());
        more.insert(
            "acknowledgement_p50_ms".into(),
            acknowledgements.quantile_ms(0.5).into(),
        );
        more.insert(
            "acknowledgement_p99_ms".into(),
            acknowledgements.quantile_ms(0.99).into(),
        );
        self.projections.stop().await;
        self.store.close().await;
        Ok(more)
    }
}

/// One command: its position, the time to its acknowledgement, and from there to its row.
async fn one(
    store: &Store,
    projections: &Projections,
    times: &Mutex<Times>,
) -> Result<(Position, Duration, Duration), BenchError> {
    let failed = |error: String| BenchError::Worker(error);
    let actor = Actor::new(Role::Staff, "bench");
    let command = json!({"command": "createOrder", "customer": "c-100042", "channel": "web", "currency": "EUR", "locale": "de-DE"});
    let request = request(command, &actor)?;
    let asked = Instant::now();
    let done = store
        .execute(request)
        .await
        .map_err(|error| failed(format!("{error:?}")))?;
    let acknowledged = Instant::now();
    times
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .acknowledged
        .insert(done.position, acknowledged);
    let waited = projections
        .wait_for(&[order_detail::NAME], &[done.position])
        .await;
    waited.map_err(|error| failed(error.to_string()))?;
    let found = order_detail::find(store.pool(), &projections.serving(), &[done.target.order])
        .await
        .map_err(|error| failed(error.to_string()))?;
    if found.len() != 1 {
        return Err(failed("the row is not there".to_owned()));
    }
    Ok((done.position, acknowledged - asked, acknowledged.elapsed()))
}

fn position_of(data: &GraphqlValue) -> Option<Position> {
    let data = data.clone().into_json().ok()?;
    let position = data.get("ordersChanged")?.get("position")?;
    let partition = position.get("partition")?.as_u64()?;
    let offset = position.get("offset")?.as_str()?.parse().ok()?;
    Some(Position {
        partition: u16::try_from(partition).ok()?,
        offset,
    })
}
