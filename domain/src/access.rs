//! Who may do what. Deny is the default: a role does what is named here, on what is its own.

use thiserror::Error;

use crate::actor::Role;
use crate::case::Case;
use crate::command::Command;
use crate::context::Context;
use crate::ids::PaymentId;
use crate::order::{Order, OrderStatus};
use crate::payment::Payment;
use crate::refusal::Refusal;
use crate::{Actor, ActorKind};

/// The actor may not do it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the fields are the values that each message shows")]
pub enum AccessError {
    /// The role does not have this command.
    #[error("the role {role} may not {command}")]
    Forbidden { role: Role, command: &'static str },
    /// A role and a kind of actor that do not go together.
    #[error("an actor of kind {kind} cannot have the role {role}")]
    ActorMismatch { kind: ActorKind, role: Role },
    /// A customer orders for someone else.
    #[error("a customer creates orders only for themselves")]
    CustomerIsSelf,
    /// A customer names a price.
    #[error("a customer does not set prices")]
    PriceByCustomer,
    /// A customer calls off what the shop has committed to.
    #[error("a customer does not cancel an order that is {status}")]
    TooLateForCustomer { status: OrderStatus },
    /// A gateway's result from someone else.
    #[error("results of the gateway {gateway} come from itself")]
    ResultByGatewayOnly { gateway: String },
    /// A carrier's scan from someone else.
    #[error("scans of a label that was not entered by hand come from the carrier")]
    ScanByCarrierOnly,
    /// An import by someone else.
    #[error("only an operator imports")]
    ImportByOperatorOnly,
    /// A time in the past from someone else.
    #[error("only an operator acts in the past")]
    BackdatingByOperatorOnly,
}

/// Whether `actor` may see `order` and what belongs to it.
pub fn may_see(order: &Order, actor: &Actor) -> bool {
    match actor.role {
        Role::Staff | Role::Operator | Role::Service => true,
        Role::Customer => order
            .customer
            .as_ref()
            .is_some_and(|customer| customer.as_str() == actor.id),
        Role::Gateway => false,
    }
}

/// Whether `actor` is the gateway that a payment goes through.
pub fn is_own_gateway(payment: &Payment, actor: &Actor) -> bool {
    let gateway = payment.gateway.as_ref();
    actor.role == Role::Gateway && gateway.is_some_and(|gateway| gateway.as_str() == actor.id)
}

/// Checks that the actor may ask for the command at all.
pub(crate) fn check(case: &Case, command: &Command, context: &Context) -> Result<(), Refusal> {
    let actor = &context.actor;
    let matches = match actor.role {
        Role::Customer => actor.kind == ActorKind::Customer,
        Role::Staff | Role::Operator => actor.kind == ActorKind::Staff,
        Role::Service => matches!(actor.kind, ActorKind::System | ActorKind::Carrier),
        Role::Gateway => actor.kind == ActorKind::Gateway,
    };
    if !matches {
        return Err(AccessError::ActorMismatch {
            kind: actor.kind,
            role: actor.role,
        }
        .into());
    }
    match actor.role {
        Role::Customer => customer(case, command, actor),
        Role::Staff => desk(case, command, actor),
        Role::Operator
            if matches!(
                command,
                Command::ForgetPersonalData(_) | Command::RemindAbandoned(_)
            ) =>
        {
            Ok(())
        }
        Role::Operator => desk(case, command, actor),
        Role::Service => service(command, actor),
        Role::Gateway => gateway(case, command, actor),
    }
}

fn forbidden(command: &Command, actor: &Actor) -> Refusal {
    AccessError::Forbidden {
        role: actor.role,
        command: command.name(),
    }
    .into()
}

/// A customer begins, fills in, places, calls off and sends back orders of their own. An order of somebody else does not exist for
/// them.
fn customer(case: &Case, command: &Command, actor: &Actor) -> Result<(), Refusal> {
    let order = &case.order;
    match command {
        Command::CreateOrder(create) => {
            let is_self = create
                .customer
                .as_ref()
                .is_some_and(|customer| customer.as_str() == actor.id);
            return if is_self {
                Ok(())
            } else {
                Err(AccessError::CustomerIsSelf.into())
            };
        }
        Command::SetDetails(_)
        | Command::PlaceOrder(_)
        | Command::CancelOrder(_)
        | Command::RequestReturn(_) => {}
        _ => return Err(forbidden(command, actor)),
    }
    if !order.exists() || !may_see(order, actor) {
        return Err(Refusal::NotFound {
            stream: command.target(),
        });
    }
    match command {
        Command::SetDetails(details) if details.shipping_method.is_some() => {
            Err(AccessError::PriceByCustomer.into())
        }
        Command::CancelOrder(_)
            if matches!(order.status, OrderStatus::Confirmed | OrderStatus::Completed) =>
        {
            Err(AccessError::TooLateForCustomer { status: order.status }.into())
        }
        _ => Ok(()),
    }
}

/// The order desk does everything but speak for a gateway or carrier that speaks for itself, or ring a timer.
fn desk(case: &Case, command: &Command, actor: &Actor) -> Result<(), Refusal> {
    if let Command::ForgetPersonalData(_) | Command::RemindAbandoned(_) = command {
        return Err(forbidden(command, actor));
    }
    if let Some(id) = gateway_result(command)
        && let Some(payment) = case.payment(id.number)
        && !payment.is_manual()
    {
        let gateway = payment
            .gateway
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        return Err(AccessError::ResultByGatewayOnly { gateway }.into());
    }
    if let Command::RecordTracking(scan) = command
        && let Some(shipment) = case.shipment(scan.shipment.number)
        && !shipment.parcels.is_empty()
        && !shipment.labelled_by_hand
    {
        return Err(AccessError::ScanByCarrierOnly.into());
    }
    Ok(())
}

/// The shop's own programs do what the desk does, but put no word into a gateway's mouth; a carrier only scans.
fn service(command: &Command, actor: &Actor) -> Result<(), Refusal> {
    let allowed = match command {
        Command::RecordTracking(_) => true,
        Command::ForgetPersonalData(_) => false,
        _ => actor.kind == ActorKind::System && gateway_result(command).is_none(),
    };
    if allowed {
        Ok(())
    } else {
        Err(forbidden(command, actor))
    }
}

/// A gateway reports on its own payments. Those of others do not exist for it.
fn gateway(case: &Case, command: &Command, actor: &Actor) -> Result<(), Refusal> {
    let id = match command {
        Command::ExpireAuthorization(expire) => expire.payment,
        _ => gateway_result(command).ok_or_else(|| forbidden(command, actor))?,
    };
    match case.payment(id.number) {
        Some(payment) if is_own_gateway(payment, actor) => Ok(()),
        _ => Err(Refusal::NotFound { stream: id.into() }),
    }
}

/// The payment whose gateway's word a command is.
fn gateway_result(command: &Command) -> Option<PaymentId> {
    match command {
        Command::RequireAction(c) => Some(c.payment),
        Command::RecordAuthorization(c) => Some(c.payment),
        Command::RecordAuthorizationFailure(c) => Some(c.payment),
        Command::AdjustAuthorization(c) => Some(c.payment),
        Command::RecordCapture(c) => Some(c.payment),
        Command::RecordCaptureFailure(c) => Some(c.payment),
        Command::RecordRefund(c) => Some(c.payment),
        Command::RecordRefundFailure(c) => Some(c.payment),
        Command::RecordDispute(c) => Some(c.payment),
        Command::RecordDisputeOutcome(c) => Some(c.payment),
        _ => None,
    }
}
