//! Mutations of a shipment.

use async_graphql::{Context, Object, Result};

use super::inputs::{
    BuyLabelInput, CancelShipmentInput, CreateShipmentInput, DispatchShipmentInput, MarkShipmentFailedInput,
    RecordTrackingInput,
};
use crate::graphql::{command::run, payload::ShipmentPayload};

/// Mutations of a shipment.
#[derive(Default)]
pub struct ShipmentMutations;

type Answered<I> = Result<Option<ShipmentPayload<I>>>;

#[Object]
impl ShipmentMutations {
    /// Starts a shipment of what was allocated to it.
    async fn create_shipment(
        &self,
        ctx: &Context<'_>,
        input: CreateShipmentInput,
    ) -> Answered<CreateShipmentInput> {
        Ok(Some(ShipmentPayload::new(run(ctx, &input).await?)))
    }

    /// Puts labels on a shipment's parcels.
    async fn buy_label(&self, ctx: &Context<'_>, input: BuyLabelInput) -> Answered<BuyLabelInput> {
        Ok(Some(ShipmentPayload::new(run(ctx, &input).await?)))
    }

    /// Hands a shipment to its carrier.
    async fn dispatch_shipment(
        &self,
        ctx: &Context<'_>,
        input: DispatchShipmentInput,
    ) -> Answered<DispatchShipmentInput> {
        Ok(Some(ShipmentPayload::new(run(ctx, &input).await?)))
    }

    /// Records what a carrier said of a parcel.
    async fn record_tracking(
        &self,
        ctx: &Context<'_>,
        input: RecordTrackingInput,
    ) -> Answered<RecordTrackingInput> {
        Ok(Some(ShipmentPayload::new(run(ctx, &input).await?)))
    }

    /// Calls off a shipment that is not dispatched.
    async fn cancel_shipment(
        &self,
        ctx: &Context<'_>,
        input: CancelShipmentInput,
    ) -> Answered<CancelShipmentInput> {
        Ok(Some(ShipmentPayload::new(run(ctx, &input).await?)))
    }

    /// Gives up a shipment that is under way: it is lost or destroyed.
    async fn mark_shipment_failed(
        &self,
        ctx: &Context<'_>,
        input: MarkShipmentFailedInput,
    ) -> Answered<MarkShipmentFailedInput> {
        Ok(Some(ShipmentPayload::new(run(ctx, &input).await?)))
    }
}
