//! A notification as it is shown.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use docket_domain::{Actor, OrderId, ShipmentId};
use docket_projections::{
    reactors::notifications::{self as ledger, Fact},
    read_models::order_detail,
};

use crate::graphql::{
    Services, actor,
    error::Refused,
    order::{source::Order, view::OrderView},
    position::{self, Position},
    scalars::{BigInt, MoneyValue},
    services,
};

/// What a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum NotificationKind {
    /// What is due for the order was taken.
    OrderPaid,
    /// A shipment of the order left.
    OrderShipped,
    /// Something that this server does not know yet.
    Other,
}

/// What is due for the order was taken.
#[derive(Clone, Copy, Debug, SimpleObject)]
pub struct OrderPaid {
    /// What was due.
    pub amount: MoneyValue,
}

/// A shipment of the order left.
#[derive(Clone, Debug, SimpleObject)]
pub struct OrderShipped {
    /// Its id.
    pub shipment_id: ID,
    /// With it, everything of the order that is to be shipped has left.
    pub complete: bool,
}

/// The orders of a page's notifications, read at once.
type Orders = Arc<HashMap<OrderId, Arc<OrderView>>>;

/// What somebody was told.
#[derive(Clone)]
pub struct Notification {
    row: Arc<ledger::Notification>,
    orders: Option<Orders>,
}

impl Notification {
    pub(super) fn of(row: Arc<ledger::Notification>) -> Self {
        Self { row, orders: None }
    }

    /// A page of them; with their orders, where those are asked for.
    pub(super) async fn page(
        services: &Services,
        rows: Vec<ledger::Notification>,
        with_orders: bool,
    ) -> Result<Vec<Self>, Refused> {
        let orders = if with_orders {
            Some(Arc::new(orders(services, rows.iter()).await?))
        } else {
            None
        };
        let page = rows.into_iter().map(|row| Self {
            row: Arc::new(row),
            orders: orders.clone(),
        });
        Ok(page.collect())
    }

    pub(super) fn row(&self) -> &ledger::Notification {
        &self.row
    }
}

/// The orders of notifications, each with what they tell in it.
async fn orders(
    services: &Services,
    rows: impl Iterator<Item = &ledger::Notification>,
) -> Result<HashMap<OrderId, Arc<OrderView>>, Refused> {
    let mut ids = Vec::new();
    let (mut newest, mut told) = (HashMap::new(), HashMap::new());
    for row in rows {
        if !ids.contains(&row.order) {
            ids.push(row.order);
        }
        let offset = newest.entry(row.position.partition).or_insert(0);
        *offset = row.position.offset.max(*offset);
        let told = told.entry(row.order).or_insert(0);
        *told = row.position.offset.max(*told);
    }
    let positions = newest
        .into_iter()
        .map(|(partition, offset)| docket_event_store::Position { partition, offset });
    let positions: Vec<_> = positions.collect();
    position::wait_past(&services.projections, &[order_detail::NAME], &positions).await?;
    let mut orders = services.documents.find(&ids).await?;
    // One whose events wait among dead letters has not what is told of it.
    orders.retain(|order, view| {
        told.get(order)
            .is_none_or(|told| view.detail.position.offset >= *told)
    });
    Ok(orders)
}

fn shown(orders: &HashMap<OrderId, Arc<OrderView>>, order: OrderId, actor: &Actor) -> Option<Order> {
    let view = orders.get(&order).filter(|view| view.is_for(actor));
    view.cloned().map(Order::of)
}

/// What somebody was told of an order. It never changes.
#[Object]
impl Notification {
    /// The recipient's how-manieth it is, from 1, without a gap.
    async fn number(&self) -> BigInt {
        BigInt(self.row.number)
    }

    /// What it is about.
    async fn kind(&self) -> NotificationKind {
        match self.row.fact {
            Fact::OrderPaid { .. } => NotificationKind::OrderPaid,
            Fact::OrderShipped { .. } => NotificationKind::OrderShipped,
            Fact::Unknown => NotificationKind::Other,
        }
    }

    /// Of `ORDER_PAID`.
    async fn paid(&self) -> Option<OrderPaid> {
        match self.row.fact {
            Fact::OrderPaid { amount, currency, .. } => Some(OrderPaid {
                amount: MoneyValue::new(amount, currency),
            }),
            _ => None,
        }
    }

    /// Of `ORDER_SHIPPED`.
    async fn shipped(&self) -> Option<OrderShipped> {
        match self.row.fact {
            Fact::OrderShipped {
                shipment, complete, ..
            } => Some(OrderShipped {
                shipment_id: ID(ShipmentId::new(self.row.order, shipment).to_string()),
                complete,
            }),
            _ => None,
        }
    }

    /// The id of the order.
    async fn order_id(&self) -> ID {
        ID(self.row.order.to_string())
    }

    /// What people call the order by.
    async fn order_number(&self) -> Option<BigInt> {
        match self.row.fact {
            Fact::OrderPaid { number, .. } | Fact::OrderShipped { number, .. } => Some(BigInt(number.0)),
            Fact::Unknown => None,
        }
    }

    /// The order, with this in it; it may hold later changes too.
    async fn order(&self, ctx: &Context<'_>) -> Result<Option<Order>> {
        let actor = actor(ctx)?;
        match &self.orders {
            Some(orders) => Ok(shown(orders, self.row.order, actor)),
            None => {
                let orders = orders(services(ctx)?, std::iter::once(&*self.row)).await?;
                Ok(shown(&orders, self.row.order, actor))
            }
        }
    }

    /// Where the event that it follows from stands in the log.
    async fn position(&self) -> Position {
        self.row.position.into()
    }

    /// When the log took that event.
    async fn created_at(&self) -> DateTime<Utc> {
        self.row.created_at
    }
}
