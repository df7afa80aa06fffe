//! Cursors: opaque to callers, checked to the last byte when they come back.
//!
//! A *page cursor* is a place in a sorted list; a *ledger cursor* one in what somebody was told. A *log cursor* is a vector of offsets with, for each, the id of the event
//! there: the proof that it stands for this log's history and not for one that a restore has replaced. Both are
//! base64url of a version byte, a kind byte and their content. Nothing in them is secret and nothing in them is believed:
//! whoever forges one reaches no more than a list or a stream that is theirs anyway.

use std::fmt::Display;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use docket_domain::Subject;
use docket_event_store::{Feed, Position};
use docket_projections::{
    Generation, dead_letter,
    reactors::notifications::{self, Notification},
    read_models::{
        list::Place,
        order_summary::{Keyset, SortField},
    },
};
use sqlx::PgPool;
use uuid::Uuid;

use super::{error::Refused, limits};

/// The form of every cursor; another one is another program's.
const VERSION: u8 = 1;
const PAGE: u8 = b'p';
const LOG: u8 = b'l';
const EVENTS: u8 = b'e';
const LEDGER: u8 = b'n';
const SHIPMENTS: u8 = b's';
const PAYMENTS: u8 = b'm';
const FRAUD_SIGNALS: u8 = b'f';
const DEAD_LETTERS: u8 = b'd';
/// Ends a name in a cursor: what is cut off is none.
const END: u8 = 0;

fn encode(kind: u8, content: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(content.len() + 2);
    bytes.extend([VERSION, kind]);
    bytes.extend_from_slice(content);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The content of a cursor of this kind.
fn decode(kind: u8, text: &str) -> Option<Vec<u8>> {
    if text.len() > limits::MAX_CURSOR_TEXT {
        return None;
    }
    let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    if !bytes.starts_with(&[VERSION, kind]) {
        return None;
    }
    bytes.drain(..2);
    Some(bytes)
}

fn bad(what: impl Display) -> Refused {
    Refused::bad_input(format!("{what} is not a cursor of this list or stream."))
}

/// Reads fixed numbers off the front.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
}

fn field_code(field: SortField) -> u8 {
    match field {
        SortField::CreatedAt => 0,
        SortField::PlacedAt => 1,
        SortField::Number => 2,
        SortField::Total => 3,
    }
}

fn field_of(code: u8) -> Option<SortField> {
    [
        SortField::CreatedAt,
        SortField::PlacedAt,
        SortField::Number,
        SortField::Total,
    ]
    .into_iter()
    .find(|field| field_code(*field) == code)
}

/// A place in a list of orders.
pub(super) fn of_keyset(place: &Keyset) -> String {
    let mut content = vec![field_code(place.field), u8::from(place.value.is_some())];
    content.extend(place.value.unwrap_or(0).to_be_bytes());
    content.extend(place.id.as_bytes());
    encode(PAGE, &content)
}

/// The place that a caller names.
pub(super) fn to_keyset(text: &str, argument: &str) -> Result<Keyset, Refused> {
    let read = || {
        let content = decode(PAGE, text)?;
        let mut reader = Reader(&content);
        let [code, has_value] = reader.take::<2>()?;
        let value = i64::from_be_bytes(reader.take()?);
        let id = Uuid::from_bytes(reader.take()?);
        let value = match has_value {
            0 if value == 0 => None,
            1 => Some(value),
            _ => return None,
        };
        reader.0.is_empty().then_some(())?;
        Some(Keyset {
            field: field_of(code)?,
            value,
            id,
        })
    };
    read().ok_or_else(|| bad(format_args!("`{argument}`")))
}

/// A list whose rows belong to parts of orders. A cursor of one is no cursor of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Shipments,
    Payments,
    FraudSignals,
}

impl List {
    fn kind(self) -> u8 {
        match self {
            List::Shipments => SHIPMENTS,
            List::Payments => PAYMENTS,
            List::FraudSignals => FRAUD_SIGNALS,
        }
    }
}

/// A place in a list of parts of orders.
pub(super) fn of_place(list: List, place: &Place) -> String {
    let mut content = vec![place.sort];
    content.extend(place.value.to_be_bytes());
    content.extend(place.order.as_bytes());
    content.extend(place.number.to_be_bytes());
    encode(list.kind(), &content)
}

/// The place that a caller names.
pub(super) fn to_place(list: List, text: &str, argument: &str) -> Result<Place, Refused> {
    let read = || {
        let content = decode(list.kind(), text)?;
        let mut reader = Reader(&content);
        let [sort] = reader.take::<1>()?;
        let value = i64::from_be_bytes(reader.take()?);
        let order = Uuid::from_bytes(reader.take()?);
        let number = u16::from_be_bytes(reader.take()?);
        reader.0.is_empty().then_some(Place {
            sort,
            value,
            order,
            number,
        })
    };
    read().ok_or_else(|| bad(format_args!("`{argument}`")))
}

/// A place among the orders that wait behind dead letters.
pub(super) fn of_letter(place: &dead_letter::Place) -> String {
    let Position { partition, offset } = place.position;
    let mut content = place.generation.0.to_be_bytes().to_vec();
    content.extend(partition.to_be_bytes());
    content.extend(offset.to_be_bytes());
    content.extend(place.projection.as_bytes());
    content.push(END);
    encode(DEAD_LETTERS, &content)
}

/// The place that a caller names.
pub(super) fn to_letter(text: &str, argument: &str) -> Result<dead_letter::Place, Refused> {
    let read = || {
        let content = decode(DEAD_LETTERS, text)?;
        let mut reader = Reader(&content);
        let generation = i32::from_be_bytes(reader.take()?);
        let partition = u16::from_be_bytes(reader.take()?);
        let offset = i64::from_be_bytes(reader.take()?);
        let projection = std::str::from_utf8(reader.0.strip_suffix(&[END])?).ok()?;
        // The database takes no NUL in a name, and no partition beyond 15 bits.
        let is_name = !projection.is_empty() && projection.bytes().all(|byte| byte.is_ascii_graphic());
        let is_place = generation > 0 && offset > 0 && i16::try_from(partition).is_ok();
        (is_name && is_place).then(|| dead_letter::Place {
            projection: projection.to_owned(),
            generation: Generation(generation),
            position: Position { partition, offset },
        })
    };
    read().ok_or_else(|| bad(format_args!("`{argument}`")))
}

/// A place in the history: the last offset or version that a page showed.
pub(super) fn of_event(last: i64) -> String {
    encode(EVENTS, &last.to_be_bytes())
}

/// The place in the history that a caller names.
pub(super) fn to_event(text: &str) -> Result<i64, Refused> {
    let read = || {
        let content = decode(EVENTS, text)?;
        let last = i64::from_be_bytes(content.try_into().ok()?);
        (last >= 0).then_some(last)
    };
    read().ok_or_else(|| bad("`after`"))
}

/// A place among the notifications of one recipient: a number, and, as the proof, the event that it follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LedgerCursor {
    /// 0 before the first.
    pub(super) number: i64,
    /// Nil at number 0.
    event_id: Uuid,
}

impl LedgerCursor {
    pub(super) fn new(number: i64, event_id: Uuid) -> LedgerCursor {
        LedgerCursor { number, event_id }
    }

    pub(super) fn of(row: &Notification) -> LedgerCursor {
        LedgerCursor::new(row.number, row.event_id)
    }

    pub(super) fn encode(self) -> String {
        let mut content = self.number.to_be_bytes().to_vec();
        content.extend(self.event_id.as_bytes());
        encode(LEDGER, &content)
    }

    /// The place that a caller names.
    pub(super) fn read(text: &str) -> Result<LedgerCursor, Refused> {
        let read = || {
            let content = decode(LEDGER, text)?;
            let mut reader = Reader(&content);
            let number = i64::from_be_bytes(reader.take()?);
            let event_id = Uuid::from_bytes(reader.take()?);
            let whole = number >= 0 && (number == 0) == event_id.is_nil();
            (whole && reader.0.is_empty()).then_some(LedgerCursor { number, event_id })
        };
        read().ok_or_else(|| bad("`after`"))
    }

    /// Checks that this recipient was told it, and that a stream need not go back too far.
    pub(super) async fn check(self, pool: &PgPool, recipient: &Subject) -> Result<(), Refused> {
        let LedgerCursor { number, event_id } = self;
        if number > 0 && notifications::at(pool, recipient, number).await? != Some(event_id) {
            return Err(restored(format!(
                "The ledger holds something else, or nothing, as number {number} of this recipient"
            )));
        }
        let behind = notifications::newest(pool, recipient)
            .await?
            .saturating_sub(number);
        let limit = limits::MAX_REPLAYED_NOTIFICATIONS;
        if behind > limit {
            return Err(Refused::bad_input(format!(
                "The cursor is {behind} notifications old; a stream goes back {limit} at most. Page through the \
                 notifications and go on after the newest."
            ))
            .with("behind", behind)
            .with("limit", limit));
        }
        Ok(())
    }
}

/// How far a stream has come in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) partition: u16,
    /// 0 before the first event.
    pub(super) offset: i64,
    /// Of the event there; nil at offset 0.
    pub(super) event_id: Uuid,
}

impl Mark {
    fn position(&self) -> Position {
        Position {
            partition: self.partition,
            offset: self.offset,
        }
    }
}

/// How far a stream has come in each of its partitions, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogCursor(pub(super) Vec<Mark>);

impl LogCursor {
    pub(super) fn encode(&self) -> String {
        let mut content = Vec::with_capacity(self.0.len() * 26);
        for mark in &self.0 {
            content.extend(mark.partition.to_be_bytes());
            content.extend(mark.offset.to_be_bytes());
            content.extend(mark.event_id.as_bytes());
        }
        encode(LOG, &content)
    }

    fn decode(text: &str) -> Option<LogCursor> {
        let content = decode(LOG, text)?;
        let mut reader = Reader(&content);
        let mut marks: Vec<Mark> = Vec::new();
        while !reader.0.is_empty() {
            let partition = u16::from_be_bytes(reader.take()?);
            let offset = i64::from_be_bytes(reader.take()?);
            let event_id = Uuid::from_bytes(reader.take()?);
            let ascending = marks.last().is_none_or(|last| last.partition < partition);
            // Offset 0 has no event to prove it, and every log has been there.
            let whole = offset >= 0 && (offset == 0) == event_id.is_nil();
            (ascending && whole).then_some(())?;
            marks.push(Mark {
                partition,
                offset,
                event_id,
            });
        }
        Some(LogCursor(marks))
    }

    /// Where the feed is now in these partitions.
    pub(super) async fn now(feed: &Feed, partitions: &[u16]) -> Result<LogCursor, Refused> {
        let mut marks = Vec::with_capacity(partitions.len());
        for &partition in partitions {
            let offset = feed.head(partition);
            let position = Position { partition, offset };
            let event_id = match offset {
                0 => Some(Uuid::nil()),
                _ => feed.event_id(position).await?,
            };
            // The head was committed, so the log holds it; unless it went back, which the feed reports by itself.
            let event_id = event_id.ok_or_else(Refused::unavailable)?;
            marks.push(Mark {
                partition,
                offset,
                event_id,
            });
        }
        Ok(LogCursor(marks))
    }

    /// The cursor that a caller names, for a stream over these partitions (ascending): every mark must be proved by the
    /// log, and the stream must not have to go back too far.
    pub(super) async fn resume(feed: &Feed, text: &str, partitions: &[u16]) -> Result<LogCursor, Refused> {
        let cursor = LogCursor::decode(text).ok_or_else(|| bad("`after`"))?;
        // A stream over fewer partitions may go on from a cursor over more.
        let of_this = |partition: &u16| cursor.0.iter().find(|mark| mark.partition == *partition).copied();
        let marks: Option<Vec<Mark>> = partitions.iter().map(of_this).collect();
        let marks = marks.ok_or_else(|| bad("`after`"))?;
        for mark in &marks {
            prove(feed, mark).await?;
        }
        let behind = marks
            .iter()
            .map(|mark| feed.head(mark.partition).saturating_sub(mark.offset).max(0));
        let behind = behind.fold(0_i64, i64::saturating_add);
        if behind > limits::MAX_REPLAYED_EVENTS {
            let limit = limits::MAX_REPLAYED_EVENTS;
            return Err(Refused::bad_input(format!(
                "The cursor is {behind} events old; a stream goes back {limit} at most. Subscribe without `after`, then \
                 query what you show anew."
            )));
        }
        Ok(LogCursor(marks))
    }
}

/// Checks that the log holds the event at the mark, waiting a little for what another process may have appended.
async fn prove(feed: &Feed, mark: &Mark) -> Result<(), Refused> {
    if mark.offset == 0 {
        return Ok(());
    }
    let Mark {
        partition, offset, ..
    } = *mark;
    if let Some(mut head) = feed.watch(partition) {
        let there = head.wait_for(|head| *head >= offset);
        let _ = tokio::time::timeout(limits::MAX_CURSOR_WAIT, there).await;
    }
    let head = feed.head(partition);
    if offset > head {
        return Err(restored(format!(
            "The cursor is at offset {offset} of partition {partition}, which ends at {head}"
        )));
    }
    match feed.event_id(mark.position()).await? {
        Some(id) if id == mark.event_id => Ok(()),
        _ => Err(restored(format!(
            "The log holds another event at offset {offset} of partition {partition}"
        ))),
    }
}

fn restored(what: String) -> Refused {
    Refused::bad_input(format!(
        "{what}: it is not this log's cursor, or the log was restored from an older backup. Subscribe without `after`, \
         then query what you show anew."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(partition: u16, offset: i64) -> Mark {
        let event_id = if offset == 0 {
            Uuid::nil()
        } else {
            Uuid::from_u128(7)
        };
        Mark {
            partition,
            offset,
            event_id,
        }
    }

    fn letter(projection: &str, partition: u16, offset: i64) -> dead_letter::Place {
        dead_letter::Place {
            projection: projection.to_owned(),
            generation: Generation(2),
            position: Position { partition, offset },
        }
    }

    #[test]
    fn cursors_come_back_as_they_went() {
        let cursor = LogCursor(vec![mark(0, 0), mark(3, i64::MAX), mark(1_023, 1)]);
        assert_eq!(LogCursor::decode(&cursor.encode()), Some(cursor));
        for value in [None, Some(0), Some(-1), Some(i64::MAX)] {
            for field in [
                SortField::CreatedAt,
                SortField::PlacedAt,
                SortField::Number,
                SortField::Total,
            ] {
                let place = Keyset {
                    field,
                    value,
                    id: Uuid::from_u128(9),
                };
                assert_eq!(to_keyset(&of_keyset(&place), "after").ok(), Some(place));
            }
        }
        assert_eq!(to_event(&of_event(5)).ok(), Some(5));
        for cursor in [
            LedgerCursor::new(0, Uuid::nil()),
            LedgerCursor::new(i64::MAX, Uuid::from_u128(7)),
        ] {
            assert_eq!(LedgerCursor::read(&cursor.encode()).ok(), Some(cursor));
        }
        let place = letter("order_summary", 1_023, 5);
        assert_eq!(to_letter(&of_letter(&place), "after").ok(), Some(place));
        let place = Place {
            sort: 2,
            value: i64::MIN,
            order: Uuid::from_u128(9),
            number: 7,
        };
        let text = of_place(List::Payments, &place);
        assert_eq!(to_place(List::Payments, &text, "after").ok(), Some(place));
        assert!(to_place(List::Shipments, &text, "after").is_err());
        assert!(to_place(List::FraudSignals, &text, "after").is_err());
        assert!(to_place(List::Payments, &text[..text.len() - 2], "after").is_err());
    }

    #[test]
    fn what_is_not_a_cursor_is_refused() {
        let log = LogCursor(vec![mark(0, 1), mark(1, 2)]).encode();
        for wrong in [
            "",
            "!",
            "AA",
            &log[..log.len() - 1],
            &format!("{log}AA"),
            &of_event(1),
            &"A".repeat(50_000),
        ] {
            assert_eq!(LogCursor::decode(wrong), None, "{wrong:.20}");
        }
        for unordered in [
            vec![mark(1, 1), mark(0, 1)],
            vec![mark(0, 1), mark(0, 1)],
            vec![mark(0, -1)],
        ] {
            assert_eq!(LogCursor::decode(&LogCursor(unordered).encode()), None);
        }
        let unproved = Mark {
            event_id: Uuid::nil(),
            ..mark(0, 5)
        };
        assert_eq!(LogCursor::decode(&LogCursor(vec![unproved]).encode()), None);
        for wrong in [
            log.clone(),
            LedgerCursor::new(-1, Uuid::from_u128(7)).encode(),
            LedgerCursor::new(1, Uuid::nil()).encode(),
            LedgerCursor::new(0, Uuid::from_u128(7)).encode(),
        ] {
            assert!(LedgerCursor::read(&wrong).is_err(), "{wrong}");
        }
        for wrong in [
            letter("", 1, 5),
            letter("order\0summary", 1, 5),
            letter("order_summary", u16::MAX, 5),
            letter("order_summary", 1, 0),
        ] {
            assert!(to_letter(&of_letter(&wrong), "after").is_err(), "{wrong:?}");
        }
        let whole = of_letter(&letter("order_summary", 1, 5));
        for wrong in [log.as_str(), &whole[..whole.len() - 4]] {
            assert!(to_letter(wrong, "after").is_err(), "{wrong:.20}");
        }
        assert!(to_keyset(&log, "after").is_err());
        assert!(to_event(&log).is_err());
        assert!(to_event(&of_event(-1)).is_err());
    }
}
