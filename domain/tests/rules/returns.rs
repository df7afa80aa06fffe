//! What a customer sends back (Q2: returned <= delivered), and what is given back for it.

use docket_domain::order::OrderError;
use docket_domain::payment::{PaymentError, PaymentEvent};
use docket_domain::testing::{Given, by};
use docket_domain::{AccessError, Command, Event, LineId, Needs, Refusal, ReturnId, Role, Scope};
use serde_json::{Value, json};

use crate::fixtures::*;

fn request(lines: Value) -> Command {
    command("requestReturn", json!({ "lines": lines }))
}

/// Some pieces that are not wanted any more.
fn unwanted(line: u16, quantity: u32) -> Value {
    json!({ "line": line, "quantity": quantity, "reason": "unwanted" })
}

fn sellable(line: u16, quantity: u32) -> Value {
    json!({ "line": line, "quantity": quantity, "condition": "sellable" })
}

fn receive(number: u16, lines: Value) -> Command {
    command("receiveReturn", json!({ "return": number, "lines": lines }))
}

fn refund(fields: Value) -> Command {
    let mut fields = fields;
    fields["reason"] = "sent back".into();
    pay("refundPayment", fields)
}

/// All 12 pieces, worth 20.00 and 10.00 each, at the customer's, and 225.00 captured.
fn delivered() -> Given {
    dispatched()
        .and(scan(1, "delivered", 5))
        .and(pay("capturePayment", json!({ "final": true })))
        .and(result("recordCapture", "capture", 1, 6))
}

/// What the only event says is due.
fn due(given: &Given, number: u16) -> i64 {
    given.case().order.returns[&ReturnId(number)].refund_due
}

fn exceeds(delivered: u32, returned: u32, pending: u32, requested: u32) -> OrderError {
    OrderError::ReturnExceedsDelivered {
        line: LineId(1),
        delivered,
        returned,
        pending,
        requested,
    }
}

#[test]
fn a_return_is_announced_received_and_worth_what_its_pieces_cost() {
    let given = delivered()
        .when(request(json!([unwanted(1, 2), unwanted(2, 1)])))
        .then_types(&["order.return_requested"]);
    assert_eq!(due(&given, 1), 5_000);
    let given = given
        .when(receive(1, json!([sellable(1, 2), sellable(2, 1)])))
        .then_types(&["order.return_received"]);
    assert_eq!(due(&given, 1), 5_000);
    assert_eq!(given.case().order.line(LineId(1)).unwrap().returned, 2);
    given
        .when(receive(1, json!([sellable(1, 2), sellable(2, 1)])))
        .then_nothing()
        .when(receive(1, json!([sellable(1, 2)])))
        .then_refused(OrderError::ReturnReceived {
            return_id: ReturnId(1),
        });
}

#[test]
fn no_more_comes_back_than_was_delivered() {
    dispatched()
        .when(request(json!([unwanted(1, 1)])))
        .then_refused(exceeds(0, 0, 0, 1));
    let given = delivered().and(request(json!([unwanted(1, 6)])));
    // What is announced counts before it comes.
    let given = given
        .when(request(json!([unwanted(1, 5)])))
        .then_refused(exceeds(10, 0, 6, 5));
    // Fewer than announced may come; what did not come may be announced again.
    let given = given
        .when(receive(1, json!([sellable(1, 2)])))
        .then_types(&["order.return_received"]);
    let given = given
        .when(request(json!([unwanted(1, 9)])))
        .then_refused(exceeds(10, 2, 0, 9));
    given
        .when(request(json!([unwanted(1, 8)])))
        .then_types(&["order.return_requested"]);
}

#[test]
fn a_line_may_come_back_for_several_reasons_and_its_pieces_count_together() {
    let damaged = json!({ "line": 1, "quantity": 6, "reason": "damaged" });
    delivered()
        .when(request(json!([unwanted(1, 5), damaged])))
        .then_refused(exceeds(10, 0, 0, 11));
    delivered()
        .when(request(json!([unwanted(1, 4), damaged])))
        .then_types(&["order.return_requested"]);
    let twice = OrderError::DuplicateLine { line: LineId(1) };
    delivered()
        .when(request(json!([unwanted(1, 1), unwanted(1, 1)])))
        .then_refused(twice);
    delivered()
        .when(request(json!([])))
        .then_refused(OrderError::NoLines);
    delivered()
        .when(request(json!([unwanted(7, 1)])))
        .then_refused(OrderError::UnknownLine { line: LineId(7) });
}

#[test]
fn no_more_is_received_than_was_announced() {
    let given = || delivered().and(request(json!([unwanted(1, 3)])));
    let more = |line, requested, received| OrderError::ReceivedExceedsRequested {
        return_id: ReturnId(1),
        line: LineId(line),
        requested,
        received,
    };
    let used = json!({ "line": 1, "quantity": 2, "condition": "used" });
    given()
        .when(receive(1, json!([sellable(1, 2), used])))
        .then_refused(more(1, 3, 4));
    given()
        .when(receive(1, json!([sellable(2, 1)])))
        .then_refused(more(2, 0, 1));
    given()
        .when(receive(1, json!([])))
        .then_refused(OrderError::NoLines);
    let unknown = OrderError::UnknownReturn {
        return_id: ReturnId(2),
    };
    given()
        .when(receive(2, json!([sellable(1, 1)])))
        .then_refused(unknown);
}

/// 3 pieces for 2.99: cut anywhere, the parts are 1.00, 0.99 and 1.00.
#[test]
fn what_is_cancelled_and_what_comes_back_never_add_up_to_more_than_the_line() {
    let line =
        json!({ "sku": "A", "name": "Apple", "quantity": 3, "unitPrice": eur(100), "discount": eur(1) });
    let lines = |quantity: u32| json!([{ "line": 1, "quantity": quantity }]);
    let given = docket_domain::testing::nothing()
        .and(create())
        .and(command("addLine", json!({ "line": line })))
        .and(set_details())
        .and(command("placeOrder", json!({})))
        .and(command("confirmOrder", json!({ "mode": "manual" })))
        .and(command("allocateFulfillment", json!({ "lines": lines(2) })))
        .and(ship("createShipment", json!({ "location": "main" })))
        .and(label(1))
        .and(ship("dispatchShipment", json!({})))
        .and(scan(1, "delivered", 5))
        .and(request(json!([unwanted(1, 1)])))
        .and(receive(1, json!([sellable(1, 1)])))
        .and(command(
            "cancelLines",
            json!({ "lines": lines(1), "reason": "sold out" }),
        ))
        .and(request(json!([unwanted(1, 1)])))
        .and(receive(2, json!([sellable(1, 1)])));
    let parts = [due(&given, 1), given.case().order.cancelled_value, due(&given, 2)];
    assert_eq!(parts, [100, 100, 99]);
}

#[test]
fn a_completed_order_may_still_have_returns_and_a_return_does_not_hold_completion_up() {
    let complete = || command("completeOrder", json!({}));
    let given = delivered().and(request(json!([unwanted(1, 1)]))).and(complete());
    let given = given.and(receive(1, json!([sellable(1, 1)])));
    given
        .when(refund(json!({ "return": 1 })))
        .then_types(&["payment.refund_requested"]);
    // A refund under way does: the money is not settled.
    delivered()
        .and(request(json!([unwanted(1, 1)])))
        .and(receive(1, json!([sellable(1, 1)])))
        .and(refund(json!({ "return": 1 })))
        .when(complete())
        .then_refused(OrderError::NotSettled {
            due: 22_500,
            captured: 22_500,
            pending: 2_000,
            currency: docket_domain::Currency::EUR,
        });
}

#[test]
fn a_return_is_refunded_once_it_is_received_and_up_to_what_is_due() {
    let unknown = PaymentError::UnknownReturn {
        return_id: ReturnId(1),
    };
    delivered()
        .when(refund(json!({ "return": 1 })))
        .then_refused(unknown);
    let announced = delivered().and(request(json!([unwanted(1, 2)])));
    let early = PaymentError::ReturnNotReceived {
        return_id: ReturnId(1),
    };
    let given = announced.when(refund(json!({ "return": 1 }))).then_refused(early);
    let given = given.and(receive(1, json!([sellable(1, 2)])));
    let more = |refunded, pending, requested| PaymentError::RefundExceedsReturn {
        return_id: ReturnId(1),
        refund_due: 4_000,
        refunded,
        pending,
        requested,
    };
    let given = given
        .when(refund(json!({ "return": 1, "amount": eur(4_001) })))
        .then_refused(more(0, 0, 4_001));
    let given = given
        .and(refund(json!({ "return": 1, "amount": eur(1_500) })))
        .and(result("recordRefund", "refund", 1, 7));
    let given = given
        .when(refund(json!({ "return": 1, "amount": eur(2_501) })))
        .then_refused(more(1_500, 0, 2_501));
    // Where no amount is named, it is what is left of the return, not of the payment.
    let given = given
        .when(refund(json!({ "return": 1 })))
        .then_types(&["payment.refund_requested"]);
    assert_eq!(given.case().payment(1).unwrap().refund_pending(), 2_500);
    let given = given
        .when(refund(json!({ "return": 1 })))
        .then_refused(more(1_500, 2_500, 0));
    // One that failed is free to be asked for again; what is no return's is not touched by it.
    let given = given
        .and(failure("recordRefundFailure", "refund", 2, 8))
        .and(refund(json!({ "return": 1, "amount": eur(2_500) })));
    given
        .when(refund(json!({ "amount": eur(18_500) })))
        .then_types(&["payment.refund_requested"]);
}

#[test]
fn a_return_may_be_refunded_by_several_payments_and_their_refunds_count_together() {
    let second = |name: &str, fields: Value| {
        let mut fields = fields;
        fields["payment"] = payment(2).to_string().into();
        command(name, fields)
    };
    let given = delivered()
        .and(initiate(1_000, "manual"))
        .and(second(
            "recordAuthorization",
            json!({ "reference": "a", "at": at(7) }),
        ))
        .and(second("capturePayment", json!({})))
        .and(second(
            "recordCapture",
            json!({ "capture": 1, "reference": "c", "at": at(8) }),
        ))
        .and(request(json!([unwanted(1, 1)])))
        .and(receive(1, json!([sellable(1, 1)])))
        .and(refund(json!({ "return": 1, "amount": eur(1_500) })));
    let fields = |cents| json!({ "return": 1, "amount": eur(cents), "reason": "x" });
    let more = PaymentError::RefundExceedsReturn {
        return_id: ReturnId(1),
        refund_due: 2_000,
        refunded: 0,
        pending: 1_500,
        requested: 501,
    };
    let given = given
        .when(second("refundPayment", fields(501)))
        .then_refused(more);
    given
        .when(second("refundPayment", fields(500)))
        .then_types(&["payment.refund_requested"]);
}

#[test]
fn a_decision_reads_what_it_rests_on() {
    let needs = request(json!([unwanted(1, 1)])).needs();
    assert!(needs.order && needs.shipments == Scope::All);
    let needs = refund(json!({ "return": 1 })).needs();
    assert!(needs.order && needs.payments == Scope::All);
    let needs = refund(json!({})).needs();
    assert_eq!(
        needs,
        Needs {
            order: false,
            payments: Scope::One(1),
            shipments: Scope::None
        }
    );
}

#[test]
fn a_customer_sends_back_their_own_and_receives_nothing() {
    let own = by(Role::Customer, "c-1");
    let given = delivered()
        .when_by(&own, request(json!([unwanted(1, 1)])))
        .then_types(&["order.return_requested"]);
    let forbidden = AccessError::Forbidden {
        role: Role::Customer,
        command: "receiveReturn",
    };
    given
        .when_by(&own, receive(1, json!([sellable(1, 1)])))
        .then_refused(forbidden);
    let missing = Refusal::NotFound {
        stream: order().into(),
    };
    delivered()
        .when_by(&by(Role::Customer, "c-2"), request(json!([unwanted(1, 1)])))
        .then_refused(missing);
}

#[test]
fn a_refund_says_which_return_it_is_for() {
    let given = delivered()
        .and(request(json!([unwanted(2, 1)])))
        .and(receive(1, json!([sellable(2, 1)])));
    let then = given.when(refund(json!({ "return": 1 })));
    let given = then.then_types(&["payment.refund_requested"]);
    let refunds = &given.case().payment(1).unwrap().refunds;
    assert!(
        refunds
            .values()
            .all(|refund| refund.return_id == Some(ReturnId(1)))
    );
    let payload = r#"{"refund":1,"amount":1000,"currency":"EUR","reason":"sent back","return":1}"#;
    let event = Event::from_payload("payment.refund_requested", 1, payload).unwrap();
    assert!(matches!(&event, Event::Payment(PaymentEvent::RefundRequested(e)) if e.return_id.is_some()));
    assert_eq!(event.payload().unwrap(), payload);
}

/// Rows and snapshots that were written before there were returns read as they were, and are written the same.
#[test]
fn a_state_without_returns_and_disputes_is_written_as_before() {
    let given = dispatched();
    let order = serde_json::to_value(given.case().order.as_ref()).unwrap();
    for field in ["returns", "flags", "idle"] {
        assert_eq!(order.get(field), None, "{field}");
    }
    assert_eq!(order["lines"][0].get("returned"), None);
    let payment = serde_json::to_value(given.case().payment(1).unwrap()).unwrap();
    assert_eq!(payment.get("disputes"), None);
    let read: docket_domain::Order = serde_json::from_value(order).unwrap();
    assert_eq!(&read, given.case().order.as_ref());
}

#[test]
fn nothing_comes_back_of_an_order_that_is_not_under_way() {
    for given in [draft(), placed()] {
        let then = given.when(request(json!([unwanted(1, 1)])));
        assert!(format!("{then:?}").contains("IllegalTransition"), "{then:?}");
    }
}
