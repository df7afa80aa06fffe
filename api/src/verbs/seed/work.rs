//! Writing a shop: stories are told ahead in chunks, those that the log has are passed over, and the rest run side by
//! side, the commands of each in sequence.

use super::{
    report::{Report, Tally},
    shop::{Shop, Story},
    story::StoryError,
};
use crate::{
    cli::chain,
    verbs::patience::{self, Answer},
};
use chrono::Utc;
use docket_event_store::{ExecuteError, Store, execute::Outcome};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

/// Orders that are told together, and looked up together in the log.
const CHUNK: u64 = 128;
/// Chunks that are told ahead. A story is some 20 KiB.
const CHUNKS: usize = 4;
/// Tasks that tell stories: a half of what a story costs is its commands' statements, which another process runs.
const TELLERS: usize = 2;

/// Why a shop is not whole in the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SeedError {
    /// A story cannot be told.
    #[error("order {order} cannot be told")]
    Story {
        /// Its number.
        order: u64,
        /// Why.
        #[source]
        source: StoryError,
    },
    /// The log does not take anything.
    #[error("the log takes nothing more at order {order}; start it again to resume")]
    Stuck {
        /// Its number.
        order: u64,
        /// Why.
        #[source]
        source: Box<ExecuteError>,
    },
    /// A part of this program panicked.
    #[error("the seeding broke")]
    Broken(#[from] JoinError),
}

/// Writes a shop, `concurrency` orders at a time.
///
/// # Errors
/// See [`SeedError`]. A command that is refused is reported, and the other orders go on.
pub(super) async fn write(
    store: &Store,
    shop: Shop,
    concurrency: usize,
    report: &Report,
) -> Result<(), SeedError> {
    let (shop, stop) = (Arc::new(shop), CancellationToken::new());
    let (sender, mut told) = mpsc::channel(CHUNKS);
    let next = Arc::new(AtomicU64::new(0));
    for _ in 0..TELLERS {
        tokio::spawn(tell(
            store.clone(),
            Arc::clone(&shop),
            Arc::clone(&next),
            sender.clone(),
        ));
    }
    drop(sender);
    let mut running = JoinSet::new();
    let mut failed = None;
    while let Some(chunk) = told.recv().await {
        let stories = match chunk {
            Ok(chunk) => {
                (0..chunk.repeated).for_each(|_| report.took(Tally::default()));
                chunk.stories
            }
            Err(error) => {
                failed = Some(error);
                break;
            }
        };
        for story in stories {
            while running.len() >= concurrency
                && let Some(done) = running.join_next().await
            {
                failed = failed.or(settle(done?, report));
            }
            if failed.is_some() {
                break;
            }
            running.spawn(live(store.clone(), Arc::clone(&shop), story, stop.clone()));
        }
        if failed.is_some() {
            break;
        }
    }
    if failed.is_some() {
        stop.cancel();
    }
    while let Some(done) = running.join_next().await {
        failed = failed.or(settle(done?, report));
    }
    failed.map_or(Ok(()), Err)
}

/// Some orders that are not whole in the log, and how many are.
struct Chunk {
    stories: Vec<Story>,
    repeated: u64,
}

/// Tells chunk after chunk, until all are told or nobody listens.
async fn tell(
    store: Store,
    shop: Arc<Shop>,
    next: Arc<AtomicU64>,
    told: mpsc::Sender<Result<Chunk, SeedError>>,
) {
    loop {
        let first = next.fetch_add(CHUNK, Ordering::Relaxed);
        if first >= shop.orders() {
            return;
        }
        let chunk = tell_chunk(&store, &shop, first).await;
        if told.send(chunk).await.is_err() {
            return;
        }
    }
}

async fn tell_chunk(store: &Store, shop: &Shop, first: u64) -> Result<Chunk, SeedError> {
    let (mut stories, mut lasts) = (Vec::new(), Vec::new());
    for order in first..shop.orders().min(first + CHUNK) {
        let told = shop.story(order, Utc::now());
        let story = told.map_err(|source| SeedError::Story { order, source })?;
        // An order is whole where its last command is answered: they run in sequence.
        if let Some(last) = story.steps.last() {
            let name = shop.name_of(order, story.steps.len() - 1, last);
            lasts.push(name.map_err(|source| SeedError::Story { order, source })?);
            stories.push((lasts.len() - 1, story));
        }
    }
    // A look-up that fails decides nothing: each command meets its stored answer by itself.
    let done = store.answered(&lasts).await.unwrap_or_default();
    let before = stories.len();
    stories.retain(|(last, _)| !done.contains(&lasts[*last].0));
    Ok(Chunk {
        repeated: (before - stories.len()) as u64,
        stories: stories.into_iter().map(|(_, story)| story).collect(),
    })
}

/// What became of one story.
struct Lived {
    order: u64,
    tally: Tally,
    end: End,
}

enum End {
    Whole,
    /// Another story failed meanwhile.
    GivenUp,
    Refused(ExecuteError),
    Stuck(ExecuteError),
    Untold(StoryError),
}

fn settle(lived: Lived, report: &Report) -> Option<SeedError> {
    let Lived { order, tally, end } = lived;
    match end {
        End::Whole => report.took(tally),
        End::GivenUp => {}
        End::Refused(error) => report.refused(order, tally, &chain(&error)),
        End::Stuck(source) => {
            let source = Box::new(source);
            return Some(SeedError::Stuck { order, source });
        }
        End::Untold(source) => return Some(SeedError::Story { order, source }),
    }
    None
}

/// Runs a story's commands, one after the other.
async fn live(store: Store, shop: Arc<Shop>, story: Story, stop: CancellationToken) -> Lived {
    let (order, mut tally) = (story.number, Tally::default());
    for (number, step) in story.steps.into_iter().enumerate() {
        let end = match shop.request(order, number, step) {
            Ok(request) => match patience::execute(&store, &request, || stop.is_cancelled()).await {
                Answer::Taken(done) => {
                    if !done.repeated {
                        tally.commands += 1;
                        tally.events += done.events.len() as u64;
                        debug_assert_eq!(done.outcome, Outcome::Done);
                    }
                    if stop.is_cancelled() {
                        End::GivenUp
                    } else {
                        continue;
                    }
                }
                Answer::Refused(error) => End::Refused(error),
                Answer::Stuck(error) => End::Stuck(error),
                Answer::GivenUp => End::GivenUp,
            },
            Err(error) => End::Untold(error),
        };
        return Lived { order, tally, end };
    }
    Lived {
        order,
        tally,
        end: End::Whole,
    }
}
