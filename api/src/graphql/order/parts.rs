//! The parts of an order as they are shown.

use async_graphql::{Enum, ID, SimpleObject};
use chrono::{DateTime, Utc};
use docket_domain::{Currency, address, order as domain, text::Name};
use docket_projections::read_models::axes::LineProgress;
use serde::Serialize;

use super::view::OrderView;
use crate::graphql::{
    plain::{PlainList, shown},
    scalars::{CountryScalar, MoneyValue},
};

/// How far the sale has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum OrderStatus {
    /// Being put together.
    Draft,
    /// The customer is committed.
    Placed,
    /// The shop is committed.
    Confirmed,
    /// Delivered and settled.
    Completed,
    /// Not paid in time.
    Expired,
    /// Called off.
    Cancelled,
}

impl OrderStatus {
    /// None for an order that does not exist, which is never shown.
    pub(super) fn of(status: domain::OrderStatus) -> Option<OrderStatus> {
        Some(match status {
            domain::OrderStatus::Missing => return None,
            domain::OrderStatus::Draft => OrderStatus::Draft,
            domain::OrderStatus::Placed => OrderStatus::Placed,
            domain::OrderStatus::Confirmed => OrderStatus::Confirmed,
            domain::OrderStatus::Completed => OrderStatus::Completed,
            domain::OrderStatus::Expired => OrderStatus::Expired,
            domain::OrderStatus::Cancelled => OrderStatus::Cancelled,
        })
    }
}

impl From<OrderStatus> for domain::OrderStatus {
    fn from(status: OrderStatus) -> Self {
        match status {
            OrderStatus::Draft => domain::OrderStatus::Draft,
            OrderStatus::Placed => domain::OrderStatus::Placed,
            OrderStatus::Confirmed => domain::OrderStatus::Confirmed,
            OrderStatus::Completed => domain::OrderStatus::Completed,
            OrderStatus::Expired => domain::OrderStatus::Expired,
            OrderStatus::Cancelled => domain::OrderStatus::Cancelled,
        }
    }
}

/// How far an order's payments have come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "docket_projections::read_models::axes::OrderPaymentStatus")]
pub enum OrderPaymentStatus {
    /// Nothing was started, or what was came to nothing before a gateway answered.
    Unpaid,
    /// A payment was started; its gateway has not answered.
    Pending,
    /// Gateways hold some of what is due.
    PartiallyAuthorized,
    /// Gateways hold, or have taken, what is due.
    Authorized,
    /// Some of what is due was taken.
    PartiallyPaid,
    /// What is due was taken, or nothing is due.
    Paid,
    /// Some of what was taken was given back.
    PartiallyRefunded,
    /// All that was taken was given back.
    Refunded,
    /// What gateways held was let go.
    Voided,
    /// What gateways held ran out.
    Expired,
    /// Every payment was refused.
    Failed,
}

/// How far an order's shipments have come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "docket_projections::read_models::axes::FulfillmentStatus")]
pub enum FulfillmentStatus {
    /// Nothing that was bought needs shipping.
    NotRequired,
    /// Nothing is set aside.
    Unfulfilled,
    /// Some pieces are set aside for shipments.
    PartiallyAllocated,
    /// All are.
    Allocated,
    /// Carriers have some pieces.
    PartiallyShipped,
    /// Carriers have all.
    Shipped,
    /// Some pieces arrived.
    PartiallyDelivered,
    /// All did.
    Delivered,
    /// All did, and the customer sent some back.
    PartiallyReturned,
    /// All that was shipped comes back.
    Returned,
}

/// Why an order is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[graphql(remote = "docket_domain::order::HoldReason")]
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

/// What a detector noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[graphql(remote = "docket_domain::order::Signal")]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Payments that look like fraud.
    FraudPattern,
    /// A value above the shop's threshold.
    HighValue,
}

/// What a detector noticed, and what shows it.
#[derive(Clone, Debug, SimpleObject)]
pub struct OrderFlag {
    /// What.
    pub signal: Signal,
    /// What shows it.
    pub evidence: Vec<String>,
    /// When.
    pub at: Option<DateTime<Utc>>,
}

/// What an order adds up to.
#[derive(Clone, Debug, SimpleObject)]
pub struct OrderTotals {
    /// Prices times quantities.
    pub subtotal: MoneyValue,
    /// Off all lines.
    pub discount: MoneyValue,
    /// For the shipping method.
    pub shipping: MoneyValue,
    /// On all lines.
    pub tax: MoneyValue,
    /// subtotal - discount + tax + shipping.
    pub grand: MoneyValue,
}

impl OrderTotals {
    pub(super) fn of(totals: &domain::Totals, currency: Currency) -> Self {
        let money = |amount| MoneyValue::new(amount, currency);
        Self {
            subtotal: money(totals.subtotal),
            discount: money(totals.discount),
            shipping: money(totals.shipping),
            tax: money(totals.tax),
            grand: money(totals.grand),
        }
    }
}

/// A line of an order, with what became of its pieces.
#[derive(Clone, Debug, SimpleObject)]
pub struct OrderLine {
    /// Which line, from 1; numbers of lines that were taken out are not used again.
    pub line: i32,
    /// What is sold.
    pub sku: String,
    /// As the customer knows it.
    pub name: String,
    /// How many were ordered.
    pub quantity: i32,
    /// For one, before discount and tax.
    pub unit_price: MoneyValue,
    /// Off the whole line.
    pub discount: MoneyValue,
    /// On the whole line, after discount.
    pub tax: MoneyValue,
    /// What the tax was computed from, in basis points, where it was.
    pub tax_rate_bp: Option<i32>,
    /// What the customer pays for the line.
    pub total: Option<MoneyValue>,
    /// Goods, not a licence.
    pub requires_shipping: bool,
    /// Of one piece, in grams.
    pub weight_g: Option<i32>,
    /// Pieces that will not be delivered.
    pub cancelled: i32,
    /// Pieces set aside for shipments, shipped ones included.
    pub allocated: i32,
    /// Pieces handed to carriers, delivered and returned ones included.
    pub shipped: i32,
    /// Pieces that arrived.
    pub delivered: i32,
    /// Pieces on their way back with a carrier that could not hand them over, or sent back by the customer and received.
    pub returned: i32,
    /// Pieces that the customer announced to send back and that have not come.
    pub return_pending: i32,
}

/// Pieces of a line are at most a million; what did not fit would be shown as the largest number that does.
pub(in crate::graphql) fn count(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

impl OrderLine {
    pub(super) fn of(
        order: &domain::Order,
        line: &domain::OrderLine,
        progress: &LineProgress,
        currency: Currency,
    ) -> Self {
        let sold = &line.line;
        let money = |amount| MoneyValue::new(amount, currency);
        Self {
            line: i32::from(sold.id.0),
            sku: sold.sku.to_string(),
            name: sold.name.to_string(),
            quantity: count(sold.quantity.get()),
            unit_price: money(sold.unit_price),
            discount: money(sold.discount),
            tax: money(sold.tax),
            tax_rate_bp: sold.tax_rate_bp.map(count),
            total: sold.total().ok().map(money),
            requires_shipping: sold.requires_shipping,
            weight_g: sold.weight_g.map(count),
            cancelled: count(progress.cancelled),
            allocated: count(progress.allocated),
            shipped: count(progress.shipped),
            delivered: count(progress.delivered),
            returned: count(progress.returned),
            return_pending: count(order.return_pending(sold.id)),
        }
    }
}

/// A postal address. Its country stays when the person is forgotten; the rest is none then.
#[derive(Clone, Debug, SimpleObject)]
pub struct Address {
    /// Who receives.
    pub name: Option<String>,
    /// Where they work.
    pub company: Option<String>,
    /// Street and house.
    pub street: Vec<String>,
    /// As the country writes it.
    pub postal_code: Option<String>,
    /// Town.
    pub city: Option<String>,
    /// State, province or county.
    pub region: Option<String>,
    /// Two letters.
    pub country: CountryScalar,
    /// The person is forgotten: there was more.
    pub forgotten: bool,
}

impl Address {
    pub(in crate::graphql) fn of(view: &OrderView, address: &address::Address) -> Self {
        let lines = view.open(Some(&address.lines));
        let text = |value: Option<&Name>| value.map(ToString::to_string);
        Self {
            name: text(lines.as_ref().and_then(|lines| lines.name.as_ref())),
            company: text(lines.as_ref().and_then(|lines| lines.company.as_ref())),
            street: lines
                .iter()
                .flat_map(|lines| &lines.street)
                .map(ToString::to_string)
                .collect(),
            postal_code: lines
                .as_ref()
                .and_then(|lines| lines.postal_code.as_ref())
                .map(ToString::to_string),
            city: text(lines.as_ref().map(|lines| &lines.city)),
            region: text(lines.as_ref().and_then(|lines| lines.region.as_ref())),
            country: CountryScalar(address.country),
            forgotten: lines.is_none(),
        }
    }
}

/// How an order is sent, and for how much.
#[derive(Clone, Debug, SimpleObject)]
pub struct ShippingMethod {
    /// Which.
    pub code: String,
    /// As the customer knows it.
    pub name: Option<String>,
    /// What it costs.
    pub price: MoneyValue,
}

/// Some pieces of one line.
#[derive(Clone, Copy, Debug, SimpleObject)]
pub struct LineQuantity {
    /// Which line, by its number.
    pub line: i32,
    /// How many of its pieces.
    pub quantity: i32,
}

impl From<&docket_domain::quantity::LineQuantity> for LineQuantity {
    fn from(pieces: &docket_domain::quantity::LineQuantity) -> Self {
        Self {
            line: i32::from(pieces.line.0),
            quantity: count(pieces.quantity.get()),
        }
    }
}

/// What is set aside for one shipment.
#[derive(Clone, Debug, SimpleObject)]
pub struct Allocation {
    /// The shipment's id, which `createShipment` takes.
    pub shipment_id: ID,
    /// Which pieces.
    pub lines: PlainList<LineQuantity>,
    /// Given back.
    pub released: bool,
}

shown!(OrderTotals, |totals| {
    subtotal: &totals.subtotal,
    discount: &totals.discount,
    shipping: &totals.shipping,
    tax: &totals.tax,
    grand: &totals.grand,
});

shown!(OrderLine, |line| {
    line: &line.line,
    sku: &line.sku,
    name: &line.name,
    quantity: &line.quantity,
    unitPrice: &line.unit_price,
    discount: &line.discount,
    tax: &line.tax,
    taxRateBp: &line.tax_rate_bp,
    total: &line.total,
    requiresShipping: &line.requires_shipping,
    weightG: &line.weight_g,
    cancelled: &line.cancelled,
    allocated: &line.allocated,
    shipped: &line.shipped,
    delivered: &line.delivered,
    returned: &line.returned,
    returnPending: &line.return_pending,
});

shown!(LineQuantity, |pieces| {
    line: &pieces.line,
    quantity: &pieces.quantity,
});

shown!(Allocation, |allocation| {
    shipmentId: &allocation.shipment_id,
    lines: &allocation.lines,
    released: &allocation.released,
});
