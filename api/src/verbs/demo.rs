//! The shop that `docket serve --demo` begins with: a small past of the same kind as `docket seed` writes, where the log
//! is empty. What happens from then on is the simulation's, or whoever tries it.

use super::seed::{self, SeedError, shop::Shop};
use chrono::Utc;
use docket_event_store::Store;

/// Orders of the past: enough to fill a page, and there at once.
const ORDERS: u64 = 150;
/// How long the past is, in days.
const DAYS: u16 = 30;
/// Which shop it is.
const SEED: u64 = 1;

/// Writes the demo's past, unless the log has something in it already.
///
/// # Errors
/// When the log does not take it.
pub(crate) async fn seed(store: &Store) -> Result<(), SeedError> {
    if store.feed().heads().iter().any(|head| *head > 0) {
        return Ok(());
    }
    let until = seed::last_midnight(Utc::now());
    seed::fill(store, Shop::past(SEED, ORDERS, until, DAYS)).await
}
