//! Mutations of an order.

use async_graphql::{Context, Object, Result};

use super::inputs::{
    AddLineInput, AllocateFulfillmentInput, CancelLinesInput, CancelOrderInput, CompleteOrderInput,
    ConfirmOrderInput, CorrectAddressInput, CreateOrderInput, ExpireOrderInput, FlagOrderInput,
    PlaceHoldInput, PlaceOrderInput, ReleaseFulfillmentInput, ReleaseHoldInput, RemindAbandonedInput,
    SetDetailsInput, SetLineQuantityInput,
};
use super::returns::{ReceiveReturnInput, RequestReturnInput};
use crate::graphql::{
    command::run,
    payload::{OrderPayload, ReturnPayload, ShipmentPayload},
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

    /// Puts an address right, until something is dispatched.
    async fn correct_address(
        &self,
        ctx: &Context<'_>,
        input: CorrectAddressInput,
    ) -> Answered<CorrectAddressInput> {
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

    /// Stops an order: nothing is confirmed, allocated or dispatched until the reason is released.
    async fn place_hold(&self, ctx: &Context<'_>, input: PlaceHoldInput) -> Answered<PlaceHoldInput> {
        Ok(Some(OrderPayload::new(run(ctx, &input).await?)))
    }

    /// Lets an order go on, as far as one reason goes.
    async fn release_hold(&self, ctx: &Context<'_>, input: ReleaseHoldInput) -> Answered<ReleaseHoldInput> {
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

    /// Gives back what was set aside for a shipment that never started, was cancelled or failed; of another, what it does not
    /// hold.
    async fn release_fulfillment(
        &self,
        ctx: &Context<'_>,
        input: ReleaseFulfillmentInput,
    ) -> Answered<ReleaseFulfillmentInput> {
        Ok(Some(OrderPayload::new(run(ctx, &input).await?)))
    }

    /// Takes pieces out of a placed order.
    async fn cancel_lines(&self, ctx: &Context<'_>, input: CancelLinesInput) -> Answered<CancelLinesInput> {
        Ok(Some(OrderPayload::new(run(ctx, &input).await?)))
    }

    /// Cancels an order of which nothing is dispatched.
    async fn cancel_order(&self, ctx: &Context<'_>, input: CancelOrderInput) -> Answered<CancelOrderInput> {
        Ok(Some(OrderPayload::new(run(ctx, &input).await?)))
    }

    /// Ends a placed order that was not paid in time.
    async fn expire_order(&self, ctx: &Context<'_>, input: ExpireOrderInput) -> Answered<ExpireOrderInput> {
        Ok(Some(OrderPayload::new(run(ctx, &input).await?)))
    }

    /// Closes an order that is delivered and settled.
    async fn complete_order(
        &self,
        ctx: &Context<'_>,
        input: CompleteOrderInput,
    ) -> Answered<CompleteOrderInput> {
        Ok(Some(OrderPayload::new(run(ctx, &input).await?)))
    }

    /// Asks to send back pieces that were delivered: at most as many as arrived and are not back or announced.
    async fn request_return(
        &self,
        ctx: &Context<'_>,
        input: RequestReturnInput,
    ) -> Result<Option<ReturnPayload<RequestReturnInput>>> {
        Ok(Some(ReturnPayload::new(run(ctx, &input).await?)))
    }

    /// Records what came back of a return, and what the customer is to get for it. It closes the return; received once
    /// more with the same pieces, nothing is done.
    async fn receive_return(
        &self,
        ctx: &Context<'_>,
        input: ReceiveReturnInput,
    ) -> Result<Option<ReturnPayload<ReceiveReturnInput>>> {
        Ok(Some(ReturnPayload::new(run(ctx, &input).await?)))
    }

    /// Notes what a detector noticed. It stops nothing; `placeHold` does.
    async fn flag_order(&self, ctx: &Context<'_>, input: FlagOrderInput) -> Answered<FlagOrderInput> {
        Ok(Some(OrderPayload::new(run(ctx, &input).await?)))
    }

    /// Reminds the customer of a draft that nobody has worked on for an hour; once more a day later, and not again.
    async fn remind_abandoned(
        &self,
        ctx: &Context<'_>,
        input: RemindAbandonedInput,
    ) -> Answered<RemindAbandonedInput> {
        Ok(Some(OrderPayload::new(run(ctx, &input).await?)))
    }
}
