//! What each event does to a row.

use super::row::{Fact, FactKey, TABLE};
use crate::{
    json_table,
    projector::{ApplyError, Generation, PgQuery, Projector, ProjectorSql, RowsOf, Table, Touch},
};
use chrono::SubsecRound;
use docket_domain::{
    Currency, Event, Subject,
    order::{OrderEvent, Placed},
    payment::{AuthorizationFailed, Initiated, PaymentEvent},
};
use docket_event_store::RecordedEvent;
use sqlx::postgres::PgRow;
use std::sync::Arc;

const NOT_PLACED: &str = "its order was never placed";
const NOT_INITIATED: &str = "its payment was never started";
const TWICE: &str = "it begins what is there already";

/// What an order must add up to more than to be of a high value, in minor units of its currency, by its decimal places: what
/// shops look at by hand, of the size of some hundred to a thousand euros. It knows no exchange rates, so where a currency's
/// unit is worth little it is too low. Whoever changes it raises the version of the fold.
pub fn high_value_over(currency: Currency) -> i64 {
    match currency.exponent() {
        // 100,000 yen.
        0 => 100_000,
        // 300 Kuwaiti dinars, and what else has thousandths.
        3 => 300_000,
        // 25 Chilean units of account.
        4 => 250_000,
        // 1,000 euros.
        _ => 100_000,
    }
}

/// The fold of `fraud_signals`.
#[derive(Debug, Clone, Copy, Default)]
pub struct FraudSignalsProjector;

impl Projector for FraudSignalsProjector {
    type Key = FactKey;
    type Entity = Fact;
    /// Whose order a payment is of, which a payment's own events do not say.
    type Carried = Option<Subject>;

    const CACHE_SHARE: u32 = 1;

    fn name(&self) -> &'static str {
        super::NAME
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [Table] {
        &[Table {
            name: TABLE.name,
            rows: RowsOf::Order,
        }]
    }

    fn sql(&self, generation: Generation) -> ProjectorSql {
        TABLE.of_orders(generation)
    }

    fn touches(&self, event: &RecordedEvent, fact: &Event) -> impl IntoIterator<Item = Touch<FactKey>> {
        let key = |number| FactKey {
            order: event.stream.order,
            number,
        };
        let (order, payment) = (key(0), key(event.stream.number));
        match fact {
            Event::Order(OrderEvent::Placed(_)) => [Some(Touch::begins(order)), None],
            Event::Payment(PaymentEvent::Initiated(_)) => {
                [Some(Touch::changes(order)), Some(Touch::begins(payment))]
            }
            // The gateway refused to hold the money. What fails later (a capture, a refund) is no sign of who pays.
            Event::Payment(PaymentEvent::AuthorizationFailed(_)) => [Some(Touch::changes(payment)), None],
            Event::Order(_) | Event::Payment(_) | Event::Shipment(_) => [None, None],
        }
        .into_iter()
        .flatten()
    }

    fn apply(
        &self,
        key: &FactKey,
        row: Option<Fact>,
        event: &RecordedEvent,
        fact: &Event,
        subject: &mut Option<Subject>,
    ) -> Result<Fact, ApplyError> {
        match (fact, row) {
            (Event::Order(OrderEvent::Placed(fact)), None) => Ok(placed(*key, event, fact)),
            (Event::Payment(PaymentEvent::Initiated(_)), Some(row)) if key.number == 0 => {
                *subject = Some(row.subject.clone());
                Ok(row)
            }
            (Event::Payment(PaymentEvent::Initiated(fact)), None) => {
                let subject = subject.take().ok_or(ApplyError::Impossible(NOT_PLACED))?;
                Ok(initiated(*key, event, fact, subject))
            }
            (Event::Payment(PaymentEvent::AuthorizationFailed(fact)), Some(row)) => {
                Ok(failed(row, event, fact))
            }
            (Event::Payment(PaymentEvent::AuthorizationFailed(_)), None) => {
                Err(ApplyError::Impossible(NOT_INITIATED))
            }
            (_, Some(_)) => Err(ApplyError::Impossible(TWICE)),
            (_, None) => Err(ApplyError::Impossible(NOT_PLACED)),
        }
    }

    fn entity(&self, row: &PgRow) -> Result<(FactKey, Fact), sqlx::Error> {
        let row: Fact = json_table::read(row)?;
        Ok((row.key(), row))
    }

    fn bind<'q>(
        &self,
        query: PgQuery<'q>,
        entities: &[(FactKey, Arc<Fact>)],
    ) -> Result<PgQuery<'q>, sqlx::Error> {
        let rows: Vec<&Fact> = entities.iter().map(|(_, row)| row.as_ref()).collect();
        json_table::bind(query, &rows)
    }

    fn approximate_bytes(&self, row: &Fact) -> usize {
        let subject = row
            .subject
            .customer()
            .map_or(0, |customer| customer.as_str().len());
        let code = row.failure_code.as_ref().map_or(0, |code| code.as_str().len());
        size_of::<(FactKey, Fact)>() + 64 + subject + code
    }

    fn columns(&self, row: &Fact) -> Vec<(&'static str, String)> {
        TABLE.columns_of(row)
    }
}

fn placed(key: FactKey, event: &RecordedEvent, fact: &Placed) -> Fact {
    Fact {
        order_id: key.order,
        number: key.number,
        partition: event.position.partition,
        subject: Subject::of(key.order, fact.customer.as_ref()),
        // The log keeps microseconds; an event that was handed over in process may know more.
        at: Some(event.command.occurred_at.trunc_subsecs(6)),
        amount: fact.totals.grand,
        currency: fact.currency,
        high_value: fact.totals.grand > high_value_over(fact.currency),
        failure_code: None,
        retryable: None,
    }
}

fn initiated(key: FactKey, event: &RecordedEvent, fact: &Initiated, subject: Subject) -> Fact {
    Fact {
        order_id: key.order,
        number: key.number,
        partition: event.position.partition,
        subject,
        at: None,
        amount: fact.amount,
        currency: fact.currency,
        high_value: false,
        failure_code: None,
        retryable: None,
    }
}

/// One payment is one sign, however often its gateway changes its mind: when it failed first.
fn failed(row: Fact, event: &RecordedEvent, fact: &AuthorizationFailed) -> Fact {
    if row.at.is_some() {
        return row;
    }
    Fact {
        at: Some(event.command.occurred_at.trunc_subsecs(6)),
        failure_code: Some(fact.failure.code.clone()),
        retryable: Some(fact.failure.retryable),
        ..row
    }
}

#[cfg(test)]
mod tests {
    use super::{Fact, FraudSignalsProjector, NOT_PLACED, high_value_over};
    use crate::{
        interleaving::{fold_of, full_life},
        projector::Projector,
    };
    use docket_domain::{
        Currency, CustomerId, Event, OrderId, StreamEvent, StreamId, Subject,
        order::OrderEvent,
        payment::{AuthorizationFailed, CaptureMethod, Failure, Initiated, PaymentEvent, PaymentMethod},
        text::Code,
    };

    /// An order of the full life, placed by somebody for so much.
    fn placed(customer: Option<&str>, currency: &str, grand: i64) -> StreamEvent {
        let mut event = full_life()
            .into_iter()
            .find(|event| matches!(event.event, Event::Order(OrderEvent::Placed(_))))
            .unwrap();
        if let Event::Order(OrderEvent::Placed(fact)) = &mut event.event {
            fact.customer = customer.map(|customer| CustomerId::try_new(customer).unwrap());
            fact.currency = Currency::try_new(currency).unwrap();
            fact.totals.grand = grand;
        }
        event
    }

    fn order() -> OrderId {
        placed(None, "EUR", 0).stream.order
    }

    fn of_payment(number: u16, event: PaymentEvent) -> StreamEvent {
        StreamEvent {
            stream: StreamId::payment(order(), number),
            event: Event::Payment(event),
        }
    }

    fn code(word: &str) -> Code {
        Code::try_new(word).unwrap()
    }

    fn initiated(number: u16, amount: i64) -> StreamEvent {
        let fact = Initiated {
            amount,
            currency: Currency::EUR,
            capture_method: CaptureMethod::Manual,
            method: PaymentMethod {
                kind: code("card"),
                brand: None,
                last4: None,
                token: None,
            },
            gateway: code("acme"),
        };
        of_payment(number, PaymentEvent::Initiated(Box::new(fact)))
    }

    fn failed(number: u16, word: &str) -> StreamEvent {
        let fact = AuthorizationFailed {
            failure: Failure {
                code: code(word),
                retryable: false,
                recommended_action: None,
            },
            reference: None,
            at: "2026-03-01T10:00:00Z".parse().unwrap(),
        };
        of_payment(number, PaymentEvent::AuthorizationFailed(fact))
    }

    fn rows(given: Vec<StreamEvent>) -> Vec<Fact> {
        fold_of(&FraudSignalsProjector, given).unwrap()
    }

    #[test]
    fn an_order_is_of_a_high_value_over_the_threshold_of_its_currency_and_not_at_it() {
        for (currency, at) in [
            ("EUR", 100_000),
            ("JPY", 100_000),
            ("KWD", 300_000),
            ("CLF", 250_000),
        ] {
            assert_eq!(high_value_over(Currency::try_new(currency).unwrap()), at);
            for (grand, expected) in [(0, false), (at - 1, false), (at, false), (at + 1, true)] {
                let rows = rows(vec![placed(Some("c-1"), currency, grand)]);
                assert_eq!(rows.len(), 1);
                assert_eq!(
                    (rows[0].amount, rows[0].high_value),
                    (grand, expected),
                    "{currency}"
                );
                assert!(rows[0].at.is_some());
            }
        }
    }

    #[test]
    fn a_failed_payment_is_its_customers_with_its_amount_and_reason() {
        let rows = rows(vec![
            placed(Some("c-1"), "EUR", 2_500),
            initiated(1, 1_500),
            initiated(2, 1_000),
            failed(2, "stolen_card"),
        ]);
        let customer = Subject::Customer(CustomerId::try_new("c-1").unwrap());
        assert!(rows.iter().all(|row| row.subject == customer), "{rows:?}");
        let [order, paid, declined] = rows.as_slice() else {
            panic!("{rows:?}")
        };
        assert_eq!((order.payment(), paid.at, paid.amount), (None, None, 1_500));
        assert_eq!((declined.number, declined.amount), (2, 1_000));
        assert!(declined.at.is_some() && !declined.high_value);
        assert_eq!(
            (declined.failure_code.clone(), declined.retryable),
            (Some(code("stolen_card")), Some(false))
        );
    }

    #[test]
    fn a_payment_that_fails_again_failed_when_it_did_first() {
        let mut given = vec![
            placed(Some("c-1"), "EUR", 2_500),
            initiated(1, 2_500),
            failed(1, "late"),
        ];
        let once = rows(given.clone());
        given.push(failed(1, "again"));
        assert_eq!(rows(given), once);
    }

    #[test]
    fn without_a_customer_the_order_is_its_own() {
        let rows = rows(vec![
            placed(None, "EUR", 2_500),
            initiated(1, 2_500),
            failed(1, "expired_card"),
        ]);
        assert!(
            rows.iter().all(|row| row.subject == Subject::Order(order())),
            "{rows:?}"
        );
    }

    /// What fails after the gateway has said yes, and everything else that happens to an order, is no fact here.
    #[test]
    fn a_full_life_is_its_order_and_its_payments() {
        let rows = rows(full_life());
        let numbers: Vec<u16> = rows.iter().map(|row| row.number).collect();
        assert_eq!(numbers, [0, 1, 2, 3]);
        let failed: Vec<u16> = rows
            .iter()
            .filter(|row| row.failure_code.is_some())
            .map(|row| row.number)
            .collect();
        assert_eq!(failed, [3]);
        for row in &rows {
            let columns = FraudSignalsProjector.columns(row);
            assert!(columns.iter().all(|(_, value)| !value.is_empty()), "{columns:?}");
        }
    }

    #[test]
    fn a_payment_of_an_order_that_was_not_placed_stops_the_fold() {
        let refused = fold_of(&FraudSignalsProjector, vec![initiated(1, 2_500)]).unwrap_err();
        assert_eq!(refused.to_string(), NOT_PLACED);
        fold_of(&FraudSignalsProjector, vec![failed(1, "late")]).unwrap_err();
    }
}
