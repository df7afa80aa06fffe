//! `existing`: writers that meet on 1,000 existing streams. A conflict is part of the measured work: the writer takes the
//! version that it is told and tries again.

use super::{
    BenchError,
    append::{append_to, envelope},
    database::BenchDatabase,
    measure::{Measured, closed_loop},
};
use docket_domain::{OrderId, Version};
use docket_event_store::{AppendOutcome, Store};
use serde_json::{Map, Value};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI32, AtomicU64, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;

const STREAMS: usize = 1_000;

pub(super) struct ExistingBench {
    store: Store,
    writers: u32,
    streams: Arc<Vec<(OrderId, AtomicI32)>>,
    conflicts: Arc<AtomicU64>,
    acknowledged: u64,
}

impl ExistingBench {
    pub(super) async fn open(database: &BenchDatabase, writers: u32) -> Result<Self, BenchError> {
        let store = database.store(docket_event_store::limits::CACHE_BYTES).await?;
        let streams: Vec<_> = (0..STREAMS)
            .map(|_| (OrderId(Uuid::now_v7()), AtomicI32::new(1)))
            .collect();
        for (order, _) in &streams {
            match store.append(append_to(*order, Version::NONE, &envelope())).await {
                Ok(AppendOutcome::Appended { .. }) => {}
                other => return Err(BenchError::Worker(format!("{other:?}"))),
            }
        }
        let acknowledged = STREAMS as u64;
        Ok(Self {
            store,
            writers,
            streams: Arc::new(streams),
            conflicts: Arc::default(),
            acknowledged,
        })
    }

    pub(super) async fn round(&mut self, length: Duration) -> Result<Measured, BenchError> {
        let shared = Arc::new(envelope());
        let worker = |_| {
            let (store, shared) = (self.store.clone(), Arc::clone(&shared));
            let (streams, conflicts) = (Arc::clone(&self.streams), Arc::clone(&self.conflicts));
            move || {
                let (store, shared) = (store.clone(), Arc::clone(&shared));
                let (streams, conflicts) = (Arc::clone(&streams), Arc::clone(&conflicts));
                async move {
                    let pick = Uuid::new_v4().as_u128() as usize % STREAMS;
                    let (order, version) = &streams[pick];
                    loop {
                        let expected = Version(version.load(Ordering::Relaxed));
                        match store.append(append_to(*order, expected, &shared)).await {
                            Ok(AppendOutcome::Appended { answer, .. }) => {
                                version.fetch_max(answer.version.0, Ordering::Relaxed);
                                return Ok(1);
                            }
                            Ok(AppendOutcome::Conflict { actual, .. }) => {
                                conflicts.fetch_add(1, Ordering::Relaxed);
                                version.fetch_max(actual.0, Ordering::Relaxed);
                            }
                            other => return Err(BenchError::Worker(format!("{other:?}"))),
                        }
                    }
                }
            }
        };
        let (measured, _) = closed_loop((0..self.writers).map(worker).collect(), length).await?;
        self.acknowledged += measured.events;
        Ok(measured)
    }

    /// Every stream's version is the number of its acknowledged events.
    pub(super) async fn finish(self) -> Result<Map<String, Value>, BenchError> {
        let versions: i64 = sqlx::query_scalar(
            "select sum(v)::bigint from (select max(version) as v from events where order_id = any ($1) group by order_id) s",
        )
        .bind(self.streams.iter().map(|(order, _)| order.0).collect::<Vec<_>>())
        .fetch_one(self.store.pool())
        .await?;
        self.store.close().await;
        let found = versions.unsigned_abs();
        if found != self.acknowledged {
            return Err(BenchError::Lost {
                acknowledged: self.acknowledged,
                found,
            });
        }
        let mut more = Map::new();
        more.insert("conflicts".into(), self.conflicts.load(Ordering::Relaxed).into());
        more.insert("lost".into(), 0.into());
        Ok(more)
    }
}
