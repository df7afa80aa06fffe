//! The format of the log: one file for every type and version of event, as its payload was stored. What one of these files
//! says was written once and has to be read for ever; a change that breaks one needs a new version and an upcaster.
#![expect(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::collections::BTreeMap;
use std::path::Path;

use docket_domain::payment::PaymentEvent;
use docket_domain::{DecodeError, Event, State};

/// The stored payloads by type and version.
fn golden() -> BTreeMap<(String, u16), String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let entry = |path: std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (event_type, version) = name.rsplit_once(".v").unwrap();
        let payload = std::fs::read_to_string(&path).unwrap().trim_end().to_owned();
        ((event_type.to_owned(), version.parse().unwrap()), payload)
    };
    files.map(entry).collect()
}

#[test]
fn every_type_has_a_file_for_each_of_its_versions_and_no_file_is_left_over() {
    let mut expected: Vec<_> = Event::types()
        .flat_map(|(event_type, current)| (1..=current).map(move |version| (event_type.to_owned(), version)))
        .collect();
    expected.sort();
    assert_eq!(golden().into_keys().collect::<Vec<_>>(), expected);
}

#[test]
fn every_payload_of_a_current_version_is_written_again_byte_for_byte() {
    let current: BTreeMap<_, _> = Event::types().collect();
    for ((event_type, version), payload) in golden() {
        let event = Event::from_payload(&event_type, version, &payload).unwrap();
        assert_eq!(
            (event.event_type(), event.schema_version()),
            (&*event_type, current[&*event_type])
        );
        if version == current[&*event_type] {
            assert_eq!(event.payload().unwrap(), payload, "{event_type}");
        }
    }
}

#[test]
fn every_payload_of_an_old_version_is_lifted_to_one_that_is_written_and_read() {
    let current: BTreeMap<_, _> = Event::types().collect();
    for ((event_type, version), payload) in golden() {
        let event = Event::from_payload(&event_type, version, &payload).unwrap();
        let again = event.payload().unwrap();
        assert_eq!(
            Event::from_payload(&event_type, current[&*event_type], &again).unwrap(),
            event
        );
    }
}

#[test]
fn an_old_payment_knows_its_method_by_type_alone() {
    let payload = &golden()[&("payment.initiated".to_owned(), 1)];
    let event = Event::from_payload("payment.initiated", 1, payload).unwrap();
    let Event::Payment(PaymentEvent::Initiated(initiated)) = &event else {
        panic!("{event:?}")
    };
    assert_eq!(
        (initiated.method.kind.as_str(), &initiated.method.brand),
        ("card", &None)
    );
    let state = State::new(event.kind()).evolve(&event, docket_domain::testing::NOW);
    let State::Payment(payment) = state else {
        panic!("a payment")
    };
    assert_eq!((payment.amount, payment.is_manual()), (4213, true));
}

#[test]
fn what_cannot_be_read_says_why() {
    let read = |event_type, version, payload| Event::from_payload(event_type, version, payload).unwrap_err();
    for unknown in ["order.teleported", "invoice.sent", "order", ""] {
        assert!(
            matches!(read(unknown, 1, "{}"), DecodeError::UnknownType { event_type } if event_type == unknown)
        );
    }
    let newer = read("payment.initiated", 3, "{}");
    assert!(
        matches!(
            newer,
            DecodeError::UnknownVersion {
                known: 2,
                found: 3,
                ..
            }
        ),
        "{newer:?}"
    );
    let zero = read("order.cancelled", 0, "{}");
    assert!(
        matches!(
            zero,
            DecodeError::UnknownVersion {
                known: 1,
                found: 0,
                ..
            }
        ),
        "{zero:?}"
    );
    let malformed = read("order.cancelled", 1, "{}");
    assert!(
        matches!(malformed, DecodeError::Malformed { .. }),
        "{malformed:?}"
    );
    let unlifted = read("payment.initiated", 1, "{\"method\":1}");
    assert!(
        matches!(unlifted, DecodeError::Upcast { from: 1, .. }),
        "{unlifted:?}"
    );
}

/// A field that a newer program added and that this one does not know is no reason to stop.
#[test]
fn an_unknown_field_is_passed_over() {
    let event = Event::from_payload("order.cancelled", 1, "{\"reason\":\"x\",\"mood\":\"sad\"}");
    assert!(event.is_ok());
}
