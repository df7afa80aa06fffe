//! What can be asked of an order. Each is also a line of an import file; see [`crate::Command`].

use serde::{Deserialize, Serialize};

use super::event::{AddressKind, ConfirmMode, HoldReason, ReceivedLine, ReturnLine, Signal};
use crate::address::{self, Address};
use crate::ids::{LineId, OrderId, ReturnId, ShipmentId};
use crate::money::{Currency, Money};
use crate::personal::{Personal, clear_option};
use crate::quantity::{LineQuantity, Quantity};
use crate::subject::CustomerId;
use crate::text::{Code, Email, Locale, Name, Note, Reason, Reference};

/// Begins an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateOrder {
    /// Its id; where none is named, it is given one before the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// Who buys, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<CustomerId>,
    /// What they are called.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "clear_option")]
    pub name: Option<Personal<Name>>,
    /// Where mail reaches them.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "clear_option")]
    pub email: Option<Personal<Email>>,
    /// Where a call reaches them.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "clear_option")]
    pub phone: Option<Personal<Code>>,
    /// Where it comes from: web, phone, marketplace.
    pub channel: Code,
    /// Of every amount of the order.
    pub currency: Currency,
    /// The customer's language.
    pub locale: Locale,
}

/// A line as it is asked for. Discount and tax come as an amount or as a rate, not both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LineInput {
    /// What is sold.
    pub sku: Code,
    /// As the customer knows it.
    pub name: Name,
    /// How many.
    pub quantity: Quantity,
    /// For one, before discount and tax; more than zero (what is free is discounted by 100 %).
    pub unit_price: Money,
    /// Off the whole line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<Money>,
    /// Off the whole line, in basis points, rounded half up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_bp: Option<u32>,
    /// On the whole line, after discount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Money>,
    /// On the whole line, after discount, in basis points, rounded half up. Beside `tax` it serves
    /// when the quantity changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_rate_bp: Option<u32>,
    /// Goods, not a licence; goods where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_shipping: Option<bool>,
    /// Of one piece, in grams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_g: Option<u32>,
}

/// Adds a line to a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddLine {
    /// To this order.
    pub order: OrderId,
    /// The line.
    pub line: LineInput,
}

/// Changes a line's quantity in a draft; 0 takes the line out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetLineQuantity {
    /// Of this order.
    pub order: OrderId,
    /// Which line.
    pub line: LineId,
    /// How many from now on.
    pub quantity: u32,
    /// The new discount: needed where the line's was given as an amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<Money>,
    /// The new tax: needed where the line's was given as an amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<Money>,
}

/// A shipping method as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShippingMethodInput {
    /// Which.
    pub code: Code,
    /// As the customer knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// What it costs; zero is free.
    pub price: Money,
}

/// Sets a draft's addresses, shipping method, contact and note. What is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetDetails {
    /// Of this order.
    pub order: OrderId,
    /// Where the goods go.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "address::clear_option"
    )]
    pub shipping_address: Option<Address>,
    /// Where the bill goes.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "address::clear_option"
    )]
    pub billing_address: Option<Address>,
    /// How the goods go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_method: Option<ShippingMethodInput>,
    /// What the customer is called.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "clear_option")]
    pub name: Option<Personal<Name>>,
    /// Where mail reaches the customer.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "clear_option")]
    pub email: Option<Personal<Email>>,
    /// Where a call reaches the customer.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "clear_option")]
    pub phone: Option<Personal<Code>>,
    /// What the customer wishes.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "clear_option")]
    pub note: Option<Personal<Note>>,
}

/// Commits the customer to a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlaceOrder {
    /// To this order.
    pub order: OrderId,
}

/// Puts an address right, until something is dispatched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CorrectAddress {
    /// Of this order.
    pub order: OrderId,
    /// Which.
    pub which: AddressKind,
    /// What it should be.
    #[serde(with = "address::clear")]
    pub address: Address,
}

/// Commits the shop to a placed order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfirmOrder {
    /// To this order.
    pub order: OrderId,
    /// Automatic needs authorizations that cover the order; manual needs a person.
    pub mode: ConfirmMode,
}

/// Stops an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlaceHold {
    /// This order.
    pub order: OrderId,
    /// Why.
    pub reason: HoldReason,
}

/// Lets an order go on, as far as one reason goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleaseHold {
    /// This order.
    pub order: OrderId,
    /// Why it had been stopped.
    pub reason: HoldReason,
}

/// Takes pieces out of a placed order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelLines {
    /// Of this order.
    pub order: OrderId,
    /// Which.
    pub lines: Vec<LineQuantity>,
    /// Why.
    pub reason: Reason,
}

/// Cancels an order of which nothing is dispatched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CancelOrder {
    /// This order.
    pub order: OrderId,
    /// Why.
    pub reason: Reason,
}

/// Ends a placed order that was not paid in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpireOrder {
    /// This order.
    pub order: OrderId,
}

/// Sets pieces aside for the order's next shipment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllocateFulfillment {
    /// Of this order.
    pub order: OrderId,
    /// Which; everything that is still open where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<LineQuantity>>,
}

/// Gives back what was set aside for a shipment that never started, was cancelled or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleaseFulfillment {
    /// The shipment.
    pub shipment: ShipmentId,
}

/// Asks to send back pieces that were delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestReturn {
    /// Of this order.
    pub order: OrderId,
    /// Which, and why; a line once for each reason.
    pub lines: Vec<ReturnLine>,
}

/// Records what came back of a return, which closes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiveReturn {
    /// Of this order.
    pub order: OrderId,
    /// Which return.
    #[serde(rename = "return")]
    pub return_id: ReturnId,
    /// What came, and how; a line once for each condition.
    pub lines: Vec<ReceivedLine>,
}

/// Notes what a detector noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlagOrder {
    /// About this order.
    pub order: OrderId,
    /// What.
    pub signal: Signal,
    /// What shows it: references and counts, nothing personal, because flags are not sealed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Reference>,
}

/// Reminds the customer of a draft that nobody works on any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemindAbandoned {
    /// Of this order.
    pub order: OrderId,
}

/// Closes an order that is delivered and settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CompleteOrder {
    /// This order.
    pub order: OrderId,
}

/// Records that the key of the order's subject is destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForgetPersonalData {
    /// This order.
    pub order: OrderId,
}
