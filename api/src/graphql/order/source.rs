//! Where what is shown of an order comes from: a row of the summaries, its whole document, or what a command left of it.

use std::sync::Arc;

use async_graphql::{Context, Result};
use docket_domain::{OrderId, order as domain};
use docket_event_store::Position;
use docket_projections::read_models::{order_detail::OrderDetail, order_summary::OrderSummary};
use tokio::sync::OnceCell;

use super::{
    load::{Until, load},
    view::OrderView,
};
use crate::graphql::{error::Refused, services};

/// An order. On a list of which only a summary is asked for, it is a row of the summaries; after a command, the states
/// that the command left; else its whole document.
#[derive(Clone)]
pub struct Order(pub(super) Source);

#[derive(Clone)]
pub(super) enum Source {
    Document(Arc<OrderView>),
    States(Arc<States>),
    Summary(Arc<OrderSummary>),
}

/// The states right after a command, and the document of that moment where more than states is asked for.
pub(super) struct States {
    view: Arc<OrderView>,
    /// Looked for once: each field that failed by itself would wait as long as the first.
    document: OnceCell<Result<Arc<OrderView>, Refused>>,
}

/// What a field of states and sums is read from.
pub(super) enum Known<'a> {
    Detail(&'a OrderDetail),
    Summary(&'a OrderSummary),
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
        Order(Source::Document(view))
    }

    /// Of states that are all of one moment: see [`OrderDetail::of_states`].
    pub(in crate::graphql) fn of_states(view: Arc<OrderView>) -> Order {
        let document = OnceCell::new();
        Order(Source::States(Arc::new(States { view, document })))
    }

    /// Of its row in the summaries.
    pub(super) fn of_summary(summary: OrderSummary) -> Order {
        Order(Source::Summary(Arc::new(summary)))
    }

    /// Its document, where that was read already.
    pub(super) fn document(&self) -> Option<&Arc<OrderView>> {
        match &self.0 {
            Source::Document(view) => Some(view),
            Source::States(_) | Source::Summary(_) => None,
        }
    }

    pub(super) fn known(&self) -> Known<'_> {
        match &self.0 {
            Source::Document(view) => Known::Detail(&view.detail),
            Source::States(states) => Known::Detail(&states.view.detail),
            Source::Summary(row) => Known::Summary(row),
        }
    }

    pub(in crate::graphql) fn order_id(&self) -> OrderId {
        match self.known() {
            Known::Detail(detail) => detail.id,
            Known::Summary(row) => row.id,
        }
    }

    pub(super) fn newest(&self) -> Position {
        match self.known() {
            Known::Detail(detail) => detail.position,
            Known::Summary(row) => row.position,
        }
    }

    /// The document; after a command, as the command left it. A list reads all of its documents at once where it sees that
    /// they are asked for; should it not have seen it, this one is read by itself.
    pub(in crate::graphql) async fn view(&self, ctx: &Context<'_>) -> Result<Arc<OrderView>, Refused> {
        match &self.0 {
            Source::Document(view) => Ok(Arc::clone(view)),
            Source::States(states) => {
                let services = services(ctx)?;
                let OrderDetail { id, position, .. } = states.view.detail;
                let read = || async move {
                    let detail = load(&services.store, id, Until::Offset(position.offset)).await?;
                    let detail = detail.ok_or_else(|| Refused::not_found(id))?;
                    OrderView::unsealed(&services.store, detail).await
                };
                let document = states.document.get_or_init(read).await.clone();
                // The command is in the log, whatever stands in the way of reading.
                document.map_err(|refused| refused.although_done(position))
            }
            Source::Summary(row) => {
                let mut found = services(ctx)?.documents.find(&[row.id]).await?;
                found.remove(&row.id).ok_or_else(|| Refused::not_found(row.id))
            }
        }
    }

    /// What is read from the order's state; it must not need the rest of the document.
    pub(super) async fn state<T>(
        &self,
        ctx: &Context<'_>,
        read: impl FnOnce(&OrderView, &domain::Order) -> T,
    ) -> Result<T> {
        let view = match &self.0 {
            Source::States(states) => Arc::clone(&states.view),
            Source::Document(_) | Source::Summary(_) => self.view(ctx).await?,
        };
        Ok(read(&view, view.detail.order()))
    }
}
