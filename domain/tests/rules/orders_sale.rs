//! The sale: every command of an order from its placing on, and every rule that refuses one.

use chrono::TimeDelta;
use docket_domain::order::{ConfirmMode, Confirmed, HoldReason, OrderEvent, OrderStatus};
use docket_domain::testing::{NOW, by, nothing};
use docket_domain::{AccessError, Currency, Event, LineId, OrderError, Role};
use serde_json::{Value, json};

use crate::fixtures::*;

fn illegal(from: OrderStatus, attempted: &'static str, allowed: &'static [OrderStatus]) -> OrderError {
    OrderError::IllegalTransition {
        from,
        attempted,
        allowed,
    }
}

fn line(fields: Value) -> docket_domain::Command {
    let mut line = json!({ "sku": "A-1", "name": "Apple", "quantity": 1, "unitPrice": eur(1_000) });
    line.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    command("addLine", json!({ "line": line }))
}

fn cancel_lines(lines: Value) -> docket_domain::Command {
    command("cancelLines", json!({ "lines": lines, "reason": "sold out" }))
}

fn allocate(lines: Value) -> docket_domain::Command {
    command("allocateFulfillment", json!({ "lines": lines }))
}

fn release(number: u16) -> docket_domain::Command {
    command(
        "releaseFulfillment",
        json!({ "shipment": shipment(number).to_string() }),
    )
}

fn confirm(mode: &str) -> docket_domain::Command {
    command("confirmOrder", json!({ "mode": mode }))
}

fn hold(reason: &str) -> docket_domain::Command {
    command("placeHold", json!({ "reason": reason }))
}

fn place() -> docket_domain::Command {
    command("placeOrder", json!({}))
}

fn cancel() -> docket_domain::Command {
    command("cancelOrder", json!({ "reason": "changed my mind" }))
}

fn later(minutes: i64) -> docket_domain::Context {
    let mut context = service();
    context.now += TimeDelta::minutes(minutes);
    context
}

fn label_scanned() -> docket_domain::Command {
    scan(1, "delivered", 10)
}

#[test]
fn correct_address_until_dispatch() {
    let correct = |street| {
        command(
            "correctAddress",
            json!({ "which": "shipping", "address": address(street) }),
        )
    };
    placed().when(correct("Main 1")).then_nothing();
    let given = created()
        .when(correct("Main 2"))
        .then_types(&["order.address_corrected"]);
    given.when(correct("Main 2")).then_nothing();
    let late = OrderError::AlreadyDispatched {
        shipment: shipment(1),
    };
    dispatched().when(correct("Main 2")).then_refused(late);
    let under_way: &[OrderStatus] = &[OrderStatus::Placed, OrderStatus::Confirmed];
    let early = illegal(OrderStatus::Draft, "have its address corrected", under_way);
    draft().when(correct("Main 2")).then_refused(early);
    let billing = command(
        "correctAddress",
        json!({ "which": "billing", "address": address("Main 2") }),
    );
    let given = placed().when(billing).then_types(&["order.address_corrected"]);
    assert!(given.case().order.billing_address.is_some());
}

#[test]
fn confirm_needs_authorizations_that_cover_it() {
    let short = OrderError::NotAuthorized {
        authorized: 0,
        total: 22_500,
        currency: Currency::EUR,
    };
    placed().when(confirm("automatic")).then_refused(short);
    let almost = placed().and(initiate(22_500, "manual")).and(authorize(22_499));
    let short = OrderError::NotAuthorized {
        authorized: 22_499,
        total: 22_500,
        currency: Currency::EUR,
    };
    almost.when(confirm("automatic")).then_refused(short);
    let covered = placed().and(initiate(22_500, "manual")).and(authorize(22_500));
    let expected = Confirmed {
        mode: ConfirmMode::Automatic,
        authorized: 22_500,
        currency: Currency::EUR,
        payments: vec![1],
    };
    covered
        .when(confirm("automatic"))
        .then([Event::Order(OrderEvent::Confirmed(expected))]);
    confirmed().when(confirm("automatic")).then_nothing();
}

#[test]
fn confirm_adds_up_several_payments() {
    let second = command(
        "recordAuthorization",
        json!({ "payment": payment(2).to_string(), "reference": "auth-2", "at": at(1) }),
    );
    let given = placed()
        .and(initiate(10_000, "manual"))
        .and(authorize(10_000))
        .and(initiate(12_500, "manual"));
    given
        .and(second)
        .when(confirm("automatic"))
        .then_types(&["order.confirmed"]);
}

#[test]
fn confirm_by_hand_is_for_people() {
    placed()
        .when_by(&service(), confirm("manual"))
        .then_refused(OrderError::ManualByPersonOnly);
    placed().when(confirm("manual")).then_types(&["order.confirmed"]);
}

#[test]
fn confirm_refuses_drafts_and_holds() {
    let early = illegal(OrderStatus::Draft, "be confirmed", &[OrderStatus::Placed]);
    draft().when(confirm("manual")).then_refused(early);
    let held = OrderError::OnHold {
        reasons: vec![HoldReason::Fraud],
    };
    placed()
        .and(hold("fraud"))
        .when(confirm("manual"))
        .then_refused(held);
}

#[test]
fn holds_have_reasons_that_are_released_one_by_one() {
    let release = |reason: &str| command("releaseHold", json!({ "reason": reason }));
    let given = placed().when(hold("fraud")).then_types(&["order.hold_placed"]);
    let given = given.when(hold("fraud")).then_nothing();
    let given = given.when(hold("stock")).then_types(&["order.hold_placed"]);
    let given = given.when(release("fraud")).then_types(&["order.hold_released"]);
    let given = given.when(release("fraud")).then_nothing();
    assert_eq!(
        given.case().order.holds.iter().copied().collect::<Vec<_>>(),
        [HoldReason::Stock]
    );
    let under_way: &[OrderStatus] = &[OrderStatus::Placed, OrderStatus::Confirmed];
    draft()
        .when(hold("fraud"))
        .then_refused(illegal(OrderStatus::Draft, "be put on hold", under_way));
    let early = illegal(OrderStatus::Draft, "be released from hold", under_way);
    draft().when(release("fraud")).then_refused(early);
}

#[test]
fn cancel_lines_lowers_what_is_due() {
    let given = placed().when(cancel_lines(json!([{ "line": 1, "quantity": 3 }])));
    let given = given.then_types(&["order.lines_cancelled"]);
    assert_eq!(given.case().order.due(), 22_500 - 6_000);
}

#[test]
fn cancel_lines_piece_by_piece_adds_up_to_the_line() {
    // 10.00 for three: no piece is worth a third of it exactly.
    let discounted = line(json!({ "quantity": 3, "discount": eur(2_000) }));
    let one = || cancel_lines(json!([{ "line": 1, "quantity": 1 }]));
    let given = nothing()
        .and(create())
        .and(discounted)
        .and(set_details())
        .and(place());
    let given = given.and(one()).and(one()).and(one());
    assert_eq!(given.case().order.cancelled_value, 1_000);
}

#[test]
fn cancel_lines_refuses_more_than_is_open() {
    let refused = |lines: Value, error: OrderError| {
        placed().when(cancel_lines(lines)).then_refused(error);
    };
    let id = LineId(1);
    let too_many = OrderError::ExceedsOpen {
        line: id,
        ordered: 10,
        cancelled: 0,
        allocated: 0,
        requested: 11,
    };
    refused(json!([{ "line": 1, "quantity": 11 }]), too_many);
    refused(json!([]), OrderError::NoLines);
    refused(
        json!([{ "line": 9, "quantity": 1 }]),
        OrderError::UnknownLine { line: LineId(9) },
    );
    let twice = json!([{ "line": 1, "quantity": 1 }, { "line": 1, "quantity": 1 }]);
    refused(twice, OrderError::DuplicateLine { line: id });
    let none_left = OrderError::ExceedsOpen {
        line: id,
        ordered: 10,
        cancelled: 0,
        allocated: 10,
        requested: 1,
    };
    allocated()
        .when(cancel_lines(json!([{ "line": 1, "quantity": 1 }])))
        .then_refused(none_left);
    let under_way: &[OrderStatus] = &[OrderStatus::Placed, OrderStatus::Confirmed];
    let early = illegal(OrderStatus::Draft, "have lines cancelled", under_way);
    draft()
        .when(cancel_lines(json!([{ "line": 1, "quantity": 1 }])))
        .then_refused(early);
}

#[test]
fn cancel_until_something_is_dispatched() {
    for given in [draft(), placed(), confirmed(), created(), created().and(label(1))] {
        given
            .when(cancel())
            .then_types(&["order.cancelled"])
            .when(cancel())
            .then_nothing();
    }
    let late = OrderError::AlreadyDispatched {
        shipment: shipment(1),
    };
    dispatched().when(cancel()).then_refused(late.clone());
    let failed = ship("markShipmentFailed", json!({ "reason": "lost" }));
    dispatched().and(failed).when(cancel()).then_refused(late);
}

#[test]
fn cancel_refuses_what_is_over() {
    let given = placed().and_by(&later(30), command("expireOrder", json!({})));
    let allowed: &[OrderStatus] = &[OrderStatus::Draft, OrderStatus::Placed, OrderStatus::Confirmed];
    given
        .when(cancel())
        .then_refused(illegal(OrderStatus::Expired, "be cancelled", allowed));
}

#[test]
fn expire_when_the_payment_is_due_and_not_before() {
    let expire = || command("expireOrder", json!({}));
    let due_at = NOW + TimeDelta::minutes(30);
    placed()
        .when_by(&later(29), expire())
        .then_refused(OrderError::NotDue { due_at });
    let given = placed()
        .when_by(&later(30), expire())
        .then_types(&["order.expired"]);
    given.when_by(&later(31), expire()).then_nothing();
    let covered = OrderError::Covered {
        authorized: 22_500,
        total: 22_500,
        currency: Currency::EUR,
    };
    let paid = placed().and(initiate(22_500, "manual")).and(authorize(22_500));
    paid.when_by(&later(31), expire()).then_refused(covered);
    let wrong = illegal(OrderStatus::Confirmed, "expire", &[OrderStatus::Placed]);
    confirmed().when_by(&later(31), expire()).then_refused(wrong);
}

#[test]
fn allocate_names_the_next_shipment() {
    let given = confirmed().when(allocate(json!([{ "line": 1, "quantity": 4 }])));
    let given = given.then_types(&["order.fulfillment_allocated"]);
    let given = given.when(command("allocateFulfillment", json!({})));
    let given = given.then_types(&["order.fulfillment_allocated"]);
    let order = &given.case().order;
    assert_eq!(order.shipment_numbers().collect::<Vec<_>>(), [1, 2]);
    assert!(order.lines.iter().all(|line| line.open() == 0));
    given
        .when(command("allocateFulfillment", json!({})))
        .then_nothing();
}

#[test]
fn allocate_refuses() {
    let one = || allocate(json!([{ "line": 1, "quantity": 1 }]));
    let early = illegal(OrderStatus::Placed, "allocate goods", &[OrderStatus::Confirmed]);
    placed().when(one()).then_refused(early);
    let held = OrderError::OnHold {
        reasons: vec![HoldReason::Stock],
    };
    confirmed().and(hold("stock")).when(one()).then_refused(held);
    confirmed()
        .when(allocate(json!([])))
        .then_refused(OrderError::NoLines);
    let gone = confirmed().and(cancel_lines(json!([{ "line": 1, "quantity": 8 }])));
    let too_many = OrderError::ExceedsOpen {
        line: LineId(1),
        ordered: 10,
        cancelled: 8,
        allocated: 0,
        requested: 3,
    };
    gone.when(allocate(json!([{ "line": 1, "quantity": 3 }])))
        .then_refused(too_many);
    let licence = nothing()
        .and(create())
        .and(line(json!({ "requiresShipping": false })));
    let licence = licence.and(place()).and(confirm("manual"));
    licence
        .when(one())
        .then_refused(OrderError::NothingToShip { line: LineId(1) });
}

#[test]
fn allocate_stops_at_the_limit() {
    let many = nothing()
        .and(create())
        .and(add_line(1_001, 1))
        .and(set_details())
        .and(place());
    let one = || allocate(json!([{ "line": 1, "quantity": 1 }]));
    let full = (0..1_000).fold(many.and(confirm("manual")), |given, _| given.and(one()));
    full.when(one())
        .then_refused(OrderError::TooManyShipments { limit: 1_000 });
}

#[test]
fn release_gives_back_what_no_shipment_holds() {
    allocated()
        .when(release(2))
        .then_refused(OrderError::NotAllocated {
            shipment: shipment(2),
        });
    created().when(release(1)).then_refused(OrderError::ShipmentLive {
        shipment: shipment(1),
    });
    // A shipment that takes less than was set aside for it leaves the rest to be given back, once.
    let less = json!({ "location": "main", "lines": [{ "line": 1, "quantity": 4 }] });
    let given = allocated().and(ship("createShipment", less));
    assert_eq!(given.case().order.lines[0].open(), 0);
    let given = given.when(release(1)).then_types(&["order.fulfillment_released"]);
    assert_eq!(given.case().order.lines[0].open(), 6);
    let again = || OrderError::ShipmentLive {
        shipment: shipment(1),
    };
    let given = given.when(release(1)).then_refused(again());
    let given = given.and(ship("cancelShipment", json!({ "reason": "no label" })));
    let given = given.when(release(1)).then_types(&["order.fulfillment_released"]);
    assert_eq!(given.case().order.lines[0].open(), 10);
    given.when(release(1)).then_nothing();
    let given = allocated()
        .when(release(1))
        .then_types(&["order.fulfillment_released"]);
    assert_eq!(given.case().order.lines[0].open(), 10);
    given.when(release(1)).then_nothing();
    let called_off = created().and(ship("cancelShipment", json!({ "reason": "no label" })));
    called_off
        .when(release(1))
        .then_types(&["order.fulfillment_released"]);
    let lost = dispatched().and(ship("markShipmentFailed", json!({ "reason": "lost" })));
    lost.when(release(1)).then_types(&["order.fulfillment_released"]);
}

#[test]
fn complete_when_delivered_and_settled() {
    let complete = || command("completeOrder", json!({}));
    let missing = OrderError::NotDelivered {
        line: LineId(1),
        ordered: 10,
        cancelled: 0,
        delivered: 0,
    };
    dispatched().when(complete()).then_refused(missing);
    let delivered = dispatched().and(label_scanned());
    let unsettled = OrderError::NotSettled {
        due: 22_500,
        captured: 0,
        pending: 22_500,
        currency: Currency::EUR,
    };
    let given = delivered.when(complete()).then_refused(unsettled);
    let given = given
        .and(pay("capturePayment", json!({})))
        .and(result("recordCapture", "capture", 1, 5));
    let given = given.when(complete()).then_types(&["order.completed"]);
    given.when(complete()).then_nothing();
    let early = illegal(OrderStatus::Placed, "be completed", &[OrderStatus::Confirmed]);
    placed().when(complete()).then_refused(early);
    let held = OrderError::OnHold {
        reasons: vec![HoldReason::Manual],
    };
    confirmed()
        .and(hold("manual"))
        .when(complete())
        .then_refused(held);
}

#[test]
fn forget_records_it_once_whatever_the_status() {
    let forget = || command("forgetPersonalData", json!({}));
    for given in [draft(), placed().and(cancel()), dispatched()] {
        let given = given
            .when_by(&operator(), forget())
            .then_types(&["order.personal_data_forgotten"]);
        let order = &given.case().order;
        assert_eq!(order.shipping_address.as_ref().unwrap().country.as_str(), "DE");
        given.when_by(&operator(), forget()).then_nothing();
    }
}

#[test]
fn nothing_personal_is_added_to_the_forgotten() {
    let forgotten = || draft().and_by(&operator(), command("forgetPersonalData", json!({})));
    let refusal = || OrderError::Forgotten {
        subject: "customer:c-1".parse().unwrap(),
    };
    forgotten()
        .when(command("setDetails", json!({ "note": "hello" })))
        .then_refused(refusal());
    let method = json!({ "shippingMethod": { "code": "fast", "price": eur(900) } });
    let given = forgotten()
        .when(command("setDetails", method))
        .then_types(&["order.details_set"]);
    let correct = command(
        "correctAddress",
        json!({ "which": "shipping", "address": address("Main 2") }),
    );
    given.and(place()).when(correct).then_refused(refusal());
}

#[test]
fn a_customer_calls_off_only_what_is_not_confirmed() {
    let customer = by(Role::Customer, "c-1");
    placed()
        .when_by(&customer, cancel())
        .then_types(&["order.cancelled"]);
    let late = AccessError::TooLateForCustomer {
        status: OrderStatus::Confirmed,
    };
    confirmed().when_by(&customer, cancel()).then_refused(late);
}
