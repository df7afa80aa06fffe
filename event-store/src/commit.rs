//! What a batch committed, as recorded events: for the callers and, in partition order, for the feed.

use crate::{
    append::{Append, StoredAnswer},
    envelope::RecordedEvent,
    position::Position,
};
use chrono::{DateTime, Utc};
use docket_domain::Version;
use std::{borrow::Cow, sync::Arc};

/// The committed events of a batch, a list a partition.
#[derive(Default)]
pub(crate) struct Committed(Vec<(u16, Vec<Arc<RecordedEvent>>)>);

impl Committed {
    /// Takes one command's events in; commands of one partition come in the order in which they were numbered.
    pub(crate) fn take(
        &mut self,
        partition: u16,
        append: Append,
        answer: StoredAnswer,
        recorded_at: DateTime<Utc>,
    ) -> Vec<Arc<RecordedEvent>> {
        let mut offset = answer.position.offset - i64::from(answer.events);
        let mut events = Vec::with_capacity(usize::from(answer.events));
        for write in append.writes {
            let mut version = write.expected.0;
            for new in write.events {
                offset += 1;
                version += 1;
                events.push(Arc::new(RecordedEvent {
                    position: Position { partition, offset },
                    event_id: new.event_id,
                    stream: write.stream,
                    version: Version(version),
                    event_type: Cow::Borrowed(new.event.event_type()),
                    schema_version: new.event.schema_version(),
                    recorded_at,
                    command: Arc::clone(&append.envelope),
                    payload: new.payload,
                    event: Ok(new.event),
                }));
            }
        }
        match self.0.iter_mut().find(|(p, _)| *p == partition) {
            Some((_, all)) => all.extend(events.iter().cloned()),
            None => self.0.push((partition, events.clone())),
        }
        events
    }

    /// Every partition that grew, with its events in order.
    pub(crate) fn partitions(self) -> impl Iterator<Item = (u16, Vec<Arc<RecordedEvent>>)> {
        self.0.into_iter()
    }
}
