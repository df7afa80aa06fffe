//! Every command of a payment, and every rule that refuses one.

use chrono::{DateTime, TimeDelta, Utc};
use docket_domain::order::OrderStatus;
use docket_domain::payment::{OperationStatus, PaymentStatus};
use docket_domain::testing::{Given, NOW, nothing};
use docket_domain::{CaptureId, Command, Currency, MoneyError, PaymentError, RefundId, Refusal, limits};
use serde_json::json;

use crate::fixtures::*;

fn initiated(method: &str) -> Given {
    placed().and(initiate(1_000, method))
}

fn authorized() -> Given {
    initiated("manual_multiple").and(authorize(1_000))
}

fn captured() -> Given {
    authorized()
        .and(capture(600))
        .and(result("recordCapture", "capture", 1, 5))
}

fn capture(cents: i64) -> Command {
    pay("capturePayment", json!({ "amount": eur(cents) }))
}

fn capture_final(cents: i64) -> Command {
    pay("capturePayment", json!({ "amount": eur(cents), "final": true }))
}

fn refund(cents: i64) -> Command {
    pay(
        "refundPayment",
        json!({ "amount": eur(cents), "reason": "damaged" }),
    )
}

fn void() -> Command {
    pay("voidPayment", json!({ "reason": "cancelled" }))
}

fn expire() -> Command {
    pay("expireAuthorization", json!({}))
}

fn adjust(cents: i64) -> Command {
    pay("adjustAuthorization", json!({ "amount": eur(cents) }))
}

fn decline(minute: u32) -> Command {
    let failure = json!({ "code": "declined", "retryable": true, "recommendedAction": "try again" });
    pay(
        "recordAuthorizationFailure",
        json!({ "failure": failure, "at": at(minute) }),
    )
}

fn status(given: &Given) -> PaymentStatus {
    given.case().payment(1).unwrap().status()
}

fn illegal(from: PaymentStatus, attempted: &'static str, allowed: &'static [PaymentStatus]) -> PaymentError {
    PaymentError::IllegalTransition {
        from,
        attempted,
        allowed,
    }
}

const VOIDABLE: &[PaymentStatus] = &[
    PaymentStatus::Initiated,
    PaymentStatus::ActionRequired,
    PaymentStatus::Authorized,
    PaymentStatus::PartiallyCaptured,
];

#[test]
fn initiate_is_listed_by_the_order() {
    let types = ["order.payment_attached", "payment.initiated"];
    let given = placed().when(initiate(1_000, "manual")).then_types(&types);
    let given = given.when(initiate(99_999, "manual")).then_types(&types);
    assert_eq!(given.case().order.payment_numbers().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(status(&given), PaymentStatus::Initiated);
}

#[test]
fn initiate_refuses() {
    let allowed: &[OrderStatus] = &[OrderStatus::Placed, OrderStatus::Confirmed];
    let early = PaymentError::OrderNotPayable {
        status: OrderStatus::Draft,
        allowed,
    };
    draft().when(initiate(1, "manual")).then_refused(early);
    let zero = PaymentError::Amount(MoneyError::NotPositive { amount_minor: 0 });
    placed().when(initiate(0, "manual")).then_refused(zero);
    let mut foreign = json!({ "captureMethod": "manual", "method": { "type": "card" }, "gateway": "manual" });
    foreign["amount"] = json!({ "amountMinor": 1, "currency": "USD" });
    let mismatch = MoneyError::CurrencyMismatch {
        expected: Currency::EUR,
        found: Currency::USD,
    };
    placed()
        .when(command("initiatePayment", foreign))
        .then_refused(PaymentError::Amount(mismatch));
    let full = (0..100).fold(placed(), |given, _| given.and(initiate(1, "manual")));
    full.when(initiate(1, "manual"))
        .then_refused(PaymentError::TooManyPayments { limit: 100 });
}

#[test]
fn a_payment_that_does_not_exist_is_not_found() {
    placed().when(capture(1)).then_refused(Refusal::NotFound {
        stream: payment(1).into(),
    });
    nothing().when(void()).then_refused(Refusal::NotFound {
        stream: payment(1).into(),
    });
}

#[test]
fn require_action_until_the_gateway_decides() {
    let require = |kind: &str, minute| pay("requireAction", json!({ "kind": kind, "at": at(minute) }));
    let given = initiated("manual")
        .when(require("3ds", 1))
        .then_types(&["payment.action_required"]);
    assert_eq!(status(&given), PaymentStatus::ActionRequired);
    let given = given
        .when(require("3ds", 2))
        .then_nothing()
        .when(require("otp", 0))
        .then_nothing();
    let given = given
        .when(require("otp", 2))
        .then_types(&["payment.action_required"]);
    given.and(authorize(1_000)).when(require("otp", 3)).then_nothing();
}

#[test]
fn record_authorization_of_all_or_less() {
    let all = pay("recordAuthorization", json!({ "reference": "a", "at": at(0) }));
    let given = initiated("manual").when(all).then_types(&["payment.authorized"]);
    assert_eq!(given.case().payment(1).unwrap().authorized, 1_000);
    let given = initiated("manual")
        .when(authorize(400))
        .then_types(&["payment.authorized"]);
    assert_eq!(
        (status(&given), given.case().secured()),
        (PaymentStatus::Authorized, 400)
    );
    given.when(authorize(400)).then_nothing();
    let above = PaymentError::AuthorizationExceedsAmount {
        amount: 1_000,
        authorized: 1_001,
    };
    initiated("manual").when(authorize(1_001)).then_refused(above);
}

#[test]
fn an_automatic_authorization_asks_for_its_capture_at_once() {
    let types = ["payment.authorized", "payment.capture_requested"];
    let given = initiated("automatic").when(authorize(1_000)).then_types(&types);
    let given = given
        .when(result("recordCapture", "capture", 1, 1))
        .then_types(&["payment.captured"]);
    assert_eq!(status(&given), PaymentStatus::Captured);
}

#[test]
fn of_two_words_on_an_authorization_the_newer_counts() {
    let given = initiated("manual")
        .when(decline(5))
        .then_types(&["payment.authorization_failed"]);
    assert_eq!(status(&given), PaymentStatus::Failed);
    let given = given
        .when(decline(6))
        .then_nothing()
        .when(authorize(1_000))
        .then_nothing();
    let newer = pay("recordAuthorization", json!({ "reference": "b", "at": at(7) }));
    let given = given.when(newer).then_types(&["payment.authorized"]);
    let given = given.when(decline(7)).then_nothing();
    let given = given
        .when(decline(8))
        .then_types(&["payment.authorization_failed"]);
    assert_eq!(given.case().payment(1).unwrap().authorized, 0);
}

#[test]
fn an_authorization_is_settled_once_it_is_used_or_let_go() {
    authorized().and(capture(1)).when(decline(30)).then_nothing();
    authorized().and(void()).when(decline(30)).then_nothing();
    initiated("manual")
        .and(void())
        .when(authorize(1_000))
        .then_nothing();
}

#[test]
fn a_result_from_the_future_is_refused() {
    let at: DateTime<Utc> = NOW + TimeDelta::minutes(6);
    let future = |name: &str, mut fields: serde_json::Value| {
        fields["at"] = serde_json::to_value(at).unwrap();
        authorized()
            .when(pay(name, fields))
            .then_refused(PaymentError::ResultInFuture { at });
    };
    let failure = json!({ "code": "x", "retryable": false });
    future("requireAction", json!({ "kind": "3ds" }));
    future("recordAuthorization", json!({ "reference": "a" }));
    future("recordAuthorizationFailure", json!({ "failure": failure }));
    future("adjustAuthorization", json!({ "amount": eur(1) }));
    future("recordCapture", json!({ "capture": 1, "reference": "a" }));
    future(
        "recordCaptureFailure",
        json!({ "capture": 1, "failure": failure }),
    );
    future("recordRefund", json!({ "refund": 1, "reference": "a" }));
    future("recordRefundFailure", json!({ "refund": 1, "failure": failure }));
}

#[test]
fn adjust_replaces_the_amount() {
    let given = authorized()
        .when(adjust(1_500))
        .then_types(&["payment.authorization_adjusted"]);
    assert_eq!(given.case().payment(1).unwrap().authorized, 1_500);
    given.when(adjust(1_500)).then_nothing();
    let longer = json!({ "amount": eur(1_000), "captureBefore": "2026-02-01T00:00:00Z" });
    let given = authorized().when(pay("adjustAuthorization", longer.clone()));
    let given = given.then_types(&["payment.authorization_adjusted"]);
    given.when(pay("adjustAuthorization", longer)).then_nothing();
}

#[test]
fn adjust_refuses() {
    let below = PaymentError::AuthorizationBelowCaptured {
        captured: 600,
        pending: 100,
        requested: 699,
    };
    captured().and(capture(100)).when(adjust(699)).then_refused(below);
    captured()
        .and(capture(100))
        .when(adjust(700))
        .then_types(&["payment.authorization_adjusted"]);
    authorized()
        .and(capture_final(1))
        .when(adjust(2))
        .then_refused(PaymentError::FinalCaptureRequested);
    let allowed: &[PaymentStatus] = &[PaymentStatus::Authorized, PaymentStatus::PartiallyCaptured];
    let early = illegal(
        PaymentStatus::Initiated,
        "have its authorization adjusted",
        allowed,
    );
    initiated("manual").when(adjust(1)).then_refused(early);
    // With a hundred payments of this an order's sums still fit 64 bits.
    authorized()
        .when(adjust(limits::AMOUNT + 1))
        .then_refused(PaymentError::Amount(MoneyError::Overflow));
    authorized()
        .when(adjust(limits::AMOUNT))
        .then_types(&["payment.authorization_adjusted"]);
    assert!(
        limits::AMOUNT
            .checked_mul(i64::from(limits::ORDER_PAYMENTS) * 2)
            .is_some()
    );
}

#[test]
fn expire_by_a_timer_not_before_its_time() {
    let until = NOW + TimeDelta::hours(1);
    let fields = json!({ "reference": "a", "at": at(0), "captureBefore": until });
    let given = || initiated("manual").and(pay("recordAuthorization", fields.clone()));
    let early = PaymentError::NotDue {
        capture_before: Some(until),
    };
    given().when_by(&service(), expire()).then_refused(early);
    let mut context = service();
    context.now = until;
    let given = given()
        .when_by(&context, expire())
        .then_types(&["payment.authorization_expired"]);
    assert_eq!(
        (status(&given), given.case().secured()),
        (PaymentStatus::Expired, 0)
    );
    given.when(expire()).then_nothing();
    authorized()
        .when_by(&service(), expire())
        .then_refused(PaymentError::NotDue { capture_before: None });
}

#[test]
fn expire_releases_only_what_is_not_being_captured() {
    let given = authorized()
        .and(capture(400))
        .when(expire())
        .then_types(&["payment.authorization_expired"]);
    assert_eq!(given.case().payment(1).unwrap().expired, 600);
    let given = given
        .when(failure("recordCaptureFailure", "capture", 1, 1))
        .then_types(&["payment.capture_failed"]);
    let payment = given.case().payment(1).unwrap();
    assert_eq!((payment.expired, payment.capturable()), (1_000, 0));
    let over = illegal(PaymentStatus::Voided, "expire", VOIDABLE);
    authorized().and(void()).when(expire()).then_refused(over);
    initiated("manual")
        .when(expire())
        .then_types(&["payment.authorization_expired"]);
}

#[test]
fn capture_asks_and_the_result_takes() {
    let given = authorized()
        .when(capture(600))
        .then_types(&["payment.capture_requested"]);
    assert_eq!(status(&given), PaymentStatus::Authorized);
    let given = given
        .when(result("recordCapture", "capture", 1, 5))
        .then_types(&["payment.captured"]);
    assert_eq!(status(&given), PaymentStatus::PartiallyCaptured);
    let given = given
        .when(result("recordCapture", "capture", 1, 6))
        .then_nothing();
    let given = given
        .and(pay("capturePayment", json!({})))
        .and(result("recordCapture", "capture", 2, 7));
    assert_eq!(
        (status(&given), given.case().payment(1).unwrap().captured()),
        (PaymentStatus::Captured, 1_000)
    );
}

#[test]
fn capture_counts_what_is_pending() {
    let exceeds = |requested| PaymentError::CaptureExceedsAuthorized {
        authorized: 1_000,
        captured: 0,
        pending: 600,
        released: 0,
        requested,
    };
    let given = authorized()
        .and(capture(600))
        .when(capture(401))
        .then_refused(exceeds(401));
    given
        .when(capture(400))
        .then_types(&["payment.capture_requested"]);
}

#[test]
fn capture_refuses() {
    let allowed: &[PaymentStatus] = &[PaymentStatus::Authorized, PaymentStatus::PartiallyCaptured];
    let refused = |given: Given, from| {
        given
            .when(capture(1))
            .then_refused(illegal(from, "be captured", allowed));
    };
    refused(initiated("manual"), PaymentStatus::Initiated);
    refused(authorized().and(void()), PaymentStatus::Voided);
    refused(authorized().and(expire()), PaymentStatus::Expired);
    refused(captured().and(void()), PaymentStatus::Captured);
    let zero = PaymentError::Amount(MoneyError::NotPositive { amount_minor: 0 });
    authorized().when(capture(0)).then_refused(zero);
    authorized()
        .and(capture_final(1))
        .when(capture(1))
        .then_refused(PaymentError::FinalCaptureRequested);
    let single = initiated("manual").and(authorize(1_000)).and(capture(1));
    single
        .when(capture(1))
        .then_refused(PaymentError::FinalCaptureRequested);
}

#[test]
fn captures_and_refunds_stop_at_their_limits() {
    let full = (0..1_000).fold(authorized(), |given, n| {
        given
            .and(capture(1))
            .and(failure("recordCaptureFailure", "capture", n + 1, 1))
    });
    let error = PaymentError::TooManyOperations {
        what: "captures",
        limit: 1_000,
    };
    full.when(capture(1)).then_refused(error);
    let full = (0..1_000).fold(captured(), |given, n| {
        given
            .and(refund(1))
            .and(failure("recordRefundFailure", "refund", n + 1, 6))
    });
    let error = PaymentError::TooManyOperations {
        what: "refunds",
        limit: 1_000,
    };
    full.when(refund(1)).then_refused(error);
}

#[test]
fn a_final_capture_releases_the_rest() {
    let given = authorized().and(capture(200)).and(capture_final(300));
    let given = given.and(result("recordCapture", "capture", 2, 5));
    let payment = given.case().payment(1).unwrap();
    assert_eq!(
        (payment.voided, payment.capturable(), payment.capture_pending()),
        (500, 200, 200)
    );
    let given = given.and(failure("recordCaptureFailure", "capture", 1, 6));
    let payment = given.case().payment(1).unwrap();
    assert_eq!(
        (payment.voided, payment.capturable(), payment.status()),
        (700, 0, PaymentStatus::Captured)
    );
}

#[test]
fn a_final_capture_that_failed_may_be_tried_again() {
    let given = initiated("manual").and(authorize(1_000)).and(capture(1_000));
    let given = given.and(failure("recordCaptureFailure", "capture", 1, 5));
    given
        .when(capture(1_000))
        .then_types(&["payment.capture_requested"]);
}

#[test]
fn a_result_for_an_unknown_operation_is_nothing() {
    authorized()
        .when(result("recordCapture", "capture", 9, 1))
        .then_nothing();
    authorized()
        .when(failure("recordCaptureFailure", "capture", 9, 1))
        .then_nothing();
    captured()
        .when(result("recordRefund", "refund", 9, 1))
        .then_nothing();
    captured()
        .when(failure("recordRefundFailure", "refund", 9, 1))
        .then_nothing();
}

#[test]
fn of_two_results_of_a_capture_the_newer_counts() {
    let status = |given: &Given| given.case().payment(1).unwrap().captures[&CaptureId(1)].status;
    let done = |minute| result("recordCapture", "capture", 1, minute);
    let failed = |minute| failure("recordCaptureFailure", "capture", 1, minute);
    let given = authorized().and(capture(600)).and(failed(5));
    let given = given.when(done(4)).then_nothing().when(done(5)).then_nothing();
    let given = given.when(done(6)).then_types(&["payment.captured"]);
    assert_eq!(status(&given), OperationStatus::Done);
    let given = given.when(failed(6)).then_nothing();
    let given = given.when(failed(7)).then_types(&["payment.capture_failed"]);
    assert_eq!(status(&given), OperationStatus::Failed);
}

#[test]
fn a_late_result_does_not_break_a_law() {
    // Failed, its money taken by another capture, and then done after all.
    let given = authorized()
        .and(capture(600))
        .and(failure("recordCaptureFailure", "capture", 1, 5));
    let given = given.and(capture(1_000));
    let exceeds = PaymentError::CaptureExceedsAuthorized {
        authorized: 1_000,
        captured: 0,
        pending: 1_000,
        released: 0,
        requested: 600,
    };
    given
        .when(result("recordCapture", "capture", 1, 6))
        .then_refused(exceeds);
    // Done, given back, and then failed after all.
    let unpaid = PaymentError::RefundExceedsCaptured {
        captured: 0,
        refunded: 0,
        pending: 1,
        disputed: 0,
        requested: 0,
    };
    captured()
        .and(refund(1))
        .when(failure("recordCaptureFailure", "capture", 1, 6))
        .then_refused(unpaid);
}

#[test]
fn void_lets_only_the_uncaptured_rest_go() {
    let given = captured().when(void()).then_types(&["payment.voided"]);
    let payment = given.case().payment(1).unwrap();
    assert_eq!(
        (payment.voided, payment.capturable(), payment.status()),
        (400, 0, PaymentStatus::Captured)
    );
    given.when(void()).then_nothing();
    let given = initiated("manual").when(void()).then_types(&["payment.voided"]);
    assert_eq!(status(&given), PaymentStatus::Voided);
}

#[test]
fn void_refuses() {
    let pending = PaymentError::CapturePending { pending: 600 };
    authorized().and(capture(600)).when(void()).then_refused(pending);
    let all = authorized()
        .and(capture(1_000))
        .and(result("recordCapture", "capture", 1, 5));
    all.when(void())
        .then_refused(illegal(PaymentStatus::Captured, "be voided", VOIDABLE));
    let failed = initiated("manual").and(decline(1));
    failed
        .when(void())
        .then_refused(illegal(PaymentStatus::Failed, "be voided", VOIDABLE));
}

#[test]
fn refund_asks_and_the_result_gives() {
    let given = captured()
        .and(void())
        .when(refund(200))
        .then_types(&["payment.refund_requested"]);
    assert_eq!(status(&given), PaymentStatus::Captured);
    let given = given
        .when(result("recordRefund", "refund", 1, 6))
        .then_types(&["payment.refunded"]);
    assert_eq!(status(&given), PaymentStatus::PartiallyRefunded);
    let given = given.when(result("recordRefund", "refund", 1, 7)).then_nothing();
    let given = given.and(pay("refundPayment", json!({ "reason": "all" })));
    let given = given.and(result("recordRefund", "refund", 2, 8));
    assert_eq!(status(&given), PaymentStatus::Refunded);
}

#[test]
fn refund_counts_what_is_pending() {
    let exceeds = PaymentError::RefundExceedsCaptured {
        captured: 600,
        refunded: 0,
        pending: 500,
        disputed: 0,
        requested: 101,
    };
    let given = captured()
        .and(refund(500))
        .when(refund(101))
        .then_refused(exceeds);
    given.when(refund(100)).then_types(&["payment.refund_requested"]);
}

#[test]
fn refund_refuses() {
    let allowed: &[PaymentStatus] = &[
        PaymentStatus::PartiallyCaptured,
        PaymentStatus::Captured,
        PaymentStatus::PartiallyRefunded,
    ];
    authorized()
        .when(refund(1))
        .then_refused(illegal(PaymentStatus::Authorized, "be refunded", allowed));
    let negative = PaymentError::Amount(MoneyError::Negative { amount_minor: -1 });
    captured().when(refund(-1)).then_refused(negative);
    let lines = vec![json!({ "line": 1, "quantity": 1 }); 501];
    let many = pay("refundPayment", json!({ "reason": "x", "lines": lines }));
    captured()
        .when(many)
        .then_refused(PaymentError::TooManyLines { limit: 500 });
}

#[test]
fn of_two_results_of_a_refund_the_newer_counts() {
    let done = |minute| result("recordRefund", "refund", 1, minute);
    let failed = |minute| failure("recordRefundFailure", "refund", 1, minute);
    let given = captured()
        .and(refund(600))
        .when(failed(5))
        .then_types(&["payment.refund_failed"]);
    let given = given
        .when(done(4))
        .then_nothing()
        .when(done(6))
        .then_types(&["payment.refunded"]);
    let given = given
        .when(failed(5))
        .then_nothing()
        .when(failed(7))
        .then_types(&["payment.refund_failed"]);
    assert_eq!(
        given.case().payment(1).unwrap().refunds[&RefundId(1)].status,
        OperationStatus::Failed
    );
    let exceeds = PaymentError::RefundExceedsCaptured {
        captured: 600,
        refunded: 0,
        pending: 1,
        disputed: 0,
        requested: 600,
    };
    given.and(refund(1)).when(done(8)).then_refused(exceeds);
}
