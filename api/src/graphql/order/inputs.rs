//! What mutations of an order take. The fields are those of the commands' JSON form.

use async_graphql::{Enum, ID, InputObject};
use docket_domain::order as domain;
use serde::Serialize;

use crate::graphql::{
    command::asks,
    order::parts::{HoldReason, Signal},
    scalars::{CountryScalar, CurrencyScalar, MoneyInput},
};

asks! {
    CreateOrderInput => domain::CreateOrder, "CreateOrderPayload", required;
    AddLineInput => domain::AddLine, "AddLinePayload", optional;
    SetLineQuantityInput => domain::SetLineQuantity, "SetLineQuantityPayload", optional;
    SetDetailsInput => domain::SetDetails, "SetDetailsPayload", optional;
    PlaceOrderInput => domain::PlaceOrder, "PlaceOrderPayload", required;
    CorrectAddressInput => domain::CorrectAddress, "CorrectAddressPayload", optional;
    ConfirmOrderInput => domain::ConfirmOrder, "ConfirmOrderPayload", optional;
    PlaceHoldInput => domain::PlaceHold, "PlaceHoldPayload", optional;
    ReleaseHoldInput => domain::ReleaseHold, "ReleaseHoldPayload", optional;
    AllocateFulfillmentInput => domain::AllocateFulfillment, "AllocateFulfillmentPayload", optional;
    ReleaseFulfillmentInput => domain::ReleaseFulfillment, "ReleaseFulfillmentPayload", optional;
    CancelLinesInput => domain::CancelLines, "CancelLinesPayload", optional;
    CancelOrderInput => domain::CancelOrder, "CancelOrderPayload", optional;
    ExpireOrderInput => domain::ExpireOrder, "ExpireOrderPayload", optional;
    CompleteOrderInput => domain::CompleteOrder, "CompleteOrderPayload", optional;
    FlagOrderInput => domain::FlagOrder, "FlagOrderPayload", optional;
    RemindAbandonedInput => domain::RemindAbandoned, "RemindAbandonedPayload", optional;
}

/// Begins an order.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateOrderInput {
    /// Its id, a UUID; where none is named, it is made from the idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<ID>,
    /// Who buys: the customer's id in the shop's own accounts. A customer who creates an order is its customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// What the customer is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where mail reaches the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Where a call reaches the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Where the order comes from: web, phone, marketplace.
    pub channel: String,
    /// Of every amount of the order.
    pub currency: CurrencyScalar,
    /// The customer's language: `de-AT`.
    pub locale: String,
    /// The version that the order's stream must have: 0 for one that must not exist.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: String,
}

/// A line as it is asked for. Discount and tax come as an amount or as a rate, not both.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LineInput {
    /// What is sold.
    pub sku: String,
    /// As the customer knows it.
    pub name: String,
    /// How many.
    pub quantity: i32,
    /// For one, before discount and tax; more than zero.
    pub unit_price: MoneyInput,
    /// Off the whole line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount: Option<MoneyInput>,
    /// Off the whole line, in basis points, rounded half up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount_bp: Option<i32>,
    /// On the whole line, after discount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax: Option<MoneyInput>,
    /// On the whole line, after discount, in basis points, rounded half up. Beside `tax` it is only information.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax_rate_bp: Option<i32>,
    /// Goods, not a licence; goods where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires_shipping: Option<bool>,
    /// Of one piece, in grams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_g: Option<i32>,
}

/// Adds a line to a draft.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddLineInput {
    /// To this order.
    pub order: ID,
    /// The line.
    pub line: LineInput,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Changes a line's quantity in a draft.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetLineQuantityInput {
    /// Of this order.
    pub order: ID,
    /// Which line, by its number.
    pub line: i32,
    /// How many from now on; 0 takes the line out.
    pub quantity: i32,
    /// The new discount: needed where the line's was given as an amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount: Option<MoneyInput>,
    /// The new tax: needed where the line's was given as an amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax: Option<MoneyInput>,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// A postal address.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressInput {
    /// Who receives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where they work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// Street and house, 1 to 4 lines.
    pub street: Vec<String>,
    /// As the country writes it; some countries have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// Town.
    pub city: String,
    /// State, province or county.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Two letters.
    pub country: CountryScalar,
}

/// A shipping method as it is asked for.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShippingMethodInput {
    /// Which.
    pub code: String,
    /// As the customer knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it costs; zero is free.
    pub price: MoneyInput,
}

/// Sets a draft's addresses, shipping method, contact and note. What is absent stays as it is.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetDetailsInput {
    /// Of this order.
    pub order: ID,
    /// Where the goods go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<AddressInput>,
    /// Where the bill goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<AddressInput>,
    /// How the goods go. Not for customers: it has a price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipping_method: Option<ShippingMethodInput>,
    /// What the customer is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where mail reaches the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Where a call reaches the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// What the customer wishes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Commits the customer to a draft.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlaceOrderInput {
    /// This order.
    pub order: ID,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: String,
}

/// Which of an order's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressKind {
    /// Where the goods go.
    Shipping,
    /// Where the bill goes.
    Billing,
}

/// Puts an address right, until something is dispatched.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CorrectAddressInput {
    /// Of this order.
    pub order: ID,
    /// Which.
    pub which: AddressKind,
    /// What it should be.
    pub address: AddressInput,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Who vouches for the money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfirmMode {
    /// The authorizations cover it.
    Automatic,
    /// A person does.
    Manual,
}

/// Commits the shop to a placed order.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmOrderInput {
    /// This order.
    pub order: ID,
    /// Automatic needs authorizations that cover the order; manual needs a person.
    pub mode: ConfirmMode,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Stops an order until the reason is released.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlaceHoldInput {
    /// This order.
    pub order: ID,
    /// Why.
    pub reason: HoldReason,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Lets an order go on, as far as one reason goes.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseHoldInput {
    /// This order.
    pub order: ID,
    /// Why it had been stopped.
    pub reason: HoldReason,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Some pieces of one line.
#[derive(Debug, InputObject, Serialize)]
pub struct LineQuantityInput {
    /// Which line, by its number.
    pub line: i32,
    /// How many of its pieces.
    pub quantity: i32,
}

/// Sets pieces aside for the order's next shipment.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AllocateFulfillmentInput {
    /// Of this order.
    pub order: ID,
    /// Which; everything that is still open where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<LineQuantityInput>>,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Gives back what was set aside for a shipment that never started, was cancelled or failed; of another, what it does not
/// hold.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseFulfillmentInput {
    /// The shipment: `<order>-s1`.
    pub shipment: ID,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Takes pieces out of a placed order.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelLinesInput {
    /// Of this order.
    pub order: ID,
    /// Which.
    pub lines: Vec<LineQuantityInput>,
    /// Why.
    pub reason: String,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Cancels an order of which nothing is dispatched.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelOrderInput {
    /// This order.
    pub order: ID,
    /// Why.
    pub reason: String,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Ends a placed order that was not paid in time.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExpireOrderInput {
    /// This order.
    pub order: ID,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Closes an order that is delivered and settled.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CompleteOrderInput {
    /// This order.
    pub order: ID,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Notes what a detector noticed.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlagOrderInput {
    /// About this order.
    pub order: ID,
    /// What.
    pub signal: Signal,
    /// What shows it: at most 10 references or counts, nothing personal. Their order says nothing.
    #[graphql(default)]
    pub evidence: Vec<String>,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Reminds the customer of a draft that nobody works on any more.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RemindAbandonedInput {
    /// Of this order.
    pub order: ID,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}
