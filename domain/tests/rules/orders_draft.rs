//! A draft: every command until it is placed, and every rule that refuses one.

use chrono::TimeDelta;
use docket_domain::order::OrderStatus;
use docket_domain::testing::{NOW, nothing, staff};
use docket_domain::{Currency, InvalidError, LineId, MoneyError, OrderError, OrderNumber, Refusal, limits};
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

fn set_quantity(line: u16, quantity: u32) -> docket_domain::Command {
    command("setLineQuantity", json!({ "line": line, "quantity": quantity }))
}

fn place() -> docket_domain::Command {
    command("placeOrder", json!({}))
}

fn cancel() -> docket_domain::Command {
    command("cancelOrder", json!({ "reason": "changed my mind" }))
}

#[test]
fn create_drafts_an_order_for_its_customer() {
    let given = nothing().when(create()).then_types(&["order.drafted"]);
    let order = &given.case().order;
    assert_eq!(order.status, OrderStatus::Draft);
    assert_eq!(order.subject.as_ref().unwrap().to_string(), "customer:c-1");
}

#[test]
fn create_without_a_customer_is_its_own_subject() {
    let anonymous = command(
        "createOrder",
        json!({ "channel": "web", "currency": "EUR", "locale": "de" }),
    );
    let given = nothing().when(anonymous).then_types(&["order.drafted"]);
    assert_eq!(
        given.case().order.subject.as_ref().unwrap().to_string(),
        format!("order:{ORDER}")
    );
}

#[test]
fn create_again_is_done_already_and_with_other_content_refused() {
    let other = command(
        "createOrder",
        json!({ "channel": "phone", "currency": "EUR", "locale": "de" }),
    );
    let given = draft().when(create()).then_nothing();
    given
        .when(other)
        .then_refused(OrderError::AlreadyExists { order: order() });
}

#[test]
fn create_without_an_id_is_refused() {
    let nameless: docket_domain::Command = serde_json::from_value(
        json!({ "command": "createOrder", "channel": "web", "currency": "EUR", "locale": "de" }),
    )
    .unwrap();
    nothing()
        .when(nameless.clone())
        .then_refused(InvalidError::NoOrderId);
    nothing()
        .when(nameless.with_order(order()))
        .then_types(&["order.drafted"]);
}

#[test]
fn what_does_not_exist_is_not_found() {
    let missing = Refusal::NotFound {
        stream: order().into(),
    };
    nothing().when(add_line(1, 1)).then_refused(missing.clone());
    nothing()
        .when(initiate(1, "manual"))
        .then_refused(missing.clone());
    nothing()
        .when(ship("createShipment", json!({ "location": "main" })))
        .then_refused(missing);
}

#[test]
fn add_line_prices_it() {
    let taxed =
        line(json!({ "quantity": 3, "unitPrice": eur(333), "discountBp": 1_000, "taxRateBp": 1_900 }));
    let given = nothing()
        .and(create())
        .when(taxed)
        .then_types(&["order.line_added"]);
    let line = &given.case().order.lines[0].line;
    // 9.99 less 0.999 = 8.99, and 19 % of that are 1.708.
    assert_eq!(
        (line.gross(), line.discount, line.tax, line.total()),
        (Ok(999), 100, 171, Ok(1_070))
    );
}

#[test]
fn add_line_takes_amounts_as_given() {
    let given = nothing()
        .and(create())
        .and(line(json!({ "discount": eur(1), "tax": eur(2) })));
    let line = &given.case().order.lines[0].line;
    assert_eq!((line.discount, line.tax, line.total()), (1, 2, Ok(1_001)));
}

#[test]
fn add_line_refuses_amounts_that_are_none() {
    let refused = |fields: Value, error: MoneyError| {
        nothing()
            .and(create())
            .when(line(fields))
            .then_refused(OrderError::Amount(error));
    };
    let usd = json!({ "amountMinor": 5, "currency": "USD" });
    refused(
        json!({ "unitPrice": eur(0) }),
        MoneyError::NotPositive { amount_minor: 0 },
    );
    refused(
        json!({ "unitPrice": eur(-5) }),
        MoneyError::Negative { amount_minor: -5 },
    );
    refused(
        json!({ "tax": eur(-5) }),
        MoneyError::Negative { amount_minor: -5 },
    );
    refused(
        json!({ "unitPrice": usd }),
        MoneyError::CurrencyMismatch {
            expected: Currency::EUR,
            found: Currency::USD,
        },
    );
    refused(
        json!({ "quantity": 2, "unitPrice": eur(i64::MAX) }),
        MoneyError::Overflow,
    );
    refused(
        json!({ "unitPrice": eur(limits::AMOUNT + 1), "tax": eur(1) }),
        MoneyError::Overflow,
    );
}

#[test]
fn add_line_refuses_a_total_that_overflows() {
    let given = nothing().and(create()).and(line(
        json!({ "unitPrice": eur(limits::AMOUNT), "quantity": 9_000 }),
    ));
    given
        .when(line(json!({ "unitPrice": eur(limits::AMOUNT), "quantity": 300 })))
        .then_refused(OrderError::Amount(MoneyError::Overflow));
}

#[test]
fn add_line_refuses_what_is_out_of_bounds() {
    let refused = |fields: Value, error: OrderError| {
        nothing().and(create()).when(line(fields)).then_refused(error);
    };
    refused(
        json!({ "discount": eur(1), "discountBp": 1 }),
        OrderError::AmountAndRate { what: "discount" },
    );
    refused(
        json!({ "discount": eur(1_001) }),
        OrderError::DiscountExceedsLine {
            discount: 1_001,
            gross: 1_000,
        },
    );
    refused(
        json!({ "discountBp": 10_001 }),
        OrderError::RateTooHigh {
            what: "discount",
            basis_points: 10_001,
            limit: 10_000,
        },
    );
    refused(
        json!({ "taxRateBp": 100_001 }),
        OrderError::RateTooHigh {
            what: "tax rate",
            basis_points: 100_001,
            limit: 100_000,
        },
    );
    refused(
        json!({ "weightG": 100_000_001 }),
        OrderError::TooHeavy {
            weight_g: 100_000_001,
            limit_g: 100_000_000,
        },
    );
}

#[test]
fn add_line_stops_at_the_limit() {
    let full = (0..500).fold(nothing().and(create()), |given, _| given.and(line(json!({}))));
    full.when(line(json!({})))
        .then_refused(OrderError::TooManyLines { limit: 500 });
}

#[test]
fn lines_are_fixed_once_placed() {
    let draft_only: &[OrderStatus] = &[OrderStatus::Draft];
    placed()
        .when(add_line(1, 1))
        .then_refused(illegal(OrderStatus::Placed, "take lines", draft_only));
    placed()
        .when(set_quantity(1, 1))
        .then_refused(illegal(OrderStatus::Placed, "change lines", draft_only));
    let details = illegal(OrderStatus::Placed, "change its details", draft_only);
    placed().when(set_details()).then_refused(details);
}

#[test]
fn set_line_quantity_computes_rates_anew() {
    let given = nothing()
        .and(create())
        .and(line(json!({ "discountBp": 1_000, "taxRateBp": 2_000 })));
    let given = given
        .when(set_quantity(1, 3))
        .then_types(&["order.line_quantity_changed"]);
    let line = &given.case().order.lines[0].line;
    assert_eq!((line.quantity.get(), line.discount, line.tax), (3, 300, 540));
}

#[test]
fn set_line_quantity_to_zero_takes_the_line_out() {
    let given = draft()
        .when(set_quantity(1, 0))
        .then_types(&["order.line_quantity_changed"]);
    assert!(given.case().order.line(LineId(1)).is_none());
    let given = given.when(set_quantity(1, 0)).then_nothing();
    given
        .when(set_quantity(1, 1))
        .then_refused(OrderError::UnknownLine { line: LineId(1) });
}

#[test]
fn set_line_quantity_to_the_same_is_done_already() {
    draft().when(set_quantity(1, 10)).then_nothing();
}

#[test]
fn set_line_quantity_needs_amounts_that_were_amounts() {
    let given = || {
        nothing()
            .and(create())
            .and(line(json!({ "discount": eur(1), "tax": eur(2) })))
    };
    let set = |fields: Value| {
        let mut fields = fields;
        fields["line"] = 1.into();
        fields["quantity"] = 2.into();
        command("setLineQuantity", fields)
    };
    given()
        .when(set(json!({})))
        .then_refused(OrderError::AmountNeeded {
            line: LineId(1),
            what: "discount",
        });
    let without_tax = set(json!({ "discount": eur(5) }));
    given().when(without_tax).then_refused(OrderError::AmountNeeded {
        line: LineId(1),
        what: "tax",
    });
    let whole = set(json!({ "discount": eur(5), "tax": eur(6) }));
    let given = given().when(whole).then_types(&["order.line_quantity_changed"]);
    let line = &given.case().order.lines[0].line;
    assert_eq!((line.discount, line.tax), (5, 6));
}

#[test]
fn set_line_quantity_refuses_what_is_out_of_bounds() {
    let too_many = OrderError::QuantityTooLarge {
        quantity: 1_000_001,
        limit: 1_000_000,
    };
    draft().when(set_quantity(1, 1_000_001)).then_refused(too_many);
    draft()
        .when(set_quantity(9, 1))
        .then_refused(OrderError::UnknownLine { line: LineId(9) });
    let dear = nothing()
        .and(create())
        .and(line(json!({ "unitPrice": eur(limits::AMOUNT) })));
    dear.when(set_quantity(1, 10_000))
        .then_refused(OrderError::Amount(MoneyError::Overflow));
}

#[test]
fn set_details_records_only_what_is_new() {
    let given = draft().when(set_details()).then_nothing();
    let note = command(
        "setDetails",
        json!({ "note": "ring\ntwice", "shippingAddress": address("Main 1") }),
    );
    let given = given.when(note).then_types(&["order.details_set"]);
    assert!(given.case().order.note.is_some());
}

#[test]
fn set_details_refuses_a_price_that_is_none() {
    let method = |price: Value| {
        command(
            "setDetails",
            json!({ "shippingMethod": { "code": "x", "price": price } }),
        )
    };
    draft()
        .when(method(eur(-1)))
        .then_refused(OrderError::Amount(MoneyError::Negative { amount_minor: -1 }));
    draft()
        .when(method(eur(i64::MAX)))
        .then_refused(OrderError::Amount(MoneyError::Overflow));
    draft().when(method(eur(0))).then_types(&["order.details_set"]);
}

#[test]
fn place_takes_a_snapshot() {
    let given = draft().when(place()).then_types(&["order.placed"]);
    let order = &given.case().order;
    assert_eq!(
        (order.number, order.totals.grand),
        (Some(OrderNumber(1001)), 22_500)
    );
    assert_eq!(order.payment_due_at, Some(NOW + TimeDelta::minutes(30)));
}

#[test]
fn place_again_keeps_the_number() {
    let mut context = staff();
    context.order_number = Some(OrderNumber(1002));
    let given = placed().when_by(&context, place()).then_nothing();
    assert_eq!(given.case().order.number, Some(OrderNumber(1001)));
}

#[test]
fn place_refuses_what_is_not_ready() {
    nothing()
        .and(create())
        .when(place())
        .then_refused(OrderError::Empty);
    nothing()
        .and(create())
        .and(add_line(1, 1))
        .when(place())
        .then_refused(OrderError::NoShippingAddress);
    let mut context = staff();
    context.order_number = None;
    draft()
        .when_by(&context, place())
        .then_refused(InvalidError::NoOrderNumber);
    let over = illegal(OrderStatus::Cancelled, "be placed", &[OrderStatus::Draft]);
    placed().and(cancel()).when(place()).then_refused(over);
}

#[test]
fn place_needs_no_address_where_nothing_is_shipped() {
    let licence = nothing()
        .and(create())
        .and(line(json!({ "requiresShipping": false })));
    licence.when(place()).then_types(&["order.placed"]);
}
