//! What a customer bought, by currency. Nothing of who they are: names and addresses are shown with the order that they
//! were given for, to whom may see it.

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use docket_domain::CustomerId;
use docket_projections::read_models::customer_orders;

use crate::graphql::{
    actor,
    error::Refused,
    order::{
        connection::OrderConnection,
        parts::count,
        queries::{OrderFilter, OrderSort, list},
        view::only_customer,
    },
    position::{self, PositionInput},
    scalars::{CurrencyScalar, MoneyValue},
    services,
};

/// What a customer bought in one currency.
#[derive(Clone, Debug, SimpleObject)]
pub struct CustomerTotals {
    /// Of every amount.
    pub currency: CurrencyScalar,
    /// Orders that were placed.
    pub orders: i32,
    /// Those of them that were called off or expired.
    pub cancelled_orders: i32,
    /// What the placed ones added up to.
    pub ordered: MoneyValue,
    /// What of it was cancelled, with or without its order.
    pub cancelled: MoneyValue,
    /// What payments took.
    pub paid: MoneyValue,
    /// What they gave back.
    pub refunded: MoneyValue,
}

impl From<&customer_orders::CustomerTotals> for CustomerTotals {
    fn from(totals: &customer_orders::CustomerTotals) -> Self {
        let money = |amount| MoneyValue::new(amount, totals.currency);
        Self {
            currency: CurrencyScalar(totals.currency),
            orders: count(totals.placed),
            cancelled_orders: count(totals.cancelled),
            ordered: money(totals.ordered),
            cancelled: money(totals.cancelled_value),
            paid: money(totals.captured),
            refunded: money(totals.refunded),
        }
    }
}

/// Somebody who buys.
pub struct Customer {
    id: CustomerId,
    totals: Vec<customer_orders::CustomerTotals>,
}

/// A customer, by what they bought.
#[Object]
impl Customer {
    /// The customer's id in the shop's own accounts.
    async fn id(&self) -> ID {
        ID(self.id.to_string())
    }

    /// Sums by currency, of the orders that were placed.
    async fn totals(&self) -> Vec<CustomerTotals> {
        self.totals.iter().map(Into::into).collect()
    }

    /// When the first order was placed.
    async fn first_order_at(&self) -> Option<DateTime<Utc>> {
        self.totals
            .iter()
            .filter_map(|totals| totals.first_order_at)
            .min()
    }

    /// When the last order was placed.
    async fn last_order_at(&self) -> Option<DateTime<Utc>> {
        self.totals.iter().filter_map(|totals| totals.last_order_at).max()
    }

    /// Their orders. A cursor belongs to its sort.
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of the field")]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, forward; 20 where nothing is said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "After this place.")] after: Option<String>,
        #[graphql(desc = "How many, backward; at most 100.")] last: Option<i32>,
        #[graphql(desc = "Before this place.")] before: Option<String>,
        #[graphql(desc = "In which order; the newest first where nothing is said.")] sort: Option<OrderSort>,
        #[graphql(desc = "Not before what is read is at or past each of these positions.")]
        min_position: Option<Vec<PositionInput>>,
    ) -> Result<Option<OrderConnection>> {
        let filter = OrderFilter {
            customer: Some(self.id.to_string()),
            ..OrderFilter::default()
        };
        let page = (first, after.as_deref(), last, before.as_deref());
        list(ctx, page, None, filter, sort, min_position).await
    }
}

/// Queries of customers.
#[derive(Default)]
pub struct CustomerQueries;

#[Object]
impl CustomerQueries {
    /// What a customer bought. None where nobody of this id ever began an order; customers find themselves alone.
    async fn customer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer's id in the shop's own accounts.")] id: ID,
        #[graphql(desc = "Not before what is read is at or past each of these positions.")]
        min_position: Option<Vec<PositionInput>>,
    ) -> Result<Option<Customer>> {
        // An id that nobody can have is nobody's.
        let Ok(id) = CustomerId::try_new(id.as_str()) else {
            return Ok(None);
        };
        position::wait(ctx, &[customer_orders::NAME], min_position.as_deref()).await?;
        // Who asks for somebody else is answered like who asks for nobody, at the same cost.
        let is_theirs = only_customer(actor(ctx)?).is_none_or(|own| own == id.as_str());
        let services = services(ctx)?;
        let mut connection = services.query_connection().await?;
        let totals = customer_orders::totals(&mut *connection, &services.serving(), &id).await;
        let totals = connection.finish(totals).map_err(Refused::from)?;
        Ok((is_theirs && !totals.is_empty()).then_some(Customer { id, totals }))
    }
}
