//! Order numbers, drawn in one statement for all who wait for one.
//!
//! Orders are placed together when a shop is busy; a round trip each, in front of an append that they share, would be
//! most of what the database does for them.

use crate::{connections::Connections, limits};
use docket_domain::OrderNumber;
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicI64, Ordering},
};
use tokio::sync::Mutex;

const DRAW: &str = "select nextval('order_number') from generate_series(1, $1)";

/// The numbers of one process.
#[derive(Default)]
pub(crate) struct Numbers {
    waiting: AtomicI64,
    /// Drawn for those who wait.
    drawn: Mutex<VecDeque<i64>>,
}

/// Somebody who waits for a number, counted until it is there or they go away.
struct Waiting<'a>(&'a AtomicI64);

impl<'a> Waiting<'a> {
    fn count(waiting: &'a AtomicI64) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Numbers {
    /// The next number. Whoever comes first draws for all who have come by then, at most [`limits::MAX_NUMBERS_DRAWN`].
    /// Waits at most [`limits::MAX_POOL_WAIT`] for those before it and as long for a connection.
    pub(crate) async fn next(&self, connections: &Connections) -> Result<OrderNumber, sqlx::Error> {
        let waiting = Waiting::count(&self.waiting);
        let turn = tokio::time::timeout(limits::MAX_POOL_WAIT, self.drawn.lock()).await;
        let mut drawn = turn.map_err(|_| sqlx::Error::PoolTimedOut)?;
        if drawn.is_empty() {
            let mut connection = connections.take(limits::MAX_POOL_WAIT).await?;
            let wanted = self.waiting.load(Ordering::Relaxed);
            let numbers = sqlx::query_scalar(DRAW)
                .bind(wanted.clamp(1, limits::MAX_NUMBERS_DRAWN))
                .fetch_all(&mut *connection)
                .await;
            drawn.extend(connection.finish::<Vec<i64>, _>(numbers)?);
        }
        let number = drawn.pop_front();
        drop(waiting);
        // Those that they were drawn for went away; an order that is placed tomorrow has a number of tomorrow.
        if self.waiting.load(Ordering::Relaxed) == 0 {
            drawn.clear();
        }
        number.map(OrderNumber).ok_or(sqlx::Error::RowNotFound)
    }
}
