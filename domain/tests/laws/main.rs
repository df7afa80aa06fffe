//! The laws of money, quantities and progress, each over random histories of a whole case.
//!
//! A history is judged by its events alone, with sums of its own: the states that the decisions used are not asked, so a
//! wrong state cannot excuse a wrong decision.
#![expect(clippy::unwrap_used, reason = "a test fails where something is missing")]

#[expect(dead_code, reason = "the histories begin at some of the fixtures")]
#[path = "../fixtures/mod.rs"]
mod fixtures;
mod history;
mod ledger;

use chrono::TimeDelta;
use docket_domain::order::OrderEvent;
use docket_domain::payment::{OperationStatus, PaymentEvent};
use docket_domain::shipment::{CarrierStatus, ShipmentEvent};
use docket_domain::testing::{NOW, after, seal, staff};
use docket_domain::{CaptureId, Currency, Decision, Event, State, decide};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestCaseError;

use crate::history::{History, history, repeatable};
use crate::ledger::Ledger;

type Outcome = Result<(), TestCaseError>;

/// Checks `law` on the ledger after every event.
fn after_every_event(history: &History, law: impl Fn(&Ledger, &Event) -> Outcome) -> Outcome {
    let mut ledger = Ledger::default();
    for event in history.events() {
        ledger.add(event);
        law(&ledger, &event.event)?;
    }
    Ok(())
}

/// The amounts that an event moves, with their currency; not what it lets go, which may be nothing.
fn amounts(event: &Event) -> Vec<(i64, Currency)> {
    match event {
        Event::Order(OrderEvent::LineAdded(e)) => vec![(e.line.unit_price, e.currency)],
        Event::Order(OrderEvent::Drafted(e)) => vec![(1, e.currency)],
        Event::Payment(event) => match event {
            PaymentEvent::Initiated(e) => vec![(e.amount, e.currency)],
            PaymentEvent::Authorized(e) => vec![(e.amount, e.currency)],
            PaymentEvent::AuthorizationAdjusted(e) => vec![(e.old, e.currency), (e.new, e.currency)],
            PaymentEvent::CaptureRequested(e) => vec![(e.amount, e.currency)],
            PaymentEvent::Captured(e) => vec![(e.amount, e.currency)],
            PaymentEvent::CaptureFailed(e) => vec![(e.amount, e.currency)],
            PaymentEvent::RefundRequested(e) => vec![(e.amount, e.currency)],
            PaymentEvent::Refunded(e) => vec![(e.amount, e.currency)],
            PaymentEvent::RefundFailed(e) => vec![(e.amount, e.currency)],
            PaymentEvent::DisputeOpened(e) => vec![(e.amount, e.currency)],
            PaymentEvent::DisputeClosed(e) => vec![(e.amount, e.currency)],
            PaymentEvent::ActionRequired(_)
            | PaymentEvent::AuthorizationFailed(_)
            | PaymentEvent::AuthorizationExpired(_)
            | PaymentEvent::Voided(_) => vec![],
        },
        _ => vec![],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// M1: every amount is more than zero, and of the order's one currency.
    #[test]
    fn m1_amounts_are_positive_and_of_one_currency(history in history()) {
        for event in history.events() {
            for (amount, currency) in amounts(&event.event) {
                prop_assert!(amount > 0, "{event:?}");
                prop_assert_eq!(currency, Currency::EUR);
            }
        }
    }

    /// M2: captured and being captured is at most authorized.
    #[test]
    fn m2_captures_stay_within_the_authorization(history in history()) {
        after_every_event(&history, |ledger, event| {
            for payment in ledger.payments.values() {
                let committed = payment.captured() + payment.capture_pending();
                prop_assert!(committed <= payment.authorized, "{payment:?} after {event:?}");
            }
            Ok(())
        })?;
    }

    /// M3: refunded and being refunded is at most captured without what is disputed or lost.
    #[test]
    fn m3_refunds_stay_within_the_captures(history in history()) {
        after_every_event(&history, |ledger, event| {
            for payment in ledger.payments.values() {
                let committed = payment.refunded() + payment.refund_pending();
                let kept = payment.captured() - payment.lost() - payment.disputed();
                prop_assert!(committed <= kept, "{payment:?} after {event:?}");
            }
            Ok(())
        })?;
    }

    /// M3: what is asked back for a return is at most what is due for it, over all payments; and it was received.
    #[test]
    fn m3_refunds_of_a_return_stay_within_its_due(history in history()) {
        let mut ledger = Ledger::default();
        for event in history.events() {
            ledger.add(event);
            let Event::Payment(PaymentEvent::RefundRequested(refund)) = &event.event else { continue };
            let Some(number) = refund.return_id else { continue };
            let asked: i64 = ledger.payments.values().map(|payment| payment.refunds_of(number.0)).sum();
            let due = ledger.received.get(&number.0);
            prop_assert!(due.is_some_and(|due| asked <= *due), "{asked} of {due:?}: {event:?}");
        }
    }

    /// M4: a void takes exactly the uncaptured rest, and nothing is asked for after a void, an expiry or a final capture.
    #[test]
    fn m4_nothing_is_captured_of_what_was_let_go(history in history()) {
        let mut ledger = Ledger::default();
        for event in history.events() {
            let before = ledger.payments.get(&event.stream.number).cloned().unwrap_or_default();
            match &event.event {
                Event::Payment(PaymentEvent::CaptureRequested(_)) => {
                    prop_assert!(!before.closed && !before.final_asked(), "{before:?}: {event:?}");
                }
                Event::Payment(PaymentEvent::Voided(e)) => {
                    prop_assert_eq!((e.amount, before.capture_pending()), (before.rest(), 0));
                }
                Event::Payment(PaymentEvent::AuthorizationExpired(e)) => {
                    prop_assert_eq!(e.released, before.rest() - before.capture_pending());
                }
                _ => {}
            }
            ledger.add(event);
            for payment in ledger.payments.values().filter(|payment| payment.closed || payment.final_done()) {
                prop_assert_eq!(payment.rest(), payment.capture_pending(), "{:?}", event);
            }
        }
    }

    /// M5: of two results of one operation the newer by gateway time counts, however often and in whatever order they
    /// arrive; a result for an unknown operation is nothing.
    #[test]
    fn m5_the_newer_result_wins_whatever_the_order(
        done in 0u32..60, failed in 0u32..60, arrivals in prop::collection::vec(any::<bool>(), 0..8),
        first in any::<bool>(), unknown in 2u16..9,
    ) {
        prop_assume!(done != failed);
        let capture = fixtures::pay("capturePayment", serde_json::json!({}));
        let result = |is_done: bool, number| match is_done {
            true => fixtures::result("recordCapture", "capture", number, done),
            false => fixtures::failure("recordCaptureFailure", "capture", number, failed),
        };
        let given = fixtures::placed().and(fixtures::initiate(1_000, "manual_multiple"));
        let mut case = given.and(fixtures::authorize(1_000)).and(capture).case().clone();
        for is_done in arrivals.into_iter().chain([first, !first]) {
            let nothing = decide(&case, &seal(result(is_done, unknown)), &staff());
            prop_assert_eq!(nothing, Ok(Decision::NothingToDo));
            if let Decision::Events(events) = decide(&case, &seal(result(is_done, 1)), &staff()).unwrap() {
                case = after(case, &events, &staff());
            }
        }
        let status = case.payment(1).unwrap().captures[&CaptureId(1)].status;
        let expected = if done > failed { OperationStatus::Done } else { OperationStatus::Failed };
        prop_assert_eq!(status, expected);
    }

    /// M6: what was authorized is capturable, captured, let go or run out, and nothing else; and the states agree with
    /// the sums of the events.
    #[test]
    fn m6_money_is_conserved(history in history()) {
        let mut ledger = Ledger::default();
        for event in history.events() {
            ledger.add(event);
            for payment in ledger.payments.values() {
                prop_assert!(payment.rest() >= 0, "{payment:?} after {event:?}");
            }
        }
        let mut paid = 0;
        for (number, sums) in &ledger.payments {
            let state = history.case.payment(*number).unwrap();
            let parts = [state.capturable(), state.captured(), state.voided, state.expired];
            prop_assert_eq!(parts.iter().sum::<i64>(), sums.authorized);
            prop_assert_eq!((state.captured(), state.refunded()), (sums.captured(), sums.refunded()));
            prop_assert_eq!(state.voided + state.expired, sums.released);
            prop_assert_eq!((state.disputed(), state.lost()), (sums.disputed(), sums.lost()));
            // What was captured is kept, given back or lost, or may still be either.
            let kept = [state.refundable(), state.refund_pending(), state.disputed()];
            prop_assert!(kept.iter().all(|part| *part >= 0));
            prop_assert_eq!(kept.iter().sum::<i64>() + state.refunded() + state.lost(), state.captured());
            paid += sums.captured() - sums.refunded() - sums.lost();
        }
        let states = history.case.payments.values();
        prop_assert_eq!(paid, states.map(|p| p.captured() - p.refunded() - p.lost()).sum::<i64>());
    }

    /// Q1: of every line, cancelled and allocated is at most ordered.
    #[test]
    fn q1_no_piece_is_given_away_twice(history in history()) {
        after_every_event(&history, |ledger, event| {
            for line in ledger.lines.values() {
                prop_assert!(line.cancelled + line.allocated() <= line.ordered, "{line:?} after {event:?}");
            }
            Ok(())
        })?;
    }

    /// Q2: of every line, shipped is at most allocated, and delivered at most shipped.
    #[test]
    fn q2_nothing_is_shipped_that_was_not_allocated(history in history()) {
        after_every_event(&history, |ledger, event| {
            for line in ledger.lines.values() {
                let allocated = line.allocated();
                prop_assert!(line.delivered() <= line.shipped(), "{line:?} after {event:?}");
                prop_assert!(line.shipped() <= allocated, "{line:?} after {event:?}");
            }
            Ok(())
        })?;
    }

    /// Q2: of every line, returned and announced is at most delivered, and nothing comes back that was not announced.
    #[test]
    fn q2_nothing_comes_back_that_was_not_delivered(history in history()) {
        after_every_event(&history, |ledger, event| {
            for line in ledger.lines.values() {
                prop_assert!(line.returned() + line.announced() <= line.delivered(), "{line:?} after {event:?}");
                prop_assert!(line.came_as_announced(), "{line:?} after {event:?}");
            }
            Ok(())
        })?;
    }

    /// Whatever is cancelled and returned of an order, in whatever parts, is worth together what the same pieces are worth
    /// at once, and never more than the order.
    #[test]
    fn what_is_cancelled_and_returned_adds_up(history in history()) {
        let mut ledger = Ledger::default();
        let (mut value, mut worth) = (0, 0);
        for event in history.events() {
            ledger.add(event);
            match &event.event {
                Event::Order(OrderEvent::LinesCancelled(e)) => value += e.value,
                Event::Order(OrderEvent::ReturnReceived(e)) => value += e.refund_due,
                _ => {}
            }
        }
        for line in &history.case.order.lines {
            let sums = &ledger.lines[&line.line.id];
            let (total, back) = (line.line.total().unwrap(), line.line.quantity.get() - sums.returned());
            worth += line.line.value_of(sums.cancelled).unwrap() + total - line.line.value_of(back).unwrap();
        }
        prop_assert_eq!(value, worth);
        prop_assert!(value <= history.case.order.totals_now().unwrap().grand);
    }

    /// A draft is reminded at most twice, never within an hour of work on it, and a day apart.
    #[test]
    fn a_draft_is_reminded_twice_at_most(history in history()) {
        let (mut worked, mut reminded) = (None, Vec::new());
        for step in &history.steps {
            for event in &step.events {
                match &event.event {
                    Event::Order(
                        OrderEvent::Drafted(_) | OrderEvent::LineAdded(_)
                        | OrderEvent::LineQuantityChanged(_) | OrderEvent::DetailsSet(_),
                    ) => worked = worked.max(Some(step.context.now)),
                    Event::Order(OrderEvent::Abandoned(e)) => {
                        prop_assert_eq!(Some(e.last_activity), worked);
                        prop_assert!(step.context.now - e.last_activity >= TimeDelta::hours(1));
                        reminded.push(step.context.now);
                        prop_assert_eq!(usize::from(e.reminder), reminded.len());
                    }
                    Event::Order(OrderEvent::Placed(_)) => prop_assert!(history.case.order.idle.is_none()),
                    _ => {}
                }
            }
        }
        prop_assert!(reminded.len() <= 2);
        prop_assert!(reminded.windows(2).all(|pair| pair[1] - pair[0] >= TimeDelta::hours(24)));
    }

    /// Q3: once an order is placed, its lines are not edited.
    #[test]
    fn q3_lines_are_fixed_once_placed(history in history()) {
        let mut placed = false;
        for event in history.events() {
            match &event.event {
                Event::Order(OrderEvent::Placed(_)) => placed = true,
                Event::Order(OrderEvent::LineAdded(_) | OrderEvent::LineQuantityChanged(_)) => {
                    prop_assert!(!placed, "{event:?}");
                }
                _ => {}
            }
        }
    }

    /// Q4: an order is not cancelled once something is dispatched, and nothing is dispatched once it is cancelled.
    #[test]
    fn q4_cancelled_and_dispatched_exclude_each_other(history in history()) {
        let happened = |wanted: &str| history.events().any(|event| event.event.event_type() == wanted);
        prop_assert!(!(happened("order.cancelled") && happened("shipment.dispatched")));
    }

    /// P1: a parcel's status moves forward only, except to failure and return, and stays where it ends.
    #[test]
    fn p1_carrier_status_only_moves_forward(history in history()) {
        let mut parcels = std::collections::BTreeMap::new();
        for event in history.events() {
            let Event::Shipment(ShipmentEvent::TrackingUpdated(e)) = &event.event else { continue };
            let parcel = parcels.entry((event.stream, e.parcel));
            let (farthest, last) = parcel.or_insert((CarrierStatus::Unknown, CarrierStatus::Unknown));
            if matches!(last, CarrierStatus::Delivered | CarrierStatus::ReturnToSender) {
                prop_assert_eq!(e.current, *last);
            }
            if !matches!(e.current, CarrierStatus::Failure | CarrierStatus::ReturnToSender) {
                prop_assert!(e.current >= *farthest, "{e:?} after {farthest:?}");
                *farthest = e.current;
            }
            *last = e.current;
        }
    }

    /// P2: a command that asks for a state, asked again, finds it there.
    #[test]
    fn p2_the_same_again_is_nothing_to_do(history in history()) {
        for step in history.steps.iter().filter(|step| repeatable(step)) {
            let again = decide(&step.after, &step.command, &step.context);
            prop_assert_eq!(again, Ok(Decision::NothingToDo), "{:?}", step.command);
        }
    }

    /// What is stored reads back as it was: every event, and every state.
    #[test]
    fn events_and_states_read_back_as_written(history in history()) {
        for StreamEventText { event, text } in history.events().map(StreamEventText::of) {
            let read = Event::from_payload(event.event_type(), event.schema_version(), &text).unwrap();
            prop_assert_eq!(&read, event);
        }
        let case = &history.case;
        let orders = [State::Order(case.order.clone())];
        let payments = case.payments.values().cloned().map(State::Payment);
        let shipments = case.shipments.values().cloned().map(State::Shipment);
        for state in orders.into_iter().chain(payments).chain(shipments) {
            let text = serde_json::to_string(&state).unwrap();
            prop_assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
        }
    }

    /// Evolving is total: events in any order, also such as no decision would give, do not panic.
    #[test]
    fn evolving_is_total(history in history(), seed in any::<u64>()) {
        let mut events: Vec<_> = history.events().cloned().collect();
        let len = events.len().max(1);
        for at in 0..events.len() {
            let other = (seed.rotate_left(at as u32) as usize) % len;
            events.swap(at, other);
        }
        let case = events.iter().chain(&events).fold(Default::default(), |case: docket_domain::Case, e| case.evolve(e, NOW));
        prop_assert!(case.payments.values().all(|payment| payment.approximate_bytes() > 0));
    }
}

/// An event with its payload.
struct StreamEventText<'a> {
    event: &'a Event,
    text: String,
}

impl<'a> StreamEventText<'a> {
    fn of(event: &'a docket_domain::StreamEvent) -> Self {
        Self {
            event: &event.event,
            text: event.event.payload().unwrap(),
        }
    }
}

/// The laws say something: the histories that they judge hold every type of event.
#[test]
fn histories_reach_every_event() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..2_000 {
        let history = history().new_tree(&mut runner).unwrap().current();
        seen.extend(history.events().map(|event| event.event.event_type()));
    }
    let missing: Vec<_> = Event::types()
        .map(|(name, _)| name)
        .filter(|name| !seen.contains(name))
        .collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
}
