//! What can be wrong with a history.

use docket_domain::{CommandId, StreamId};
use docket_event_store::{Position, StoredAnswer};

/// One thing that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// An acknowledged command is not in the log.
    Lost(CommandId),
    /// A command was answered otherwise than its stored answer says.
    AnswerDiffers {
        /// The command.
        command: CommandId,
        /// What its caller was told.
        promised: StoredAnswer,
        /// What the log holds.
        stored: StoredAnswer,
    },
    /// A command is in the log whose caller was told that it was refused.
    RefusedYetDone(CommandId),
    /// A command is in the log that nobody sent.
    NobodyAsked(CommandId),
    /// A stored answer names other events than the log holds for its command.
    EventsDiffer {
        /// The command.
        command: CommandId,
        /// Its stored answer.
        answer: StoredAnswer,
        /// Where its events are.
        found: Vec<Position>,
    },
    /// Events of a command without a stored answer.
    NoAnswerStored(CommandId),
    /// An offset that does not follow the one before.
    NotDense {
        /// Where.
        position: Position,
        /// What would follow.
        expected: i64,
    },
    /// A version that does not follow the one before.
    StreamNotDense {
        /// Where.
        position: Position,
        /// Of this stream.
        stream: StreamId,
        /// What it says.
        version: i32,
        /// What would follow.
        expected: i32,
    },
    /// A head that is not the last offset of its partition.
    HeadDiffers {
        /// The partition.
        partition: u16,
        /// What it says.
        head: i64,
        /// What is there.
        last: i64,
    },
    /// An event in a partition that the log does not have.
    NoSuchPartition(Position),
    /// An event of an order that lives elsewhere.
    WrongPartition(Position),
    /// An event whose id another one has.
    Twice(Position),
    /// An event that was recorded before the one before it.
    TimeRanBack(Position),
    /// A subscriber was handed something else than what comes next in the log.
    SubscriberDiffers {
        /// Who.
        subscriber: String,
        /// In this partition.
        partition: u16,
        /// How many events it had been handed rightly.
        number: usize,
        /// What it was handed.
        saw: i64,
        /// What comes next; nothing at the head.
        expected: Option<i64>,
    },
    /// A subscriber was not handed an event by the time that it had seen everything.
    SubscriberMissed {
        /// Who.
        subscriber: String,
        /// The first that is missing.
        position: Position,
    },
}
