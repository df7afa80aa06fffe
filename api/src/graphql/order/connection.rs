//! A page of orders: its edges, what lies around it, and how many there are in all.

use async_graphql::{ComplexObject, Context, Result, SimpleObject, connection::PageInfo};
use docket_projections::read_models::order_summary::{self, Filter};

use super::source::Order;
use crate::graphql::{
    count::Count,
    error::Refused,
    paging,
    plain::{Plain, PlainList},
    services,
};

/// An order on a page.
#[derive(SimpleObject)]
pub struct OrderEdge {
    /// The place of this order in the list.
    pub cursor: String,
    /// The order.
    pub node: Plain<Order>,
}

/// A page of orders.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct OrderConnection {
    /// The orders with their places.
    pub edges: Vec<OrderEdge>,
    /// What lies before and after.
    pub page_info: PageInfo,
    /// What is counted where somebody asks; the page holds the whole list where there is nothing.
    #[graphql(skip)]
    counted: Option<Box<Filter>>,
}

#[ComplexObject]
impl OrderConnection {
    /// The orders without their places.
    async fn nodes(&self) -> PlainList<Order> {
        self.edges.iter().map(|edge| edge.node.0.clone()).collect()
    }

    /// How many orders the whole list has, whatever the page: exact up to 10,000. Counted only where it is asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<Option<Count>> {
        let Some(filter) = &self.counted else {
            return Ok(Some(Count::on_page(self.edges.len())));
        };
        let services = services(ctx)?;
        let mut connection = services.store.query_connection().await.map_err(Refused::from)?;
        let counted = order_summary::count(&mut *connection, &services.serving(), filter).await;
        let counted = connection.finish(counted).map_err(Refused::from)?;
        Ok(Some(counted.into()))
    }
}

/// Which part of a list of orders is asked for.
pub(super) type Window = paging::Window<order_summary::Keyset>;

/// Nothing: of a list in which nothing can be.
pub(super) fn empty(window: &Window) -> OrderConnection {
    OrderConnection {
        counted: None,
        ..connection(Vec::new(), window, false, Filter::default())
    }
}

/// A page of what a filter leaves.
pub(super) fn connection(
    edges: Vec<OrderEdge>,
    window: &Window,
    has_more: bool,
    filter: Filter,
) -> OrderConnection {
    let page_info = window.page_info(
        edges.first().map(|edge| &edge.cursor),
        edges.last().map(|edge| &edge.cursor),
        has_more,
    );
    OrderConnection {
        edges,
        page_info,
        counted: window.counted(has_more, Some(Box::new(filter))),
    }
}
