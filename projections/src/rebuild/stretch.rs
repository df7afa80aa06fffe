//! A stretch of a partition's log in the order in which a rebuild folds it: the events of each order together, orders in
//! the order of their first event.
//!
//! In the log an order's events lie among those of all orders that are open at the time, which may be more than memory
//! holds. Order by order, a row is written once a stretch, however many are open, and what is read of the log was read a
//! moment ago. That events of different orders are folded in another order than the log's changes no row: see
//! [`crate::projector`].
//!
//! Who goes on in the middle counts on the same order of events: a change of it must not meet a stretch that was begun.

use super::{LoadError, Progress};
use crate::{limits, projector::Generation};
use docket_domain::OrderId;
use docket_event_store::{Position, Store};
use sqlx::PgConnection;
use uuid::Uuid;

/// How far a partition of a generation is filled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filled {
    /// Everything up to here is in the rows.
    pub(super) offset: i64,
    /// And this of what follows.
    pub(super) begun: Mark,
}

/// What of a stretch is in the rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Its last event; where there is none, it was not begun.
    pub(super) until: Option<i64>,
    /// How many of its events.
    pub(super) done: Option<i64>,
}

impl Filled {
    /// How many events are in the rows.
    pub(super) fn events(&self) -> i64 {
        self.offset + self.begun.done.unwrap_or(0)
    }

    /// To where it is filled that is to reach an offset: a stretch that was begun is brought to its end.
    pub(super) fn upto(&self, offset: i64) -> i64 {
        self.begun.until.map_or(offset, |until| until.max(offset))
    }
}

const FILLED: &str = r#"
select "offset", stretch_until, stretch_done from checkpoints
 where projection = $1 and generation = $2 order by partition"#;

/// How far each partition of a generation is filled.
pub(super) async fn filled(
    connection: &mut PgConnection,
    projection: &str,
    generation: Generation,
) -> Result<Vec<Filled>, sqlx::Error> {
    let rows: Vec<(i64, Option<i64>, Option<i64>)> = sqlx::query_as(FILLED)
        .bind(projection)
        .bind(generation.0)
        .fetch_all(connection)
        .await?;
    let filled = |(offset, until, done)| Filled {
        offset,
        begun: Mark { until, done },
    };
    Ok(rows.into_iter().map(filled).collect())
}

/// Events in (after, until] of a partition, and how far they are folded.
#[derive(Debug)]
pub(super) struct Stretch {
    after: i64,
    until: i64,
    /// The id of its last event in the log.
    event_id: Uuid,
    /// How far behind `after` each event lies, in the order in which they are folded.
    events: Vec<u32>,
    folded: usize,
}

impl Stretch {
    /// Looks at what lies in (after, until], of which `done` events are in the rows already. It makes way as a rebuild does
    /// between pages; `None` when it is to stop.
    ///
    /// # Errors
    /// [`LoadError::Ends`] where the log has not all of them.
    pub(super) async fn read(
        store: &Store,
        connection: &mut PgConnection,
        partition: u16,
        (after, until): (i64, i64),
        done: i64,
        (progress, is_urgent): (&Progress, bool),
    ) -> Result<Option<Self>, LoadError> {
        let mut orders = Vec::with_capacity(usize::try_from(until - after).unwrap_or(0));
        let (mut read, mut event_id) = (after, Uuid::nil());
        while read < until {
            if !progress.pass(is_urgent).await {
                return Ok(None);
            }
            let upto = until.min(read + limits::REBUILD_ORDERS);
            let each = |order, id| {
                orders.push(order);
                event_id = id;
            };
            store
                .each_order_in(connection, partition, (read, upto), each)
                .await?;
            if orders.len() as i64 != upto - after {
                return Err(LoadError::Ends(Position {
                    partition,
                    offset: upto,
                }));
            }
            read = upto;
        }
        Ok(Some(Self {
            after,
            until,
            event_id,
            events: order_by_order(orders),
            folded: usize::try_from(done).unwrap_or(0),
        }))
    }

    /// The offsets of at most so many events that are folded next, ascending.
    pub(super) fn page(&self, limit: usize) -> Vec<i64> {
        let rest = self.events.iter().skip(self.folded).take(limit);
        let mut offsets: Vec<i64> = rest.map(|at| self.after + i64::from(*at)).collect();
        offsets.sort_unstable();
        offsets
    }

    /// So many more are folded.
    pub(super) fn fold(&mut self, events: usize) {
        self.folded += events;
    }

    pub(super) fn is_folded(&self) -> bool {
        self.folded >= self.events.len()
    }

    /// As many events of the partition are folded as if it had been in the order of the log up to here.
    pub(super) fn reached(&self) -> i64 {
        self.after + self.folded as i64
    }

    /// What is to be known of it once all that is folded is in the rows.
    pub(super) fn mark(&self) -> Mark {
        match self.is_folded() {
            true => Mark::default(),
            false => Mark {
                until: Some(self.until),
                done: Some(self.folded as i64),
            },
        }
    }

    pub(super) fn until(&self) -> i64 {
        self.until
    }

    pub(super) fn event_id(&self) -> Uuid {
        self.event_id
    }
}

/// The numbers, from 1, of events whose orders these are: those of one order together, orders by their first event.
pub(crate) fn order_by_order(orders: Vec<OrderId>) -> Vec<u32> {
    let at = |number: &u32| orders.get(*number as usize);
    let mut numbers: Vec<u32> = (0..).zip(&orders).map(|(number, _)| number).collect();
    numbers.sort_unstable_by_key(|number| (at(number), *number));
    let mut firsts = vec![0; numbers.len()];
    for of_one_order in numbers.chunk_by(|one, other| at(one) == at(other)) {
        for number in of_one_order {
            if let (Some(first), Some(least)) = (firsts.get_mut(*number as usize), of_one_order.first()) {
                *first = *least;
            }
        }
    }
    drop(orders);
    numbers.sort_unstable_by_key(|number| (firsts.get(*number as usize), *number));
    numbers.iter_mut().for_each(|number| *number += 1);
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch() -> Stretch {
        let order = |number| OrderId(Uuid::from_u128(number));
        Stretch {
            after: 100,
            until: 106,
            event_id: Uuid::nil(),
            events: order_by_order([9, 3, 9, 5, 3, 9].map(order).to_vec()),
            folded: 0,
        }
    }

    #[test]
    fn the_events_of_an_order_come_together_and_orders_as_they_began() {
        assert_eq!(stretch().events, [1, 3, 6, 2, 5, 4]);
    }

    #[test]
    fn pages_are_read_in_the_order_of_the_log_and_go_on_where_they_ended() {
        let mut stretch = stretch();
        assert_eq!(stretch.page(4), [101, 102, 103, 106]);
        stretch.fold(4);
        assert_eq!(stretch.reached(), 104);
        let mark = Mark {
            until: Some(106),
            done: Some(4),
        };
        assert_eq!(stretch.mark(), mark);
        assert_eq!(stretch.page(4), [104, 105]);
        stretch.fold(2);
        assert_eq!((stretch.is_folded(), stretch.mark()), (true, Mark::default()));
        assert!(stretch.page(4).is_empty());
    }
}
