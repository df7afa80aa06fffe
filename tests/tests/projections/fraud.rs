//! Signs of fraud, derived by business time from the facts of orders in several partitions.

use crate::{
    rebuild::rebuilt,
    shop::{empty_database, open, order_in, start},
};
use chrono::{DateTime, TimeDelta, Utc};
use docket_domain::{Actor, CustomerId, OrderId, Role};
use docket_event_store::{Origin, Request, RequestHash, Store, command_id};
use docket_projections::{
    Projections,
    read_models::{
        fraud_signals::{Filter, Kind, Signal, count, page},
        list::{Page, Part, Place},
        order_summary::PageError,
    },
    rebuild::Outcome,
    verify,
};
use docket_tests::TestDatabase;
use serde_json::{Value, json};

/// When everything here begins.
fn noon() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

struct Shop {
    _db: TestDatabase,
    store: Store,
    projections: Projections,
    /// Orders so far: each lies in another partition than the one before.
    orders: u16,
}

impl Shop {
    async fn open() -> Shop {
        let db = empty_database().await;
        let store = open(&db).await;
        let projections = start(&store).await;
        Shop {
            _db: db,
            store,
            projections,
            orders: 0,
        }
    }

    /// Brings in what happened then.
    async fn then(&self, at: DateTime<Utc>, command: Value) {
        let actor = Actor::new(Role::Operator, "import");
        let text = command.to_string();
        let request = Request {
            command: serde_json::from_value(command).unwrap_or_else(|error| panic!("{text}: {error}")),
            command_id: command_id::fresh(&actor),
            request_hash: RequestHash::of("test", text.as_bytes()),
            actor,
            expected_version: None,
            occurred_at: Some(at),
            origin: Origin::Imported,
            causation_id: None,
            traceparent: None,
        };
        let done = self.store.execute(request).await;
        done.unwrap_or_else(|error| panic!("{text}: {error:?}"));
    }

    /// An order that somebody placed then, of one thing that is not shipped.
    async fn placed(
        &mut self,
        customer: Option<&str>,
        at: DateTime<Utc>,
        (currency, grand): (&str, i64),
    ) -> OrderId {
        self.orders += 1;
        let order = order_in(&self.store, self.orders * 5 % 16);
        let price = json!({"amountMinor": grand, "currency": currency});
        let line = json!({"sku": "key", "name": "Key", "quantity": 1, "unitPrice": price, "requiresShipping": false});
        let mut begun = json!({"command": "createOrder", "order": order, "channel": "web", "currency": currency,
                               "locale": "de"});
        if let Some(customer) = customer {
            begun["customer"] = json!(customer);
        }
        for command in [
            begun,
            json!({"command": "addLine", "order": order, "line": line}),
            json!({"command": "placeOrder", "order": order}),
        ] {
            self.then(at, command).await;
        }
        order
    }

    /// A payment of an order is refused then.
    async fn declined(&self, order: OrderId, number: u16, at: DateTime<Utc>) {
        let amount = json!({"amountMinor": 1_000 + i64::from(number), "currency": "EUR"});
        for command in [
            json!({"command": "initiatePayment", "order": order, "amount": amount, "captureMethod": "manual",
                   "method": {"type": "card"}, "gateway": "manual"}),
            json!({"command": "recordAuthorizationFailure", "payment": format!("{order}-p{number}"), "at": at,
                   "failure": {"code": "insufficient_funds", "retryable": true}}),
        ] {
            self.then(at, command).await;
        }
    }

    /// Payments of one customer that are refused so long after noon, each of an order of its own, brought in as they stand.
    async fn declines(&mut self, customer: &str, after: &[TimeDelta]) {
        for after in after {
            let at = noon() + *after;
            let order = self.placed(Some(customer), at, ("EUR", 2_000)).await;
            self.declined(order, 1, at).await;
        }
    }

    async fn page(
        &self,
        filter: &Filter,
        from: Option<&Place>,
        limit: usize,
    ) -> Result<Page<Signal>, PageError> {
        let part = Part {
            from,
            limit,
            backward: false,
        };
        page(self.store.pool(), &self.projections.serving(), filter, part).await
    }

    /// The whole list, of everything that happened.
    async fn asked(&self, filter: &Filter) -> Vec<Signal> {
        self.projections.caught_up().await.unwrap();
        let page = self.page(filter, None, 100).await.unwrap();
        assert!(!page.has_more);
        let counted = count(self.store.pool(), &self.projections.serving(), filter).await;
        assert_eq!(counted.unwrap().rows, page.rows.len());
        page.rows
    }

    /// How long after noon a customer was noticed, the last time first.
    async fn noticed(&self, customer: &str) -> Vec<TimeDelta> {
        let signals = self.asked(&of(customer)).await;
        assert!(
            signals.iter().all(|signal| signal.facts.len() == 3),
            "{signals:?}"
        );
        signals.iter().map(|signal| signal.at - noon()).collect()
    }
}

/// Everything within a day of noon.
fn everything() -> Filter {
    let day = TimeDelta::days(1);
    Filter {
        at: (noon() - day, noon() + day),
        kind: None,
        customer: None,
    }
}

fn of(customer: &str) -> Filter {
    Filter {
        customer: Some(CustomerId::try_new(customer).unwrap()),
        ..everything()
    }
}

fn minutes(all: &[i64]) -> Vec<TimeDelta> {
    all.iter().copied().map(TimeDelta::minutes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_failed_payments_within_ten_minutes_are_a_signal_wherever_their_orders_lie() {
    let mut shop = Shop::open().await;
    let microsecond = TimeDelta::microseconds(1);
    let ten = TimeDelta::minutes(10);
    for (customer, after, expected) in [
        ("two", minutes(&[0, 1]), minutes(&[])),
        ("three", minutes(&[0, 5, 9]), minutes(&[9])),
        ("eleven", minutes(&[0, 5, 11]), minutes(&[])),
        ("exact", vec![TimeDelta::zero(), ten, ten], vec![ten]),
        (
            "late",
            vec![TimeDelta::zero(), microsecond, ten + microsecond],
            vec![],
        ),
        // Each that has two before it within the time is one.
        ("five", minutes(&[0, 4, 8, 12, 23]), minutes(&[12, 8])),
        ("at once", minutes(&[3, 3, 3]), minutes(&[3])),
        // What counts is when it happened, not when it came in.
        ("backward", minutes(&[9, 30, 5, 0]), minutes(&[9])),
    ] {
        shop.declines(customer, &after).await;
        assert_eq!(shop.noticed(customer).await, expected, "{customer}");
    }
    // Nobody's failures count with anybody else's: all of them together are those of each.
    let kinds = shop.asked(&everything()).await;
    assert_eq!(kinds.len(), 6);
    assert!(kinds.iter().all(|signal| signal.kind == Kind::FailedPayments));
    verify(&shop.store, |_| {}).await.unwrap();
}

/// A signal says what it follows from, and the facts stand in one order whatever the time.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_names_its_payments_by_time() {
    let mut shop = Shop::open().await;
    shop.declines("ada", &minutes(&[0, 6, 6, 14])).await;
    let signals = shop.asked(&of("ada")).await;
    assert_eq!(signals.len(), 2);
    for signal in &signals {
        let places: Vec<_> = signal.facts.iter().map(|fact| (fact.at, fact.order_id)).collect();
        assert!(places.is_sorted(), "{places:?}");
        let last = signal.facts.last().unwrap();
        assert_eq!((last.at, last.order_id), (Some(signal.at), signal.order_id));
        let partitions: std::collections::BTreeSet<_> =
            signal.facts.iter().map(|fact| fact.partition).collect();
        assert_eq!(partitions.len(), 3);
        for fact in &signal.facts {
            assert_eq!((fact.number, fact.amount), (1, 1_001));
            assert_eq!(fact.failure_code.as_ref().unwrap().as_str(), "insufficient_funds");
            assert_eq!(fact.retryable, Some(true));
        }
    }
    assert_eq!(
        signals[0].facts[..2],
        signals[1].facts[1..],
        "the same payments count again"
    );
}

/// The range is of the signals; what they look back at may lie before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_range_begins_with_its_first_instant_and_ends_before_its_last() {
    let mut shop = Shop::open().await;
    shop.declines("ada", &minutes(&[0, 5, 10])).await;
    let (microsecond, signal) = (TimeDelta::microseconds(1), noon() + TimeDelta::minutes(10));
    for (from, until, expected) in [
        (signal, signal + microsecond, 1),
        (signal - microsecond, signal, 0),
        (signal + microsecond, signal + TimeDelta::days(1), 0),
    ] {
        let filter = Filter {
            at: (from, until),
            ..of("ada")
        };
        assert_eq!(shop.asked(&filter).await.len(), expected, "{from} {until}");
    }
    let long = Filter {
        at: (noon() - TimeDelta::days(7), noon() + microsecond),
        ..everything()
    };
    let refused = shop.page(&long, None, 1).await;
    assert!(
        matches!(refused, Err(PageError::TooLarge { limit: 7, .. })),
        "{refused:?}"
    );
}

/// Without a customer nobody knows that two orders are one person's.
#[tokio::test(flavor = "multi_thread")]
async fn payments_without_a_customer_count_within_their_order() {
    let mut shop = Shop::open().await;
    for n in 0..3 {
        let at = noon() + TimeDelta::minutes(n);
        let order = shop.placed(None, at, ("EUR", 2_000)).await;
        shop.declined(order, 1, at).await;
    }
    assert_eq!(shop.asked(&everything()).await, []);
    let order = shop.placed(None, noon(), ("EUR", 2_000)).await;
    for n in 1..=3 {
        shop.declined(order, n, noon() + TimeDelta::minutes(n.into()))
            .await;
    }
    let signals = shop.asked(&everything()).await;
    assert_eq!(signals.len(), 1);
    assert_eq!((signals[0].order_id, signals[0].number), (order, 3));
    assert_eq!(
        shop.asked(&of(&order.to_string())).await,
        [],
        "an order is no customer"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_over_the_threshold_of_its_currency_is_a_signal() {
    let mut shop = Shop::open().await;
    let mut expected = Vec::new();
    for (n, (currency, grand, is_high)) in [
        ("EUR", 100_000, false),
        ("EUR", 100_001, true),
        ("JPY", 100_000, false),
        ("JPY", 100_001, true),
        ("KWD", 300_000, false),
        ("KWD", 300_001, true),
    ]
    .into_iter()
    .enumerate()
    {
        let at = noon() + TimeDelta::minutes(n as i64);
        let order = shop.placed(Some("ada"), at, (currency, grand)).await;
        if is_high {
            expected.insert(0, (at, order, 0, grand));
        }
    }
    let signals = shop.asked(&of("ada")).await;
    assert!(signals.iter().all(|signal| signal.kind == Kind::HighValue));
    let found: Vec<_> = signals
        .iter()
        .map(|signal| (signal.at, signal.order_id, signal.number, signal.facts[0].amount))
        .collect();
    assert_eq!(found, expected);
}

/// Pages go on where one ended, whatever kinds are on them, and a rebuild lists the same.
#[tokio::test(flavor = "multi_thread")]
async fn pages_are_the_list_and_a_rebuild_is_what_was_live() {
    let mut shop = Shop::open().await;
    shop.declines("ada", &minutes(&[0, 1, 2, 3, 3, 3, 20])).await;
    shop.declines("bob", &minutes(&[1, 2, 3])).await;
    for n in [2, 3, 3] {
        let at = noon() + TimeDelta::minutes(n);
        shop.placed(Some("ada"), at, ("EUR", 200_000)).await;
    }
    let all = shop.asked(&everything()).await;
    assert_eq!(all.len(), 8);
    assert!(
        all.iter()
            .rev()
            .map(|signal| (signal.at, signal.order_id, signal.number))
            .is_sorted()
    );
    for (kind, expected) in [(Kind::FailedPayments, 5), (Kind::HighValue, 3)] {
        let of_kind = Filter {
            kind: Some(kind),
            ..everything()
        };
        let found = shop.asked(&of_kind).await;
        assert_eq!(found.len(), expected);
        assert!(found.iter().all(|signal| signal.kind == kind));
    }
    let (mut walked, mut from) = (Vec::new(), None);
    loop {
        let page = shop.page(&everything(), from.as_ref(), 1).await.unwrap();
        from = page.rows.last().map(Signal::place);
        walked.extend(page.rows);
        if !page.has_more {
            break;
        }
    }
    assert_eq!(walked, all);

    let done = rebuilt(&shop.store, "fraud_signals").await.unwrap();
    assert_eq!((done.outcome, done.rows), (Outcome::Swapped, 23));
    shop.projections.stop().await;
    shop.projections = start(&shop.store).await;
    assert_eq!(shop.asked(&everything()).await, all);
    verify(&shop.store, |_| {}).await.unwrap();
}
