//! The inbox.

use async_graphql::{ComplexObject, Context, Object, Result, SimpleObject, connection::PageInfo};
use docket_projections::reactors::notifications as ledger;

use super::{recipient, types::Notification};
use crate::graphql::{
    actor,
    cursor::LedgerCursor,
    error::Refused,
    paging::page_size,
    position::{self, PositionInput},
    scalars::BigInt,
    services,
};

/// A notification on a page.
#[derive(SimpleObject)]
pub struct NotificationEdge {
    /// The place of this notification. Given as `after` to the subscription, it goes on after it.
    pub cursor: String,
    /// The notification.
    pub node: Notification,
}

/// A page of notifications.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct NotificationConnection {
    /// The notifications with their places.
    pub edges: Vec<NotificationEdge>,
    /// What lies after. A page before is not asked for: what is newer is followed.
    pub page_info: PageInfo,
    /// How many there are.
    pub total_count: BigInt,
}

#[ComplexObject]
impl NotificationConnection {
    /// The notifications without their places.
    async fn nodes(&self) -> Vec<Notification> {
        self.edges.iter().map(|edge| edge.node.clone()).collect()
    }
}

/// Queries of notifications.
#[derive(Default)]
pub struct NotificationQueries;

#[Object]
impl NotificationQueries {
    /// What somebody was told, the newest first.
    async fn notifications(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "Whose: `customer:<id>`, or `order:<uuid>` of an order without a customer. Customers have their own."
        )]
        recipient: Option<String>,
        #[graphql(desc = "How many; 20 where nothing is said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "After this place: older ones.")] after: Option<String>,
        #[graphql(desc = "Not before what is read is at or past each of these positions.")]
        min_position: Option<Vec<PositionInput>>,
    ) -> Result<Option<NotificationConnection>> {
        let recipient = self::recipient(actor(ctx)?, recipient.as_deref())?;
        let size = page_size(first, "first")?;
        let before = after.as_deref().map(LedgerCursor::read).transpose()?;
        let services = services(ctx)?;
        position::wait(ctx, &[ledger::NAME], min_position.as_deref()).await?;
        let pool = services.store.pool();
        let before = before.map(|cursor| cursor.number);
        let mut rows = ledger::page(pool, &recipient, before, size + 1)
            .await
            .map_err(Refused::from)?;
        // Numbers are dense: the newest one is how many there are.
        let newest = match (before, rows.first()) {
            (None, first) => first.map_or(0, |newest| newest.number),
            (Some(_), _) => ledger::newest(pool, &recipient).await.map_err(Refused::from)?,
        };
        let has_next = rows.len() > size;
        rows.truncate(size);
        let nodes = Notification::page(services, rows, wants_orders(ctx)).await?;
        let edges: Vec<NotificationEdge> = nodes
            .into_iter()
            .map(|node| NotificationEdge {
                cursor: LedgerCursor::of(node.row()).encode(),
                node,
            })
            .collect();
        Ok(Some(NotificationConnection {
            page_info: PageInfo {
                has_previous_page: before.is_some_and(|before| before <= newest),
                has_next_page: has_next,
                start_cursor: edges.first().map(|edge| edge.cursor.clone()),
                end_cursor: edges.last().map(|edge| edge.cursor.clone()),
            },
            edges,
            total_count: BigInt(newest),
        }))
    }
}

fn wants_orders(ctx: &Context<'_>) -> bool {
    let page = ctx.look_ahead();
    let nodes = [page.field("nodes"), page.field("edges").field("node")];
    nodes.into_iter().any(|node| node.field("order").exists())
}
