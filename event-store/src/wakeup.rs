//! Waking other processes: one coalesced NOTIFY outside the append, and the task that listens and polls.
//!
//! A NOTIFY inside every append would take an instance-wide lock at each commit. A hint carries nothing: whoever hears it
//! polls the heads, and whoever misses it polls a little later.

use crate::{feed::Feed, limits};
use sqlx::{PgPool, postgres::PgListener};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

const CHANNEL: &str = "docket_log";

/// Raised by lanes when they committed something.
#[derive(Clone, Default)]
pub(crate) struct Hints(Arc<Notify>);

impl Hints {
    pub(crate) fn raise(&self) {
        self.0.notify_one();
    }
}

/// Sends at most one hint each [`limits::HINT_INTERVAL`], until cancelled.
pub(crate) async fn send_hints(pool: PgPool, hints: Hints, stop: CancellationToken) {
    let work = async {
        loop {
            hints.0.notified().await;
            // Not asked for durability: nothing is lost when a hint is.
            let sent = sqlx::query("select pg_notify($1, '')").bind(CHANNEL).execute(&pool).await;
            if let Err(error) = sent {
                tracing::debug!(error = %error, "a hint was not sent; other processes poll");
            }
            sleep(limits::HINT_INTERVAL).await;
        }
    };
    stop.run_until_cancelled(work).await;
}

/// Keeps the feed at the log's heads: listens first, then polls, then waits for a hint, a gap or the interval.
pub(crate) async fn follow(pool: PgPool, feed: Feed, stop: CancellationToken) {
    let work = async {
        let mut listener = None;
        let mut healthy = true;
        loop {
            if listener.is_none() {
                listener = listen(&pool).await;
            }
            match feed.poll().await {
                Ok(()) => healthy = true,
                Err(error) if healthy => {
                    healthy = false;
                    tracing::warn!(error = &error as &dyn std::error::Error, "the log cannot be followed; trying again");
                }
                Err(_) => {}
            }
            if wait(&mut listener, &feed, limits::POLL_INTERVAL).await.is_err() {
                listener = None;
            }
        }
    };
    stop.run_until_cancelled(work).await;
}

async fn listen(pool: &PgPool) -> Option<PgListener> {
    let mut listener = PgListener::connect_with(pool).await.ok()?;
    listener.listen(CHANNEL).await.ok()?;
    Some(listener)
}

/// Waits for a reason to poll; an error means that the listener is gone.
async fn wait(listener: &mut Option<PgListener>, feed: &Feed, longest: Duration) -> Result<(), sqlx::Error> {
    let hint = async {
        match listener {
            Some(listener) => listener.try_recv().await.map(|_| ()),
            None => std::future::pending().await,
        }
    };
    let reason = async {
        tokio::select! {
            hint = hint => hint,
            () = feed.gap() => Ok(()),
        }
    };
    timeout(longest, reason).await.unwrap_or(Ok(()))
}
