//! Why an order refuses.

use chrono::{DateTime, Utc};
use thiserror::Error;

use super::event::HoldReason;
use super::state::OrderStatus;
use crate::ids::{LineId, OrderId, ReturnId, ShipmentId};
use crate::money::{Currency, MoneyError};
use crate::subject::Subject;

/// The rule that refused, with its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the fields are the numbers that each message shows")]
pub enum OrderError {
    /// There is another order of this id.
    #[error("the order {order} exists already, with other content")]
    AlreadyExists { order: OrderId },
    /// The status does not allow it.
    #[error("an order that is {from} cannot {attempted}")]
    IllegalTransition {
        from: OrderStatus,
        attempted: &'static str,
        allowed: &'static [OrderStatus],
    },
    /// It is stopped.
    #[error("the order is on hold: {reasons:?}")]
    OnHold { reasons: Vec<HoldReason> },
    /// An amount is not one.
    #[error(transparent)]
    Amount(#[from] MoneyError),
    /// No more lines fit.
    #[error("an order has at most {limit} lines")]
    TooManyLines { limit: usize },
    /// No more shipments fit.
    #[error("an order has at most {limit} shipments")]
    TooManyShipments { limit: u16 },
    /// There is no such line.
    #[error("the order has no line {line}")]
    UnknownLine { line: LineId },
    /// One line twice in one request.
    #[error("line {line} is named twice")]
    DuplicateLine { line: LineId },
    /// A request about no line.
    #[error("no line is named")]
    NoLines,
    /// Above what a line may have.
    #[error("a quantity of {quantity} is more than {limit}")]
    QuantityTooLarge { quantity: u32, limit: u32 },
    /// Amount and rate for one thing.
    #[error("the {what} is given both as an amount and as a rate")]
    AmountAndRate { what: &'static str },
    /// A rate out of its bounds.
    #[error("a {what} of {basis_points} basis points is more than {limit}")]
    RateTooHigh {
        what: &'static str,
        basis_points: u32,
        limit: u32,
    },
    /// A weight out of its bounds.
    #[error("a weight of {weight_g} g is more than {limit_g} g")]
    TooHeavy { weight_g: u32, limit_g: u32 },
    /// More off than there is.
    #[error("a discount of {discount} is more than the line's {gross}")]
    DiscountExceedsLine { discount: i64, gross: i64 },
    /// The line's amounts cannot be computed for another quantity.
    #[error("the {what} of line {line} was given as an amount and has to be given anew")]
    AmountNeeded { line: LineId, what: &'static str },
    /// An empty order.
    #[error("an order without lines cannot be placed")]
    Empty,
    /// Goods without a destination.
    #[error("the order has goods to ship, but no shipping address")]
    NoShippingAddress,
    /// The authorizations do not cover it.
    #[error("{authorized} of {total} minor units ({currency}) are authorized")]
    NotAuthorized {
        authorized: i64,
        total: i64,
        currency: Currency,
    },
    /// Only a person may vouch.
    #[error("only a person confirms an order without sufficient authorization")]
    ManualByPersonOnly,
    /// Q1: more than is left of a line.
    #[error(
        "{requested} of line {line} are asked for, but of {ordered} ordered {cancelled} are cancelled and {allocated} allocated"
    )]
    ExceedsOpen {
        line: LineId,
        ordered: u32,
        cancelled: u32,
        allocated: u32,
        requested: u32,
    },
    /// Not goods.
    #[error("line {line} needs no shipping")]
    NothingToShip { line: LineId },
    /// Q4: too late.
    #[error("the shipment {shipment} has been dispatched")]
    AlreadyDispatched { shipment: ShipmentId },
    /// A timer that rang early.
    #[error("the payment is not due before {due_at}")]
    NotDue { due_at: DateTime<Utc> },
    /// Paid after all.
    #[error("the order's authorizations cover it: {authorized} of {total} minor units ({currency})")]
    Covered {
        authorized: i64,
        total: i64,
        currency: Currency,
    },
    /// Nothing was allocated under this number.
    #[error("nothing is allocated to the shipment {shipment}")]
    NotAllocated { shipment: ShipmentId },
    /// The goods are in a shipment that is under way or done.
    #[error("the shipment {shipment} still has its goods")]
    ShipmentLive { shipment: ShipmentId },
    /// Not everything has arrived.
    #[error("of line {line}, {ordered} are ordered, {cancelled} cancelled and {delivered} delivered")]
    NotDelivered {
        line: LineId,
        ordered: u32,
        cancelled: u32,
        delivered: u32,
    },
    /// The money is not settled.
    #[error("{captured} of {due} minor units ({currency}) are captured, and {pending} are under way")]
    NotSettled {
        due: i64,
        captured: i64,
        pending: i64,
        currency: Currency,
    },
    /// Q2: more back than arrived.
    #[error(
        "{requested} of line {line} cannot come back: of {delivered} delivered {returned} are returned and {pending} on their way"
    )]
    ReturnExceedsDelivered {
        line: LineId,
        delivered: u32,
        returned: u32,
        pending: u32,
        requested: u32,
    },
    /// There is no such return.
    #[error("the order has no return {return_id}")]
    UnknownReturn { return_id: ReturnId },
    /// More came back than was announced.
    #[error("{received} of line {line} came back, but the return {return_id} is about {requested}")]
    ReceivedExceedsRequested {
        return_id: ReturnId,
        line: LineId,
        requested: u32,
        received: u32,
    },
    /// It came back already, with other content.
    #[error("the return {return_id} was received already, with other content")]
    ReturnReceived { return_id: ReturnId },
    /// No more returns fit.
    #[error("an order has at most {limit} returns")]
    TooManyReturns { limit: u16 },
    /// No more flags fit.
    #[error("an order has at most {limit} flags")]
    TooManyFlags { limit: usize },
    /// Too much to keep with a flag.
    #[error("a flag has at most {limit} pieces of evidence, not {count}")]
    TooMuchEvidence { count: usize, limit: usize },
    /// A reminder that came early.
    #[error("the draft's next reminder is not due before {due_at}")]
    ReminderNotDue { due_at: DateTime<Utc> },
    /// Its subject's key was destroyed.
    #[error("{subject} is forgotten, nothing personal can be added")]
    Forgotten { subject: Subject },
}
