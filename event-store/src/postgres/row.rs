//! An event on its way into the log: the type `append_row` of the migrations.

use super::stream_kind_code;
use crate::append::{Append, NewEvent, StreamWrite};
use sqlx::{
    Postgres,
    encode::{Encode, IsNull},
    error::BoxDynError,
    postgres::{
        PgArgumentBuffer, PgHasArrayType, PgTypeInfo,
        types::{Oid, PgRecordEncoder},
    },
    types::Type,
};

/// What a row takes beside its payload and its actor: twenty fields with their headers, rounded up.
const ROW_BYTES: usize = 352;

/// One event of a batch.
pub(super) struct EventRow<'a> {
    pub(super) append: &'a Append,
    pub(super) write: &'a StreamWrite,
    pub(super) new: &'a NewEvent,
    pub(super) version: i32,
    pub(super) partition: u16,
    /// Its number among the batch's events of its partition, from 1.
    pub(super) in_partition: i64,
    /// Whether it is its command's last event, with which the command's own row is written.
    pub(super) ends_command: bool,
}

impl<'a> EventRow<'a> {
    /// One command's events, which follow the `in_partition` events that the batch holds for its partition already.
    pub(super) fn of(
        partition: u16,
        append: &'a Append,
        mut in_partition: i64,
    ) -> impl Iterator<Item = EventRow<'a>> {
        let last = in_partition + append.event_count() as i64;
        let events = append.writes.iter().flat_map(|write| {
            (write.expected.0 + 1..)
                .zip(&write.events)
                .map(move |e| (write, e))
        });
        events.map(move |(write, (version, new))| {
            in_partition += 1;
            EventRow {
                append,
                write,
                new,
                version,
                partition,
                in_partition,
                ends_command: in_partition == last,
            }
        })
    }

    /// About how many bytes the rows take as an argument.
    pub(super) fn bytes(rows: &[EventRow<'_>]) -> usize {
        rows.iter().map(|row| ROW_BYTES + row.new.payload.len()).sum()
    }
}

impl Type<Postgres> for EventRow<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("append_row")
    }
}

impl PgHasArrayType for EventRow<'_> {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::array_of("append_row")
    }
}

impl<'q> Encode<'q, Postgres> for EventRow<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let envelope = &self.append.envelope;
        let ends = self.ends_command.then_some(self.append);
        // In the order of the type's fields.
        PgRecordEncoder::new(buffer)
            .encode(self.partition as i16)?
            .encode(self.in_partition)?
            .encode(self.write.stream.order.0)?
            .encode(stream_kind_code(self.write.stream.kind))?
            .encode(self.write.stream.number as i16)?
            .encode(self.version)?
            .encode(self.new.event_id)?
            .encode(self.new.event.event_type())?
            .encode(self.new.event.schema_version() as i16)?
            .encode(envelope.origin.code())?
            .encode(envelope.occurred_at)?
            .encode(envelope.command_id.0)?
            .encode(envelope.causation_id)?
            .encode(envelope.actor_kind.as_str())?
            .encode(&*envelope.actor_id)?
            .encode(envelope.traceparent.as_deref())?
            .encode(JsonText(&self.new.payload))?
            .encode(ends.map(|append| append.event_count() as i16))?
            .encode(ends.map(|append| append.target_version().0))?
            .encode(ends.map(|append| append.request_hash.bytes()))?
            .finish();
        Ok(IsNull::No)
    }
}

/// JSON as text, to be stored as it is.
struct JsonText<'a>(&'a str);

impl Type<Postgres> for JsonText<'_> {
    fn type_info() -> PgTypeInfo {
        // `json`, in PostgreSQL's catalogue of types; its wire format is its text.
        PgTypeInfo::with_oid(Oid(114))
    }
}

impl<'q> Encode<'q, Postgres> for JsonText<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}
