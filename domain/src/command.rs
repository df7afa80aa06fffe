//! Commands: what can be asked for, as one type.
//!
//! In JSON a command is one object, `{"command": "addLine", "order": "...", "line": {...}}`, in camelCase and without
//! unknown fields. That form is an import file's line; it is part of the outside contract and changes only by addition.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Role};
use crate::ids::OrderId;
use crate::order::{
    AddLine, AllocateFulfillment, CancelLines, CancelOrder, CompleteOrder, ConfirmOrder, CorrectAddress,
    CreateOrder, ExpireOrder, FlagOrder, ForgetPersonalData, Order, PlaceHold, PlaceOrder, ReceiveReturn,
    ReleaseFulfillment, ReleaseHold, RemindAbandoned, RequestReturn, SetDetails, SetLineQuantity,
};
use crate::payment::{
    AdjustAuthorization, CapturePayment, ExpireAuthorization, InitiatePayment, RecordAuthorization,
    RecordAuthorizationFailure, RecordCapture, RecordCaptureFailure, RecordDispute, RecordDisputeOutcome,
    RecordRefund, RecordRefundFailure, RefundPayment, RequireAction, VoidPayment,
};
use crate::personal::{PersonalVisitor, Sealable};
use crate::shipment::{
    BuyLabel, CancelShipment, CreateShipment, DispatchShipment, MarkShipmentFailed, RecordTracking,
};
use crate::stream::StreamId;
use crate::subject::{CustomerId, Subject};

/// Which of an order's payments or shipments a command has to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// None.
    None,
    /// The one of this number.
    One(u16),
    /// All that the order lists.
    All,
}

/// What has to be loaded before a command can be decided. The decision reads all of it and nothing else, so these are
/// the streams whose versions the append checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// The order's own stream.
    pub order: bool,
    /// Its payments.
    pub payments: Scope,
    /// Its shipments.
    pub shipments: Scope,
}

impl Needs {
    const ORDER: Needs = Needs {
        order: true,
        payments: Scope::None,
        shipments: Scope::None,
    };
    const ORDER_AND_PAYMENTS: Needs = Needs {
        payments: Scope::All,
        ..Needs::ORDER
    };
    const ORDER_AND_SHIPMENTS: Needs = Needs {
        shipments: Scope::All,
        ..Needs::ORDER
    };
    const EVERYTHING: Needs = Needs {
        order: true,
        payments: Scope::All,
        shipments: Scope::All,
    };

    fn payment(number: u16) -> Self {
        Needs {
            order: false,
            payments: Scope::One(number),
            shipments: Scope::None,
        }
    }

    fn shipment(number: u16) -> Self {
        Needs {
            order: false,
            payments: Scope::None,
            shipments: Scope::One(number),
        }
    }

    /// A refund for a return asks the order what it is worth, and all its payments what was given back for it.
    fn refund(command: &RefundPayment) -> Self {
        match command.return_id {
            Some(_) => Needs::ORDER_AND_PAYMENTS,
            None => Needs::payment(command.payment.number),
        }
    }

    fn order_and_shipment(number: u16) -> Self {
        Needs {
            order: true,
            ..Needs::shipment(number)
        }
    }
}

/// The table of commands. A row is `Name = "name", target, needs;`: the stream that a caller's expected version speaks
/// of, and what has to be loaded.
macro_rules! commands {
    ($($name:ident = $text:literal, |$c:ident| $target:expr, $needs:expr;)+) => {
        /// A command with its target.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "command", rename_all = "camelCase")]
        #[expect(missing_docs, reason = "each variant is its struct, which says what it asks")]
        #[expect(clippy::large_enum_variant, reason = "a command lives for one decision; a box only adds an allocation")]
        pub enum Command {
            $($name($name),)+
        }

        impl Command {
            /// Its name as a caller writes it, such as `placeOrder`.
            pub fn name(&self) -> &'static str {
                match self { $(Command::$name(_) => $text,)+ }
            }

            /// The stream that a caller's expected version speaks of: the order's, where a payment or shipment is begun.
            pub fn target(&self) -> StreamId {
                match self { $(Command::$name($c) => $target.into(),)+ }
            }

            /// What has to be loaded before it can be decided.
            pub fn needs(&self) -> Needs {
                match self {
                    $(Command::$name($c) => {
                        let _ = $c;
                        $needs
                    })+
                }
            }
        }

        $(impl From<$name> for Command {
            fn from(command: $name) -> Self {
                Command::$name(command)
            }
        })+
    };
}

commands! {
    CreateOrder = "createOrder", |c| c.order.unwrap_or(OrderId::NIL), Needs::ORDER;
    AddLine = "addLine", |c| c.order, Needs::ORDER;
    SetLineQuantity = "setLineQuantity", |c| c.order, Needs::ORDER;
    SetDetails = "setDetails", |c| c.order, Needs::ORDER;
    PlaceOrder = "placeOrder", |c| c.order, Needs::ORDER;
    CorrectAddress = "correctAddress", |c| c.order, Needs::ORDER_AND_SHIPMENTS;
    ConfirmOrder = "confirmOrder", |c| c.order, Needs::ORDER_AND_PAYMENTS;
    PlaceHold = "placeHold", |c| c.order, Needs::ORDER;
    ReleaseHold = "releaseHold", |c| c.order, Needs::ORDER;
    CancelLines = "cancelLines", |c| c.order, Needs::ORDER;
    CancelOrder = "cancelOrder", |c| c.order, Needs::ORDER_AND_SHIPMENTS;
    ExpireOrder = "expireOrder", |c| c.order, Needs::ORDER_AND_PAYMENTS;
    AllocateFulfillment = "allocateFulfillment", |c| c.order, Needs::ORDER;
    ReleaseFulfillment = "releaseFulfillment", |c| c.shipment.order, Needs::order_and_shipment(c.shipment.number);
    RequestReturn = "requestReturn", |c| c.order, Needs::ORDER_AND_SHIPMENTS;
    ReceiveReturn = "receiveReturn", |c| c.order, Needs::ORDER;
    FlagOrder = "flagOrder", |c| c.order, Needs::ORDER;
    RemindAbandoned = "remindAbandoned", |c| c.order, Needs::ORDER;
    CompleteOrder = "completeOrder", |c| c.order, Needs::EVERYTHING;
    ForgetPersonalData = "forgetPersonalData", |c| c.order, Needs::ORDER;
    InitiatePayment = "initiatePayment", |c| c.order, Needs::ORDER;
    RequireAction = "requireAction", |c| c.payment, Needs::payment(c.payment.number);
    RecordAuthorization = "recordAuthorization", |c| c.payment, Needs::payment(c.payment.number);
    RecordAuthorizationFailure = "recordAuthorizationFailure", |c| c.payment, Needs::payment(c.payment.number);
    AdjustAuthorization = "adjustAuthorization", |c| c.payment, Needs::payment(c.payment.number);
    ExpireAuthorization = "expireAuthorization", |c| c.payment, Needs::payment(c.payment.number);
    CapturePayment = "capturePayment", |c| c.payment, Needs::payment(c.payment.number);
    RecordCapture = "recordCapture", |c| c.payment, Needs::payment(c.payment.number);
    RecordCaptureFailure = "recordCaptureFailure", |c| c.payment, Needs::payment(c.payment.number);
    VoidPayment = "voidPayment", |c| c.payment, Needs::payment(c.payment.number);
    RefundPayment = "refundPayment", |c| c.payment, Needs::refund(c);
    RecordRefund = "recordRefund", |c| c.payment, Needs::payment(c.payment.number);
    RecordRefundFailure = "recordRefundFailure", |c| c.payment, Needs::payment(c.payment.number);
    RecordDispute = "recordDispute", |c| c.payment, Needs::payment(c.payment.number);
    RecordDisputeOutcome = "recordDisputeOutcome", |c| c.payment, Needs::payment(c.payment.number);
    CreateShipment = "createShipment", |c| c.shipment.order, Needs::order_and_shipment(c.shipment.number);
    BuyLabel = "buyLabel", |c| c.shipment, Needs::shipment(c.shipment.number);
    DispatchShipment = "dispatchShipment", |c| c.shipment, Needs::order_and_shipment(c.shipment.number);
    RecordTracking = "recordTracking", |c| c.shipment, Needs::order_and_shipment(c.shipment.number);
    MarkShipmentFailed = "markShipmentFailed", |c| c.shipment, Needs::shipment(c.shipment.number);
    CancelShipment = "cancelShipment", |c| c.shipment, Needs::shipment(c.shipment.number);
}

impl Command {
    /// The order that it is about. [`OrderId::NIL`] for a creation that names none yet.
    pub fn order(&self) -> OrderId {
        self.target().order
    }

    /// The times that it names.
    pub(crate) fn times(&self) -> impl Iterator<Item = DateTime<Utc>> {
        let (first, second) = match self {
            Command::RequireAction(c) => (Some(c.at), c.expires_at),
            Command::RecordAuthorization(c) => (Some(c.at), c.capture_before),
            Command::RecordAuthorizationFailure(c) => (Some(c.at), None),
            Command::AdjustAuthorization(c) => (c.at, c.capture_before),
            Command::RecordCapture(c) => (Some(c.at), None),
            Command::RecordCaptureFailure(c) => (Some(c.at), None),
            Command::RecordRefund(c) => (Some(c.at), None),
            Command::RecordRefundFailure(c) => (Some(c.at), None),
            Command::RecordDispute(c) => (Some(c.at), c.respond_by),
            Command::RecordDisputeOutcome(c) => (Some(c.at), None),
            Command::RecordTracking(c) => (Some(c.at), None),
            _ => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// Whether it needs a number from the sequence of order numbers.
    pub fn needs_order_number(&self) -> bool {
        matches!(self, Command::PlaceOrder(_))
    }

    /// Gives a creation that names no order this one.
    #[must_use]
    pub fn with_order(mut self, order: OrderId) -> Self {
        if let Command::CreateOrder(command) = &mut self {
            command.order.get_or_insert(order);
        }
        self
    }

    /// Makes a customer who creates an order without saying for whom its customer. To be done before sealing, because
    /// it settles the subject.
    #[must_use]
    pub fn with_customer_of(mut self, actor: &Actor) -> Self {
        if let Command::CreateOrder(command) = &mut self
            && command.customer.is_none()
            && actor.role == Role::Customer
        {
            command.customer = CustomerId::try_new(&actor.id).ok();
        }
        self
    }

    /// Whose key seals its personal fields: the order's subject, or, for a creation, the one that it will have.
    pub fn subject(&self, order: &Order) -> Option<Subject> {
        match self {
            Command::CreateOrder(command) if !order.exists() => {
                Some(Subject::of(self.order(), command.customer.as_ref()))
            }
            _ => order.subject.clone(),
        }
    }

    /// Shows every personal field to `visitor`, to be sealed before the decision.
    pub fn visit_personal(&mut self, visitor: &mut dyn PersonalVisitor) {
        fn each<const N: usize>(visitor: &mut dyn PersonalVisitor, fields: [Option<&mut dyn Sealable>; N]) {
            fields
                .into_iter()
                .flatten()
                .for_each(|field| visitor.visit(field));
        }
        fn field<T: Sealable>(field: &mut Option<T>) -> Option<&mut dyn Sealable> {
            field.as_mut().map(|field| field as &mut dyn Sealable)
        }
        match self {
            Command::CreateOrder(c) => each(
                visitor,
                [field(&mut c.name), field(&mut c.email), field(&mut c.phone)],
            ),
            Command::SetDetails(c) => {
                each(
                    visitor,
                    [field(&mut c.shipping_address), field(&mut c.billing_address)],
                );
                each(
                    visitor,
                    [
                        field(&mut c.name),
                        field(&mut c.email),
                        field(&mut c.phone),
                        field(&mut c.note),
                    ],
                );
            }
            Command::CorrectAddress(c) => visitor.visit(&mut c.address),
            Command::CreateShipment(c) => each(visitor, [field(&mut c.ship_to)]),
            Command::RecordTracking(c) => each(visitor, [field(&mut c.place), field(&mut c.signed_by)]),
            _ => {}
        }
    }
}
