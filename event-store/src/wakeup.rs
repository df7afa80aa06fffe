//! Waking other processes: one coalesced NOTIFY outside the append, and the task that listens and polls.
//!
//! A NOTIFY inside every append would take an instance-wide lock at each commit. A hint carries nothing: whoever hears it
//! polls the heads, and whoever misses it polls a little later. One says more: somebody was forgotten, so that the keys
//! which a process holds are read again; it is sent with the key's end, and who was not listening reads them again too.
//! A third kind says that a reactor had effects: what follows those in another process looks.

use crate::{
    feed::{Feed, FeedError},
    limits,
};
use sqlx::{PgPool, postgres::PgListener};
use std::sync::Arc;
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const CHANNEL: &str = "docket_log";
/// What the hint says that goes with a destroyed key.
pub(crate) const FORGOTTEN: &str = "forgotten";
/// What the hint begins with that says that there are new effects; its sender follows.
const EFFECTS: &str = "effects ";
/// Not asked for durability: nothing is lost when a hint is.
const HINT: &str = "select set_config('synchronous_commit', 'off', true), pg_notify($1, $2)";

/// Raised by lanes when they committed something.
#[derive(Clone)]
pub(crate) struct Hints {
    raised: Arc<Notify>,
    effects_raised: Arc<Notify>,
    /// Changes with each effect that this process had or heard of.
    effects: Arc<watch::Sender<u64>>,
    /// Tells this process's hints from others': it knows what it appended itself.
    sender: Uuid,
}

impl Hints {
    pub(crate) fn new() -> Self {
        Self {
            raised: Arc::default(),
            effects_raised: Arc::default(),
            effects: Arc::new(watch::Sender::new(0)),
            sender: Uuid::new_v4(),
        }
    }

    pub(crate) fn raise(&self) {
        self.raised.notify_one();
    }

    /// This process committed effects: here they are known at once, elsewhere by the next hint.
    pub(crate) fn raise_effects(&self) {
        self.hear_of_effects();
        self.effects_raised.notify_one();
    }

    pub(crate) fn effects(&self) -> watch::Receiver<u64> {
        self.effects.subscribe()
    }

    fn hear_of_effects(&self) {
        self.effects.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// Sends at most one hint of each kind each [`limits::HINT_INTERVAL`], until cancelled.
pub(crate) async fn send_hints(pool: PgPool, hints: Hints, stop: CancellationToken) {
    let sender = hints.sender.to_string();
    let of_effects = format!("{EFFECTS}{sender}");
    let appended = send_each(&pool, &hints.raised, &sender);
    let effects = send_each(&pool, &hints.effects_raised, &of_effects);
    stop.run_until_cancelled(async { tokio::join!(appended, effects) })
        .await;
}

async fn send_each(pool: &PgPool, raised: &Notify, hint: &str) {
    loop {
        raised.notified().await;
        let sent = sqlx::query(HINT).bind(CHANNEL).bind(hint).execute(pool).await;
        if let Err(error) = sent {
            tracing::debug!(error = %error, "a hint was not sent; other processes poll");
        }
        sleep(limits::HINT_INTERVAL).await;
    }
}

/// Keeps the feed at the log's heads: listens first, then polls, then waits for a hint, a gap or the interval.
pub(crate) async fn follow(pool: PgPool, feed: Feed, hints: Hints, stop: CancellationToken) {
    let work = async {
        let mut listener = None;
        let mut healthy = true;
        let mut connected_anew = false;
        loop {
            if listener.is_none() {
                listener = listen(&pool).await;
                feed.read_keys_again();
            }
            match follow_once(&pool, &feed, &mut connected_anew).await {
                Ok(()) => healthy = true,
                // Who closes the log closes its connections under a poll, too.
                Err(_) if stop.is_cancelled() => {}
                Err(error) if healthy => {
                    healthy = false;
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the log cannot be followed; trying again"
                    );
                }
                Err(_) => {}
            }
            if !wait(&mut listener, &feed, &hints).await {
                listener = None;
                connected_anew = true;
            }
        }
    };
    stop.run_until_cancelled(work).await;
}

/// Polls; after a broken connection it is first asked whether this is still the same log.
async fn follow_once(pool: &PgPool, feed: &Feed, connected_anew: &mut bool) -> Result<(), FeedError> {
    if *connected_anew {
        let mut connection = pool.acquire().await.map_err(FeedError::Read)?;
        feed.check_history(&mut connection, []).await?;
        *connected_anew = false;
    }
    feed.poll().await
}

async fn listen(pool: &PgPool) -> Option<PgListener> {
    let mut listener = PgListener::connect_with(pool).await.ok()?;
    // A connection that breaks is news: what was said meanwhile is lost.
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await.ok()?;
    Some(listener)
}

/// Waits for a reason to poll; `false` where the listener's connection broke.
async fn wait(listener: &mut Option<PgListener>, feed: &Feed, hints: &Hints) -> bool {
    let own = hints.sender.to_string();
    let hint = async {
        let Some(listener) = listener else {
            return std::future::pending().await;
        };
        loop {
            match listener.try_recv().await {
                Ok(Some(hint)) if hint.payload() == own => {}
                Ok(Some(hint)) if hint.payload() == FORGOTTEN => feed.read_keys_again(),
                Ok(Some(hint)) if hint.payload().starts_with(EFFECTS) => {
                    if !hint.payload().ends_with(&own) {
                        hints.hear_of_effects();
                    }
                }
                // Another process's hint.
                Ok(Some(_)) => return true,
                Ok(None) | Err(_) => return false,
            }
        }
    };
    let reason = async {
        tokio::select! {
            hint = hint => hint,
            () = feed.gap() => true,
        }
    };
    timeout(limits::POLL_INTERVAL, reason).await.unwrap_or(true)
}
