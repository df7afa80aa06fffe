//! Who may do what: deny is the default.

use chrono::TimeDelta;
use docket_domain::access::may_see;
use docket_domain::testing::{NOW, by, nothing};
use docket_domain::{AccessError, Actor, ActorKind, Command, Context, InvalidError, Refusal, Role};
use serde_json::json;

use crate::fixtures::*;

fn customer(id: &str) -> Context {
    by(Role::Customer, id)
}

fn forbidden(role: Role, command: &'static str) -> AccessError {
    AccessError::Forbidden { role, command }
}

fn forget() -> Command {
    command("forgetPersonalData", json!({}))
}

#[test]
fn a_customer_begins_fills_in_places_and_calls_off_their_own() {
    let own = customer("c-1");
    let given = nothing().when_by(&own, create()).then_types(&["order.drafted"]);
    let given = given.and(add_line(1, 100));
    let note = command(
        "setDetails",
        json!({ "note": "hi", "shippingAddress": address("Main 1") }),
    );
    let given = given.when_by(&own, note).then_types(&["order.details_set"]);
    let given = given
        .when_by(&own, command("placeOrder", json!({})))
        .then_types(&["order.placed"]);
    let cancel = command("cancelOrder", json!({ "reason": "x" }));
    given.when_by(&own, cancel).then_types(&["order.cancelled"]);
}

#[test]
fn a_customer_orders_only_for_themselves() {
    nothing()
        .when_by(&customer("c-2"), create())
        .then_refused(AccessError::CustomerIsSelf);
    let anonymous = command(
        "createOrder",
        json!({ "channel": "web", "currency": "EUR", "locale": "de" }),
    );
    let own = customer("c-2");
    nothing()
        .when_by(&own, anonymous.clone())
        .then_refused(AccessError::CustomerIsSelf);
    let given = nothing()
        .when_by(&own, anonymous.with_customer_of(&own.actor))
        .then_types(&["order.drafted"]);
    assert_eq!(given.case().order.customer.as_ref().unwrap().as_str(), "c-2");
}

#[test]
fn an_order_of_somebody_else_does_not_exist_for_a_customer() {
    let missing = || Refusal::NotFound {
        stream: order().into(),
    };
    let place = || command("placeOrder", json!({}));
    draft().when_by(&customer("c-2"), place()).then_refused(missing());
    nothing()
        .when_by(&customer("c-2"), place())
        .then_refused(missing());
    let given = draft();
    assert!(may_see(&given.case().order, &customer("c-1").actor));
    assert!(!may_see(&given.case().order, &customer("c-2").actor));
    assert!(!may_see(&given.case().order, &by(Role::Gateway, "c-1").actor));
}

#[test]
fn a_customer_sets_no_price() {
    draft()
        .when_by(&customer("c-1"), set_details())
        .then_refused(AccessError::PriceByCustomer);
    let refused = |command: Command, name| {
        draft()
            .when_by(&customer("c-1"), command)
            .then_refused(forbidden(Role::Customer, name));
    };
    refused(add_line(1, 1), "addLine");
    refused(
        command("setLineQuantity", json!({ "line": 1, "quantity": 1 })),
        "setLineQuantity",
    );
    refused(
        command("confirmOrder", json!({ "mode": "manual" })),
        "confirmOrder",
    );
    refused(initiate(1, "manual"), "initiatePayment");
    refused(authorize(1), "recordAuthorization");
    refused(forget(), "forgetPersonalData");
}

#[test]
fn only_an_operator_forgets() {
    draft()
        .when(forget())
        .then_refused(forbidden(Role::Staff, "forgetPersonalData"));
    draft()
        .when_by(&service(), forget())
        .then_refused(forbidden(Role::Service, "forgetPersonalData"));
    let gateway = by(Role::Gateway, "stripe");
    draft()
        .when_by(&gateway, forget())
        .then_refused(forbidden(Role::Gateway, "forgetPersonalData"));
    draft()
        .when_by(&operator(), forget())
        .then_types(&["order.personal_data_forgotten"]);
}

#[test]
fn a_gateway_reports_on_its_own_payments_only() {
    let given = || placed().and(initiate_through("stripe", 1_000, "manual"));
    let (own, other) = (by(Role::Gateway, "stripe"), by(Role::Gateway, "adyen"));
    let missing = Refusal::NotFound {
        stream: payment(1).into(),
    };
    given()
        .when_by(&other, authorize(1_000))
        .then_refused(missing.clone());
    placed().when_by(&own, authorize(1_000)).then_refused(missing);
    let given = given()
        .when_by(&own, authorize(1_000))
        .then_types(&["payment.authorized"]);
    let capture = pay("capturePayment", json!({}));
    let given = given
        .when_by(&own, capture)
        .then_refused(forbidden(Role::Gateway, "capturePayment"));
    given
        .when_by(&own, pay("expireAuthorization", json!({})))
        .then_types(&["payment.authorization_expired"]);
}

#[test]
fn nobody_speaks_for_a_gateway_that_speaks_for_itself() {
    let given = || placed().and(initiate_through("stripe", 1_000, "manual"));
    let refusal = || AccessError::ResultByGatewayOnly {
        gateway: "stripe".into(),
    };
    given().when(authorize(1_000)).then_refused(refusal());
    given()
        .when_by(&operator(), authorize(1_000))
        .then_refused(refusal());
    let not_service = forbidden(Role::Service, "recordAuthorization");
    given()
        .when_by(&service(), authorize(1_000))
        .then_refused(not_service);
    let manual = || placed().and(initiate(1_000, "manual"));
    manual()
        .when(authorize(1_000))
        .then_types(&["payment.authorized"]);
    manual()
        .when_by(&operator(), authorize(1_000))
        .then_types(&["payment.authorized"]);
}

#[test]
fn a_carrier_scans_and_does_nothing_else() {
    let mut carrier = by(Role::Service, "dhl");
    carrier.actor.kind = ActorKind::Carrier;
    dispatched()
        .when_by(&carrier, scan(1, "in_transit", 1))
        .then_types(&["shipment.tracking_updated"]);
    created()
        .when_by(&carrier, label(1))
        .then_refused(forbidden(Role::Service, "buyLabel"));
}

#[test]
fn the_desk_scans_only_what_it_labelled() {
    let bought = created()
        .and_by(&service(), label(1))
        .and(ship("dispatchShipment", json!({})));
    bought
        .when(scan(1, "in_transit", 1))
        .then_refused(AccessError::ScanByCarrierOnly);
    dispatched()
        .when(scan(1, "in_transit", 1))
        .then_types(&["shipment.tracking_updated"]);
}

#[test]
fn a_role_has_its_kinds_of_actor() {
    let mut forged = by(Role::Operator, "c-1");
    forged.actor.kind = ActorKind::Customer;
    let mismatch = AccessError::ActorMismatch {
        kind: ActorKind::Customer,
        role: Role::Operator,
    };
    draft().when_by(&forged, forget()).then_refused(mismatch);
}

#[test]
fn only_an_operator_acts_in_the_past_and_nobody_in_the_future() {
    let context = |role, minutes: i64, imported| {
        let occurred_at = Some(NOW + TimeDelta::minutes(minutes));
        Context::try_new(NOW, occurred_at, Actor::new(role, "x"), imported).map(|context| context.now)
    };
    let past: Refusal = AccessError::BackdatingByOperatorOnly.into();
    let import: Refusal = AccessError::ImportByOperatorOnly.into();
    for role in [Role::Customer, Role::Staff, Role::Service, Role::Gateway] {
        assert_eq!(context(role, -1, false), Err(past.clone()));
        assert_eq!(context(role, 0, true), Err(import.clone()));
        assert!(context(role, 0, false).is_ok());
    }
    assert_eq!(context(Role::Operator, -1, true), Ok(NOW - TimeDelta::minutes(1)));
    assert!(context(Role::Operator, 5, false).is_ok());
    let occurred_at = NOW + TimeDelta::minutes(6);
    let future = InvalidError::OccurredInFuture {
        occurred_at,
        limit_minutes: 5,
    };
    assert_eq!(context(Role::Operator, 6, true), Err(future.into()));
}

#[test]
fn no_time_lies_outside_the_calendar() {
    for (field, year) in [
        ("at", "-0001"),
        ("captureBefore", "-9999"),
        ("captureBefore", "+10000"),
    ] {
        let mut fields = json!({ "reference": "a", "at": at(0) });
        fields[field] = format!("{year}-01-01T00:00:00Z").into();
        let command = pay("recordAuthorization", fields);
        let then = placed().and(initiate(1_000, "manual")).when(command);
        assert!(format!("{then:?}").contains("TimeOutOfRange"), "{then:?}");
    }
}
