//! Command in, events out.
//!
//! This file only finds who decides: the aggregate whose stream the command is about, with what it reads of its
//! neighbours. Access comes first, so that a refusal tells nothing to those who may not know.

use chrono::Datelike as _;

use crate::access;
use crate::case::Case;
use crate::command::Command;
use crate::context::Context;
use crate::event::Event;
use crate::ids::{OrderId, PaymentId, ShipmentId};
use crate::limits;
use crate::order::{self, CreateOrder, Order, OrderEvent, PaymentAttached};
use crate::payment::{self, InitiatePayment, Payment, PaymentError, PaymentEvent};
use crate::refusal::{InvalidError, Refusal};
use crate::shipment::{self, CreateShipment, Shipment, ShipmentError, ShipmentEvent};
use crate::stream::StreamId;

/// What a command comes to, where no rule refuses it.
#[must_use = "a decision is only one once its events are appended"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<E = StreamEvent> {
    /// These happen, in this order; never empty.
    Events(Vec<E>),
    /// It is so already.
    NothingToDo,
}

impl<E> Decision<E> {
    /// One event.
    pub(crate) fn one(event: E) -> Self {
        Decision::Events(vec![event])
    }

    /// Puts an aggregate's own decision into its stream.
    pub(crate) fn into_stream(self, stream: StreamId, wrap: fn(E) -> Event) -> Decision {
        match self {
            Decision::Events(events) => Decision::Events(
                events
                    .into_iter()
                    .map(|event| StreamEvent {
                        stream,
                        event: wrap(event),
                    })
                    .collect(),
            ),
            Decision::NothingToDo => Decision::NothingToDo,
        }
    }
}

/// An event and the stream that it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEvent {
    /// Where it goes.
    pub stream: StreamId,
    /// What happened.
    pub event: Event,
}

/// Decides a command over the streams that it needs. Pure: the same arguments give the same answer.
pub fn decide(case: &Case, command: &Command, context: &Context) -> Result<Decision, Refusal> {
    access::check(case, command, context)?;
    check_times(command)?;
    match command {
        Command::CreateOrder(c) => create_order(case, c),
        Command::AddLine(c) => of_order(case, c.order, |order| order::decide::add_line(order, c)),
        Command::SetLineQuantity(c) => {
            of_order(case, c.order, |order| order::decide::set_line_quantity(order, c))
        }
        Command::SetDetails(c) => of_order(case, c.order, |order| order::decide::set_details(order, c)),
        Command::PlaceOrder(c) => of_order(case, c.order, |order| order::decide::place(order, context)),
        Command::CorrectAddress(c) => of_order(case, c.order, |_| order::decide::correct_address(case, c)),
        Command::ConfirmOrder(c) => of_order(case, c.order, |_| order::decide::confirm(case, c, context)),
        Command::PlaceHold(c) => of_order(case, c.order, |order| order::decide::place_hold(order, c)),
        Command::ReleaseHold(c) => of_order(case, c.order, |order| order::decide::release_hold(order, c)),
        Command::CancelLines(c) => of_order(case, c.order, |order| order::decide::cancel_lines(order, c)),
        Command::CancelOrder(c) => of_order(case, c.order, |_| order::decide::cancel(case, c)),
        Command::ExpireOrder(c) => of_order(case, c.order, |_| order::decide::expire(case, context)),
        Command::AllocateFulfillment(c) => of_order(case, c.order, |order| order::decide::allocate(order, c)),
        Command::ReleaseFulfillment(c) => {
            of_order(case, c.shipment.order, |_| order::decide::release(case, c))
        }
        Command::RequestReturn(c) => of_order(case, c.order, |_| order::decide::request_return(case, c)),
        Command::ReceiveReturn(c) => of_order(case, c.order, |order| order::decide::receive_return(order, c)),
        Command::FlagOrder(c) => of_order(case, c.order, |order| order::decide::flag(order, c)),
        Command::RemindAbandoned(c) => of_order(case, c.order, |order| order::decide::remind(order, context)),
        Command::CompleteOrder(c) => of_order(case, c.order, |_| order::decide::complete(case, context)),
        Command::ForgetPersonalData(c) => of_order(case, c.order, |order| {
            Ok::<_, Refusal>(order::decide::forget(order))
        }),
        Command::InitiatePayment(c) => initiate_payment(case, c),
        Command::RequireAction(c) => of_payment(case, c.payment, |p| {
            payment::decide::require_action(p, c, context)
        }),
        Command::RecordAuthorization(c) => of_payment(case, c.payment, |p| {
            payment::decide::record_authorization(p, c, context)
        }),
        Command::RecordAuthorizationFailure(c) => of_payment(case, c.payment, |p| {
            payment::decide::record_authorization_failure(p, c, context)
        }),
        Command::AdjustAuthorization(c) => {
            of_payment(case, c.payment, |p| payment::decide::adjust(p, c, context))
        }
        Command::ExpireAuthorization(c) => {
            of_payment(case, c.payment, |p| payment::decide::expire(p, context))
        }
        Command::CapturePayment(c) => of_payment(case, c.payment, |p| payment::decide::capture(p, c)),
        Command::RecordCapture(c) => of_payment(case, c.payment, |p| {
            payment::decide::record_capture(p, c, context)
        }),
        Command::RecordCaptureFailure(c) => of_payment(case, c.payment, |p| {
            payment::decide::record_capture_failure(p, c, context)
        }),
        Command::VoidPayment(c) => of_payment(case, c.payment, |p| payment::decide::void(p, c)),
        Command::RefundPayment(c) => of_payment(case, c.payment, |p| payment::decide::refund(case, p, c)),
        Command::RecordRefund(c) => {
            of_payment(case, c.payment, |p| payment::decide::record_refund(p, c, context))
        }
        Command::RecordRefundFailure(c) => of_payment(case, c.payment, |p| {
            payment::decide::record_refund_failure(p, c, context)
        }),
        Command::RecordDispute(c) => of_payment(case, c.payment, |p| {
            payment::decide::record_dispute(p, c, context)
        }),
        Command::RecordDisputeOutcome(c) => of_payment(case, c.payment, |p| {
            payment::decide::record_dispute_outcome(p, c, context)
        }),
        Command::CreateShipment(c) => create_shipment(case, c),
        Command::BuyLabel(c) => of_shipment(case, c.shipment, |s| shipment::decide::buy_label(s, c, context)),
        Command::DispatchShipment(c) => of_shipment(case, c.shipment, |s| {
            shipment::decide::dispatch(&case.order, s, context)
        }),
        Command::RecordTracking(c) => of_shipment(case, c.shipment, |s| {
            shipment::decide::record_tracking(s, c, context)
        }),
        Command::MarkShipmentFailed(c) => {
            of_shipment(case, c.shipment, |s| shipment::decide::mark_failed(s, c))
        }
        Command::CancelShipment(c) => of_shipment(case, c.shipment, |s| shipment::decide::cancel(s, c)),
    }
}

/// What a gateway or carrier names as a time ends up in databases and clients that know four-digit years only.
fn check_times(command: &Command) -> Result<(), InvalidError> {
    let (first_year, last_year) = (limits::FIRST_YEAR, limits::LAST_YEAR);
    match command
        .times()
        .find(|time| !(first_year..=last_year).contains(&time.year()))
    {
        Some(time) => Err(InvalidError::TimeOutOfRange {
            time,
            first_year,
            last_year,
        }),
        None => Ok(()),
    }
}

fn create_order(case: &Case, command: &CreateOrder) -> Result<Decision, Refusal> {
    let id = command
        .order
        .filter(|&id| id != OrderId::NIL)
        .ok_or(InvalidError::NoOrderId)?;
    Ok(order::decide::create(&case.order, id, command)?.into_stream(id.into(), Event::Order))
}

/// The order lists its payments, so that who decides over all of them finds them: both streams are written at once.
fn initiate_payment(case: &Case, command: &InitiatePayment) -> Result<Decision, Refusal> {
    let order = existing_order(case, command.order)?;
    let (number, initiated) = payment::decide::initiate(order, command)?;
    let attached = OrderEvent::PaymentAttached(PaymentAttached { payment: number });
    Ok(Decision::Events(vec![
        StreamEvent {
            stream: command.order.into(),
            event: Event::Order(attached),
        },
        StreamEvent {
            stream: StreamId::payment(command.order, number),
            event: Event::Payment(initiated),
        },
    ]))
}

fn create_shipment(case: &Case, command: &CreateShipment) -> Result<Decision, Refusal> {
    let order = existing_order(case, command.shipment.order)?;
    let decision = shipment::decide::create(order, case.shipment(command.shipment.number), command)?;
    Ok(decision.into_stream(command.shipment.into(), Event::Shipment))
}

fn existing_order(case: &Case, id: OrderId) -> Result<&Order, Refusal> {
    if case.order.exists() {
        Ok(&case.order)
    } else {
        Err(Refusal::NotFound { stream: id.into() })
    }
}

fn of_order<E: Into<Refusal>>(
    case: &Case,
    id: OrderId,
    decide: impl FnOnce(&Order) -> Result<Decision<OrderEvent>, E>,
) -> Result<Decision, Refusal> {
    let order = existing_order(case, id)?;
    Ok(decide(order)
        .map_err(Into::into)?
        .into_stream(id.into(), Event::Order))
}

fn of_payment(
    case: &Case,
    id: PaymentId,
    decide: impl FnOnce(&Payment) -> Result<Decision<PaymentEvent>, PaymentError>,
) -> Result<Decision, Refusal> {
    let payment = case
        .payment(id.number)
        .ok_or(Refusal::NotFound { stream: id.into() })?;
    Ok(decide(payment)?.into_stream(id.into(), Event::Payment))
}

fn of_shipment(
    case: &Case,
    id: ShipmentId,
    decide: impl FnOnce(&Shipment) -> Result<Decision<ShipmentEvent>, ShipmentError>,
) -> Result<Decision, Refusal> {
    let shipment = case
        .shipment(id.number)
        .ok_or(Refusal::NotFound { stream: id.into() })?;
    Ok(decide(shipment)?.into_stream(id.into(), Event::Shipment))
}
