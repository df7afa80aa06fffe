//! Queries of the raw history.

use async_graphql::{Context, Object, Result};
use docket_domain::{StreamId, Version};

use super::types::{EventPage, RecordedEvent};
use crate::graphql::{
    cursor,
    error::{Refused, sentence},
    paging::page_size,
    position::{self, PositionInput},
    services,
};

/// Queries of the raw history.
#[derive(Default)]
pub struct EventQueries;

#[Object]
impl EventQueries {
    /// Events as the log holds them: of a stream, or of a partition.
    async fn events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of this order, payment or shipment.")] stream: Option<String>,
        #[graphql(desc = "Of this partition, from 0.")] partition: Option<i32>,
        #[graphql(desc = "After this place of the same stream or partition.")] after: Option<String>,
        #[graphql(desc = "How many; 20 where nothing is said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "Not before the log is known up to each of these positions.")] min_position: Option<
            Vec<PositionInput>,
        >,
    ) -> Result<Option<EventPage>> {
        let store = &services(ctx)?.store;
        let size = page_size(first, "first")?;
        let after = after.as_deref().map_or(Ok(0), cursor::to_event)?;
        position::wait_for_log(store.feed(), min_position.as_deref()).await?;
        let (events, has_next_page) = match (stream, partition) {
            (Some(stream), None) => {
                let stream: StreamId = stream
                    .parse()
                    .map_err(|error| Refused::bad_input(sentence(&error)))?;
                let after = i32::try_from(after).map_or(Version(i32::MAX), Version);
                let mut events = store
                    .read_stream(stream, after, size + 1)
                    .await
                    .map_err(Refused::from)?;
                let has_more = events.len() > size;
                events.truncate(size);
                (events, has_more)
            }
            (None, Some(partition)) => {
                let known = u16::try_from(partition)
                    .ok()
                    .filter(|partition| *partition < store.feed().partitions());
                let missing = || Refused::bad_input(format!("There is no partition {partition}."));
                let partition = known.ok_or_else(missing)?;
                let events = store
                    .feed()
                    .read(partition, after, size)
                    .await
                    .map_err(Refused::from)?;
                let last = events.last().map_or(after, |event| event.position.offset);
                (events, last < store.feed().head(partition))
            }
            _ => return Err(Refused::bad_input("Give `stream` or `partition`, one of them.").into()),
        };
        let of_stream = partition.is_none();
        let place = |event: &RecordedEvent| match of_stream {
            true => i64::from(event.0.version.0),
            false => event.0.position.offset,
        };
        let events: Vec<RecordedEvent> = events.into_iter().map(RecordedEvent).collect();
        let end_cursor = events.last().map(|event| cursor::of_event(place(event)));
        Ok(Some(EventPage {
            events,
            end_cursor,
            has_next_page,
        }))
    }
}
