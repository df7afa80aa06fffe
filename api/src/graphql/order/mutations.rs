//! Mutations of an order.

use async_graphql::{Context, Object, Result};

use super::inputs::{
    AddLineInput, AllocateFulfillmentInput, CancelOrderInput, ConfirmOrderInput, CreateOrderInput,
    PlaceOrderInput, SetDetailsInput, SetLineQuantityInput,
};
use crate::graphql::{
    command::run,
    payload::{OrderPayload, ShipmentPayload},
};

/// Mutations of an order.
#[derive(Default)]
pub struct OrderMutations;

type Answered<I> = Result<Option<OrderPayload<I>>>;

#[Object]
impl OrderMutations {
    /// Begins an order.
    async fn create_order(&self, ctx: &Context<'_>, input: CreateOrderInput) -> Answered<CreateOrderInput> {
        Ok(Some(OrderPayload::new(run(ctx, &input).await?)))
    }

    /// Adds a line to a draft.
    async fn add_line(&self, ctx: &Context<'_>, input: AddLineInput) -> Answered<AddLineInput> {
        Ok(Some(OrderPayload::new(run(ctx, &input).await?)))
    }

    /// Changes a line's quantity in a draft; 0 takes the line out.
    async fn set_line_quantity(
        &self,
        ctx: &Context<'_>,
        input: SetLineQuantityInput,
    ) -> Answered<SetLineQuantityInput> {
        Ok(Some(OrderPayload::new(run(ctx, &input).await?)))
    }

    /// Sets a draft's addresses, shipping method, contact and note.
    async fn set_details(&self, ctx: &Context<'_>, input: SetDetailsInput) -> Answered<SetDetailsInput> {
        Ok(Some(OrderPayload::new(run(ctx, &input).await?)))
    }

    /// Commits the customer to a draft.
    async fn place_order(&self, ctx: &Context<'_>, input: PlaceOrderInput) -> Answered<PlaceOrderInput> {
        Ok(Some(OrderPayload::new(run(ctx, &input).await?)))
    }

    /// Commits the shop to a placed order.
    async fn confirm_order(
        &self,
        ctx: &Context<'_>,
        input: ConfirmOrderInput,
    ) -> Answered<ConfirmOrderInput> {
        Ok(Some(OrderPayload::new(run(ctx, &input).await?)))
    }

    /// Sets pieces aside for the order's next shipment, and names that shipment.
    async fn allocate_fulfillment(
        &self,
        ctx: &Context<'_>,
        input: AllocateFulfillmentInput,
    ) -> Result<Option<ShipmentPayload<AllocateFulfillmentInput>>> {
        Ok(Some(ShipmentPayload::new(run(ctx, &input).await?)))
    }

    /// Cancels an order of which nothing is dispatched.
    async fn cancel_order(&self, ctx: &Context<'_>, input: CancelOrderInput) -> Answered<CancelOrderInput> {
        Ok(Some(OrderPayload::new(run(ctx, &input).await?)))
    }
}
