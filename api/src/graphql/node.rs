//! Fetching anything by its id alone, as Relay has it: what a client's cache refetches with.
//!
//! Ids are the ids of the log, as they stand in commands and events: `<uuid>` is an order, `<uuid>-p1` a payment,
//! `<uuid>-s1` a shipment. They are unique over all types by their form, so nothing is wrapped around them.
//!
//! What a caller may not see is answered exactly as what does not exist: null, without an error, at the same cost. A
//! customer sees what belongs to their own orders, a gateway its own payments, everybody else everything.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{Context, ID, Interface, Object, Result};
use docket_domain::{Actor, OrderId, Role, StreamId, StreamKind, access};
use docket_projections::read_models::order_detail;

use super::{
    actor,
    error::{Refused, sentence},
    limits,
    order::{source::Order, view::OrderView},
    payment::types::Payment,
    position::{self, PositionInput},
    services,
    shipment::types::Shipment,
};

/// What has an id of its own.
#[derive(Interface)]
#[graphql(field(
    name = "id",
    ty = "ID",
    desc = "Unique over all types: `<uuid>` is an order, `<uuid>-p1` a payment, `<uuid>-s1` a shipment."
))]
pub enum Node {
    Order(Order),
    Payment(Payment),
    Shipment(Shipment),
}

impl Node {
    /// What an id names in its order's document, where it is there and the actor may see it.
    fn of(view: &Arc<OrderView>, id: StreamId, actor: &Actor) -> Option<Node> {
        match (id.kind, actor.role) {
            (StreamKind::Payment, Role::Gateway) => {
                let payment = view.detail.document.payments.get(&id.number)?;
                access::is_own_gateway(&payment.state, actor)
                    .then(|| Payment::of(view, id.number).map(Node::Payment))?
            }
            _ if !view.is_for(actor) => None,
            (StreamKind::Order, _) => Some(Node::Order(Order::of(Arc::clone(view)))),
            (StreamKind::Payment, _) => Payment::of(view, id.number).map(Node::Payment),
            (StreamKind::Shipment, _) => Shipment::of(view, id.number).map(Node::Shipment),
        }
    }
}

fn node_id(id: &ID) -> Result<StreamId, Refused> {
    id.parse::<StreamId>()
        .map_err(|error| Refused::bad_input(sentence(&error)))
}

/// Queries by id.
#[derive(Default)]
pub struct NodeQueries;

#[Object]
impl NodeQueries {
    /// An order, a payment or a shipment by its id. None where it does not exist.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "`<uuid>`, `<uuid>-p1` or `<uuid>-s1`.")] id: ID,
        #[graphql(desc = "Not before what is read is at or past each of these positions.")]
        min_position: Option<Vec<PositionInput>>,
    ) -> Result<Option<Node>> {
        position::wait(ctx, &[order_detail::NAME], min_position.as_deref()).await?;
        Ok(find(ctx, &[id]).await?.pop().flatten())
    }

    /// Orders, payments and shipments by their ids, in the order of the ids. None for each that does not exist.
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most 100.")] ids: Vec<ID>,
        #[graphql(desc = "Not before what is read is at or past each of these positions.")]
        min_position: Option<Vec<PositionInput>>,
    ) -> Result<Vec<Option<Node>>> {
        if ids.len() > limits::MAX_NODES {
            let (count, limit) = (ids.len(), limits::MAX_NODES);
            return Err(Refused::bad_input(format!("{count} ids are over the limit of {limit}.")).into());
        }
        position::wait(ctx, &[order_detail::NAME], min_position.as_deref()).await?;
        Ok(find(ctx, &ids).await?)
    }
}

/// What ids name: one statement for the documents, one more at most for keys.
async fn find(ctx: &Context<'_>, ids: &[ID]) -> Result<Vec<Option<Node>>, Refused> {
    let (services, actor) = (services(ctx)?, actor(ctx)?);
    let ids = ids.iter().map(node_id).collect::<Result<Vec<_>, _>>()?;
    let mut orders: Vec<OrderId> = ids.iter().map(|id| id.order).collect();
    orders.sort_unstable();
    orders.dedup();
    let views: HashMap<OrderId, Arc<OrderView>> = services.documents.find(&orders).await?;
    let node = |id: &StreamId| Node::of(views.get(&id.order)?, *id, actor);
    Ok(ids.iter().map(node).collect())
}
