//! The values check themselves, also when they are read from JSON, and say what is wrong.

use docket_domain::personal::SealedValue;
use docket_domain::text::{Code, Note};
use docket_domain::{
    Address, Command, CountryCode, Currency, Money, MoneyError, OrderId, PaymentId, Personal, Sealable,
    ShipmentId, StreamId, StreamKind, Subject, TextError,
};
use serde_json::{Value, json};

use crate::fixtures::*;

#[test]
fn currencies_have_the_exponents_of_the_iso_table() {
    let exponent = |code: &str| Currency::try_new(code).map(Currency::exponent);
    assert_eq!(
        (exponent("EUR"), exponent("JPY"), exponent("KWD")),
        (Ok(2), Ok(0), Ok(3))
    );
    assert_eq!(
        exponent("XAU"),
        Err(MoneyError::NoMinorUnit { code: "XAU".into() })
    );
    for unknown in ["eur", "ZZZ", "", "EURO", "€"] {
        assert_eq!(
            exponent(unknown),
            Err(MoneyError::UnknownCurrency { code: unknown.into() })
        );
    }
}

#[test]
fn money_is_shown_with_its_places() {
    let shown = |amount, code: &str| Money::new(amount, code.parse().unwrap()).to_string();
    assert_eq!(shown(1_999, "EUR"), "19.99 EUR");
    assert_eq!(shown(-5, "EUR"), "-0.05 EUR");
    assert_eq!(shown(500, "JPY"), "500 JPY");
    assert_eq!(shown(1, "KWD"), "0.001 KWD");
    assert_eq!(shown(i64::MIN, "EUR"), "-92233720368547758.08 EUR");
}

#[test]
fn money_arithmetic_is_checked() {
    let (one, max) = (Money::new(1, Currency::EUR), Money::new(i64::MAX, Currency::EUR));
    assert_eq!(max.checked_add(one), Err(MoneyError::Overflow));
    assert_eq!(
        Money::new(i64::MIN, Currency::EUR).checked_sub(one),
        Err(MoneyError::Overflow)
    );
    assert_eq!(max.checked_mul(2), Err(MoneyError::Overflow));
    let mismatch = MoneyError::CurrencyMismatch {
        expected: Currency::EUR,
        found: Currency::USD,
    };
    assert_eq!(one.checked_add(Money::new(1, Currency::USD)), Err(mismatch));
    assert_eq!(one.checked_add(one).and_then(|two| two.checked_sub(one)), Ok(one));
}

#[test]
fn allocation_gives_the_rest_to_the_largest_remainders() {
    let shares = |amount, weights: &[u64]| docket_domain::money::allocate(amount, weights);
    assert_eq!(shares(100, &[1, 1, 1]), Ok(vec![34, 33, 33]));
    assert_eq!(shares(-100, &[1, 1, 1]), Ok(vec![-34, -33, -33]));
    assert_eq!(shares(5, &[50, 30, 20]), Ok(vec![3, 1, 1]));
    assert_eq!(shares(i64::MIN, &[1]), Ok(vec![i64::MIN]));
    assert_eq!(shares(7, &[0, 3]), Ok(vec![0, 7]));
    assert_eq!(shares(1, &[0, 0]), Err(MoneyError::NoWeights));
    assert_eq!(shares(1, &[]), Err(MoneyError::NoWeights));
}

#[test]
fn money_is_read_from_a_number_or_from_digits() {
    let read =
        |amount: Value| serde_json::from_value::<Money>(json!({ "amountMinor": amount, "currency": "EUR" }));
    assert_eq!(read(json!(5)).unwrap().amount_minor, 5);
    assert_eq!(read(json!("9223372036854775807")).unwrap().amount_minor, i64::MAX);
    assert_eq!(read(json!("-5")).unwrap().amount_minor, -5);
    for wrong in [
        json!(1.5),
        json!("1.5"),
        json!("+5"),
        json!(""),
        json!("-"),
        json!("9223372036854775808"),
        json!(u64::MAX),
    ] {
        assert!(read(wrong).is_err());
    }
    let extra = json!({ "amountMinor": 1, "currency": "EUR", "amount": 1 });
    assert!(serde_json::from_value::<Money>(extra).is_err());
}

#[test]
fn text_is_bounded_and_has_no_control_characters() {
    assert_eq!(Code::try_new(" "), Err(TextError::Empty));
    assert_eq!(Code::try_new("a\0b"), Err(TextError::Control { code: 0, at: 1 }));
    assert_eq!(Code::try_new("a\nb"), Err(TextError::Control { code: 10, at: 1 }));
    // The limit counts bytes: 33 two-byte letters are 66.
    assert_eq!(
        Code::try_new("é".repeat(33)),
        Err(TextError::TooLong {
            length: 66,
            limit: 64
        })
    );
    assert!(Code::try_new("é".repeat(32)).is_ok());
    assert!(Note::try_new("one\ttwo\r\nthree").is_ok());
    assert_eq!(
        Note::try_new("one\u{1b}[2J"),
        Err(TextError::Control { code: 27, at: 3 })
    );
}

#[test]
fn ids_have_one_text_each() {
    let id = order();
    assert_eq!(payment(1).to_string(), format!("{id}-p1"));
    assert_eq!(
        payment(2).capture_reference(docket_domain::CaptureId(3)),
        format!("{id}-p2-c3")
    );
    assert_eq!(
        payment(2).refund_reference(docket_domain::RefundId(3)),
        format!("{id}-p2-r3")
    );
    for stream in [
        StreamId::order(id),
        StreamId::payment(id, 1),
        StreamId::shipment(id, 65_535),
    ] {
        assert_eq!(stream.to_string().parse(), Ok(stream));
        assert_eq!(stream.partition_key(), ORDER);
    }
    assert_eq!(
        format!("{id}-s7").parse::<StreamId>().map(|s| (s.kind, s.number)),
        Ok((StreamKind::Shipment, 7))
    );
    for wrong in ["-p0", "-p01", "-p+1", "-p65536", "-p", "-s1", "-p1 ", "p1"] {
        assert!(format!("{id}{wrong}").parse::<PaymentId>().is_err(), "{wrong}");
    }
    assert!(format!("{id}-p1").parse::<ShipmentId>().is_err());
    for wrong in [
        "",
        "x",
        "019b00000000700080000000000000001",
        "{019b0000-0000-7000-8000-000000000001}",
        "é",
    ] {
        assert!(wrong.parse::<OrderId>().is_err(), "{wrong}");
        assert!(wrong.parse::<StreamId>().is_err(), "{wrong}");
    }
}

#[test]
fn a_customer_whose_id_looks_like_an_order_is_nobody_else() {
    let customer = Subject::of(order(), Some(&ORDER.parse().unwrap()));
    let nobody = Subject::of(order(), None);
    assert_ne!(customer.to_string(), nobody.to_string());
    for subject in [customer, nobody] {
        assert_eq!(subject.to_string().parse(), Ok(subject));
    }
    assert!("c-1".parse::<Subject>().is_err());
}

#[test]
fn countries_are_those_of_the_iso_table() {
    assert!(CountryCode::try_new("DE").is_ok());
    for wrong in ["de", "DEU", "XX", "", "UK", "276"] {
        assert!(CountryCode::try_new(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_open_value_is_neither_stored_nor_shown() {
    let mut personal: Personal<Code> = Personal::Open(Code::try_new("secret").unwrap());
    assert!(serde_json::to_string(&personal).is_err());
    assert!(!format!("{personal:?}").contains("secret"));
    Sealable::seal_with(&mut personal, &mut |clear| SealedValue::new(clear.to_vec()));
    let stored = serde_json::to_string(&personal).unwrap();
    assert_eq!(serde_json::from_str::<Personal<Code>>(&stored).unwrap(), personal);
    let opened = personal.open_with(&|sealed| Some(sealed.as_bytes().to_vec()));
    assert_eq!(opened.unwrap().as_str(), "secret");
    assert_eq!(personal.open_with(&|_| None), None);
    assert_eq!(
        serde_json::from_str::<Personal<Code>>("null").unwrap(),
        Personal::Forgotten
    );
    assert_eq!(
        serde_json::to_string(&Personal::<Code>::Forgotten).unwrap(),
        "null"
    );
    assert!(serde_json::from_str::<Personal<Code>>("\"not base64!\"").is_err());
}

#[test]
fn an_event_with_an_open_value_cannot_be_written() {
    let Command::CreateOrder(create) = command(
        "createOrder",
        json!({ "email": "ada@example.org", "channel": "web", "currency": "EUR", "locale": "de" }),
    ) else {
        panic!("a creation");
    };
    let decision = docket_domain::decide(&Default::default(), &create.into(), &desk()).unwrap();
    let docket_domain::Decision::Events(events) = decision else {
        panic!("an event")
    };
    let error = events[0].event.payload().unwrap_err();
    assert_eq!(error.event_type, "order.drafted");
    assert!(
        error.source.to_string().contains("must be sealed"),
        "{}",
        error.source
    );
}

#[test]
fn every_personal_field_of_every_command_is_sealed() {
    let details = json!({
        "shippingAddress": address("A"), "billingAddress": address("B"), "name": "Ada", "email": "a@b.c",
        "phone": "1", "note": "n",
    });
    let scan = json!({
        "parcel": 1, "status": "unknown", "carrierEventId": "x", "at": at(0), "place": "Berlin", "signedBy": "Ada",
    });
    let create = json!({
        "name": "Ada", "email": "a@b.c", "phone": "1", "channel": "web", "currency": "EUR", "locale": "de",
    });
    let commands = [
        (command("createOrder", create), 3),
        (command("setDetails", details), 6),
        (
            command(
                "correctAddress",
                json!({ "which": "billing", "address": address("A") }),
            ),
            1,
        ),
        (
            ship(
                "createShipment",
                json!({ "location": "main", "shipTo": address("A") }),
            ),
            1,
        ),
        (ship("recordTracking", scan), 2),
    ];
    for (command, fields) in commands {
        assert!(
            serde_json::to_string(&command).is_ok(),
            "clear commands are written clear"
        );
        let sealed = docket_domain::testing::seal(command);
        let shown = format!("{sealed:?}");
        assert_eq!(
            (
                shown.matches("SealedValue").count(),
                shown.matches("Open(").count()
            ),
            (fields, 0),
            "{shown}"
        );
    }
}

#[test]
fn a_command_reads_as_it_was_written() {
    let commands = [
        create(),
        set_details(),
        add_line(1, 5),
        initiate(5, "manual"),
        authorize(5),
        label(2),
    ];
    for command in commands {
        let written = serde_json::to_value(&command).unwrap();
        assert_eq!(written["command"], command.name());
        assert_eq!(serde_json::from_value::<Command>(written).unwrap(), command);
    }
}

#[test]
fn a_command_that_is_wrong_says_what_is() {
    let message = |command: Value| {
        serde_json::from_value::<Command>(command)
            .unwrap_err()
            .to_string()
    };
    let wrong = [
        (json!({ "command": "placeOrders", "order": ORDER }), "placeOrders"),
        (
            json!({ "command": "placeOrder", "order": ORDER, "force": true }),
            "force",
        ),
        (json!({ "command": "placeOrder", "order": "1" }), "an order's id"),
        (
            json!({ "command": "voidPayment", "payment": ORDER, "reason": "x" }),
            "a payment's id",
        ),
        (
            json!({ "command": "voidPayment", "payment": format!("{ORDER}-p1"), "reason": "\u{0}" }),
            "U+0000",
        ),
        (
            json!({ "command": "createOrder", "channel": "w", "currency": "XAU", "locale": "de" }),
            "minor unit",
        ),
        (
            json!({ "command": "createOrder", "channel": "w", "currency": "ABC", "locale": "de" }),
            "ISO 4217",
        ),
        (
            json!({ "command": "allocateFulfillment", "order": ORDER, "lines": [{ "line": 1, "quantity": 0 }] }),
            "1 and",
        ),
        (
            json!({ "command": "placeHold", "order": ORDER, "reason": "mood" }),
            "mood",
        ),
    ];
    for (command, part) in wrong {
        let message = message(command);
        assert!(message.contains(part), "{message:?} says nothing of {part:?}");
    }
    let mut homeless = address("x");
    homeless["street"] = json!([]);
    let correct =
        json!({ "command": "correctAddress", "order": ORDER, "which": "shipping", "address": homeless });
    assert!(message(correct).contains("street lines"));
}

#[test]
fn an_address_shows_its_country_only() {
    let input = serde_json::from_value(address("Main 1")).unwrap();
    let address = Address::try_open(input).unwrap();
    let shown = format!("{address:?}");
    assert!(shown.contains("DE") && !shown.contains("Main"), "{shown}");
}
