//! A stretch of a partition's log in the order in which a rebuild folds it: the events of each order together, orders in
//! the order of their first event.
//!
//! In the log an order's events lie among those of all orders that are open at the time, which may be more than memory
//! holds. Order by order, a row is written once a stretch, however many are open, and what is read of the log was read a
//! moment ago. That events of different orders are folded in another order than the log's changes no row: see
//! [`crate::projector`].

use super::LoadError;
use docket_domain::OrderId;
use docket_event_store::{Position, Store};
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// Events in (after, until] of a partition, and how far they are folded.
#[derive(Debug, PartialEq, Eq)]
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
    /// Looks at what lies in (after, until], of which `folded` events are folded already.
    ///
    /// # Errors
    /// [`LoadError::Ends`] where the log has not all of them.
    pub(super) async fn read(
        store: &Store,
        connection: &mut PgConnection,
        partition: u16,
        (after, until): (i64, i64),
        folded: usize,
    ) -> Result<Self, LoadError> {
        let ends = |offset| LoadError::Ends(Position { partition, offset });
        let last = store.read_at(connection, partition, &[until]).await?;
        let event_id = last.first().ok_or(ends(until))?.event_id;
        let mut orders = Vec::new();
        let each = |order| orders.push(order);
        store
            .each_order_in(connection, partition, (after, until), each)
            .await?;
        if orders.len() as i64 != until - after {
            return Err(ends(until));
        }
        let events = order_by_order(&orders);
        Ok(Self {
            after,
            until,
            event_id,
            events,
            folded,
        })
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

    pub(super) fn folded(&self) -> i64 {
        self.folded as i64
    }

    /// As many events of the partition are folded as if it had been in the order of the log up to here.
    pub(super) fn reached(&self) -> i64 {
        self.after + self.folded()
    }

    pub(super) fn is_folded(&self) -> bool {
        self.folded >= self.events.len()
    }

    pub(super) fn until(&self) -> i64 {
        self.until
    }

    pub(super) fn event_id(&self) -> Uuid {
        self.event_id
    }
}

/// The numbers, from 1, of events whose orders these are: those of one order together, orders by their first event.
fn order_by_order(orders: &[OrderId]) -> Vec<u32> {
    let mut firsts = HashMap::new();
    let mut events: Vec<(u32, u32)> = (1..)
        .zip(orders)
        .map(|(number, order)| (*firsts.entry(order).or_insert(number), number))
        .collect();
    events.sort_unstable();
    events.into_iter().map(|(_, number)| number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(folded: usize) -> Stretch {
        let order = |number| OrderId(Uuid::from_u128(number));
        Stretch {
            after: 100,
            until: 106,
            event_id: Uuid::nil(),
            events: order_by_order(&[9, 3, 9, 5, 3, 9].map(order)),
            folded,
        }
    }

    #[test]
    fn the_events_of_an_order_come_together_and_orders_as_they_began() {
        assert_eq!(stretch(0).events, [1, 3, 6, 2, 5, 4]);
    }

    #[test]
    fn pages_are_read_in_the_order_of_the_log_and_go_on_where_they_ended() {
        let mut stretch = stretch(0);
        assert_eq!(stretch.page(4), [101, 102, 103, 106]);
        stretch.fold(4);
        assert_eq!((stretch.reached(), stretch.is_folded()), (104, false));
        assert_eq!(stretch.page(4), [104, 105]);
        stretch.fold(2);
        assert!(stretch.is_folded());
        assert!(stretch.page(4).is_empty());
    }
}
