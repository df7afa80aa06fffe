//! What can happen to an order.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::line::{Line, Totals, is_zero};
use crate::address::Address;
use crate::event::events;
use crate::ids::{LineId, OrderNumber, ReturnId};
use crate::money::Currency;
use crate::personal::Personal;
use crate::quantity::{LineQuantity, Quantity};
use crate::subject::{CustomerId, Subject};
use crate::text::{Code, Email, Locale, Name, Note, Reason, Reference};

events! {
    /// What can happen to an order.
    OrderEvent {
        /// It was begun.
        Drafted(Drafted) = "order.drafted", [];
        /// A line was added.
        LineAdded(LineAdded) = "order.line_added", [];
        /// A line's quantity was changed, or, with 0, the line taken out.
        LineQuantityChanged(LineQuantityChanged) = "order.line_quantity_changed", [];
        /// Addresses, shipping method, contact or note were set.
        DetailsSet(Box<DetailsSet>) = "order.details_set", [];
        /// Nobody works on the draft any more, and its customer is reminded of it.
        Abandoned(Abandoned) = "order.abandoned", [];
        /// The customer committed to it.
        Placed(Box<Placed>) = "order.placed", [];
        /// An address was put right after placing.
        AddressCorrected(Box<AddressCorrected>) = "order.address_corrected", [];
        /// The shop committed to it.
        Confirmed(Confirmed) = "order.confirmed", [];
        /// It was stopped.
        HoldPlaced(HoldPlaced) = "order.hold_placed", [];
        /// It was let go on.
        HoldReleased(HoldReleased) = "order.hold_released", [];
        /// A detector noticed something.
        Flagged(Flagged) = "order.flagged", [];
        /// Its subject's key was destroyed.
        PersonalDataForgotten(PersonalDataForgotten) = "order.personal_data_forgotten", [];
        /// Pieces will not be delivered.
        LinesCancelled(LinesCancelled) = "order.lines_cancelled", [];
        /// Nothing will be delivered.
        Cancelled(Cancelled) = "order.cancelled", [];
        /// It was not paid in time.
        Expired(Expired) = "order.expired", [];
        /// Pieces were set aside for a shipment.
        FulfillmentAllocated(FulfillmentAllocated) = "order.fulfillment_allocated", [];
        /// They were given back.
        FulfillmentReleased(FulfillmentReleased) = "order.fulfillment_released", [];
        /// A payment was started.
        PaymentAttached(PaymentAttached) = "order.payment_attached", [];
        /// The customer wants to send pieces back.
        ReturnRequested(ReturnRequested) = "order.return_requested", [];
        /// They came back.
        ReturnReceived(ReturnReceived) = "order.return_received", [];
        /// Everything is delivered and settled.
        Completed(Completed) = "order.completed", [];
    }
}

/// It was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drafted {
    /// Whose personal data this order holds.
    pub subject: Subject,
    /// Who buys, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// What they are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Personal<Name>>,
    /// Where mail reaches them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Personal<Email>>,
    /// Where a call reaches them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Personal<Code>>,
    /// Where it comes from: web, phone, marketplace.
    pub channel: Code,
    /// Of every amount of the order.
    pub currency: Currency,
    /// The customer's language.
    pub locale: Locale,
}

/// A line was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineAdded {
    /// Of the line's amounts.
    pub currency: Currency,
    /// The line.
    pub line: Line,
}

/// A line's quantity was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineQuantityChanged {
    /// Which line.
    pub line: LineId,
    /// What it was.
    pub from: u32,
    /// What it is; 0 where the line was taken out.
    pub to: u32,
    /// Of the amounts.
    pub currency: Currency,
    /// The line's discount now.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub discount: i64,
    /// The line's tax now.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tax: i64,
}

/// How it is sent, and for how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShippingMethod {
    /// Which.
    pub code: Code,
    /// As the customer knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// In minor units of the order's currency.
    pub price: i64,
}

/// What changed is given, what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetailsSet {
    /// Where the goods go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Address>,
    /// Where the bill goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<Address>,
    /// How the goods go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_method: Option<ShippingMethod>,
    /// What the customer is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Personal<Name>>,
    /// Where mail reaches the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Personal<Email>>,
    /// Where a call reaches the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Personal<Code>>,
    /// What the customer wishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Personal<Note>>,
}

/// The whole order as it was placed: whoever reads this event looks nothing up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// What people call it by.
    pub number: OrderNumber,
    /// Who bought, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// What they are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Personal<Name>>,
    /// Where mail reaches them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Personal<Email>>,
    /// Where a call reaches them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Personal<Code>>,
    /// Where it comes from.
    pub channel: Code,
    /// The customer's language.
    pub locale: Locale,
    /// Of every amount.
    pub currency: Currency,
    /// What was bought.
    pub lines: Vec<Line>,
    /// What it adds up to.
    pub totals: Totals,
    /// Where the goods go; none where nothing needs shipping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Address>,
    /// Where the bill goes, where it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<Address>,
    /// How the goods go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_method: Option<ShippingMethod>,
    /// What the customer wishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Personal<Note>>,
    /// When it expires unless it is paid.
    pub payment_due_at: DateTime<Utc>,
}

/// Which of an order's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressKind {
    /// Where the goods go.
    Shipping,
    /// Where the bill goes.
    Billing,
}

/// An address was put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressCorrected {
    /// Which.
    pub which: AddressKind,
    /// What it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Address>,
    /// What it is.
    pub to: Address,
}

/// Who vouches for the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfirmMode {
    /// The authorizations cover it.
    Automatic,
    /// A person does.
    Manual,
}

/// The shop committed to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// Who vouched for the money.
    pub mode: ConfirmMode,
    /// What was authorized.
    pub authorized: i64,
    /// Of it.
    pub currency: Currency,
    /// By these payments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payments: Vec<u16>,
}

/// Why an order is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// It looks fraudulent.
    Fraud,
    /// The address is doubtful.
    Address,
    /// The money is doubtful.
    Payment,
    /// Goods are missing.
    Stock,
    /// Somebody wants to look at it.
    Manual,
}

/// It was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldPlaced {
    /// Why.
    pub reason: HoldReason,
}

/// It was let go on, as far as this reason goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldReleased {
    /// Why it had been stopped.
    pub reason: HoldReason,
}

/// Its subject's key was destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonalDataForgotten {
    /// Whose.
    pub subject: Subject,
}

/// Pieces will not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinesCancelled {
    /// Which.
    pub lines: Vec<LineQuantity>,
    /// Why.
    pub reason: Reason,
    /// What the customer need not pay.
    pub value: i64,
    /// Of it.
    pub currency: Currency,
}

/// Nothing will be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// Why.
    pub reason: Reason,
}

/// It was not paid in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// The time.
    pub due_at: DateTime<Utc>,
}

/// Pieces were set aside for a shipment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FulfillmentAllocated {
    /// The order's shipment of this number.
    pub shipment: u16,
    /// Which.
    pub lines: Vec<LineQuantity>,
}

/// They were given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FulfillmentReleased {
    /// The order's shipment of this number.
    pub shipment: u16,
    /// Which.
    pub lines: Vec<LineQuantity>,
}

/// A payment was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentAttached {
    /// The order's payment of this number.
    pub payment: u16,
}

/// Everything is delivered and settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completed {
    /// When.
    pub completed_at: DateTime<Utc>,
}

/// Nobody works on the draft any more, and its customer is reminded of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abandoned {
    /// When somebody worked on it last.
    pub last_activity: DateTime<Utc>,
    /// Which reminder this is, from 1 to [`crate::limits::ABANDONED_REMINDERS`].
    pub reminder: u8,
}

/// What a detector noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Payments that look like fraud.
    FraudPattern,
    /// A value above the shop's threshold.
    HighValue,
}

/// A detector noticed something. It stops nothing; a hold does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flagged {
    /// What.
    pub signal: Signal,
    /// What shows it: references and counts, nothing personal. A set, because its order says nothing.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub evidence: BTreeSet<Reference>,
}

/// Why somebody sends a piece back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReturnReason {
    /// It arrived damaged.
    Damaged,
    /// It does not work.
    Defective,
    /// It is not what was ordered.
    WrongItem,
    /// It is not as it was described.
    NotAsDescribed,
    /// It is not wanted any more.
    Unwanted,
    /// Something else.
    Other,
}

/// How a piece came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReturnCondition {
    /// As new: it can be sold again.
    Sellable,
    /// Opened or used, and whole.
    Used,
    /// Damaged.
    Damaged,
    /// It does not work.
    Defective,
}

/// Some pieces of one line that are to come back, in commands and events alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReturnLine {
    /// Which line.
    pub line: LineId,
    /// How many of its pieces.
    pub quantity: Quantity,
    /// Why.
    pub reason: ReturnReason,
}

/// Some pieces of one line that came back, in commands and events alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceivedLine {
    /// Which line.
    pub line: LineId,
    /// How many of its pieces.
    pub quantity: Quantity,
    /// How.
    pub condition: ReturnCondition,
}

/// The customer wants to send pieces back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnRequested {
    /// Which return.
    #[serde(rename = "return")]
    pub return_id: ReturnId,
    /// Which pieces, and why; a line stands once for each reason.
    pub lines: Vec<ReturnLine>,
    /// What the customer is to get for them if all come back.
    pub refund_due: i64,
    /// Of it.
    pub currency: Currency,
}

/// Pieces came back. The return is closed: what did not come may be asked for again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnReceived {
    /// Which return.
    #[serde(rename = "return")]
    pub return_id: ReturnId,
    /// Which pieces, and how; a line stands once for each condition.
    pub lines: Vec<ReceivedLine>,
    /// What the customer is to get for them.
    pub refund_due: i64,
    /// Of it.
    pub currency: Currency,
}
