//! Where what is shown of an order comes from: a row of the summaries, or its whole document.

use std::sync::Arc;

use async_graphql::{Context, Result};
use docket_domain::{Currency, OrderId, order as domain};
use docket_projections::read_models::order_summary::OrderSummary;

use super::view::OrderView;
use crate::graphql::{error::Refused, services};

/// An order. On a list of which only a summary is asked for, it is a row of the summaries; else its whole document.
#[derive(Clone)]
pub struct Order(pub(super) Source);

#[derive(Clone)]
pub(super) enum Source {
    Detail(Arc<OrderView>),
    Summary(Arc<OrderSummary>),
}

/// The fields that a summary answers. A list that asks for no other does not read documents.
pub(super) const SUMMARY_FIELDS: [&str; 20] = [
    "__typename",
    "id",
    "version",
    "position",
    "number",
    "status",
    "paymentStatus",
    "fulfillmentStatus",
    "onHold",
    "customer",
    "channel",
    "currency",
    "totals",
    "cancelledValue",
    "paid",
    "imported",
    "createdAt",
    "updatedAt",
    "placedAt",
    "timeline",
];

impl Order {
    /// Of its document.
    pub(in crate::graphql) fn of(view: Arc<OrderView>) -> Order {
        Order(Source::Detail(view))
    }

    /// Of its row in the summaries.
    pub(super) fn of_summary(summary: OrderSummary) -> Order {
        Order(Source::Summary(Arc::new(summary)))
    }

    pub(in crate::graphql) fn order_id(&self) -> OrderId {
        match &self.0 {
            Source::Detail(view) => view.detail.id,
            Source::Summary(row) => row.id,
        }
    }

    pub(super) fn money_of(&self) -> Option<Currency> {
        match &self.0 {
            Source::Detail(view) => view.detail.currency(),
            Source::Summary(row) => Some(row.currency),
        }
    }

    /// The document. A list reads all of its documents at once where it sees that they are asked for; should it not have
    /// seen it, this one is read by itself.
    pub(super) async fn view(&self, ctx: &Context<'_>) -> Result<Arc<OrderView>> {
        match &self.0 {
            Source::Detail(view) => Ok(Arc::clone(view)),
            Source::Summary(row) => {
                let mut found = OrderView::find(services(ctx)?, &[row.id]).await?;
                Ok(found.remove(&row.id).ok_or_else(|| Refused::not_found(row.id))?)
            }
        }
    }

    pub(super) async fn state<T>(
        &self,
        ctx: &Context<'_>,
        read: impl FnOnce(&OrderView, &domain::Order) -> T,
    ) -> Result<T> {
        let view = self.view(ctx).await?;
        Ok(read(&view, view.detail.order()))
    }
}
