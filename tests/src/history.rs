//! The judge of all fault tests: what was promised, what the log holds and what subscribers saw, held against each
//! other.
//!
//! It reads the log by statements of its own, in one snapshot, and shares nothing with the store that it judges. It
//! looks for every fault, not for the first, so that a failing run says what happened:
//!
//! - an acknowledged command is in the log once, at the position and version that were acknowledged, and every answer
//!   to one command is the same; a refused one is not there; one without an answer may be there or not;
//! - offsets of a partition and versions of a stream are dense from 1, the head is the last offset, time does not run
//!   backwards, and an order's events lie in its own partition;
//! - stored answers and events belong to each other, and to commands that somebody asked for;
//! - what a subscriber saw is the log from where it began: nothing skipped, repeated, swapped or invented.
//!
//! That read models are the fold of the log is judged by `docket_projections`, which has the folds; a test that writes
//! read models asks both.

mod fault;
mod log;

pub use fault::Fault;
pub use log::{Log, LoggedCommand, LoggedEvent};

use docket_domain::CommandId;
use docket_event_store::{Executed, Partitions, Position, RecordedEvent, StoredAnswer};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// What one subscriber of one partition was handed, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What to call it.
    pub subscriber: String,
    /// Of this partition.
    pub partition: u16,
    /// It asked for what comes after this offset.
    pub after: i64,
    /// Each event's offset and id.
    pub events: Vec<(i64, Uuid)>,
    /// Whether it had been waited for until the head; one that was stopped early only has to be right so far.
    pub to_the_head: bool,
}

impl Seen {
    /// A subscriber that has seen nothing yet.
    pub fn new(subscriber: impl Into<String>, partition: u16, after: i64) -> Self {
        Self {
            subscriber: subscriber.into(),
            partition,
            after,
            events: Vec::new(),
            to_the_head: false,
        }
    }

    /// Takes down one event, where it says that it stands.
    pub fn take(&mut self, event: &RecordedEvent) {
        self.events.push((event.position.offset, event.event_id));
    }

    /// Where it would go on.
    pub fn last(&self) -> i64 {
        self.events.last().map_or(self.after, |(offset, _)| *offset)
    }
}

/// What happened, as everybody concerned tells it.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Every command that anybody may have sent. Where it is empty, nobody kept count.
    pub asked: HashSet<CommandId>,
    /// Every answer that was given, repeated ones too.
    pub acknowledged: Vec<(CommandId, StoredAnswer)>,
    /// The commands that were refused for good.
    pub refused: HashSet<CommandId>,
    /// What subscribers saw.
    pub seen: Vec<Seen>,
}

impl History {
    /// Notes an answer.
    pub fn acknowledge(&mut self, command: CommandId, answer: StoredAnswer) {
        self.asked.insert(command);
        self.acknowledged.push((command, answer));
    }

    /// Notes an answer of the whole path.
    pub fn executed(&mut self, command: CommandId, executed: &Executed) {
        let events = u16::try_from(executed.events.len()).unwrap_or(u16::MAX);
        self.acknowledge(
            command,
            StoredAnswer {
                position: executed.position,
                events,
                version: executed.version,
            },
        );
    }

    /// Holds everything against `log`.
    pub fn faults(&self, log: &Log) -> Vec<Fault> {
        let mut faults = Vec::new();
        log.dense(&mut faults);
        log.consistent(&mut faults);
        self.promises(log, &mut faults);
        for seen in &self.seen {
            subscriber(seen, log, &mut faults);
        }
        faults
    }

    /// Passes if there is no fault.
    ///
    /// # Panics
    /// Names the first faults and how many there are.
    #[track_caller]
    pub fn judge(&self, log: &Log) {
        let faults = self.faults(log);
        let first: Vec<_> = faults.iter().take(10).collect();
        assert!(faults.is_empty(), "{} faults, first {first:#?}", faults.len());
    }

    fn promises(&self, log: &Log, faults: &mut Vec<Fault>) {
        let stored: HashMap<_, _> = log.commands.iter().map(|c| (c.id, c.answer)).collect();
        for (command, promised) in &self.acknowledged {
            match stored.get(command) {
                None => faults.push(Fault::Lost(*command)),
                Some(stored) if stored != promised => faults.push(Fault::AnswerDiffers {
                    command: *command,
                    promised: *promised,
                    stored: *stored,
                }),
                Some(_) => {}
            }
        }
        for command in &log.commands {
            if self.refused.contains(&command.id) {
                faults.push(Fault::RefusedYetDone(command.id));
            }
            if !self.asked.is_empty() && !self.asked.contains(&command.id) {
                faults.push(Fault::NobodyAsked(command.id));
            }
        }
    }
}

impl Log {
    /// Offsets, versions, heads and times, each in order and without a hole.
    fn dense(&self, faults: &mut Vec<Fault>) {
        let mut offsets = vec![0; self.heads.len()];
        let mut times = HashMap::new();
        let mut versions = HashMap::new();
        let mut ids = HashSet::new();
        // Read in order of partition and offset.
        for event in &self.events {
            let position = event.position;
            let Some(last) = offsets.get_mut(usize::from(position.partition)) else {
                faults.push(Fault::NoSuchPartition(position));
                continue;
            };
            if position.offset != *last + 1 {
                faults.push(Fault::NotDense {
                    position,
                    expected: *last + 1,
                });
            }
            *last = position.offset;
            if !ids.insert(event.event_id) {
                faults.push(Fault::Twice(position));
            }
            let version = versions.entry(event.stream).or_insert(0);
            if event.version != *version + 1 {
                faults.push(Fault::StreamNotDense {
                    position,
                    stream: event.stream,
                    version: event.version,
                    expected: *version + 1,
                });
            }
            *version = event.version;
            let time = times.insert(position.partition, event.recorded_at);
            if time.is_some_and(|before| before > event.recorded_at) {
                faults.push(Fault::TimeRanBack(position));
            }
            let home = self.partitions().map(|p| p.of(event.stream.order));
            if home != Some(position.partition) {
                faults.push(Fault::WrongPartition(position));
            }
        }
        for ((partition, head), last) in (0..).zip(&self.heads).zip(offsets) {
            if *head != last {
                faults.push(Fault::HeadDiffers {
                    partition,
                    head: *head,
                    last,
                });
            }
        }
    }

    /// Events and stored answers belong to each other.
    fn consistent(&self, faults: &mut Vec<Fault>) {
        let mut of_command: HashMap<CommandId, Vec<&LoggedEvent>> = HashMap::new();
        for event in &self.events {
            of_command.entry(event.command).or_default().push(event);
        }
        for command in &self.commands {
            let StoredAnswer { position, events, .. } = command.answer;
            let found = of_command.remove(&command.id).unwrap_or_default();
            let expected =
                (position.offset - i64::from(events) + 1..=position.offset).map(|offset| Position {
                    partition: position.partition,
                    offset,
                });
            if !found.iter().map(|event| event.position).eq(expected) {
                faults.push(Fault::EventsDiffer {
                    command: command.id,
                    answer: command.answer,
                    found: found.iter().map(|event| event.position).collect(),
                });
            }
        }
        let orphans = of_command.into_iter();
        faults.extend(orphans.map(|(command, _)| Fault::NoAnswerStored(command)));
    }

    fn partitions(&self) -> Option<Partitions> {
        u16::try_from(self.heads.len()).ok().and_then(Partitions::try_new)
    }
}

/// A subscriber's sequence is the log's, from where it began.
fn subscriber(seen: &Seen, log: &Log, faults: &mut Vec<Fault>) {
    let mut expected = log
        .events
        .iter()
        .filter(|event| event.position.partition == seen.partition && event.position.offset > seen.after);
    for (number, (offset, event_id)) in seen.events.iter().enumerate() {
        let next = expected
            .next()
            .map(|event| (event.position.offset, event.event_id));
        if next != Some((*offset, *event_id)) {
            faults.push(Fault::SubscriberDiffers {
                subscriber: seen.subscriber.clone(),
                partition: seen.partition,
                number,
                saw: *offset,
                expected: next.map(|(offset, _)| offset),
            });
            return;
        }
    }
    if seen.to_the_head
        && let Some(missed) = expected.next()
    {
        faults.push(Fault::SubscriberMissed {
            subscriber: seen.subscriber.clone(),
            position: missed.position,
        });
    }
}
