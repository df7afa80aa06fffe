//! An order as it is shown.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};
use chrono::{DateTime, Utc};
use docket_domain::{Currency, ShipmentId, order as domain};
use docket_event_store::Origin;

use super::{
    parts::{
        Address, Allocation, FulfillmentStatus, HoldReason, LineQuantity, OrderFlag, OrderLine,
        OrderPaymentStatus, OrderStatus, OrderTotals, ShippingMethod,
    },
    returns::OrderReturn,
    source::{Known, Order, Source},
    timeline::{TimelineConnection, Wanted, timeline},
    view::{OrderView, only_customer},
};
use crate::graphql::{
    actor,
    payment::types::Payment,
    plain::{Plain, PlainList, leaf_enum, shown},
    position::Position,
    scalars::{BigInt, CurrencyScalar, MoneyValue},
    services,
    shipment::types::Shipment,
};

/// An order with its payments and shipments.
#[Object]
impl Order {
    /// Its id, a UUID.
    pub async fn id(&self) -> ID {
        ID(self.order_id().to_string())
    }

    /// The version of its own stream, for `expectedVersion`.
    async fn version(&self) -> i32 {
        self.known().version()
    }

    /// The newest event in what is shown, of the order, its payments and its shipments.
    async fn position(&self) -> Position {
        self.newest().into()
    }

    /// What people call it by, once placed.
    async fn number(&self) -> Option<BigInt> {
        self.known().number()
    }

    /// How far the sale has come.
    async fn status(&self) -> Option<OrderStatus> {
        self.known().status()
    }

    /// How far its payments have come together.
    async fn payment_status(&self) -> OrderPaymentStatus {
        self.known().payment_status()
    }

    /// How far its shipments have come together.
    async fn fulfillment_status(&self) -> FulfillmentStatus {
        self.known().fulfillment_status()
    }

    /// It is stopped.
    async fn on_hold(&self) -> bool {
        self.known().on_hold()
    }

    /// Who buys, where they are known: the customer's id in the shop's own accounts.
    async fn customer(&self) -> Option<String> {
        self.known().customer()
    }

    /// Where it comes from: web, phone, marketplace.
    async fn channel(&self) -> Option<String> {
        self.known().channel()
    }

    /// Of every amount.
    async fn currency(&self) -> Option<CurrencyScalar> {
        self.known().currency().map(CurrencyScalar)
    }

    /// What it adds up to: as placed, or, in a draft, now.
    async fn totals(&self) -> Option<Plain<OrderTotals>> {
        self.known().totals()
    }

    /// What the customer need not pay of it, because it was cancelled.
    async fn cancelled_value(&self) -> Option<MoneyValue> {
        self.known().cancelled_value()
    }

    /// What its payments took. What was given back, or lost in a dispute, was paid all the same: see `lost` and each
    /// payment's `refunded`.
    async fn paid(&self) -> Option<MoneyValue> {
        self.known().paid()
    }

    /// What payers dispute and nobody has decided.
    async fn disputed(&self, ctx: &Context<'_>) -> Result<Option<MoneyValue>> {
        self.state(ctx, |view, order| {
            Some(MoneyValue::new(view.detail.disputed(), order.currency?))
        })
        .await
    }

    /// What was lost to payers who disputed it; it is part of `paid`.
    async fn lost(&self, ctx: &Context<'_>) -> Result<Option<MoneyValue>> {
        self.state(ctx, |view, order| {
            Some(MoneyValue::new(view.detail.lost(), order.currency?))
        })
        .await
    }

    /// It was brought in from elsewhere.
    async fn imported(&self, ctx: &Context<'_>) -> Result<bool> {
        let origin = match &self.0 {
            Source::Summary(row) => row.origin,
            _ => self.view(ctx).await?.detail.document.origin,
        };
        Ok(origin == Origin::Imported)
    }

    /// When it was begun.
    async fn created_at(&self, ctx: &Context<'_>) -> Result<DateTime<Utc>> {
        Ok(match &self.0 {
            Source::Summary(row) => row.created_at,
            _ => self.view(ctx).await?.detail.document.times.created_at,
        })
    }

    /// When something happened to it, its payments or its shipments last.
    async fn updated_at(&self, ctx: &Context<'_>) -> Result<DateTime<Utc>> {
        Ok(match &self.0 {
            Source::Summary(row) => row.updated_at,
            _ => self.view(ctx).await?.detail.document.times.updated_at,
        })
    }

    /// When it was placed.
    async fn placed_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime<Utc>>> {
        Ok(match &self.0 {
            Source::Summary(row) => row.placed_at,
            _ => self.view(ctx).await?.detail.document.times.placed_at,
        })
    }

    /// When it was confirmed.
    async fn confirmed_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime<Utc>>> {
        Ok(self.view(ctx).await?.detail.document.times.confirmed_at)
    }

    /// When it was completed.
    async fn completed_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime<Utc>>> {
        Ok(self.view(ctx).await?.detail.document.times.completed_at)
    }

    /// When it was called off.
    async fn cancelled_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime<Utc>>> {
        Ok(self.view(ctx).await?.detail.document.times.cancelled_at)
    }

    /// Why it was called off.
    async fn cancel_reason(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(self
            .view(ctx)
            .await?
            .detail
            .document
            .cancel_reason
            .as_ref()
            .map(ToString::to_string))
    }

    /// When it expired.
    async fn expired_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime<Utc>>> {
        Ok(self.view(ctx).await?.detail.document.times.expired_at)
    }

    /// When it expires unless it is paid, once placed.
    async fn payment_due_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime<Utc>>> {
        self.state(ctx, |_, order| order.payment_due_at).await
    }

    /// The customer's language.
    async fn locale(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        self.state(ctx, |_, order| order.locale.as_ref().map(ToString::to_string))
            .await
    }

    /// What the customer is called; none where they are forgotten.
    async fn name(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        self.state(ctx, |view, _| view.name()).await
    }

    /// Where mail reaches the customer; none where they are forgotten.
    async fn email(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        self.state(ctx, |view, _| view.email()).await
    }

    /// Where a call reaches the customer; none where they are forgotten.
    async fn phone(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        self.state(ctx, |view, order| {
            view.open(order.phone.as_ref()).map(|phone| phone.to_string())
        })
        .await
    }

    /// What the customer wishes; none where they are forgotten.
    async fn note(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        self.state(ctx, |view, order| {
            view.open(order.note.as_ref()).map(|note| note.to_string())
        })
        .await
    }

    /// Something personal in it can no longer be read, because the person is forgotten.
    async fn forgotten(&self, ctx: &Context<'_>) -> Result<Option<bool>> {
        Ok(Some(self.view(ctx).await?.is_forgotten()))
    }

    /// Where the goods go.
    async fn shipping_address(&self, ctx: &Context<'_>) -> Result<Option<Address>> {
        self.state(ctx, |view, order| {
            order
                .shipping_address
                .as_ref()
                .map(|address| Address::of(view, address))
        })
        .await
    }

    /// Where the bill goes.
    async fn billing_address(&self, ctx: &Context<'_>) -> Result<Option<Address>> {
        self.state(ctx, |view, order| {
            order
                .billing_address
                .as_ref()
                .map(|address| Address::of(view, address))
        })
        .await
    }

    /// How the goods go.
    async fn shipping_method(&self, ctx: &Context<'_>) -> Result<Option<ShippingMethod>> {
        self.state(ctx, |_, order| {
            let (method, currency) = (order.shipping_method.as_ref()?, order.currency?);
            Some(ShippingMethod {
                code: method.code.to_string(),
                name: method.name.as_ref().map(ToString::to_string),
                price: MoneyValue::new(method.price, currency),
            })
        })
        .await
    }

    /// Why it is stopped; empty where it is not, and for customers.
    async fn holds(&self, ctx: &Context<'_>) -> Result<Option<Vec<HoldReason>>> {
        if only_customer(actor(ctx)?).is_some() {
            return Ok(Some(Vec::new()));
        }
        self.state(ctx, |_, order| {
            Some(order.holds.iter().map(|reason| (*reason).into()).collect())
        })
        .await
    }

    /// Its lines, by number.
    async fn lines(&self, ctx: &Context<'_>) -> Result<Option<PlainList<OrderLine>>> {
        self.state(ctx, |view, _| view.lines()).await
    }

    /// What is set aside for shipments, by number.
    async fn allocations(&self, ctx: &Context<'_>) -> Result<Option<PlainList<Allocation>>> {
        let id = self.order_id();
        self.state(ctx, |_, order| {
            let allocation = |(number, allocation): (&u16, &domain::Allocation)| Allocation {
                shipment_id: ID(ShipmentId::new(id, *number).to_string()),
                lines: allocation.lines.iter().map(LineQuantity::from).collect(),
                released: allocation.released,
            };
            Some(order.allocations.iter().map(allocation).collect())
        })
        .await
    }

    /// What the customer sends back, by number.
    async fn returns(&self, ctx: &Context<'_>) -> Result<Option<Vec<OrderReturn>>> {
        let view = self.view(ctx).await?;
        let numbers = view.detail.order().returns.keys();
        let returns = numbers.filter_map(|number| OrderReturn::of(&view.detail, *number));
        Ok(Some(returns.collect()))
    }

    /// What detectors noticed, in the order of time; nothing for customers.
    async fn flags(&self, ctx: &Context<'_>) -> Result<Option<Vec<OrderFlag>>> {
        if only_customer(actor(ctx)?).is_some() {
            return Ok(Some(Vec::new()));
        }
        let view = self.view(ctx).await?;
        let times = view.detail.document.flagged_at.iter().copied().map(Some);
        let flags = view.detail.order().flags.iter();
        let flags = flags
            .zip(times.chain(std::iter::repeat(None)))
            .map(|(flag, at)| OrderFlag {
                signal: flag.signal.into(),
                evidence: flag.evidence.iter().map(ToString::to_string).collect(),
                at,
            });
        Ok(Some(flags.collect()))
    }

    /// Its payments, by number.
    async fn payments(&self, ctx: &Context<'_>) -> Result<Option<PlainList<Payment>>> {
        Ok(Some(self.view(ctx).await?.payments()))
    }

    /// Its shipments that were started, by number.
    async fn shipments(&self, ctx: &Context<'_>) -> Result<Option<PlainList<Shipment>>> {
        Ok(Some(self.view(ctx).await?.shipments()))
    }

    /// What happened to it, its payments and its shipments, as it happened. Customers see what is meant for them.
    async fn timeline(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many; 20 where nothing is said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "After this place.")] after: Option<String>,
    ) -> Result<Option<TimelineConnection>> {
        let wanted = Wanted {
            order: self.order_id(),
            until: self.newest(),
            for_customer: only_customer(actor(ctx)?).is_some(),
        };
        let services = services(ctx)?;
        let (projections, timelines) = (&services.projections, &services.timelines);
        let page = timeline(projections, timelines, wanted, first, after.as_deref()).await?;
        Ok(Some(page))
    }
}

/// What is told of an order whether its document was read or its summary.
impl Known<'_> {
    fn version(&self) -> i32 {
        match self {
            Known::Detail(detail) => detail.version.0,
            Known::Summary(row) => row.version.0,
        }
    }

    fn number(&self) -> Option<BigInt> {
        let number = match self {
            Known::Detail(detail) => detail.order().number,
            Known::Summary(row) => row.number,
        };
        number.map(|number| BigInt(number.0))
    }

    fn status(&self) -> Option<OrderStatus> {
        OrderStatus::of(match self {
            Known::Detail(detail) => detail.order().status,
            Known::Summary(row) => row.status,
        })
    }

    fn payment_status(&self) -> OrderPaymentStatus {
        match self {
            Known::Detail(detail) => detail.payment_status().into(),
            Known::Summary(row) => row.payment_status.into(),
        }
    }

    fn fulfillment_status(&self) -> FulfillmentStatus {
        match self {
            Known::Detail(detail) => detail.fulfillment_status().into(),
            Known::Summary(row) => row.fulfillment_status.into(),
        }
    }

    fn on_hold(&self) -> bool {
        match self {
            Known::Detail(detail) => !detail.order().holds.is_empty(),
            Known::Summary(row) => row.on_hold,
        }
    }

    fn customer(&self) -> Option<String> {
        let customer = match self {
            Known::Detail(detail) => detail.order().customer.as_ref(),
            Known::Summary(row) => row.customer.as_ref(),
        };
        customer.map(ToString::to_string)
    }

    fn channel(&self) -> Option<String> {
        match self {
            Known::Detail(detail) => detail.order().channel.as_ref().map(ToString::to_string),
            Known::Summary(row) => Some(row.channel.to_string()),
        }
    }

    fn totals(&self) -> Option<Plain<OrderTotals>> {
        let totals = match self {
            Known::Detail(detail) => detail.totals(),
            Known::Summary(row) => row.totals,
        };
        self.currency()
            .map(|currency| Plain(OrderTotals::of(&totals, currency)))
    }

    fn cancelled_value(&self) -> Option<MoneyValue> {
        let value = match self {
            Known::Detail(detail) => detail.order().cancelled_value,
            Known::Summary(row) => row.cancelled_value,
        };
        self.currency().map(|currency| MoneyValue::new(value, currency))
    }

    fn paid(&self) -> Option<MoneyValue> {
        let paid = match self {
            Known::Detail(detail) => detail.sums().captured,
            Known::Summary(row) => row.sums.captured,
        };
        self.currency().map(|currency| MoneyValue::new(paid, currency))
    }

    fn currency(&self) -> Option<Currency> {
        match self {
            Known::Detail(detail) => detail.currency(),
            Known::Summary(row) => Some(row.currency),
        }
    }
}

/// What resolvers tell of a document, and lists show.
impl OrderView {
    fn name(&self) -> Option<String> {
        self.open(self.detail.order().name.as_ref())
            .map(|name| name.to_string())
    }

    fn email(&self) -> Option<String> {
        self.open(self.detail.order().email.as_ref())
            .map(|email| email.to_string())
    }

    fn lines(&self) -> Option<PlainList<OrderLine>> {
        let (order, progress) = (self.detail.order(), self.detail.line_progress());
        let (lines, currency) = (order.lines.iter().zip(&progress), order.currency?);
        Some(
            lines
                .map(|(line, (_, progress))| OrderLine::of(order, line, progress, currency))
                .collect(),
        )
    }

    fn payments(self: &Arc<Self>) -> PlainList<Payment> {
        let numbers = self.detail.document.payments.keys();
        numbers.filter_map(|number| Payment::of(self, *number)).collect()
    }

    fn shipments(self: &Arc<Self>) -> PlainList<Shipment> {
        let numbers = self.detail.document.shipments.keys();
        numbers.filter_map(|number| Shipment::of(self, *number)).collect()
    }
}

shown!(
    Order,
    |order| {
        id: ID(order.order_id().to_string()),
        version: order.known().version(),
        number: order.known().number(),
        status: order.known().status(),
        paymentStatus: order.known().payment_status(),
        fulfillmentStatus: order.known().fulfillment_status(),
        onHold: order.known().on_hold(),
        customer: order.known().customer(),
        channel: order.known().channel(),
        currency: order.known().currency().map(CurrencyScalar),
        totals: order.known().totals(),
        cancelledValue: order.known().cancelled_value(),
        paid: order.known().paid(),
        createdAt: order.document().map(|view| view.detail.document.times.created_at),
        updatedAt: order.document().map(|view| view.detail.document.times.updated_at),
        placedAt: order.document().map(|view| view.detail.document.times.placed_at),
        confirmedAt: order.document().map(|view| view.detail.document.times.confirmed_at),
        completedAt: order.document().map(|view| view.detail.document.times.completed_at),
        cancelledAt: order.document().map(|view| view.detail.document.times.cancelled_at),
        expiredAt: order.document().map(|view| view.detail.document.times.expired_at),
        paymentDueAt: order.document().map(|view| view.detail.order().payment_due_at),
        name: order.document().map(|view| view.name()),
        email: order.document().map(|view| view.email()),
        lines: order.document().map(|view| view.lines()),
        payments: order.document().map(|view| view.payments()),
        shipments: order.document().map(|view| view.shipments()),
    },
    const MAY_WAIT: bool = true;
    const USUAL_BYTES: usize = 2_048;
    fn is_whole(&self) -> bool {
        self.document().is_some()
    }
);

leaf_enum!(OrderStatus, OrderPaymentStatus, FulfillmentStatus);
