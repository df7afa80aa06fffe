//! Following a shipment.

use std::sync::Arc;

use async_graphql::{Context, ID, MergedObject, Object, Result, Subscription};
use docket_domain::ShipmentId;
use docket_event_store::RecordedEvent;
use futures::{Stream, StreamExt};

use super::types::Shipment;
use crate::graphql::{
    error::{Refused, sentence},
    order::follow::{Message, follow_one, order_of},
};

/// What happened to a shipment, or only how far the stream has come.
// The first has only a cursor, and so has one each 15 s in which nothing happens.
#[derive(MergedObject)]
pub struct ShipmentMessage(Message, ShipmentOf);

impl From<Message> for ShipmentMessage {
    fn from(message: Message) -> ShipmentMessage {
        let event = message.event.clone();
        ShipmentMessage(message, ShipmentOf(event))
    }
}

/// The shipment of a message.
struct ShipmentOf(Option<Arc<RecordedEvent>>);

#[Object]
impl ShipmentOf {
    /// The shipment, with this in it; it may hold later changes too.
    async fn shipment(&self, ctx: &Context<'_>) -> Result<Option<Shipment>> {
        let Some(event) = &self.0 else {
            return Ok(None);
        };
        let view = order_of(ctx, event).await?;
        Ok(view.and_then(|view| Shipment::of(&view, event.stream.number)))
    }
}

/// Subscriptions to shipments.
#[derive(Default)]
pub struct ShipmentSubscriptions;

#[Subscription]
impl ShipmentSubscriptions {
    /// What happens to one shipment: each scan of its parcels that moves it, its arrival, its loss. It may be followed before
    /// it is started.
    async fn shipment_tracking(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The shipment's id: `<order>-s1`.")] id: ID,
        #[graphql(desc = "Go on after the message with this cursor.")] after: Option<String>,
    ) -> Result<impl Stream<Item = Result<ShipmentMessage>> + use<>> {
        let shipment = id.parse::<ShipmentId>();
        let shipment = shipment.map_err(|error| Refused::bad_input(sentence(&error)))?;
        let messages = follow_one(ctx, shipment.into(), after.as_deref()).await?;
        Ok(messages.map(|message| message.map(ShipmentMessage::from)))
    }
}
