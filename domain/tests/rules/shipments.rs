//! Every command of a shipment, and every rule that refuses one.

use chrono::TimeDelta;
use docket_domain::order::{HoldReason, OrderStatus};
use docket_domain::shipment::{CarrierStatus, ShipmentStatus};
use docket_domain::testing::{Given, NOW, nothing};
use docket_domain::{Command, LineId, MoneyError, ParcelNumber, Refusal, ShipmentError};
use serde_json::{Value, json};

use crate::fixtures::*;

fn create_with(fields: Value) -> Command {
    let mut fields = fields;
    fields["location"] = "main".into();
    ship("createShipment", fields)
}

fn dispatch() -> Command {
    ship("dispatchShipment", json!({}))
}

fn cancel() -> Command {
    ship("cancelShipment", json!({ "reason": "no label" }))
}

fn fail() -> Command {
    ship("markShipmentFailed", json!({ "reason": "lost" }))
}

fn status(given: &Given) -> ShipmentStatus {
    given.case().shipment(1).unwrap().status
}

fn parcel_status(given: &Given) -> CarrierStatus {
    given.case().shipment(1).unwrap().parcels[0].status
}

fn illegal(
    from: ShipmentStatus,
    attempted: &'static str,
    allowed: &'static [ShipmentStatus],
) -> ShipmentError {
    ShipmentError::IllegalTransition {
        from,
        attempted,
        allowed,
    }
}

#[test]
fn create_ships_what_was_allocated_where_the_order_goes() {
    let given = allocated()
        .when(create_with(json!({})))
        .then_types(&["shipment.created"]);
    let (case, shipment) = (given.case(), given.case().shipment(1).unwrap());
    assert_eq!(shipment.ship_to, case.order.shipping_address);
    assert_eq!(shipment.lines, case.order.allocations[&1].lines);
}

#[test]
fn create_again_is_done_already_and_with_other_content_refused() {
    created().when(create_with(json!({}))).then_nothing();
    let same = json!({ "shipTo": address("Main 1"), "lines": [
        { "line": 1, "quantity": 10 }, { "line": 2, "quantity": 2 }] });
    created().when(create_with(same)).then_nothing();
    let other = ShipmentError::AlreadyExists {
        shipment: shipment(1),
    };
    let elsewhere = ship("createShipment", json!({ "location": "other" }));
    created().when(elsewhere).then_refused(other.clone());
    created()
        .when(create_with(json!({ "shipTo": address("Main 2") })))
        .then_refused(other.clone());
    let fewer = json!({ "lines": [{ "line": 1, "quantity": 1 }] });
    created().when(create_with(fewer)).then_refused(other);
}

#[test]
fn create_refuses_what_was_not_allocated() {
    let refused = |lines: Value, error: ShipmentError| {
        allocated()
            .when(create_with(json!({ "lines": lines })))
            .then_refused(error);
    };
    let too_many = ShipmentError::ExceedsAllocated {
        line: LineId(1),
        allocated: 10,
        requested: 11,
    };
    refused(json!([{ "line": 1, "quantity": 11 }]), too_many);
    let unknown = ShipmentError::ExceedsAllocated {
        line: LineId(9),
        allocated: 0,
        requested: 1,
    };
    refused(json!([{ "line": 9, "quantity": 1 }]), unknown);
    refused(json!([]), ShipmentError::NoLines);
    let twice = json!([{ "line": 1, "quantity": 1 }, { "line": 1, "quantity": 1 }]);
    refused(twice, ShipmentError::DuplicateLine { line: LineId(1) });
    let unallocated = ShipmentError::NotAllocated {
        shipment: shipment(1),
    };
    confirmed()
        .when(create_with(json!({})))
        .then_refused(unallocated.clone());
    let release = ship("releaseFulfillment", json!({}));
    allocated()
        .and(release)
        .when(create_with(json!({})))
        .then_refused(unallocated);
}

#[test]
fn goods_leave_only_for_an_order_that_is_confirmed_and_not_stopped() {
    let hold = || command("placeHold", json!({ "reason": "fraud" }));
    let cancel_order = || command("cancelOrder", json!({ "reason": "x" }));
    let allowed: &[OrderStatus] = &[OrderStatus::Confirmed];
    let over = || ShipmentError::OrderNotShippable {
        status: OrderStatus::Cancelled,
        allowed,
    };
    let held = || ShipmentError::OnHold {
        reasons: vec![HoldReason::Fraud],
    };
    allocated()
        .and(hold())
        .when(create_with(json!({})))
        .then_refused(held());
    allocated()
        .and(cancel_order())
        .when(create_with(json!({})))
        .then_refused(over());
    created()
        .and(label(1))
        .and(hold())
        .when(dispatch())
        .then_refused(held());
    created()
        .and(label(1))
        .and(cancel_order())
        .when(dispatch())
        .then_refused(over());
}

#[test]
fn a_shipment_that_does_not_exist_is_not_found() {
    let missing = || Refusal::NotFound {
        stream: shipment(1).into(),
    };
    for command in [label(1), dispatch(), scan(1, "delivered", 1), fail(), cancel()] {
        allocated().when(command.clone()).then_refused(missing());
        nothing().when(command).then_refused(missing());
    }
}

#[test]
fn labels_number_the_parcels() {
    let given = created().when(label(2)).then_types(&["shipment.label_purchased"]);
    let numbers: Vec<_> = given
        .case()
        .shipment(1)
        .unwrap()
        .parcels
        .iter()
        .map(|p| p.parcel.number.0)
        .collect();
    assert_eq!(numbers, [1, 2]);
    let given = given.when(label(2)).then_nothing();
    let other = illegal(
        ShipmentStatus::LabelPurchased,
        "be labelled",
        &[ShipmentStatus::Created],
    );
    given.when(label(1)).then_refused(other);
}

#[test]
fn labels_refuse_what_is_out_of_bounds() {
    created()
        .when(label(0))
        .then_refused(ShipmentError::ParcelCount { count: 0, limit: 100 });
    created()
        .when(label(101))
        .then_refused(ShipmentError::ParcelCount {
            count: 101,
            limit: 100,
        });
    let with = |mut parcel: Value, cost: Value| {
        parcel["tracking"] = json!({ "carrier": "dhl", "trackingNumber": "T1" });
        created().when(ship("buyLabel", json!({ "parcels": [parcel], "cost": cost })))
    };
    let weight = ShipmentError::Measure {
        what: "a weight in grams",
        value: 0,
        limit: 100_000_000,
    };
    with(json!({ "weightG": 0 }), eur(1)).then_refused(weight);
    for (field, what) in [
        ("lengthMm", "a length"),
        ("widthMm", "a width"),
        ("heightMm", "a height"),
    ] {
        let then = with(json!({ field: 100_001 }), eur(1));
        let text = format!("{then:?}");
        assert!(text.contains(what) && text.contains("100001"), "{text}");
    }
    let linked = |url: &str| {
        let tracking = json!({ "carrier": "dhl", "trackingNumber": "T1", "url": url });
        created().when(ship("buyLabel", json!({ "parcels": [{ "tracking": tracking }] })))
    };
    for url in [
        "javascript:alert(1)",
        "data:text/html,x",
        "//example.org",
        "javascript://example.org/%0aalert(1)",
    ] {
        linked(url).then_refused(ShipmentError::NotALink);
    }
    for url in ["https://example.org/T1", "HTTP://example.org/T1"] {
        linked(url).then_types(&["shipment.label_purchased"]);
    }
    let zero = ShipmentError::Amount(MoneyError::NotPositive { amount_minor: 0 });
    with(json!({}), eur(0)).then_refused(zero);
}

#[test]
fn dispatch_needs_a_label() {
    let unlabelled = illegal(
        ShipmentStatus::Created,
        "be dispatched",
        &[ShipmentStatus::LabelPurchased],
    );
    created().when(dispatch()).then_refused(unlabelled);
    let given = created()
        .and(label(1))
        .when(dispatch())
        .then_types(&["shipment.dispatched"]);
    given.when(dispatch()).then_nothing();
}

#[test]
fn a_scan_is_recorded_once() {
    let given = dispatched()
        .when(scan(1, "in_transit", 5))
        .then_types(&["shipment.tracking_updated"]);
    given.when(scan(1, "in_transit", 5)).then_nothing();
}

#[test]
fn a_late_scan_is_recorded_and_moves_nothing_back() {
    let given = dispatched().and(scan(1, "out_for_delivery", 9));
    let given = given
        .when(scan(1, "in_transit", 5))
        .then_types(&["shipment.tracking_updated"]);
    assert_eq!(parcel_status(&given), CarrierStatus::OutForDelivery);
    let given = given
        .when(scan(1, "failure", 6))
        .then_types(&["shipment.tracking_updated"]);
    assert_eq!(parcel_status(&given), CarrierStatus::OutForDelivery);
}

#[test]
fn a_failed_attempt_is_counted_and_may_be_followed_by_delivery() {
    let types = ["shipment.tracking_updated", "shipment.delivery_attempt_failed"];
    let given = dispatched().and(scan(1, "out_for_delivery", 9));
    let given = given.when(scan(1, "failure", 10)).then_types(&types);
    let given = given.when(scan(1, "failure", 11)).then_types(&types);
    assert_eq!(given.case().shipment(1).unwrap().parcels[0].failed_attempts, 2);
    let given = given.and(scan(1, "out_for_delivery", 12));
    assert_eq!(parcel_status(&given), CarrierStatus::OutForDelivery);
    let given = given.when(scan(1, "delivered", 13));
    let given = given.then_types(&["shipment.tracking_updated", "shipment.delivered"]);
    assert_eq!(status(&given), ShipmentStatus::Delivered);
    given
        .when(scan(1, "failure", 14))
        .then_types(&["shipment.tracking_updated"]);
}

#[test]
fn delivered_when_every_parcel_is() {
    let given = created().and(label(2)).and(dispatch());
    let given = given
        .when(scan(1, "delivered", 5))
        .then_types(&["shipment.tracking_updated"]);
    assert_eq!(status(&given), ShipmentStatus::Dispatched);
    given
        .when(scan(2, "delivered", 6))
        .then_types(&["shipment.tracking_updated", "shipment.delivered"]);
}

#[test]
fn returned_when_every_parcel_is_sent_back() {
    let given = dispatched().when(scan(1, "return_to_sender", 5));
    let given = given.then_types(&["shipment.tracking_updated", "shipment.returned"]);
    let given = given
        .when(scan(1, "delivered", 6))
        .then_types(&["shipment.tracking_updated"]);
    assert_eq!(
        (status(&given), parcel_status(&given)),
        (ShipmentStatus::Returned, CarrierStatus::ReturnToSender)
    );
}

#[test]
fn parcels_that_end_differently_are_left_to_a_person() {
    let given = created()
        .and(label(2))
        .and(dispatch())
        .and(scan(1, "delivered", 5));
    let given = given
        .when(scan(2, "return_to_sender", 6))
        .then_types(&["shipment.tracking_updated"]);
    assert_eq!(status(&given), ShipmentStatus::Dispatched);
}

#[test]
fn before_its_dispatch_a_parcel_is_at_most_announced() {
    let given = created().and(label(1));
    let given = given
        .when(scan(1, "pre_transit", 1))
        .then_types(&["shipment.tracking_updated"]);
    let allowed: &[ShipmentStatus] = &[
        ShipmentStatus::Dispatched,
        ShipmentStatus::Delivered,
        ShipmentStatus::Returned,
        ShipmentStatus::Failed,
    ];
    let early = illegal(ShipmentStatus::LabelPurchased, "be under way", allowed);
    given.when(scan(1, "delivered", 2)).then_refused(early);
}

#[test]
fn a_scan_refuses() {
    let unknown = ShipmentError::UnknownParcel {
        parcel: ParcelNumber(2),
    };
    dispatched().when(scan(2, "in_transit", 1)).then_refused(unknown);
    let at = NOW + TimeDelta::minutes(6);
    let early = json!({ "parcel": 1, "status": "in_transit", "carrierEventId": "x", "at": at });
    dispatched()
        .when(ship("recordTracking", early))
        .then_refused(ShipmentError::ScanInFuture { at });
    let numbered = |n: usize| {
        let id = format!("scan-{n}");
        let at = crate::fixtures::at(1);
        ship(
            "recordTracking",
            json!({ "parcel": 1, "status": "unknown", "carrierEventId": id, "at": at }),
        )
    };
    let full = (0..2_000).fold(dispatched(), |given, n| given.and(numbered(n)));
    full.when(numbered(2_000))
        .then_refused(ShipmentError::TooManyScans { limit: 2_000 });
}

#[test]
fn fail_until_it_has_arrived() {
    for given in [created(), created().and(label(1)), dispatched()] {
        given
            .when(fail())
            .then_types(&["shipment.failed"])
            .when(fail())
            .then_nothing();
    }
    let allowed: &[ShipmentStatus] = &[
        ShipmentStatus::Created,
        ShipmentStatus::LabelPurchased,
        ShipmentStatus::Dispatched,
    ];
    let late = illegal(ShipmentStatus::Delivered, "fail", allowed);
    dispatched()
        .and(scan(1, "delivered", 1))
        .when(fail())
        .then_refused(late);
}

#[test]
fn cancel_until_it_is_dispatched() {
    for given in [created(), created().and(label(1))] {
        given
            .when(cancel())
            .then_types(&["shipment.cancelled"])
            .when(cancel())
            .then_nothing();
    }
    let allowed: &[ShipmentStatus] = &[ShipmentStatus::Created, ShipmentStatus::LabelPurchased];
    dispatched()
        .when(cancel())
        .then_refused(illegal(ShipmentStatus::Dispatched, "be cancelled", allowed));
}
