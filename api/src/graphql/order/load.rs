//! An order folded from its streams: as it is for certain now, or as it was.
//!
//! All streams of an order share one partition and so one order of events; a state is what its events up to some offset
//! fold to. Offsets commit in order, so whatever is read after a head was seen is whole up to that head, although the
//! streams are read one after the other.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use docket_domain::{Event, OrderEvent, OrderId, StreamId, Version};
use docket_event_store::{RecordedEvent, Store, limits::PAGE_EVENTS};
use docket_projections::read_models::order_detail::{self, OrderDetail};
use futures::{StreamExt, TryStreamExt, stream};

use crate::graphql::{error::Refused, limits};

/// Streams that are read at a time for one order: a share of the process's connections that leaves room for others.
const STREAMS_AT_A_TIME: usize = 3;

/// Which state of an order.
#[derive(Clone, Copy, Debug)]
pub(in crate::graphql) enum Until {
    /// The newest that this process knows of, and at least at this offset.
    AtLeast(i64),
    /// As it was right after this offset.
    Offset(i64),
    /// As the order's own stream was at this version, with its payments and shipments of that moment.
    Version(Version),
    /// As it was recorded at this instant.
    Instant(DateTime<Utc>),
}

/// Folds an order; `None` where it did not exist.
pub(in crate::graphql) async fn load(
    store: &Store,
    order: OrderId,
    until: Until,
) -> Result<Option<OrderDetail>, Refused> {
    let head = store.feed().head(store.partition_of(order));
    let mut events = read(store, StreamId::order(order)).await?;
    let last = match until {
        Until::AtLeast(offset) => head.max(offset),
        Until::Offset(offset) => offset,
        Until::Instant(_) => i64::MAX,
        Until::Version(version) => {
            let Some(at) = events.iter().find(|event| event.version == version) else {
                // It does not exist, or has not come so far; what there is of it is not told to who may not see it.
                return Ok(None);
            };
            // What one command did happened at once: its events stand beside each other.
            let command = at.command.command_id;
            let of_command = events.iter().filter(|event| event.command.command_id == command);
            of_command
                .map(|event| event.position.offset)
                .max()
                .unwrap_or(at.position.offset)
        }
    };
    let command = match until {
        Until::Version(version) => events
            .iter()
            .find(|event| event.version == version)
            .map(|e| e.command.command_id),
        Until::AtLeast(_) | Until::Offset(_) | Until::Instant(_) => None,
    };
    let of_others: Vec<_> = stream::iter(streams_of(order, &events))
        .map(|stream| read(store, stream))
        .buffered(STREAMS_AT_A_TIME)
        .try_collect()
        .await?;
    events.extend(of_others.into_iter().flatten());
    if events.len() > limits::MAX_FOLDED_EVENTS {
        let limit = limits::MAX_FOLDED_EVENTS;
        return Err(Refused::bad_input(format!(
            "The order has more than {limit} events; read them with `events`."
        )));
    }
    events.retain(|event| {
        let is_in_time = match until {
            Until::Instant(instant) => event.recorded_at <= instant,
            Until::AtLeast(_) | Until::Offset(_) | Until::Version(_) => true,
        };
        let is_of_command = command == Some(event.command.command_id);
        is_in_time && (event.position.offset <= last || is_of_command)
    });
    events.sort_by_key(|event| event.position.offset);
    order_detail::fold(events.iter().map(Arc::as_ref)).map_err(|error| Refused::internal(&error))
}

/// The payments and shipments that an order lists. A shipment's stream may not have begun.
fn streams_of(order: OrderId, events: &[Arc<RecordedEvent>]) -> Vec<StreamId> {
    let listed = events.iter().filter_map(|event| match &event.event {
        Ok(Event::Order(OrderEvent::PaymentAttached(attached))) => {
            Some(StreamId::payment(order, attached.payment))
        }
        Ok(Event::Order(OrderEvent::FulfillmentAllocated(allocated))) => {
            Some(StreamId::shipment(order, allocated.shipment))
        }
        _ => None,
    });
    listed.collect()
}

/// All of a stream, up to one more than may be folded.
async fn read(store: &Store, stream: StreamId) -> Result<Vec<Arc<RecordedEvent>>, Refused> {
    let mut events: Vec<Arc<RecordedEvent>> = Vec::new();
    loop {
        let after = events.last().map_or(Version::NONE, |event| event.version);
        let page = store.read_stream(stream, after, PAGE_EVENTS).await?;
        let is_last = page.len() < PAGE_EVENTS;
        events.extend(page);
        if is_last || events.len() > limits::MAX_FOLDED_EVENTS {
            return Ok(events);
        }
    }
}
