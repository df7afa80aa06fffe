//! What an order is from its first event on and stays for ever: its customer, channel and currency.
//!
//! Subscriptions filter by these only, because a filter has to give the same answer live and in a replay. What was seen
//! is remembered in a bounded cache; what was not is the first event of the order's stream.

use std::sync::Arc;

use docket_domain::{Currency, CustomerId, Event, OrderEvent, OrderId, StreamId, Version, text::Code};
use docket_event_store::{RecordedEvent, Store};
use docket_projections::{Projections, read_models::order_summary};
use quick_cache::sync::Cache;

use crate::graphql::{error::Refused, limits};

/// What an order is for ever.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::graphql) struct Facts {
    pub(in crate::graphql) customer: Option<CustomerId>,
    pub(in crate::graphql) channel: Code,
    pub(in crate::graphql) currency: Currency,
}

/// The facts of orders, as far as they were asked for.
pub(in crate::graphql) struct OrderFacts {
    store: Store,
    projections: Projections,
    known: Cache<OrderId, Arc<Facts>>,
}

impl OrderFacts {
    pub(in crate::graphql) fn new(store: Store, projections: Projections) -> Self {
        Self {
            store,
            projections,
            known: Cache::new(limits::MAX_REMEMBERED_FACTS),
        }
    }

    /// Of an order; `None` where it does not exist.
    pub(in crate::graphql) async fn of(&self, order: OrderId) -> Result<Option<Arc<Facts>>, Refused> {
        if let Some(known) = self.known.get(&order) {
            return Ok(Some(known));
        }
        let first = self
            .store
            .read_stream(StreamId::order(order), Version::NONE, 1)
            .await?;
        Ok(first.first().and_then(|event| self.learn(event)))
    }

    /// Learns about the orders of a page in one statement at most. What the summaries do not have yet is asked for one by
    /// one when it is needed.
    pub(in crate::graphql) async fn prepare(&self, events: &[Arc<RecordedEvent>]) -> Result<(), Refused> {
        let mut missing: Vec<OrderId> = Vec::new();
        for event in events {
            let order = event.stream.order;
            if self.known.get(&order).is_none() && self.learn(event).is_none() && !missing.contains(&order) {
                missing.push(order);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let serving = self.projections.serving();
        for row in order_summary::find(self.store.pool(), &serving, &missing).await? {
            let facts = Facts {
                customer: row.customer,
                channel: row.channel,
                currency: row.currency,
            };
            self.known.insert(row.id, Arc::new(facts));
        }
        Ok(())
    }

    /// Of the order of an event, which may be the one that says it.
    pub(in crate::graphql) async fn of_event(
        &self,
        event: &RecordedEvent,
    ) -> Result<Option<Arc<Facts>>, Refused> {
        match self.learn(event) {
            Some(facts) => Ok(Some(facts)),
            None => self.of(event.stream.order).await,
        }
    }

    fn learn(&self, event: &RecordedEvent) -> Option<Arc<Facts>> {
        let Ok(Event::Order(OrderEvent::Drafted(drafted))) = &event.event else {
            return None;
        };
        let facts = Arc::new(Facts {
            customer: drafted.customer.clone(),
            channel: drafted.channel.clone(),
            currency: drafted.currency,
        });
        self.known.insert(event.stream.order, Arc::clone(&facts));
        Some(facts)
    }
}
