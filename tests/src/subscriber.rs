//! Subscribers that read the feed of a store as a projector does: from where they are, to the head, and on.

use std::time::Duration;

use docket_event_store::Store;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{history::Seen, wait::eventually};

/// No reader relies on being woken.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
const HEAD_WITHIN: Duration = Duration::from_secs(20);

/// A reader of all partitions.
#[derive(Debug)]
pub struct Subscriber {
    stop: CancellationToken,
    reading: JoinHandle<Vec<Seen>>,
}

impl Subscriber {
    /// Starts reading after these offsets, up to `page` events at a time.
    pub fn start(store: &Store, name: &str, after: &[i64], page: usize) -> Self {
        let (stop, store) = (CancellationToken::new(), store.clone());
        let seen = (0..)
            .zip(after)
            .map(|(p, after)| Seen::new(name, p, *after))
            .collect();
        let reading = tokio::spawn(read(store, seen, page, stop.clone()));
        Self { stop, reading }
    }

    /// Stops it wherever it is, and takes what it has seen.
    ///
    /// # Panics
    /// When it failed.
    pub async fn stop(self) -> Vec<Seen> {
        self.stop.cancel();
        self.reading.await.expect("the subscriber reads")
    }

    /// Stops it once the feed has come to these heads and it has been handed everything.
    ///
    /// # Panics
    /// When it does not get there.
    pub async fn stop_at(self, store: &Store, heads: &[i64]) -> Vec<Seen> {
        eventually(HEAD_WITHIN, async || {
            let known = store.feed().heads();
            known
                .iter()
                .zip(heads)
                .all(|(known, head)| known >= head)
                .then_some(())
        })
        .await;
        let mut all = self.stop().await;
        for seen in &mut all {
            // What it had not asked for yet when it was stopped.
            while let Ok(events) = store.feed().read(seen.partition, seen.last(), 256).await {
                if events.is_empty() {
                    break;
                }
                events.iter().for_each(|event| seen.take(event));
            }
            seen.to_the_head = true;
        }
        all
    }
}

async fn read(store: Store, mut all: Vec<Seen>, page: usize, stop: CancellationToken) -> Vec<Seen> {
    let mut moved = store.feed().moved();
    while !stop.is_cancelled() {
        moved.mark_unchanged();
        let mut caught_up = true;
        for seen in &mut all {
            // Out of reach: again, from where it is.
            let Ok(events) = store.feed().read(seen.partition, seen.last(), page).await else {
                sleep(LOOK_AGAIN / 4).await;
                continue;
            };
            caught_up &= events.is_empty();
            events.iter().for_each(|event| seen.take(event));
        }
        if caught_up {
            // A wake-up that does not come is no fault.
            let _ = timeout(LOOK_AGAIN, stop.run_until_cancelled(moved.changed())).await;
        }
    }
    all
}
