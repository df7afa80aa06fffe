//! Tokens of an identity provider: JWTs, checked against the keys that it publishes (a JWKS).
//!
//! A token is never looked up and nothing of it is remembered: each request checks its signature and its claims anew,
//! with the keys of the moment ([`claims`]), so a key that is gone opens nothing from then on. What is remembered is
//! the key set ([`key_set`]): one task reads it again and again ([`limits::REFRESH`]), keeps the last good one while
//! the provider is away ([`limits::KEPT_WHILE_AWAY`]), and is the only one that reads, so that no number of tokens
//! with invented key ids can have it read more often than [`limits::LEAST_BETWEEN`].

mod claims;
mod key_set;
pub mod limits;
mod signature;
mod source;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use docket_domain::Actor;
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

pub use self::{claims::JwtRules, key_set::KeySetError, limits::JwksLimits, source::SourceError};
use self::{claims::Rejected, key_set::KeySet, source::Source};
use super::Checked;

/// Why keys could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The setting names nothing that could be read.
    #[error(transparent)]
    Setting(SourceError),
    /// The file that it names cannot be used. An address that does not answer is no reason not to start.
    #[error("the key set {} cannot be used", .0.display())]
    File(PathBuf, #[source] RefreshError),
}

/// Why the keys could not be read this time.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The document could not be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It is no set of keys.
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    /// It took too long.
    #[error("no answer within {0:?}")]
    Slow(Duration),
}

/// The keys that an identity provider publishes, kept up to date while this lives. Clones share them.
#[derive(Clone)]
pub struct Jwks {
    shared: Arc<Shared>,
    _reader: Arc<AbortOnDropHandle<()>>,
}

struct Shared {
    source: Source,
    rules: JwtRules,
    limits: JwksLimits,
    state: watch::Sender<State>,
    asked: Notify,
}

/// What is known of the keys.
#[derive(Clone, Default)]
struct State {
    keys: Arc<KeySet>,
    /// When they were read; none before the first time.
    read: Option<Instant>,
    /// When a reading began last, and whether it is under way.
    began: Option<Instant>,
    is_reading: bool,
    /// How many have ended.
    ended: u64,
}

impl Jwks {
    /// Reads the keys that `source` names (a file's path or an address) and goes on doing so. An address that does not
    /// answer is tried again; until it does, tokens can not be checked.
    ///
    /// # Errors
    /// When the setting names neither, or a file that cannot be used.
    pub async fn start(source: &str, rules: JwtRules, limits: JwksLimits) -> Result<Jwks, JwksError> {
        signature::install();
        let source = Source::of(source).map_err(JwksError::Setting)?;
        let shared = Arc::new(Shared {
            source,
            rules,
            limits,
            state: watch::Sender::default(),
            asked: Notify::new(),
        });
        if let Err(error) = shared.read().await {
            match &shared.source {
                Source::File(path) => return Err(JwksError::File(path.clone(), error)),
                Source::Address(..) => report(&error),
            }
        }
        let reader = tokio::spawn(keep(Arc::clone(&shared)));
        Ok(Jwks {
            shared,
            _reader: Arc::new(AbortOnDropHandle::new(reader)),
        })
    }

    /// The actor of a token that holds now, and for how long it goes on holding.
    pub(super) async fn check(&self, text: &str) -> Checked<(Actor, Duration)> {
        let shared = &self.shared;
        let Some((keys, seen)) = shared.current() else {
            return Checked::Unknown("no keys of the identity provider are known".into());
        };
        match shared.rules.verify(&keys, text) {
            Ok(verified) => return Checked::Holds(verified),
            Err(Rejected::Invalid) => return Checked::Not,
            Err(Rejected::UnknownKey) => {}
        }
        if !shared.newer(seen).await {
            return Checked::Not;
        }
        match shared.current().map(|(keys, _)| shared.rules.verify(&keys, text)) {
            Some(Ok(verified)) => Checked::Holds(verified),
            _ => Checked::Not,
        }
    }
}

impl Shared {
    /// The keys, where they may still be believed, and how many readings had ended by then.
    fn current(&self) -> Option<(Arc<KeySet>, u64)> {
        let state = self.state.borrow();
        let believed = self.limits.refresh + self.limits.kept_while_away;
        let is_believed = state.read.is_some_and(|read| read.elapsed() <= believed);
        is_believed.then(|| (Arc::clone(&state.keys), state.ended))
    }

    /// Has the keys read again, where a reading is under way or may be begun, and waits until more than `seen` have
    /// ended; whether they have.
    async fn newer(&self, seen: u64) -> bool {
        let mut state = self.state.subscribe();
        let may_begin = {
            let now = state.borrow_and_update();
            now.is_reading || now.ended != seen || self.may_begin(now.began)
        };
        if !may_begin {
            return false;
        }
        self.asked.notify_one();
        let done = state.wait_for(|state| state.ended != seen);
        matches!(timeout(self.limits.unknown_key_wait, done).await, Ok(Ok(_)))
    }

    fn may_begin(&self, began: Option<Instant>) -> bool {
        began.is_none_or(|began| began.elapsed() >= self.limits.least_between)
    }

    async fn read(&self) -> Result<(), RefreshError> {
        self.state.send_modify(|state| {
            state.began = Some(Instant::now());
            state.is_reading = true;
        });
        let limit = self.limits.fetch_timeout;
        let read = async {
            let document = timeout(limit, self.source.read())
                .await
                .map_err(|_| RefreshError::Slow(limit))??;
            Ok(KeySet::read(&document)?)
        };
        let read = read.await;
        let outcome = if read.is_ok() { "done" } else { "failed" };
        metrics::counter!("docket_jwks_reads_total", "outcome" => outcome).increment(1);
        let (keys, result) = match read {
            Ok(keys) => (Some(keys), Ok(())),
            Err(error) => (None, Err(error)),
        };
        // In one step: whoever waits for the end of the reading sees what it brought.
        self.state.send_modify(|state| {
            state.is_reading = false;
            state.ended += 1;
            if let Some(keys) = keys {
                tracing::debug!(keys = keys.len(), "the identity provider's keys were read");
                state.keys = Arc::new(keys);
                state.read = Some(Instant::now());
            }
        });
        result
    }
}

/// Reads the keys when they are old, or when somebody asks and it may be done.
async fn keep(shared: Arc<Shared>) {
    let limits = shared.limits;
    let due = |failed| tokio::time::Instant::now() + if failed { limits.retry } else { limits.refresh };
    let mut next = due(shared.state.borrow().read.is_none());
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = shared.asked.notified() => {
                let began = shared.state.borrow().began;
                if !shared.may_begin(began) {
                    continue;
                }
            }
        }
        let read = shared.read().await;
        next = due(read.is_err());
        if let Err(error) = &read {
            report(error);
        }
    }
}

fn report(error: &RefreshError) {
    let mut causes = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        causes = format!("{causes}: {cause}");
        source = cause.source();
    }
    tracing::warn!(
        causes,
        "the identity provider's keys could not be read; it is tried again"
    );
}
