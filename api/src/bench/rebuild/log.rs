//! The log that is rebuilt from: orders of five events each, decided like any and appended through the lanes, one order
//! after the other or interleaved over 90 days.

use crate::bench::{BenchError, append::envelope};
use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use docket_domain::{
    Actor, Case, Command, CommandId, Context, Decision, OrderId, OrderNumber, Role, SealedValue, StreamEvent,
    StreamId, Version, decide,
};
use docket_event_store::{
    Append, AppendOutcome, CommandEnvelope, NewEvent, Origin, RequestHash, Store, StreamWrite,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};
use tokio::task::JoinSet;
use uuid::Uuid;

/// Events of each order: drafted, a line, placed, and a payment that is attached and begun.
pub(super) const EVENTS: u64 = 5;
pub(super) const COMMANDS: usize = 4;
/// Commands that are appended side by side.
const TOGETHER: usize = 4_096;
const WRITERS: usize = 512;
const DAYS: u64 = 90;

/// In which order the orders' events lie in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(in crate::bench) enum Spread {
    /// One order after the other.
    Sequence,
    /// Each order's events over some days, among those of others, over 90 days.
    Interleaved,
}

/// A number that follows from another one and looks like chance (SplitMix64).
pub(super) fn scattered(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub(super) fn order_id(order: u64) -> OrderId {
    OrderId(Uuid::from_u64_pair(scattered(order), scattered(!order)))
}

/// When a command of an order is given: within 90 days, an order's own within about three weeks.
fn time_of(order: u64, command: usize) -> DateTime<Utc> {
    let start = Utc
        .with_ymd_and_hms(2025, 1, 1, 0, 0, 0)
        .single()
        .unwrap_or_default();
    let seconds = DAYS * 86_400;
    let mut at = scattered(order ^ 0x5eed) % seconds;
    for step in 0..command as u64 {
        let most = [3_600, 5 * 86_400, 15 * 86_400][step as usize % 3];
        at += 1 + scattered(order * 7 + step) % most;
    }
    start + TimeDelta::seconds(i64::try_from(at).unwrap_or(0))
}

/// Fills a log up to so many orders.
pub(super) async fn fill(store: &Store, orders: u64, spread: Spread) -> Result<(), BenchError> {
    let mut turns: Vec<(DateTime<Utc>, u64, usize)> = Vec::new();
    if spread == Spread::Interleaved {
        for order in 0..orders {
            turns.extend((0..COMMANDS).map(|command| (time_of(order, command), order, command)));
        }
        turns.sort_unstable();
    }
    let all = orders * COMMANDS as u64;
    let mut next = 0;
    while next < all {
        // An order's commands are appended one after the other, those of different orders side by side.
        let until = (next + TOGETHER as u64).min(all);
        let mut by_order: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for turn in next..until {
            let (order, command) = match spread {
                Spread::Sequence => (turn / COMMANDS as u64, (turn % COMMANDS as u64) as usize),
                Spread::Interleaved => turns
                    .get(turn as usize)
                    .map_or((0, 0), |(_, order, command)| (*order, *command)),
            };
            by_order.entry(order).or_default().push(command);
        }
        next = until;
        let work: Vec<_> = by_order.into_iter().collect();
        let mut writers = JoinSet::new();
        for part in work.chunks(work.len().div_ceil(WRITERS).max(1)) {
            let (store, part) = (store.clone(), part.to_vec());
            writers.spawn(async move {
                for (order, commands) in part {
                    for append in appends(order, &commands)? {
                        match store.append(append).await {
                            Ok(AppendOutcome::Appended { .. }) => {}
                            other => return Err(BenchError::Worker(format!("{other:?}"))),
                        }
                    }
                }
                Ok(())
            });
        }
        while let Some(done) = writers.join_next().await {
            done.map_err(|error| BenchError::Worker(error.to_string()))??;
        }
    }
    Ok(())
}

/// The commands of an order, its personal values in the clear.
pub(super) fn commands_of(order: u64, id: OrderId, customer: &str) -> [Value; COMMANDS] {
    let (quantity, price) = (1 + scattered(order + 1) % 5, 500 + scattered(order + 2) % 20_000);
    let amount = i64::try_from(quantity * price).unwrap_or(0);
    let line = json!({"sku": format!("CARD-{price}"), "name": "Gift card", "quantity": quantity,
                      "unitPrice": {"amountMinor": price, "currency": "EUR"}, "requiresShipping": false});
    [
        json!({"command": "createOrder", "order": id, "customer": customer, "name": "Somebody", "email": "s@example.org",
               "channel": "web", "currency": "EUR", "locale": "de-DE"}),
        json!({"command": "addLine", "order": id, "line": line}),
        json!({"command": "placeOrder", "order": id}),
        json!({"command": "initiatePayment", "order": id, "amount": {"amountMinor": amount, "currency": "EUR"},
               "captureMethod": "automatic", "method": {"type": "card", "brand": "visa", "last4": "2964"},
               "gateway": "manual"}),
    ]
}

fn commands(order: u64) -> Result<Vec<Command>, BenchError> {
    let customer = format!("c-{:06}", scattered(order) % 100_000);
    let all = commands_of(order, order_id(order), &customer);
    let read = |value: Value| -> Result<Command, BenchError> {
        let mut command: Command =
            serde_json::from_value(value).map_err(|error| BenchError::Worker(error.to_string()))?;
        // As long as a sealed value is, and as unreadable.
        let mut seal = |clear: &[u8]| {
            let noise = (0..8).flat_map(|n| scattered(order * 8 + n).to_le_bytes());
            SealedValue::new(noise.take(40 + clear.len()).collect::<Vec<u8>>())
        };
        command.visit_personal(&mut |field: &mut dyn docket_domain::Sealable| field.seal_with(&mut seal));
        Ok(command)
    };
    all.into_iter().map(read).collect()
}

/// What some commands of an order append, decided over what the ones before them did.
fn appends(order: u64, wanted: &[usize]) -> Result<Vec<Append>, BenchError> {
    let mut case = Case::default();
    let mut versions: BTreeMap<StreamId, Version> = BTreeMap::new();
    let (mut appends, mut events_of_order) = (Vec::new(), 0);
    for (number, command) in commands(order)?.into_iter().enumerate() {
        let now = time_of(order, number);
        let context = Context {
            now,
            actor: Actor::new(Role::Operator, "bench"),
            order_number: Some(OrderNumber(1_001 + i64::try_from(order).unwrap_or(0))),
            imported: true,
        };
        let decided = decide(&case, &command, &context);
        let decided = decided.map_err(|refusal| BenchError::Worker(refusal.to_string()))?;
        let Decision::Events(events) = decided else {
            return Err(BenchError::Worker("a command had nothing to do".into()));
        };
        let mut writes: Vec<StreamWrite> = Vec::new();
        for StreamEvent { stream, event } in events {
            case = case.evolve(
                &StreamEvent {
                    stream,
                    event: event.clone(),
                },
                now,
            );
            let version = versions.entry(stream).or_insert(Version::NONE);
            let payload = event
                .payload()
                .map_err(|error| BenchError::Worker(error.to_string()))?;
            events_of_order += 1;
            let new = NewEvent {
                event_id: Uuid::from_u64_pair(scattered(order), events_of_order),
                event,
                payload: payload.into_boxed_str(),
            };
            match writes.iter_mut().find(|write| write.stream == stream) {
                Some(write) => write.events.push(new),
                None => writes.push(StreamWrite {
                    stream,
                    expected: *version,
                    events: vec![new],
                }),
            }
            *version = Version(version.0 + 1);
        }
        if wanted.contains(&number) {
            appends.push(Append {
                envelope: Arc::new(CommandEnvelope {
                    command_id: CommandId(Uuid::from_u64_pair(scattered(order), number as u64)),
                    occurred_at: now,
                    origin: Origin::Imported,
                    ..envelope()
                }),
                request_hash: RequestHash::of("bench", b"{}"),
                target: StreamId::order(order_id(order)),
                writes,
                reads: Vec::new(),
            });
        }
    }
    Ok(appends)
}
