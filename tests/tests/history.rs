//! The judge itself is judged: every bug that is planted into a sound history must be found, wherever it is planted.

use chrono::{DateTime, TimeDelta};
use docket_domain::{CommandId, OrderId, StreamId, Version};
use docket_event_store::{Partitions, Position, StoredAnswer};
use docket_tests::{
    Seed,
    history::{Fault, History, Log, LoggedCommand, LoggedEvent, Seen},
};

const PARTITIONS: u16 = 3;
const COMMANDS: u64 = 60;

/// A sound history: commands of one to three events on a few orders, some with nothing to do; a subscriber of each
/// partition that saw all, and one that was stopped early.
fn sound() -> (History, Log) {
    let mut seed = Seed::of(7);
    let orders: Vec<_> = (0..9).map(|_| OrderId(seed.uuid())).collect();
    let mut log = Log {
        heads: vec![0; usize::from(PARTITIONS)],
        ..Log::default()
    };
    let mut history = History::default();
    let mut versions = std::collections::HashMap::new();
    for number in 0..COMMANDS {
        let order = orders[seed.below(9) as usize];
        let partition = Partitions::try_new(PARTITIONS).unwrap().of(order);
        let command = CommandId(seed.uuid());
        let version = versions.entry(order).or_insert(0);
        let events = seed.below(4) as u16;
        for _ in 0..events {
            *version += 1;
            log.heads[usize::from(partition)] += 1;
            log.events.push(LoggedEvent {
                position: Position {
                    partition,
                    offset: log.heads[usize::from(partition)],
                },
                event_id: seed.uuid(),
                stream: StreamId::order(order),
                version: *version,
                command,
                recorded_at: DateTime::UNIX_EPOCH + TimeDelta::seconds(number as i64),
            });
        }
        let answer = StoredAnswer {
            position: Position {
                partition,
                offset: log.heads[usize::from(partition)],
            },
            events,
            version: Version(*version),
        };
        log.commands.push(LoggedCommand { id: command, answer });
        history.acknowledge(command, answer);
    }
    log.events.sort_by_key(|event| event.position);
    for partition in 0..PARTITIONS {
        let mut all = Seen::new("all", partition, 0);
        let of_partition = log.events.iter().filter(|e| e.position.partition == partition);
        all.events = of_partition.map(|e| (e.position.offset, e.event_id)).collect();
        all.to_the_head = true;
        let mut some = Seen::new("some", partition, 5);
        some.events = all.events[5..10].to_vec();
        history.seen.extend([all, some]);
    }
    (history, log)
}

/// Plants a bug at every place there is; it must be found at each, and be of the kind that `expected` knows.
fn planted(places: usize, plant: impl Fn(&mut History, &mut Log, usize), expected: impl Fn(&Fault) -> bool) {
    assert!(places > 0);
    for place in 0..places {
        let (mut history, mut log) = sound();
        plant(&mut history, &mut log, place);
        let faults = history.faults(&log);
        assert!(faults.iter().any(&expected), "place {place}: {faults:?}");
    }
}

fn events() -> usize {
    sound().1.events.len()
}

/// The last event of a partition may go without leaving a hole; the head and its command tell.
fn is_hole(fault: &Fault) -> bool {
    matches!(fault, Fault::NotDense { .. } | Fault::HeadDiffers { .. })
}

#[test]
fn a_sound_history_has_no_fault() {
    let (history, log) = sound();
    assert!(log.events.len() > 60);
    history.judge(&log);
}

#[test]
fn an_event_skipped_in_the_log_is_found() {
    planted(
        events(),
        |_, log, i| {
            log.events.remove(i);
        },
        is_hole,
    );
}

#[test]
fn an_event_repeated_in_the_log_is_found() {
    let repeat = |_: &mut History, log: &mut Log, i: usize| {
        let mut again = log.events[i].clone();
        let head = &mut log.heads[usize::from(again.position.partition)];
        *head += 1;
        again.position.offset = *head;
        log.events.push(again);
        log.events.sort_by_key(|event| event.position);
    };
    planted(events(), repeat, |fault| matches!(fault, Fault::Twice(_)));
}

#[test]
fn two_events_swapped_in_the_log_are_found() {
    let swap = |_: &mut History, log: &mut Log, i: usize| {
        let next = (i + 1..log.events.len()).find(|j| log.events[*j].stream == log.events[i].stream);
        let j = next.unwrap_or((i + 1) % log.events.len());
        let (a, b) = (log.events[i].position, log.events[j].position);
        log.events[i].position = b;
        log.events[j].position = a;
        log.events.sort_by_key(|event| event.position);
    };
    planted(events(), swap, |fault| {
        matches!(
            fault,
            Fault::StreamNotDense { .. } | Fault::EventsDiffer { .. } | Fault::WrongPartition(_)
        )
    });
}

#[test]
fn the_newest_events_lost_with_their_commands_and_heads_are_found_by_the_acknowledgements() {
    let lose = |_: &mut History, log: &mut Log, partition: usize| {
        let newest = log.heads[partition];
        let at =
            |e: &LoggedEvent| usize::from(e.position.partition) == partition && e.position.offset == newest;
        let command = log.events.iter().find(|e| at(e)).map(|e| e.command).unwrap();
        log.events.retain(|e| e.command != command);
        log.commands.retain(|c| c.id != command);
        let left = log
            .events
            .iter()
            .filter(|e| usize::from(e.position.partition) == partition);
        log.heads[partition] = left.map(|e| e.position.offset).max().unwrap_or(0);
    };
    planted(usize::from(PARTITIONS), lose, |fault| {
        matches!(fault, Fault::Lost(_))
    });
    planted(usize::from(PARTITIONS), lose, |fault| {
        matches!(fault, Fault::SubscriberDiffers { .. })
    });
}

#[test]
fn an_acknowledged_command_that_is_missing_is_found() {
    let forget = |_: &mut History, log: &mut Log, i: usize| {
        log.commands.remove(i);
    };
    planted(COMMANDS as usize, forget, |fault| matches!(fault, Fault::Lost(_)));
}

#[test]
fn a_command_without_an_answer_may_be_there_or_not() {
    let (mut history, mut log) = sound();
    let last = log.events.pop().unwrap();
    log.events.retain(|e| e.command != last.command);
    log.commands.retain(|c| c.id != last.command);
    let partition = last.position.partition;
    let left = log.events.iter().filter(|e| e.position.partition == partition);
    log.heads[usize::from(partition)] = left.map(|e| e.position.offset).max().unwrap_or(0);
    let (whole, with_it) = (sound().1, history.clone());
    history.acknowledged.retain(|(id, _)| *id != last.command);
    history.seen.clear();
    history.judge(&log);
    history.judge(&whole);
    assert!(with_it.faults(&log).contains(&Fault::Lost(last.command)));
}

#[test]
fn a_command_that_was_refused_or_that_nobody_sent_must_not_be_there() {
    let refuse = |history: &mut History, log: &mut Log, i: usize| {
        history.refused.insert(log.commands[i].id);
    };
    planted(COMMANDS as usize, refuse, |fault| {
        matches!(fault, Fault::RefusedYetDone(_))
    });
    let invent = |history: &mut History, log: &mut Log, i: usize| {
        history.asked.remove(&log.commands[i].id);
    };
    planted(COMMANDS as usize, invent, |fault| {
        matches!(fault, Fault::NobodyAsked(_))
    });
}

#[test]
fn an_answer_that_differs_from_the_stored_one_is_found() {
    for change in [
        |answer: &mut StoredAnswer| answer.position.offset += 1,
        |answer: &mut StoredAnswer| answer.position.partition ^= 1,
        |answer: &mut StoredAnswer| answer.version.0 -= 1,
        |answer: &mut StoredAnswer| answer.events += 1,
    ] {
        let tell = |history: &mut History, _: &mut Log, i: usize| change(&mut history.acknowledged[i].1);
        planted(COMMANDS as usize, tell, |fault| {
            matches!(fault, Fault::AnswerDiffers { .. })
        });
    }
}

#[test]
fn a_command_that_ran_twice_is_found() {
    // As it would be without the id table's key: its events once more, under the same id.
    let again = |_: &mut History, log: &mut Log, i: usize| {
        let (mut event, mut seed) = (log.events[i].clone(), Seed::of(i as u64));
        let head = &mut log.heads[usize::from(event.position.partition)];
        *head += 1;
        event.position.offset = *head;
        event.event_id = seed.uuid();
        let of_stream = log.events.iter().filter(|e| e.stream == event.stream);
        event.version = of_stream.map(|e| e.version).max().unwrap_or(0) + 1;
        log.events.push(event);
        log.events.sort_by_key(|event| event.position);
    };
    planted(events(), again, |fault| {
        matches!(fault, Fault::EventsDiffer { .. })
    });
}

#[test]
fn a_version_skipped_an_order_astray_and_a_clock_that_ran_back_are_found() {
    let skip = |_: &mut History, log: &mut Log, i: usize| log.events[i].version += 1;
    planted(events(), skip, |fault| {
        matches!(fault, Fault::StreamNotDense { .. })
    });
    let stray = |_: &mut History, log: &mut Log, i: usize| {
        let order = log.events[i].stream.order;
        let partitions = Partitions::try_new(PARTITIONS).unwrap();
        let mut seed = Seed::of(i as u64);
        let other = std::iter::repeat_with(|| OrderId(seed.uuid()));
        let other = other
            .into_iter()
            .find(|o| partitions.of(*o) != partitions.of(order))
            .unwrap();
        log.events[i].stream = StreamId::order(other);
    };
    planted(events(), stray, |fault| matches!(fault, Fault::WrongPartition(_)));
    let turn_back = |_: &mut History, log: &mut Log, i: usize| {
        log.events[i].recorded_at += TimeDelta::days(1);
    };
    let places = sound()
        .1
        .events
        .chunk_by(|a, b| a.position.partition == b.position.partition)
        .next()
        .unwrap()
        .len();
    planted(places - 1, turn_back, |fault| {
        matches!(fault, Fault::TimeRanBack(_))
    });
}

#[test]
fn whatever_a_subscriber_skips_repeats_swaps_or_misses_is_found() {
    let differs = |fault: &Fault| matches!(fault, Fault::SubscriberDiffers { .. });
    let all = sound().0.seen[0].events.len();
    planted(
        all - 1,
        |history, _, i| {
            history.seen[0].events.remove(i);
        },
        differs,
    );
    planted(
        all,
        |history, _, i| {
            let event = history.seen[0].events[i];
            history.seen[0].events.insert(i, event);
        },
        differs,
    );
    planted(
        all - 1,
        |history, _, i| history.seen[0].events.swap(i, i + 1),
        differs,
    );
    let other =
        |history: &mut History, _: &mut Log, i: usize| history.seen[0].events[i].1 = Seed::of(1).uuid();
    planted(all, other, differs);
    let miss = |history: &mut History, _: &mut Log, i: usize| history.seen[0].events.truncate(i);
    planted(all, miss, |fault| matches!(fault, Fault::SubscriberMissed { .. }));
}
