//! The law that read models rest on: however the orders' events are interleaved, cut into batches, remembered and
//! forgotten, the rows are the same.

use crate::{
    fold::Fold,
    projector::{ApplyError, Projector, fact},
    read_models::{
        customer_orders::CustomerOrdersProjector,
        fraud_signals::FraudSignalsProjector,
        order_detail::{OrderDetailProjector, document::Document},
        order_search::OrderSearchProjector,
        order_summary::OrderSummaryProjector,
        order_timeline::OrderTimelineProjector,
        payment_ledger::{LedgerEntity, LedgerKey, PaymentLedgerProjector},
        sales_by_minute::SalesByMinuteProjector,
        shipment_board::ShipmentBoardProjector,
    },
    rebuild::{stretch::order_by_order, window::Window},
};
use chrono::{DateTime, TimeDelta, Utc};
use docket_domain::{
    Actor, ActorKind, Case, Command, CommandId, Context, Decision, Event, OrderEvent, OrderId, OrderNumber,
    PaymentId, Role, Sealable, SealedValue, StreamEvent, Version, decide,
};
use docket_event_store::{CommandEnvelope, MasterKey, Origin, Position, RecordedEvent};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use uuid::Uuid;

/// What staff may ask for an order, in an order that gets somewhere; what is refused leaves no event.
fn steps(order: OrderId, at: DateTime<Utc>) -> Vec<Value> {
    let (payment, second, third, shipment) = (
        format!("{order}-p1"),
        format!("{order}-p2"),
        format!("{order}-p3"),
        format!("{order}-s1"),
    );
    let eur = |amount: i64| json!({"amountMinor": amount, "currency": "EUR"});
    let line = |sku: &str, quantity: u32| {
        json!({"command": "addLine", "order": order,
               "line": {"sku": sku, "name": sku, "quantity": quantity, "unitPrice": eur(1_000)}})
    };
    let pay = |amount: i64| {
        json!({"command": "initiatePayment", "order": order, "amount": eur(amount), "captureMethod": "manual_multiple",
               "method": {"type": "transfer"}, "gateway": "manual"})
    };
    let address = json!({"street": ["1 Main Street"], "city": "Berlin", "country": "DE"});
    let method = json!({"code": "parcel", "price": eur(500)});
    vec![
        json!({"command": "createOrder", "order": order, "customer": "c-1", "channel": "web", "currency": "EUR",
               "locale": "de", "name": "Ann Lee", "email": "ann@example.org"}),
        line("tea", 3),
        line("pot", 1),
        json!({"command": "setLineQuantity", "order": order, "line": 1, "quantity": 2}),
        json!({"command": "setDetails", "order": order, "shippingAddress": address, "shippingMethod": method,
               "name": "Anna Lee"}),
        json!({"command": "placeOrder", "order": order}),
        json!({"command": "placeHold", "order": order, "reason": "manual"}),
        pay(2_000),
        pay(1_500),
        json!({"command": "recordAuthorization", "payment": payment, "reference": "a-1", "at": at}),
        json!({"command": "recordAuthorization", "payment": second, "reference": "a-2", "at": at}),
        json!({"command": "releaseHold", "order": order, "reason": "manual"}),
        json!({"command": "confirmOrder", "order": order, "mode": "manual"}),
        json!({"command": "cancelLines", "order": order, "lines": [{"line": 2, "quantity": 1}], "reason": "sold out"}),
        json!({"command": "allocateFulfillment", "order": order}),
        json!({"command": "createShipment", "shipment": shipment, "location": "berlin"}),
        json!({"command": "buyLabel", "shipment": shipment,
               "parcels": [{"tracking": {"carrier": "dhl", "tracking_number": "T-1"}}]}),
        json!({"command": "dispatchShipment", "shipment": shipment}),
        json!({"command": "capturePayment", "payment": payment, "amount": eur(1_200)}),
        json!({"command": "recordCapture", "payment": payment, "capture": 1, "reference": "c-1", "at": at}),
        json!({"command": "capturePayment", "payment": payment}),
        json!({"command": "recordCapture", "payment": payment, "capture": 2, "reference": "c-2", "at": at}),
        json!({"command": "voidPayment", "payment": second, "reason": "not needed"}),
        json!({"command": "recordTracking", "shipment": shipment, "parcel": 1, "status": "delivered",
               "carrierEventId": "e-1", "at": at}),
        json!({"command": "refundPayment", "payment": payment, "amount": eur(300), "reason": "scratched"}),
        json!({"command": "recordRefund", "payment": payment, "refund": 1, "reference": "r-1", "at": at}),
        json!({"command": "cancelOrder", "order": order, "reason": "changed their mind"}),
        json!({"command": "requestReturn", "order": order, "lines": [{"line": 1, "quantity": 1, "reason": "damaged"}]}),
        json!({"command": "receiveReturn", "order": order, "return": 1,
               "lines": [{"line": 1, "quantity": 1, "condition": "damaged"}]}),
        json!({"command": "refundPayment", "payment": payment, "amount": eur(200), "reason": "broken", "return": 1}),
        json!({"command": "recordRefund", "payment": payment, "refund": 2, "reference": "r-2", "at": at}),
        json!({"command": "recordDispute", "payment": payment, "dispute": "d-1", "amount": eur(700), "at": at}),
        json!({"command": "recordDisputeOutcome", "payment": payment, "dispute": "d-1", "outcome": "lost", "at": at}),
        json!({"command": "flagOrder", "order": order, "signal": "high_value", "evidence": ["2000"]}),
        pay(300),
        json!({"command": "recordAuthorizationFailure", "payment": third, "at": at,
               "failure": {"code": "insufficient_funds", "retryable": true}}),
    ]
}

/// How many steps there are.
const STEPS: usize = 36;
/// How many there were before there were returns, disputes and flags.
const FORMER_STEPS: usize = 27;

/// The events of an order that tries some of the steps.
fn life(order: OrderId, tried: &[bool]) -> Vec<StreamEvent> {
    let at: DateTime<Utc> = "2026-03-01T10:00:00.123456789Z".parse().unwrap();
    let actor = Actor::new(Role::Staff, "s-1");
    let mut case = Case::default();
    let mut events = Vec::new();
    for (step, _) in steps(order, at)
        .into_iter()
        .zip(tried)
        .filter(|(_, tried)| **tried)
    {
        let text = step.to_string();
        let mut command: Command =
            serde_json::from_value(step).unwrap_or_else(|error| panic!("{text}: {error}"));
        command.visit_personal(&mut |field: &mut dyn Sealable| {
            field.seal_with(&mut |bytes| SealedValue::new(bytes))
        });
        let now = at + TimeDelta::minutes(events.len() as i64);
        let order_number = Some(OrderNumber(1_001));
        let context = Context {
            now,
            actor: actor.clone(),
            order_number,
            imported: false,
        };
        if let Ok(Decision::Events(decided)) = decide(&case, &command, &context) {
            for event in decided {
                case = case.evolve(&event, now);
                events.push(event);
            }
        }
    }
    events
}

/// The log of one partition: each order's events in their order, interleaved as `turns` say.
fn interleave(lives: Vec<Vec<StreamEvent>>, turns: &[usize]) -> Vec<Arc<RecordedEvent>> {
    let mut lives: Vec<_> = lives.into_iter().map(Vec::into_iter).collect();
    let mut versions: HashMap<_, i32> = HashMap::new();
    let mut log = Vec::new();
    let mut turns = turns.iter().copied().cycle();
    while lives.iter().any(|life| life.len() > 0) {
        let turn = turns.next().unwrap_or(0);
        let living: Vec<_> = (0..lives.len()).filter(|i| lives[*i].len() > 0).collect();
        let Some(event) = lives[living[turn % living.len()]].next() else {
            continue;
        };
        let version = versions.entry(event.stream).or_default();
        *version += 1;
        log.push(Arc::new(record(event, Version(*version), log.len() as i64 + 1)));
    }
    log
}

fn record(event: StreamEvent, version: Version, offset: i64) -> RecordedEvent {
    // Business time follows the order's own events, not the interleaving.
    let occurred_at: DateTime<Utc> = "2026-03-01T10:00:00.123456789Z".parse().unwrap();
    RecordedEvent {
        position: Position { partition: 0, offset },
        event_id: Uuid::from_u128(offset as u128),
        stream: event.stream,
        version,
        event_type: event.event.event_type().into(),
        schema_version: event.event.schema_version(),
        recorded_at: Utc::now(),
        command: Arc::new(CommandEnvelope {
            command_id: CommandId(Uuid::from_u128(offset as u128)),
            origin: Origin::Live,
            occurred_at: occurred_at + TimeDelta::seconds(i64::from(version.0)),
            causation_id: None,
            actor_kind: ActorKind::Staff,
            actor_id: "s-1".into(),
            traceparent: None,
        }),
        payload: "".into(),
        event: Ok(event.event),
    }
}

type Rows<P> = BTreeMap<<P as Projector>::Key, <P as Projector>::Entity>;

/// A table and its owner, as far as folding goes: what is not remembered is read back from the table.
fn fold_in_batches<P: Projector>(
    projector: P,
    log: &[Arc<RecordedEvent>],
    cuts: &[usize],
    cache_bytes: u64,
) -> Rows<P> {
    let mut table: BTreeMap<P::Key, Arc<P::Entity>> = BTreeMap::new();
    let mut fold = Fold::new(Arc::new(projector), cache_bytes);
    let mut rest = log;
    let mut cuts = cuts.iter().copied().cycle();
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(cuts.next().unwrap_or(1).clamp(1, rest.len()));
        rest = later;
        let missing = fold.missing(batch).into_iter();
        let loaded = missing
            .filter_map(|key| Some((key.clone(), Arc::clone(table.get(&key)?))))
            .collect();
        let entities = fold
            .apply(batch, &loaded, &open)
            .map_err(|failure| failure.reason)
            .unwrap();
        table.extend(entities.iter().cloned());
        fold.keep(entities);
    }
    table
        .into_iter()
        .map(|(key, entity)| (key, Arc::unwrap_or_clone(entity)))
        .collect()
}

/// As a rebuild does it: stretches, order by order, in pages through a window, which is written and forgets after each second
/// page. After each third time that it was written somebody else goes on.
fn fold_through_a_window<P: Projector>(
    projector: P,
    log: &[Arc<RecordedEvent>],
    cuts: &[usize],
    bytes: usize,
) -> Rows<P> {
    let projector = Arc::new(projector);
    let mut table: BTreeMap<P::Key, Arc<P::Entity>> = BTreeMap::new();
    let mut window = Window::new(Arc::clone(&projector), true);
    let (mut pages, mut writes) = (0, 0);
    let mut sizes = cuts.iter().copied().cycle();
    for stretch in log.chunks(cuts.iter().sum()) {
        let orders = stretch.iter().map(|event| event.stream.order).collect();
        let numbers = order_by_order(orders);
        let mut rest = &numbers[..];
        while !rest.is_empty() {
            let (page, later) = rest.split_at(sizes.next().unwrap_or(1).min(rest.len()));
            rest = later;
            let mut page = page.to_vec();
            page.sort_unstable();
            let page: Vec<_> = page
                .iter()
                .map(|number| Arc::clone(&stretch[*number as usize - 1]))
                .collect();
            for key in window.missing(&page) {
                if let Some(entity) = table.get(&key) {
                    window.put(key, Arc::clone(entity));
                }
            }
            for event in &page {
                window.apply(event, &open).unwrap();
            }
            pages += 1;
            if pages % 2 == 0 || rest.is_empty() {
                let changed = window.changed().map_err(|(_, error)| error.to_string());
                table.extend(changed.unwrap());
                window.written(bytes);
                writes += 1;
                if writes % 3 == 0 {
                    window = Window::new(Arc::clone(&projector), false);
                }
            }
        }
    }
    table
        .into_iter()
        .map(|(key, entity)| (key, Arc::unwrap_or_clone(entity)))
        .collect()
}

/// Here a sealed value is the clear one.
fn open(sealed: &SealedValue) -> Option<Vec<u8>> {
    Some(sealed.as_bytes().to_vec())
}

/// One event at a time, nothing forgotten.
fn fold_alone<P: Projector>(projector: &P, log: &[Arc<RecordedEvent>]) -> Rows<P> {
    let mut rows = BTreeMap::new();
    for event in log {
        let fact = event.event.as_ref().unwrap();
        let opened = projector.open(fact, &open);
        let fact = opened.as_ref().unwrap_or(fact);
        let mut carried = P::Carried::default();
        for touch in projector.touches(event, fact) {
            let entity = rows.remove(&touch.key);
            assert!(entity.is_none() || !touch.begins, "{} began before", touch.key);
            let mut entity = projector
                .apply(&touch.key, entity, event, fact, &mut carried)
                .unwrap();
            projector.settle(&mut entity).unwrap();
            rows.insert(touch.key, entity);
        }
    }
    rows
}

/// Each row's columns.
fn columns<P: Projector>(projector: &P, rows: &Rows<P>) -> Vec<Vec<(&'static str, String)>> {
    rows.values().map(|entity| projector.columns(entity)).collect()
}

/// All columns but the position, which is the interleaving's, and in an order that is not.
fn without_position(mut rows: Vec<Vec<(&'static str, String)>>) -> Vec<Vec<(&'static str, String)>> {
    rows.iter_mut()
        .for_each(|row| row.retain(|(column, _)| *column != "offset"));
    rows.sort();
    rows
}

fn order_search() -> OrderSearchProjector {
    let master = MasterKey::from_hex(&"5a".repeat(32)).unwrap();
    OrderSearchProjector::with(&master)
}

/// A log in two interleavings, and how it is cut and remembered.
struct Logs<'a> {
    one: &'a [Arc<RecordedEvent>],
    other: &'a [Arc<RecordedEvent>],
    cuts: &'a [usize],
    cache_bytes: u64,
}

/// Batches and windows give what single events give, and the other interleaving what the first gives.
fn holds<P: Projector + Clone>(projector: P, logs: &Logs<'_>) -> Result<(), TestCaseError> {
    let alone = columns(&projector, &fold_alone(&projector, logs.one));
    let batched = fold_in_batches(projector.clone(), logs.one, logs.cuts, logs.cache_bytes);
    prop_assert_eq!(&columns(&projector, &batched), &alone);
    let bytes = usize::try_from(logs.cache_bytes).unwrap_or(usize::MAX);
    let rebuilt = fold_through_a_window(projector.clone(), logs.one, logs.cuts, bytes);
    prop_assert_eq!(&columns(&projector, &rebuilt), &alone);
    let elsewhere = fold_in_batches(projector.clone(), logs.other, logs.cuts, logs.cache_bytes);
    prop_assert_eq!(
        without_position(columns(&projector, &elsewhere)),
        without_position(alone)
    );
    Ok(())
}

fn lives() -> impl Strategy<Value = Vec<Vec<bool>>> {
    // The first step begins the order; the others are tried more often than not.
    let tried = prop::collection::vec(prop::bool::weighted(0.85), STEPS - 1);
    let life = tried.prop_map(|tried| std::iter::once(true).chain(tried).collect());
    prop::collection::vec(life, 1..5)
}

fn written(lives: &[Vec<bool>]) -> Vec<Vec<StreamEvent>> {
    let order = |n: usize| OrderId(Uuid::from_u128(n as u128 + 1));
    lives
        .iter()
        .enumerate()
        .map(|(n, tried)| life(order(n), tried))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_interleaving_and_any_batches_give_equal_rows(
        lives in lives(),
        turns in prop::collection::vec(0_usize..5, 1..60),
        others in prop::collection::vec(0_usize..5, 1..60),
        cuts in prop::collection::vec(1_usize..20, 1..10),
        cache_bytes in prop::sample::select(vec![0_u64, 4_000, 1_000_000]),
    ) {
        let lives = written(&lives);
        let (one, other) = (interleave(lives.clone(), &turns), interleave(lives.clone(), &others));

        let one_by_one = interleave(lives.clone(), &[0]);
        for other in [&other, &one_by_one] {
            let logs = Logs { one: &one, other, cuts: &cuts, cache_bytes };
            holds(OrderSummaryProjector, &logs)?;
            holds(OrderDetailProjector, &logs)?;
            holds(order_search(), &logs)?;
            holds(OrderTimelineProjector, &logs)?;
            holds(ShipmentBoardProjector, &logs)?;
            holds(CustomerOrdersProjector, &logs)?;
            holds(SalesByMinuteProjector, &logs)?;
            holds(FraudSignalsProjector, &logs)?;
            holds(PaymentLedgerProjector, &logs)?;
        }
    }

    /// M6: what the rows call authorized is accounted for, and both read models say the same.
    #[test]
    fn money_is_conserved_in_the_rows(lives in lives()) {
        let log = interleave(written(&lives), &[0, 1, 2]);
        let details = fold_alone(&OrderDetailProjector, &log);
        let summaries = fold_alone(&OrderSummaryProjector, &log);
        let payments = fold_alone(&PaymentLedgerProjector, &log);
        let (mut paid, mut moved) = ((0, 0, 0, 0, 0), (0, 0, 0, 0, 0));
        for entity in payments.values() {
            match entity {
                LedgerEntity::Payment(p) => {
                    let (a, c, r, v, e) = paid;
                    paid = (a + p.authorized, c + p.captured, r + p.refunded, v + p.voided, e + p.expired);
                }
                LedgerEntity::Day(currencies) => for m in currencies.values().map(|day| day.movement) {
                    let (a, c, r, v, e) = moved;
                    moved = (a + m.authorized, c + m.captured, r + m.refunded, v + m.voided, e + m.expired);
                },
            }
        }
        prop_assert_eq!(paid, moved);
        for (order, detail) in &details {
            let sums = detail.sums();
            prop_assert_eq!(sums.authorized, sums.capturable + sums.captured + sums.voided + sums.expired);
            let column = |name: &str| {
                let columns = OrderSummaryProjector.columns(&summaries[order]);
                columns.into_iter().find(|(column, _)| *column == name).map(|(_, value)| value)
            };
            prop_assert_eq!(column("captured"), Some(sums.captured.to_string()));
            prop_assert_eq!(column("refunded"), Some(sums.refunded.to_string()));
            let went = [sums.refunded, detail.lost(), detail.disputed()];
            prop_assert!(went.iter().sum::<i64>() <= sums.captured, "{:?} of {:?}", went, sums);
            prop_assert_eq!(column("payment_status"), Some(detail.payment_status().to_string()));
            prop_assert_eq!(column("fulfillment_status"), Some(detail.fulfillment_status().to_string()));
            prop_assert_eq!(column("grand"), Some(detail.totals().grand.to_string()));
            let ledger = |number: &u16| match &payments[&LedgerKey::Payment(PaymentId::new(*order, *number))] {
                LedgerEntity::Payment(payment) => payment.authorized,
                LedgerEntity::Day(_) => 0,
            };
            prop_assert_eq!(sums.authorized, detail.document.payments.keys().map(ledger).sum::<i64>());
            for (_, line) in detail.line_progress() {
                prop_assert!(line.delivered <= line.shipped && line.shipped <= line.allocated, "{:?}", line);
                prop_assert!(line.cancelled + line.allocated <= line.ordered, "{:?}", line);
            }
        }
    }
}

/// The events of an order that tries everything.
pub(crate) fn full_life() -> Vec<StreamEvent> {
    written(&[vec![true; STEPS]]).remove(0)
}

/// The rows that events make, in the order of their keys; or why there are none.
pub(crate) fn fold_of<P: Projector>(
    projector: &P,
    events: Vec<StreamEvent>,
) -> Result<Vec<P::Entity>, ApplyError> {
    let mut rows: Rows<P> = BTreeMap::new();
    for event in interleave(vec![events], &[0]) {
        let fact = fact(&event)?;
        let mut carried = P::Carried::default();
        for touch in projector.touches(&event, fact) {
            let row = rows.remove(&touch.key);
            let row = projector.apply(&touch.key, row, &event, fact, &mut carried)?;
            rows.insert(touch.key, row);
        }
    }
    Ok(rows.into_values().collect())
}

/// Some order's row.
pub(crate) fn any_summary() -> <OrderSummaryProjector as Projector>::Entity {
    any_entity(&OrderSummaryProjector)
}

/// The first entity of an order that tries everything.
pub(crate) fn any_entity<P: Projector>(projector: &P) -> P::Entity {
    let log = interleave(vec![full_life()], &[0]);
    fold_alone(projector, &log).pop_first().unwrap().1
}

/// An order that tries everything goes all the way: the law above is not about empty logs.
#[test]
fn a_full_life_ends_with_some_goods_and_some_money_back() {
    let log = interleave(written(&[vec![true; STEPS]]), &[0]);
    let details = fold_alone(&OrderDetailProjector, &log);
    let detail = &details[&OrderId(Uuid::from_u128(1))];
    assert_eq!(detail.payment_status().as_str(), "partially_refunded");
    assert_eq!(detail.fulfillment_status().as_str(), "partially_returned");
    assert_eq!((detail.lost(), detail.disputed()), (700, 0));
    assert_eq!(
        (detail.document.returns.len(), detail.document.flagged_at.len()),
        (1, 1)
    );
    let sums = detail.sums();
    assert_eq!(
        (sums.captured, sums.refunded, sums.voided, sums.authorized),
        (2_000, 500, 1_500, 3_500)
    );
    // Times have microseconds, as the log keeps them.
    assert_eq!(
        detail.document.times.created_at.timestamp_subsec_nanos() % 1_000,
        0
    );
}

/// What the program wrote before there were returns, disputes, flags and reminders is read, and is what this one writes of
/// the same events: no row has to be made anew, and comparing rows with the log finds no difference.
#[test]
fn rows_of_former_programs_are_read_and_written_as_they_were() {
    let full = (
        vec![true; FORMER_STEPS],
        include_str!("../tests/rows/full.document.json"),
        include_str!("../tests/rows/full.facts.json"),
    );
    let draft = (
        vec![true, true, true, false],
        include_str!("../tests/rows/draft.document.json"),
        include_str!("../tests/rows/draft.facts.json"),
    );
    for (tried, document, facts) in [full, draft] {
        let mut lives = written(&[tried]);
        for StreamEvent { event, .. } in lives.iter_mut().flatten() {
            // Nobody was named in the orders that those rows are of.
            match event {
                Event::Order(OrderEvent::Drafted(drafted)) => (drafted.name, drafted.email) = (None, None),
                Event::Order(OrderEvent::DetailsSet(set)) => (set.name, set.email) = (None, None),
                _ => {}
            }
        }
        let log = interleave(lives, &[0]);
        let (_, detail) = fold_alone(&OrderDetailProjector, &log).pop_first().unwrap();
        let (_, summary) = fold_alone(&OrderSummaryProjector, &log).pop_first().unwrap();
        let column = |columns: Vec<(&str, String)>, wanted: &str| {
            let found = columns.into_iter().find(|(column, _)| *column == wanted);
            found.map(|(_, value)| value).unwrap()
        };
        let now = column(OrderDetailProjector.columns(&detail), "document");
        assert_eq!(now, document.trim_end());
        assert_eq!(
            column(OrderSummaryProjector.columns(&summary), "facts"),
            facts.trim_end()
        );
        let read: Document = serde_json::from_str(document).unwrap();
        assert_eq!(read, detail.document);
    }
}
