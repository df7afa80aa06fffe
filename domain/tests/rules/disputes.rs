//! Disputes: a side axis of the payment, beside what was captured and given back (M3, M5).

use docket_domain::order::OrderError;
use docket_domain::payment::{DisputeOutcome, Payment, PaymentError, PaymentStatus};
use docket_domain::testing::{Given, by};
use docket_domain::{AccessError, Command, Currency, MoneyError, Refusal, Role};
use serde_json::json;

use crate::fixtures::*;

fn dispute(name: &str, cents: i64, minute: u32) -> Command {
    let fields = json!({ "dispute": name, "amount": eur(cents), "reason": "fraudulent", "at": at(minute) });
    pay("recordDispute", fields)
}

fn outcome(name: &str, outcome: &str, minute: u32) -> Command {
    pay(
        "recordDisputeOutcome",
        json!({ "dispute": name, "outcome": outcome, "at": at(minute) }),
    )
}

fn refund(cents: i64) -> Command {
    pay("refundPayment", json!({ "amount": eur(cents), "reason": "x" }))
}

/// 225.00 captured.
fn captured() -> Given {
    confirmed()
        .and(pay("capturePayment", json!({ "final": true })))
        .and(result("recordCapture", "capture", 1, 1))
}

fn sums(given: &Given) -> (i64, i64, i64, i64) {
    let payment: &Payment = given.case().payment(1).unwrap();
    (
        payment.captured(),
        payment.disputed(),
        payment.lost(),
        payment.refundable(),
    )
}

#[test]
fn what_is_disputed_cannot_be_refunded_until_it_is_won() {
    let given = captured()
        .when(dispute("d-1", 20_000, 2))
        .then_types(&["payment.dispute_opened"]);
    assert_eq!(sums(&given), (22_500, 20_000, 0, 2_500));
    assert_eq!(
        given.case().payment(1).unwrap().status(),
        PaymentStatus::Captured,
        "a side axis"
    );
    let exceeds = PaymentError::RefundExceedsCaptured {
        captured: 22_500,
        refunded: 0,
        pending: 0,
        disputed: 20_000,
        requested: 2_501,
    };
    let given = given.when(refund(2_501)).then_refused(exceeds);
    let given = given
        .when(outcome("d-1", "won", 3))
        .then_types(&["payment.dispute_closed"]);
    assert_eq!(sums(&given), (22_500, 0, 0, 22_500));
    given
        .when(refund(22_500))
        .then_types(&["payment.refund_requested"]);
}

#[test]
fn what_was_lost_is_gone() {
    let given = captured()
        .and(dispute("d-1", 20_000, 2))
        .and(outcome("d-1", "lost", 3));
    assert_eq!(sums(&given), (22_500, 0, 20_000, 2_500));
    assert_eq!(given.case().secured(), 2_500, "it vouches for nothing any more");
    let exceeds = PaymentError::RefundExceedsCaptured {
        captured: 22_500,
        refunded: 0,
        pending: 0,
        disputed: 20_000,
        requested: 2_501,
    };
    given.when(refund(2_501)).then_refused(exceeds);
}

#[test]
fn no_more_is_disputed_than_is_left_of_what_was_taken() {
    let exceeds = |refunded, pending, disputed, requested| PaymentError::DisputeExceedsCaptured {
        captured: 22_500,
        refunded,
        pending,
        disputed,
        requested,
    };
    captured()
        .when(dispute("d-1", 22_501, 2))
        .then_refused(exceeds(0, 0, 0, 22_501));
    let given = captured()
        .and(refund(2_000))
        .and(result("recordRefund", "refund", 1, 2))
        .and(refund(500))
        .and(dispute("d-1", 10_000, 3));
    given
        .when(dispute("d-2", 10_001, 4))
        .then_refused(exceeds(2_000, 500, 10_000, 10_001))
        .when(dispute("d-2", 10_000, 4))
        .then_types(&["payment.dispute_opened"]);
    captured()
        .when(dispute("d-1", 0, 2))
        .then_refused(PaymentError::Amount(MoneyError::NotPositive { amount_minor: 0 }));
}

/// M5: at least once, late and out of order.
#[test]
fn a_gateway_may_say_it_twice_late_and_in_any_order() {
    let given = captured().when(outcome("d-1", "lost", 9)).then_nothing();
    let given = given.and(dispute("d-1", 1_000, 2));
    let given = given.when(dispute("d-1", 2_000, 3)).then_nothing();
    let given = given.and(outcome("d-1", "won", 5));
    // The same again, and an older word.
    let given = given.when(outcome("d-1", "won", 6)).then_nothing();
    let given = given.when(outcome("d-1", "lost", 4)).then_nothing();
    let given = given.when(outcome("d-1", "lost", 5)).then_nothing();
    let given = given.when(dispute("d-1", 1_000, 8)).then_nothing();
    // The newer word by the gateway's time counts.
    let given = given
        .when(outcome("d-1", "lost", 6))
        .then_types(&["payment.dispute_closed"]);
    let disputes = &given.case().payment(1).unwrap().disputes;
    assert_eq!(
        disputes.values().next().unwrap().outcome,
        Some(DisputeOutcome::Lost)
    );
    let future = captured().when(pay(
        "recordDispute",
        json!({ "dispute": "d", "amount": eur(1), "at": "2026-01-01T13:00:00Z" }),
    ));
    assert!(format!("{future:?}").contains("ResultInFuture"), "{future:?}");
}

/// M3: money that was given back after a dispute was won cannot be lost in it afterwards.
#[test]
fn what_was_won_and_refunded_is_not_lost_after_all() {
    let given = captured()
        .and(dispute("d-1", 22_500, 2))
        .and(outcome("d-1", "withdrawn", 3))
        .and(refund(1));
    let exceeds = PaymentError::DisputeExceedsCaptured {
        captured: 22_500,
        refunded: 0,
        pending: 1,
        disputed: 0,
        requested: 22_500,
    };
    given.when(outcome("d-1", "lost", 4)).then_refused(exceeds);
}

/// M3: a capture that turns out never to have happened cannot have been disputed.
#[test]
fn a_disputed_capture_does_not_fail_after_all() {
    let unpaid = PaymentError::RefundExceedsCaptured {
        captured: 0,
        refunded: 0,
        pending: 0,
        disputed: 1,
        requested: 0,
    };
    captured()
        .and(dispute("d-1", 1, 2))
        .when(failure("recordCaptureFailure", "capture", 1, 6))
        .then_refused(unpaid);
}

#[test]
fn an_open_dispute_holds_completion_up_and_a_lost_one_does_not() {
    let complete = || command("completeOrder", json!({}));
    let given = dispatched()
        .and(scan(1, "delivered", 5))
        .and(pay("capturePayment", json!({ "final": true })))
        .and(result("recordCapture", "capture", 1, 6))
        .and(dispute("d-1", 20_000, 7));
    let open = OrderError::NotSettled {
        due: 22_500,
        captured: 22_500,
        pending: 20_000,
        currency: Currency::EUR,
    };
    let given = given.when(complete()).then_refused(open);
    given
        .and(outcome("d-1", "lost", 8))
        .when(complete())
        .then_types(&["order.completed"]);
}

#[test]
fn a_dispute_is_the_word_of_the_payments_own_gateway() {
    let own = by(Role::Gateway, "stripe");
    let given = || {
        placed()
            .and(initiate_through("stripe", 1_000, "manual"))
            .and_by(&own, authorize(1_000))
            .and(pay("capturePayment", json!({})))
            .and_by(&own, result("recordCapture", "capture", 1, 1))
    };
    given()
        .when(dispute("d-1", 1, 2))
        .then_refused(AccessError::ResultByGatewayOnly {
            gateway: "stripe".into(),
        });
    given()
        .when_by(&service(), dispute("d-1", 1, 2))
        .then_refused(AccessError::Forbidden {
            role: Role::Service,
            command: "recordDispute",
        });
    given()
        .when_by(&by(Role::Gateway, "adyen"), dispute("d-1", 1, 2))
        .then_refused(Refusal::NotFound {
            stream: payment(1).into(),
        });
    let given = given()
        .when_by(&own, dispute("d-1", 1, 2))
        .then_types(&["payment.dispute_opened"]);
    given
        .when(outcome("d-1", "won", 3))
        .then_refused(AccessError::ResultByGatewayOnly {
            gateway: "stripe".into(),
        })
        .when_by(&own, outcome("d-1", "won", 3))
        .then_types(&["payment.dispute_closed"]);
}
