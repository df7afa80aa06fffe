//! Mutations of a payment.

use async_graphql::{Context, Object, Result};

use super::disputes::{RecordDisputeInput, RecordDisputeOutcomeInput};
use super::inputs::{
    AdjustAuthorizationInput, CapturePaymentInput, ExpireAuthorizationInput, InitiatePaymentInput,
    RecordAuthorizationFailureInput, RecordAuthorizationInput, RecordCaptureFailureInput, RecordCaptureInput,
    RecordRefundFailureInput, RecordRefundInput, RefundPaymentInput, RequireActionInput, VoidPaymentInput,
};
use crate::graphql::{command::run, payload::PaymentPayload};

/// Mutations of a payment.
#[derive(Default)]
pub struct PaymentMutations;

type Answered<I> = Result<Option<PaymentPayload<I>>>;

#[Object]
impl PaymentMutations {
    /// Starts a payment of an order.
    async fn initiate_payment(
        &self,
        ctx: &Context<'_>,
        input: InitiatePaymentInput,
    ) -> Answered<InitiatePaymentInput> {
        Ok(Some(PaymentPayload::new(run(ctx, &input).await?)))
    }

    /// Records that the payer has to do something.
    async fn require_action(
        &self,
        ctx: &Context<'_>,
        input: RequireActionInput,
    ) -> Answered<RequireActionInput> {
        Ok(Some(PaymentPayload::new(run(ctx, &input).await?)))
    }

    /// Records that the gateway holds money.
    async fn record_authorization(
        &self,
        ctx: &Context<'_>,
        input: RecordAuthorizationInput,
    ) -> Answered<RecordAuthorizationInput> {
        Ok(Some(PaymentPayload::new(run(ctx, &input).await?)))
    }

    /// Records that the gateway refused to hold money.
    async fn record_authorization_failure(
        &self,
        ctx: &Context<'_>,
        input: RecordAuthorizationFailureInput,
    ) -> Answered<RecordAuthorizationFailureInput> {
        Ok(Some(PaymentPayload::new(run(ctx, &input).await?)))
    }

    /// Records that the gateway holds another amount, or longer.
    async fn adjust_authorization(
        &self,
        ctx: &Context<'_>,
        input: AdjustAuthorizationInput,
    ) -> Answered<AdjustAuthorizationInput> {
        Ok(Some(PaymentPayload::new(run(ctx, &input).await?)))
    }

    /// Records that the gateway holds nothing more: its time ran out.
    async fn expire_authorization(
        &self,
        ctx: &Context<'_>,
        input: ExpireAuthorizationInput,
    ) -> Answered<ExpireAuthorizationInput> {
        Ok(Some(PaymentPayload::new(run(ctx, &input).await?)))
    }

    /// Asks the gateway to take money.
    async fn capture_payment(
        &self,
        ctx: &Context<'_>,
        input: CapturePaymentInput,
    ) -> Answered<CapturePaymentInput> {
        Ok(Some(PaymentPayload::new(run(ctx, &input).await?)))
    }

    /// Records that the gateway took money.
    async fn record_capture(
        &self,
        ctx: &Context<'_>,
        input: RecordCaptureInput,
    ) -> Answered<RecordCaptureInput> {
        Ok(Some(PaymentPayload::new(run(ctx, &input).await?)))
    }

    /// Records that the gateway did not take money.
    async fn record_capture_failure(
        &self,
        ctx: &Context<'_>,
        input: RecordCaptureFailureInput,
    ) -> Answered<RecordCaptureFailureInput> {
        Ok(Some(PaymentPayload::new(run(ctx, &input).await?)))
    }

    /// Lets the uncaptured rest of a payment go.
    async fn void_payment(&self, ctx: &Context<'_>, input: VoidPaymentInput) -> Answered<VoidPaymentInput> {
        Ok(Some(PaymentPayload::new(run(ctx, &input).await?)))
    }

    /// Asks the gateway to give money back.
    async fn refund_payment(
        &self,
        ctx: &Context<'_>,
        input: RefundPaymentInput,
    ) -> Answered<RefundPaymentInput> {
        Ok(Some(PaymentPayload::new(run(ctx, &input).await?)))
    }

    /// Records that the gateway gave money back.
    async fn record_refund(
        &self,
        ctx: &Context<'_>,
        input: RecordRefundInput,
    ) -> Answered<RecordRefundInput> {
        Ok(Some(PaymentPayload::new(run(ctx, &input).await?)))
    }

    /// Records that the gateway did not give money back.
    async fn record_refund_failure(
        &self,
        ctx: &Context<'_>,
        input: RecordRefundFailureInput,
    ) -> Answered<RecordRefundFailureInput> {
        Ok(Some(PaymentPayload::new(run(ctx, &input).await?)))
    }

    /// Records that the payer disputes money that was taken. While it is open, what is disputed cannot be refunded.
    async fn record_dispute(
        &self,
        ctx: &Context<'_>,
        input: RecordDisputeInput,
    ) -> Answered<RecordDisputeInput> {
        Ok(Some(PaymentPayload::new(run(ctx, &input).await?)))
    }

    /// Records who keeps disputed money.
    async fn record_dispute_outcome(
        &self,
        ctx: &Context<'_>,
        input: RecordDisputeOutcomeInput,
    ) -> Answered<RecordDisputeOutcomeInput> {
        Ok(Some(PaymentPayload::new(run(ctx, &input).await?)))
    }
}
