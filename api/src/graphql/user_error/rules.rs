//! What each rule of the domain becomes.

use async_graphql::ID;
use docket_domain::{Currency, LineId, MoneyError, OrderError, PaymentError, ShipmentError};

use super::{
    AlreadyCovered, AlreadyDispatched, AlreadyExists, AmountPending, AuthorizationOutOfBounds,
    CaptureExceedsAuthorized, DisputeExceedsCaptured, IllegalTransition, InvalidAmount, LimitExceeded,
    NotCovered, NotDelivered, NotDue, NotSettled, OnHold, QuantityExceedsAllocated, QuantityExceedsOpen,
    ReceivedExceedsRequested, RefundExceedsCaptured, RefundExceedsReturn, ReturnExceedsDelivered,
    RuleViolated, UnknownReference, UserError, UserErrorCode as Code,
};
use crate::graphql::{
    error::sentence,
    scalars::{BigInt, CurrencyScalar},
};

/// Builds one type from a rule's text, code, place and numbers.
macro_rules! refuse {
    ($type:ident, $message:expr, $code:expr, $place:expr, { $($field:ident $(: $value:expr)?),* $(,)? }) => {
        UserError::$type($type { message: $message, code: $code, field: place($place), $($field $(: $value)?),* })
    };
}

fn place(path: &[&str]) -> Option<Vec<String>> {
    (!path.is_empty()).then(|| path.iter().map(|&step| step.to_owned()).collect())
}

const NOWHERE: &[&str] = &[];
const AMOUNT: &[&str] = &["input", "amount"];
const LINES: &[&str] = &["input", "lines"];
const LINE: &[&str] = &["input", "line"];
const RETURN: &[&str] = &["input", "return"];
const PARCELS: &[&str] = &["input", "parcels"];

fn line(id: LineId) -> i32 {
    i32::from(id.0)
}

/// Quantities are at most a million; a number that did not fit would be shown as the largest that does.
fn count(quantity: u32) -> i32 {
    i32::try_from(quantity).unwrap_or(i32::MAX)
}

fn number(value: impl TryInto<i64>) -> BigInt {
    BigInt(value.try_into().unwrap_or(i64::MAX))
}

fn words<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn illegal<T: ToString>(message: String, from: &T, attempted: &str, allowed: &[T]) -> UserError {
    let (from, allowed) = (from.to_string(), words(allowed));
    refuse!(IllegalTransition, message, Code::IllegalTransition, NOWHERE, { from, attempted: attempted.to_owned(), allowed })
}

fn limit(message: String, path: &[&str], what: &str, limit: BigInt, requested: Option<BigInt>) -> UserError {
    refuse!(LimitExceeded, message, Code::LimitExceeded, path, { what: what.to_owned(), limit, requested })
}

fn rule(message: String, code: Code, path: &[&str], line: Option<i32>) -> UserError {
    refuse!(RuleViolated, message, code, path, { line })
}

fn unknown(message: String, code: Code, path: &[&str], reference: &dyn ToString) -> UserError {
    refuse!(UnknownReference, message, code, path, { reference: reference.to_string() })
}

fn amount(error: &MoneyError, path: &[&str]) -> UserError {
    let wrong = |code, amount: Option<i64>, currencies: Option<(Currency, Currency)>| {
        let (expected, found) = currencies
            .map(|(e, f)| (CurrencyScalar(e), CurrencyScalar(f)))
            .unzip();
        refuse!(InvalidAmount, sentence(error), code, path, {
            amount_minor: amount.map(BigInt),
            maximum_minor: None,
            expected_currency: expected,
            found_currency: found,
        })
    };
    match error {
        MoneyError::UnknownCurrency { .. } | MoneyError::NoMinorUnit { .. } => {
            wrong(Code::CurrencyUnknown, None, None)
        }
        MoneyError::CurrencyMismatch { expected, found } => {
            wrong(Code::CurrencyMismatch, None, Some((*expected, *found)))
        }
        MoneyError::NotPositive { amount_minor } => wrong(Code::AmountNotPositive, Some(*amount_minor), None),
        MoneyError::Negative { amount_minor } => wrong(Code::AmountNegative, Some(*amount_minor), None),
        MoneyError::Overflow => wrong(Code::AmountTooLarge, None, None),
        MoneyError::NoWeights => wrong(Code::AmountNotShareable, None, None),
    }
}

impl From<OrderError> for UserError {
    fn from(error: OrderError) -> UserError {
        use OrderError as E;
        let text = sentence(&error);
        match error {
            E::AlreadyExists { order } => {
                refuse!(AlreadyExists, text, Code::AlreadyExists, &["input", "order"], { id: ID(order.to_string()) })
            }
            E::IllegalTransition {
                from,
                attempted,
                allowed,
            } => illegal(text, &from, attempted, allowed),
            E::OnHold { reasons } => {
                let reasons = reasons.into_iter().map(Into::into).collect();
                refuse!(OnHold, text, Code::OnHold, NOWHERE, { reasons })
            }
            E::Amount(error) => amount(&error, NOWHERE),
            E::TooManyLines { limit: most } => limit(text, NOWHERE, "lines", number(most), None),
            E::TooManyShipments { limit: most } => limit(text, NOWHERE, "shipments", number(most), None),
            E::UnknownLine { line } => unknown(text, Code::UnknownLine, LINE, &line),
            E::DuplicateLine { line: id } => rule(text, Code::DuplicateLine, LINES, Some(line(id))),
            E::NoLines => rule(text, Code::NoLines, LINES, None),
            E::QuantityTooLarge {
                quantity,
                limit: most,
            } => limit(
                text,
                &["input", "quantity"],
                "pieces",
                number(most),
                Some(number(quantity)),
            ),
            E::AmountAndRate { .. } => rule(text, Code::AmountAndRate, LINE, None),
            E::RateTooHigh {
                what,
                basis_points,
                limit: most,
            } => limit(text, LINE, what, number(most), Some(number(basis_points))),
            E::TooHeavy { weight_g, limit_g } => {
                limit(text, LINE, "grams", number(limit_g), Some(number(weight_g)))
            }
            E::DiscountExceedsLine { discount, gross } => {
                refuse!(InvalidAmount, text, Code::DiscountExceedsLine, NOWHERE, {
                    amount_minor: Some(BigInt(discount)),
                    maximum_minor: Some(BigInt(gross)),
                    expected_currency: None,
                    found_currency: None,
                })
            }
            E::AmountNeeded { line: id, what } => {
                rule(text, Code::AmountNeeded, &["input", what], Some(line(id)))
            }
            E::Empty => rule(text, Code::Empty, NOWHERE, None),
            E::NoShippingAddress => rule(text, Code::NoShippingAddress, NOWHERE, None),
            E::NotAuthorized {
                authorized,
                total,
                currency,
            } => {
                refuse!(NotCovered, text, Code::NotAuthorized, NOWHERE, {
                    authorized: BigInt(authorized), total: BigInt(total), currency: CurrencyScalar(currency),
                })
            }
            E::Covered {
                authorized,
                total,
                currency,
            } => refuse!(AlreadyCovered, text, Code::Covered, NOWHERE, {
                authorized: BigInt(authorized), total: BigInt(total), currency: CurrencyScalar(currency),
            }),
            E::ManualByPersonOnly => rule(text, Code::ManualByPersonOnly, &["input", "mode"], None),
            E::ExceedsOpen {
                line: id,
                ordered,
                cancelled,
                allocated,
                requested,
            } => {
                refuse!(QuantityExceedsOpen, text, Code::ExceedsOpen, LINES, {
                    line: line(id),
                    ordered: count(ordered),
                    cancelled: count(cancelled),
                    allocated: count(allocated),
                    requested: count(requested),
                })
            }
            E::NothingToShip { line: id } => rule(text, Code::NothingToShip, LINES, Some(line(id))),
            E::AlreadyDispatched { shipment } => {
                let shipment = ID(shipment.to_string());
                refuse!(AlreadyDispatched, text, Code::AlreadyDispatched, NOWHERE, {
                    shipment
                })
            }
            E::NotDue { due_at } => refuse!(NotDue, text, Code::NotDue, NOWHERE, { at: Some(due_at) }),
            E::NotAllocated { shipment } => {
                unknown(text, Code::NotAllocated, &["input", "shipment"], &shipment)
            }
            E::ShipmentLive { shipment } => {
                let shipment = ID(shipment.to_string());
                refuse!(AlreadyDispatched, text, Code::ShipmentLive, NOWHERE, { shipment })
            }
            E::NotDelivered {
                line: id,
                ordered,
                cancelled,
                delivered,
            } => {
                refuse!(NotDelivered, text, Code::NotDelivered, NOWHERE, {
                    line: line(id),
                    ordered: count(ordered),
                    cancelled: count(cancelled),
                    delivered: count(delivered),
                })
            }
            E::NotSettled {
                due,
                captured,
                pending,
                currency,
            } => {
                refuse!(NotSettled, text, Code::NotSettled, NOWHERE, {
                    due: BigInt(due),
                    captured: BigInt(captured),
                    pending: BigInt(pending),
                    currency: CurrencyScalar(currency),
                })
            }
            E::ReturnExceedsDelivered {
                line: id,
                delivered,
                returned,
                pending,
                requested,
            } => {
                refuse!(ReturnExceedsDelivered, text, Code::ReturnExceedsDelivered, LINES, {
                    line: line(id),
                    delivered: count(delivered),
                    returned: count(returned),
                    pending: count(pending),
                    requested: count(requested),
                })
            }
            E::ReceivedExceedsRequested {
                return_id,
                line: id,
                requested,
                received,
            } => {
                refuse!(ReceivedExceedsRequested, text, Code::ReceivedExceedsRequested, LINES, {
                    return_number: i32::from(return_id.0),
                    line: line(id),
                    requested: count(requested),
                    received: count(received),
                })
            }
            E::UnknownReturn { return_id } => unknown(text, Code::UnknownReturn, RETURN, &return_id),
            E::ReturnReceived { .. } => rule(text, Code::ReturnReceived, RETURN, None),
            E::TooManyReturns { limit: most } => limit(text, NOWHERE, "returns", number(most), None),
            E::TooManyFlags { limit: most } => limit(text, NOWHERE, "flags", number(most), None),
            E::TooMuchEvidence { count, limit: most } => limit(
                text,
                &["input", "evidence"],
                "evidence",
                number(most),
                Some(number(count)),
            ),
            E::ReminderNotDue { due_at } => {
                refuse!(NotDue, text, Code::NotDue, NOWHERE, { at: Some(due_at) })
            }
            E::Forgotten { .. } => rule(text, Code::Forgotten, NOWHERE, None),
        }
    }
}

impl From<PaymentError> for UserError {
    fn from(error: PaymentError) -> UserError {
        use PaymentError as E;
        let text = sentence(&error);
        match error {
            E::OrderNotPayable { status, allowed } => illegal(text, &status, "be paid for", allowed),
            E::TooManyPayments { limit: most } => limit(text, NOWHERE, "payments", number(most), None),
            E::TooManyLines { limit: most } => limit(text, NOWHERE, "lines", number(most), None),
            E::TooManyOperations { what, limit: most } => limit(text, NOWHERE, what, number(most), None),
            E::IllegalTransition {
                from,
                attempted,
                allowed,
            } => illegal(text, &from, attempted, allowed),
            E::Amount(error) => amount(&error, AMOUNT),
            E::AuthorizationExceedsAmount { amount, authorized } => {
                refuse!(AuthorizationOutOfBounds, text, Code::AuthorizationExceedsAmount, AMOUNT, {
                    minimum: BigInt(0), maximum: Some(BigInt(amount)), requested: BigInt(authorized),
                })
            }
            E::AuthorizationBelowCaptured {
                captured,
                pending,
                requested,
            } => {
                refuse!(AuthorizationOutOfBounds, text, Code::AuthorizationBelowCaptured, AMOUNT, {
                    minimum: BigInt(captured.saturating_add(pending)), maximum: None, requested: BigInt(requested),
                })
            }
            E::CaptureExceedsAuthorized {
                authorized,
                captured,
                pending,
                released,
                requested,
            } => {
                refuse!(CaptureExceedsAuthorized, text, Code::CaptureExceedsAuthorized, AMOUNT, {
                    authorized: BigInt(authorized),
                    captured: BigInt(captured),
                    pending: BigInt(pending),
                    released: BigInt(released),
                    requested: BigInt(requested),
                })
            }
            E::FinalCaptureRequested => rule(text, Code::FinalCaptureRequested, NOWHERE, None),
            E::CapturePending { pending } => {
                refuse!(AmountPending, text, Code::CapturePending, NOWHERE, { pending: BigInt(pending) })
            }
            E::RefundExceedsCaptured {
                captured,
                refunded,
                pending,
                disputed,
                requested,
            } => {
                refuse!(RefundExceedsCaptured, text, Code::RefundExceedsCaptured, AMOUNT, {
                    captured: BigInt(captured),
                    refunded: BigInt(refunded),
                    pending: BigInt(pending),
                    disputed: BigInt(disputed),
                    requested: BigInt(requested),
                })
            }
            E::DisputeExceedsCaptured {
                captured,
                refunded,
                pending,
                disputed,
                requested,
            } => {
                refuse!(DisputeExceedsCaptured, text, Code::DisputeExceedsCaptured, NOWHERE, {
                    captured: BigInt(captured),
                    refunded: BigInt(refunded),
                    pending: BigInt(pending),
                    disputed: BigInt(disputed),
                    requested: BigInt(requested),
                })
            }
            E::RefundExceedsReturn {
                return_id,
                refund_due,
                refunded,
                pending,
                requested,
            } => {
                refuse!(RefundExceedsReturn, text, Code::RefundExceedsReturn, AMOUNT, {
                    return_number: i32::from(return_id.0),
                    refund_due: BigInt(refund_due),
                    refunded: BigInt(refunded),
                    pending: BigInt(pending),
                    requested: BigInt(requested),
                })
            }
            E::UnknownReturn { return_id } => unknown(text, Code::UnknownReturn, RETURN, &return_id),
            E::ReturnNotReceived { .. } => rule(text, Code::ReturnNotReceived, RETURN, None),
            E::TooManyDisputes { limit: most } => limit(text, NOWHERE, "disputes", number(most), None),
            E::NotDue { capture_before } => {
                refuse!(NotDue, text, Code::NotDue, NOWHERE, { at: capture_before })
            }
            E::ResultInFuture { at } => {
                refuse!(NotDue, text, Code::InFuture, &["input", "at"], { at: Some(at) })
            }
        }
    }
}

impl From<ShipmentError> for UserError {
    fn from(error: ShipmentError) -> UserError {
        use ShipmentError as E;
        let text = sentence(&error);
        match error {
            E::AlreadyExists { shipment } => {
                let id = ID(shipment.to_string());
                refuse!(
                    AlreadyExists,
                    text,
                    Code::AlreadyExists,
                    &["input", "shipment"],
                    { id }
                )
            }
            E::OrderNotShippable { status, allowed } => illegal(text, &status, "ship", allowed),
            E::OnHold { reasons } => {
                let reasons = reasons.into_iter().map(Into::into).collect();
                refuse!(OnHold, text, Code::OnHold, NOWHERE, { reasons })
            }
            E::NotAllocated { shipment } => {
                unknown(text, Code::NotAllocated, &["input", "shipment"], &shipment)
            }
            E::ExceedsAllocated {
                line: id,
                allocated,
                requested,
            } => {
                refuse!(QuantityExceedsAllocated, text, Code::ExceedsAllocated, LINES, {
                    line: line(id), allocated: count(allocated), requested: count(requested),
                })
            }
            E::DuplicateLine { line: id } => rule(text, Code::DuplicateLine, LINES, Some(line(id))),
            E::NoLines => rule(text, Code::NoLines, LINES, None),
            E::NoAddress => rule(text, Code::NoShippingAddress, &["input", "shipTo"], None),
            E::IllegalTransition {
                from,
                attempted,
                allowed,
            } => illegal(text, &from, attempted, allowed),
            E::ParcelCount { count, limit: most } => {
                limit(text, PARCELS, "parcels", number(most), Some(number(count)))
            }
            E::Measure {
                what,
                value,
                limit: most,
            } => limit(text, PARCELS, what, number(most), Some(number(value))),
            E::NotALink => rule(text, Code::NotALink, PARCELS, None),
            E::Amount(error) => amount(&error, &["input", "cost"]),
            E::UnknownParcel { parcel } => unknown(text, Code::UnknownParcel, &["input", "parcel"], &parcel),
            E::TooManyScans { limit: most } => limit(text, NOWHERE, "scans", number(most), None),
            E::ScanInFuture { at } => {
                refuse!(NotDue, text, Code::InFuture, &["input", "at"], { at: Some(at) })
            }
        }
    }
}
