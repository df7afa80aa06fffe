//! What the shop's programs notice: flags, and drafts that nobody works on any more.

use chrono::TimeDelta;
use docket_domain::order::{Abandoned, OrderError, OrderEvent, OrderStatus, Signal};
use docket_domain::testing::{Given, NOW, by};
use docket_domain::{AccessError, Command, Context, Event, Role, limits};
use serde_json::{Value, json};

use crate::fixtures::*;

fn flag(signal: &str, evidence: Value) -> Command {
    command("flagOrder", json!({ "signal": signal, "evidence": evidence }))
}

fn remind() -> Command {
    command("remindAbandoned", json!({}))
}

/// A program of the shop, so many minutes after the tests' time.
fn after(minutes: i64) -> Context {
    Context {
        now: NOW + TimeDelta::minutes(minutes),
        ..service()
    }
}

fn abandoned(minutes: i64, reminder: u8) -> Event {
    Event::Order(OrderEvent::Abandoned(Abandoned {
        last_activity: NOW + TimeDelta::minutes(minutes),
        reminder,
    }))
}

fn early(minutes: i64) -> OrderError {
    OrderError::ReminderNotDue {
        due_at: NOW + TimeDelta::minutes(minutes),
    }
}

#[test]
fn the_same_flag_is_raised_once_and_in_any_status() {
    let given = placed()
        .when_by(&service(), flag("fraud_pattern", json!(["p-1", "p-2"])))
        .then_types(&["order.flagged"]);
    let given = given
        .when(flag("fraud_pattern", json!(["p-2", "p-1"])))
        .then_nothing();
    let given = given
        .when(flag("fraud_pattern", json!(["p-1", "p-3"])))
        .then_types(&["order.flagged"]);
    let given = given
        .and(command("cancelOrder", json!({ "reason": "x" })))
        .when_by(&service(), flag("high_value", json!([])))
        .then_types(&["order.flagged"]);
    let flags = &given.case().order.flags;
    assert_eq!(
        flags.iter().map(|flag| flag.signal).collect::<Vec<_>>(),
        [Signal::FraudPattern, Signal::FraudPattern, Signal::HighValue]
    );
    given.when(flag("high_value", json!([]))).then_nothing();
}

#[test]
fn flags_and_their_evidence_have_limits() {
    let evidence: Vec<_> = (0..=limits::FLAG_EVIDENCE).map(|n| n.to_string()).collect();
    placed()
        .when(flag("high_value", json!(evidence)))
        .then_refused(OrderError::TooMuchEvidence {
            count: limits::FLAG_EVIDENCE + 1,
            limit: limits::FLAG_EVIDENCE,
        });
    let raised = |given: Given, n: usize| given.and(flag("high_value", json!([n.to_string()])));
    (0..limits::ORDER_FLAGS)
        .fold(placed(), raised)
        .when(flag("high_value", json!(["more"])))
        .then_refused(OrderError::TooManyFlags {
            limit: limits::ORDER_FLAGS,
        });
}

#[test]
fn a_customer_raises_no_flag() {
    let forbidden = AccessError::Forbidden {
        role: Role::Customer,
        command: "flagOrder",
    };
    placed()
        .when_by(&by(Role::Customer, "c-1"), flag("high_value", json!([])))
        .then_refused(forbidden);
}

#[test]
fn an_idle_draft_is_reminded_after_an_hour_once_more_after_a_day_and_not_again() {
    let day = 24 * 60;
    let given = draft().when_by(&after(59), remind()).then_refused(early(60));
    let given = given.when_by(&after(70), remind()).then([abandoned(0, 1)]);
    let given = given
        .when_by(&after(70 + day - 1), remind())
        .then_refused(early(70 + day));
    let given = given.when_by(&after(70 + day), remind()).then([abandoned(0, 2)]);
    given.when_by(&after(70 + 9 * day), remind()).then_nothing();
}

#[test]
fn work_on_a_draft_puts_its_reminder_off_but_does_not_add_a_third() {
    let worked = |given: Given, minutes| given.and_by(&after(minutes), add_line(1, 100));
    let given = worked(draft(), 50)
        .when_by(&after(109), remind())
        .then_refused(early(110));
    let given = given.when_by(&after(110), remind()).then([abandoned(50, 1)]);
    let day = 24 * 60;
    // Somebody works on it just when the second is due.
    let given = worked(given, 110 + day)
        .when_by(&after(110 + day), remind())
        .then_refused(early(170 + day));
    let given = given
        .when_by(&after(170 + day), remind())
        .then([abandoned(110 + day, 2)]);
    worked(given, 200 + day)
        .when_by(&after(200 + 9 * day), remind())
        .then_nothing();
}

#[test]
fn what_is_placed_or_called_off_is_not_abandoned() {
    for (given, from) in [
        (placed(), OrderStatus::Placed),
        (
            draft().and(command("cancelOrder", json!({ "reason": "x" }))),
            OrderStatus::Cancelled,
        ),
    ] {
        assert_eq!(given.case().order.idle, None);
        given
            .when_by(&after(9_000), remind())
            .then_refused(OrderError::IllegalTransition {
                from,
                attempted: "be abandoned",
                allowed: &[OrderStatus::Draft],
            });
    }
}

/// A timer is the shop's own; an operator brings in what a former shop's timer did.
#[test]
fn a_reminder_is_a_programs_or_an_imports() {
    for (role, id) in [
        (Role::Staff, "s-1"),
        (Role::Customer, "c-1"),
        (Role::Gateway, "g"),
    ] {
        let forbidden = AccessError::Forbidden {
            role,
            command: "remindAbandoned",
        };
        draft().when_by(&by(role, id), remind()).then_refused(forbidden);
    }
    draft().when_by(&operator(), remind()).then_refused(early(60));
}
