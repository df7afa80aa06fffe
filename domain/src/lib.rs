//! The pure aggregates of Docket: orders, payments and shipments.
//!
//! A command is *decided* over the streams that it reads ([`decide`]), which yields events, "nothing to do", or the
//! rule that refused. Events are *evolved* into state ([`Case::evolve`], [`State::evolve`]). Both are plain functions:
//! no I/O, clock or randomness. What a decision needs from outside comes in through its [`Context`].
//!
//! | where | what |
//! |---|---|
//! | [`order`], [`payment`], [`shipment`] | one aggregate each: command, event, state, decide, evolve, error |
//! | [`case`](Case) | an order with its payments and shipments, the unit of a decision |
//! | [`command`](Command), [`event`](Event) | the three aggregates' commands and events as one type each |
//! | [`access`] | who may do what |
//! | [`ids`], [`money`], [`quantity`], [`text`], [`address`], [`personal`], [`instant`] | the values, which validate themselves |
//! | [`testing`] | given, when, then |

pub mod access;
pub mod actor;
pub mod address;
mod case;
mod command;
mod context;
mod decide;
pub mod event;
pub mod ids;
pub mod instant;
pub mod limits;
pub mod money;
pub mod order;
pub mod payment;
pub mod personal;
pub mod quantity;
mod refusal;
pub mod shipment;
mod state;
mod stream;
pub mod subject;
pub mod testing;
pub mod text;

pub use access::AccessError;
pub use actor::{Actor, ActorKind, Role};
pub use address::{Address, AddressInput, AddressLines, CountryCode};
pub use case::Case;
pub use command::{Command, Needs, Scope};
pub use context::Context;
pub use decide::{Decision, StreamEvent, decide};
pub use event::{DecodeError, Event, PayloadError};
pub use ids::{
    CaptureId, CommandId, LineId, OrderId, OrderNumber, ParcelNumber, ParseIdError, PaymentId, RefundId,
    ReturnId, ShipmentId,
};
pub use money::{Currency, Money, MoneyError};
pub use order::{Order, OrderError, OrderEvent};
pub use payment::{Payment, PaymentError, PaymentEvent};
pub use personal::{Personal, PersonalVisitor, Sealable, SealedValue};
pub use quantity::Quantity;
pub use refusal::{InvalidError, Refusal};
pub use shipment::{Shipment, ShipmentError, ShipmentEvent};
pub use state::State;
pub use stream::{StreamId, StreamKind, Version};
pub use subject::{CustomerId, Subject};
pub use text::{Text, TextError};
