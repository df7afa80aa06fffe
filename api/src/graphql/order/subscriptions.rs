//! Subscriptions to orders.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, MergedObject, Object, Result, Subscription};
use docket_domain::{CustomerId, Event, StreamId, text::Code};
use docket_event_store::RecordedEvent;
use futures::{Stream, StreamExt};

use super::{
    follow::{Message, Scope, follow, follow_one, order_of},
    queries::order_id,
    source::Order,
    view::only_customer,
};
use crate::graphql::{
    actor,
    error::{Refused, sentence},
    plain::Plain,
    scalars::CurrencyScalar,
    services,
};

/// Which changes are followed: everything that is given must hold. Only what never changes of an order can be asked
/// for, so that a stream that resumes shows what it would have shown live.
#[derive(Debug, Default, InputObject)]
pub struct OrderChangesFilter {
    /// Of orders of this customer.
    pub customer: Option<String>,
    /// Of orders from this channel.
    pub channel: Option<String>,
    /// Of orders in this currency.
    pub currency: Option<CurrencyScalar>,
    /// Of one of these types: `order.placed`.
    pub types: Option<Vec<String>>,
}

impl OrderChangesFilter {
    fn into_scope(self) -> Result<Scope, Refused> {
        let bad = |error: &dyn std::fmt::Display| Refused::bad_input(sentence(&error));
        let known = |name: String| {
            let mut types = Event::types();
            let known = types.find(|(known, _)| *known == name).map(|(known, _)| known);
            known.ok_or_else(|| Refused::bad_input(format!("There is no type of event {name:.80?}.")))
        };
        Ok(Scope::Orders {
            customer: self
                .customer
                .map(CustomerId::try_new)
                .transpose()
                .map_err(|error| bad(&error))?,
            channel: self
                .channel
                .map(Code::try_new)
                .transpose()
                .map_err(|error| bad(&error))?,
            currency: self.currency.map(|currency| currency.0),
            types: self
                .types
                .into_iter()
                .flatten()
                .map(known)
                .collect::<Result<_, _>>()?,
        })
    }
}

/// What happened to an order, or only how far the stream has come.
// The first has only a cursor, and so has one each 15 s in which nothing happens.
#[derive(MergedObject)]
pub struct OrderMessage(Message, OrderOf);

impl From<Message> for OrderMessage {
    fn from(message: Message) -> OrderMessage {
        let event = message.event.clone();
        OrderMessage(message, OrderOf(event))
    }
}

/// The order of a message.
struct OrderOf(Option<Arc<RecordedEvent>>);

#[Object]
impl OrderOf {
    /// The id of the order that it happened to.
    async fn order_id(&self) -> Option<ID> {
        self.0.as_ref().map(|event| ID(event.stream.order.to_string()))
    }

    /// The order, with this in it; it may hold later changes too.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Plain<Order>>> {
        let Some(event) = &self.0 else {
            return Ok(None);
        };
        let view = order_of(ctx, event).await?;
        Ok(view.map(|view| Plain(Order::of(view))))
    }
}

/// Subscriptions to orders.
#[derive(Default)]
pub struct OrderSubscriptions;

#[Subscription]
impl OrderSubscriptions {
    /// What happens to one order, its payments and its shipments.
    async fn order_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order's id.")] id: ID,
        #[graphql(desc = "Go on after the message with this cursor.")] after: Option<String>,
    ) -> Result<impl Stream<Item = Result<OrderMessage>> + use<>> {
        let order = StreamId::order(order_id(&id)?);
        let messages = follow_one(ctx, order, after.as_deref()).await?;
        Ok(messages.map(|message| message.map(OrderMessage::from)))
    }

    /// What happens to all orders, or to those of a filter. Customers see their own.
    async fn orders_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which changes; all where nothing is said.")] filter: Option<OrderChangesFilter>,
        #[graphql(desc = "Go on after the message with this cursor.")] after: Option<String>,
    ) -> Result<impl Stream<Item = Result<OrderMessage>> + use<>> {
        let mut scope = filter.unwrap_or_default().into_scope()?;
        if let (Some(own), Scope::Orders { customer, .. }) = (only_customer(actor(ctx)?), &mut scope) {
            if customer.as_ref().is_some_and(|customer| customer.as_str() != own) {
                return Err(
                    Refused::new(crate::http::code::FORBIDDEN, "Customers follow their own orders.").into(),
                );
            }
            // A token's actor is not always a customer's id that could have an order; then nothing is theirs.
            let own = CustomerId::try_new(own).map_err(|error| Refused::bad_input(sentence(&error)))?;
            *customer = Some(own);
        }
        let partitions: Vec<u16> = (0..services(ctx)?.store.feed().partitions()).collect();
        let messages = follow(ctx, scope, &partitions, after.as_deref()).await?;
        Ok(messages.map(|message| message.map(OrderMessage::from)))
    }
}
