//! Queries of orders.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result};
use chrono::{DateTime, Utc};
use docket_domain::{Actor, CustomerId, OrderId, OrderNumber, Version};
use docket_event_store::Position;
use docket_projections::read_models::{
    list::{Page, Part},
    order_detail,
    order_search::{self, Terms},
    order_summary::{self, Filter, Keyset, Listed, OrderSummary, PageError, Sort},
};
use std::{collections::HashMap, sync::Arc};

use super::{
    connection::{self, OrderConnection, OrderEdge, Window},
    load::{Until, load},
    parts::{FulfillmentStatus, OrderPaymentStatus, OrderStatus},
    source::{Order, SUMMARY_FIELDS},
    view::{OrderView, only_customer},
};
use crate::graphql::{
    Services, actor, cursor,
    error::{Refused, sentence},
    plain::Plain,
    position::{self, PositionInput},
    scalars::{self, BigInt, CurrencyScalar},
    services,
};

/// What a list of orders is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "docket_projections::read_models::order_summary::SortField")]
pub enum OrderSortField {
    /// When the order was begun.
    CreatedAt,
    /// When it was placed; drafts come before.
    PlacedAt,
    /// Its number; drafts come before.
    Number,
    /// Its grand total, in minor units whatever the currency.
    Total,
}

/// The order of a list of orders.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct OrderSort {
    /// By what.
    #[graphql(default_with = "OrderSortField::CreatedAt")]
    pub field: OrderSortField,
    /// Newest or largest first.
    #[graphql(default = true)]
    pub descending: bool,
}

/// What a list of orders shows: everything that is given must hold.
#[derive(Debug, Default, InputObject)]
pub struct OrderFilter {
    /// Of this number.
    pub number: Option<BigInt>,
    /// Of this customer.
    pub customer: Option<String>,
    /// From this channel.
    pub channel: Option<String>,
    /// In this currency.
    pub currency: Option<CurrencyScalar>,
    /// In one of these statuses.
    pub status: Option<Vec<OrderStatus>>,
    /// With payments this far.
    pub payment_status: Option<Vec<OrderPaymentStatus>>,
    /// With shipments this far.
    pub fulfillment_status: Option<Vec<FulfillmentStatus>>,
    /// Stopped, or not.
    pub on_hold: Option<bool>,
    /// Begun at or after.
    pub created_from: Option<DateTime<Utc>>,
    /// Begun before.
    pub created_before: Option<DateTime<Utc>>,
    /// Placed at or after.
    pub placed_from: Option<DateTime<Utc>>,
    /// Placed before.
    pub placed_before: Option<DateTime<Utc>>,
    /// Grand total of at least this, in minor units.
    pub total_from: Option<BigInt>,
    /// Grand total of at most this, in minor units.
    pub total_to: Option<BigInt>,
}

impl OrderFilter {
    /// What the read model is asked; `None` where nothing can match, because a customer asks for somebody else's.
    fn into_rows(self, actor: &Actor) -> Result<Option<Filter>, Refused> {
        let named = self
            .customer
            .map(|id| CustomerId::try_new(id).map_err(|e| Refused::bad_input(sentence(&e))));
        let mut customer = named.transpose()?;
        if let Some(own) = only_customer(actor) {
            if customer.as_ref().is_some_and(|customer| customer.as_str() != own) {
                return Ok(None);
            }
            let Ok(own) = CustomerId::try_new(own) else {
                return Ok(None);
            };
            customer = Some(own);
        }
        fn all<T, U: From<T>>(values: Option<Vec<T>>) -> Vec<U> {
            values.into_iter().flatten().map(Into::into).collect()
        }
        let instant = |named: Option<_>| named.map(scalars::instant).transpose();
        // A NUL byte is in no channel, and the database refuses it.
        if self
            .channel
            .as_ref()
            .is_some_and(|channel| channel.contains('\0'))
        {
            return Ok(None);
        }
        for instant in [
            self.created_from,
            self.created_before,
            self.placed_from,
            self.placed_before,
        ] {
            known_to_the_database(instant)?;
        }
        Ok(Some(Filter {
            search: None,
            number: self.number.map(|number| OrderNumber(number.0)),
            customer,
            channel: self.channel,
            currency: self.currency.map(|currency| currency.0.code().to_owned()),
            statuses: all(self.status),
            payment_statuses: all(self.payment_status),
            fulfillment_statuses: all(self.fulfillment_status),
            on_hold: self.on_hold,
            created: (instant(self.created_from)?, instant(self.created_before)?),
            placed: (instant(self.placed_from)?, instant(self.placed_before)?),
            total: (
                self.total_from.map(|total| total.0),
                self.total_to.map(|total| total.0),
            ),
        }))
    }
}

/// What a text asks for; `None` where it is blank, as a search field is that nobody has filled in.
fn terms(services: &Services, text: &str) -> Result<Option<Terms>, Refused> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let terms = services.search.terms(text);
    terms
        .map(Some)
        .map_err(|error| Refused::bad_input(sentence(&error)))
}

/// What is too far from any order is no input.
pub(in crate::graphql) fn known_to_the_database(instant: Option<DateTime<Utc>>) -> Result<(), Refused> {
    let known = instant.map_or(Ok(()), docket_projections::known_to_the_database);
    known.map_err(|error| Refused::bad_input(sentence(&error)))
}

impl From<PageError> for Refused {
    fn from(error: PageError) -> Refused {
        match error {
            PageError::Read(error) => error.into(),
            PageError::OtherSort | PageError::BadKeyset | PageError::TooLarge { .. } => {
                Refused::bad_input(sentence(&error))
            }
        }
    }
}

/// An order's id as a caller writes it.
pub(in crate::graphql) fn order_id(id: &ID) -> Result<OrderId, Refused> {
    id.parse().map_err(|error| Refused::bad_input(sentence(&error)))
}

/// Queries of orders.
#[derive(Default)]
pub struct OrderQueries;

#[Object]
impl OrderQueries {
    /// An order: as it is, as it was at a version of its own stream, or as it was recorded at an instant. None where it
    /// does not exist, or did not.
    async fn order(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id, a UUID.")] id: ID,
        #[graphql(desc = "As its own stream was at this version, from 1.")] at_version: Option<i32>,
        #[graphql(desc = "As it was recorded at this instant.")] as_of: Option<DateTime<Utc>>,
        #[graphql(desc = "Not before what is read is at or past each of these positions.")]
        min_position: Option<Vec<PositionInput>>,
    ) -> Result<Option<Plain<Order>>> {
        let (services, order) = (services(ctx)?, order_id(&id)?);
        let until = match (at_version, as_of) {
            (None, None) => None,
            (Some(version), None) if version < 1 => {
                let refused = Refused::bad_input(format!("Versions count from 1; {version} is none."));
                return Err(refused.into());
            }
            (Some(version), None) => Some(Until::Version(Version(version))),
            (None, Some(instant)) => Some(Until::Instant(scalars::instant(instant)?)),
            (Some(_), Some(_)) => {
                return Err(Refused::bad_input("Give `atVersion` or `asOf`, not both.").into());
            }
        };
        let actor = actor(ctx)?;
        let view = match until {
            None => {
                position::wait(ctx, &[order_detail::NAME], min_position.as_deref()).await?;
                services.documents.find(&[order]).await?.remove(&order)
            }
            // The log itself is read.
            Some(until) => {
                position::wait_for_log(services.store.feed(), min_position.as_deref()).await?;
                // What somebody may not see is not folded for them either.
                if let Some(own) = only_customer(actor) {
                    let facts = services.facts.of(order).await?;
                    let customer = facts.as_ref().and_then(|facts| facts.customer.as_ref());
                    if customer.is_none_or(|customer| customer.as_str() != own) {
                        return Ok(None);
                    }
                }
                let detail = {
                    let _one_of_few = services.turn_to_fold().await?;
                    load(&services.store, order, until).await?
                };
                match detail {
                    Some(detail) => Some(OrderView::unsealed(&services.store, detail).await?),
                    None => None,
                }
            }
        };
        let order = view.filter(|view| view.is_for(actor)).map(Order::of);
        Ok(order.map(Plain))
    }

    /// A list of orders. A cursor belongs to its sort.
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of the field")]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, forward; 20 where nothing is said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "After this place.")] after: Option<String>,
        #[graphql(desc = "How many, backward; at most 100.")] last: Option<i32>,
        #[graphql(desc = "Before this place.")] before: Option<String>,
        #[graphql(desc = "Which; all where nothing is said.")] filter: Option<OrderFilter>,
        #[graphql(
            desc = "Only what is found by all of this: a number (`1001`, `#1001`), or an e-mail address and words of the \
                    customer's name, in any case and with or without diacritics. Words are whole words."
        )]
        search: Option<String>,
        #[graphql(desc = "In which order; the newest first where nothing is said.")] sort: Option<OrderSort>,
        #[graphql(desc = "Not before what is read is at or past each of these positions.")]
        min_position: Option<Vec<PositionInput>>,
    ) -> Result<Option<OrderConnection>> {
        let page = (first, after.as_deref(), last, before.as_deref());
        let filter = filter.unwrap_or_default();
        list(ctx, page, search.as_deref(), filter, sort, min_position).await
    }
}

/// A part of the list of orders: how many forward after a place, or backward before one.
pub(in crate::graphql) async fn list(
    ctx: &Context<'_>,
    (first, after, last, before): (Option<i32>, Option<&str>, Option<i32>, Option<&str>),
    search: Option<&str>,
    filter: OrderFilter,
    sort: Option<OrderSort>,
    min_position: Option<Vec<PositionInput>>,
) -> Result<Option<OrderConnection>> {
    let window = Window::of(first, after, last, before, cursor::to_keyset)?;
    let sort = sort.map_or_else(Sort::default, |sort| Sort {
        field: sort.field.into(),
        descending: sort.descending,
    });
    let services = services(ctx)?;
    let search = search.map(|text| terms(services, text)).transpose()?.flatten();
    let filter = filter.into_rows(actor(ctx)?)?;
    let nothing_matches = search.as_ref().is_some_and(Terms::is_empty);
    let Some(filter) = filter.filter(|_| !nothing_matches) else {
        return Ok(Some(connection::empty(&window)));
    };
    let filter = Filter { search, ..filter };
    let with_details = wants_details(ctx);
    let mut read_models = vec![order_summary::NAME];
    read_models.extend(with_details.then_some(order_detail::NAME));
    let is_personal = filter.search.as_ref().is_some_and(Terms::is_personal);
    read_models.extend(is_personal.then_some(order_search::NAME));
    position::wait(ctx, &read_models, min_position.as_deref()).await?;
    let part = window.part();
    let whole = if with_details {
        whole_page(services, &filter, sort, part).await?
    } else {
        None
    };
    let page = match whole {
        Some(page) => page,
        None => page(services, &filter, sort, part, with_details).await?,
    };
    let edge = |(place, node): (Keyset, Order)| OrderEdge {
        cursor: cursor::of_keyset(&place),
        node: Plain(node),
    };
    let edges = page.rows.into_iter().map(edge).collect();
    Ok(Some(connection::connection(
        edges,
        &window,
        page.has_more,
        filter,
    )))
}

/// A page of orders with their documents, by one statement and one for keys. `None` where a document is older than the row
/// that stands for it, as the two are folded apart: who saw the row has to wait for the document.
async fn whole_page(
    services: &Services,
    filter: &Filter,
    sort: Sort,
    part: Part<'_, Keyset>,
) -> Result<Option<Page<(Keyset, Order)>>, Refused> {
    let mut connection = services.store.query_connection().await?;
    let page =
        order_summary::page_of_documents(&mut *connection, &services.serving(), filter, sort, part).await;
    let page = connection.finish(page)?;
    if !page.rows.iter().all(Listed::is_whole) {
        return Ok(None);
    }
    let (mut places, mut details) = (Vec::new(), Vec::new());
    for listed in page.rows {
        places.push(listed.keyset);
        details.extend(listed.detail);
    }
    let orders = OrderView::all_unsealed(&services.store, details).await?;
    let rows = places.into_iter().zip(orders.map(Order::of)).collect();
    let has_more = page.has_more;
    Ok(Some(Page { rows, has_more }))
}

/// A page of orders, with documents that are not older than their rows where they are asked for.
async fn page(
    services: &Services,
    filter: &Filter,
    sort: Sort,
    part: Part<'_, Keyset>,
    with_details: bool,
) -> Result<Page<(Keyset, Order)>, Refused> {
    let mut connection = services.store.query_connection().await?;
    let page = order_summary::page(&mut *connection, &services.serving(), filter, sort, part).await;
    let page = connection.finish(page)?;
    let places: Vec<Keyset> = page.rows.iter().map(|row| row.keyset(sort.field)).collect();
    let orders = nodes(services, page.rows, with_details).await?;
    Ok(Page {
        rows: places.into_iter().zip(orders).collect(),
        has_more: page.has_more,
    })
}

/// Whether a list's orders are asked for anything that a summary does not have.
fn wants_details(ctx: &Context<'_>) -> bool {
    let page = ctx.look_ahead();
    let nodes = [page.field("edges").field("node"), page.field("nodes")];
    let nodes: Vec<_> = nodes.iter().flat_map(|nodes| nodes.selection_fields()).collect();
    let mut asked = nodes.iter().flat_map(|node| node.selection_set());
    asked.any(|field| !SUMMARY_FIELDS.contains(&field.name()))
}

/// What a list of payments or shipments is asked of their orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::graphql) enum OrdersOf {
    /// Nothing.
    Nothing,
    /// What a summary has.
    Summaries,
    /// More.
    Details,
}

impl OrdersOf {
    /// What the list in which this is resolved is asked.
    pub(in crate::graphql) fn asked(ctx: &Context<'_>) -> OrdersOf {
        let list = ctx.look_ahead();
        let nodes = [list.field("edges").field("node"), list.field("nodes")];
        let orders = nodes.map(|node| node.field("order"));
        let orders: Vec<_> = orders.iter().flat_map(|order| order.selection_fields()).collect();
        let mut asked = orders.iter().flat_map(|order| order.selection_set()).peekable();
        if asked.peek().is_none() {
            OrdersOf::Nothing
        } else if asked.all(|field| SUMMARY_FIELDS.contains(&field.name())) {
            OrdersOf::Summaries
        } else {
            OrdersOf::Details
        }
    }

    /// The read models that it needs.
    pub(in crate::graphql) fn read_models(self) -> &'static [&'static str] {
        match self {
            OrdersOf::Nothing => &[],
            OrdersOf::Summaries => &[order_summary::NAME],
            OrdersOf::Details => &[order_summary::NAME, order_detail::NAME],
        }
    }
}

/// The orders of a list of payments or shipments, with as many statements as one order needs.
pub(in crate::graphql) async fn orders_of(
    services: &Services,
    asked: OrdersOf,
    ids: &[OrderId],
) -> Result<HashMap<OrderId, Order>, Refused> {
    if asked == OrdersOf::Nothing || ids.is_empty() {
        return Ok(HashMap::new());
    }
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let mut connection = services.store.query_connection().await?;
    let rows = order_summary::find(&mut *connection, &services.serving(), &ids).await;
    let rows = connection.finish(rows)?;
    let orders = nodes(services, rows, asked == OrdersOf::Details).await?;
    Ok(orders
        .into_iter()
        .map(|order| (order.order_id(), order))
        .collect())
}

/// The orders of a page: one more statement, and one for keys, where documents are asked for.
async fn nodes(
    services: &Services,
    rows: Vec<OrderSummary>,
    with_details: bool,
) -> Result<Vec<Order>, Refused> {
    if !with_details || rows.is_empty() {
        return Ok(rows.into_iter().map(Order::of_summary).collect());
    }
    // Documents and summaries are folded apart; a document must not be older than the row that stands for it.
    let mut newest: Vec<Position> = Vec::new();
    for row in &rows {
        match newest
            .iter_mut()
            .find(|known| known.partition == row.position.partition)
        {
            Some(known) => known.offset = known.offset.max(row.position.offset),
            None => newest.push(row.position),
        }
    }
    // One that waits among dead letters is shown as it is; whoever names its position is told.
    position::wait_past(&services.projections, &[order_detail::NAME], &newest).await?;
    let ids: Vec<OrderId> = rows.iter().map(|row| row.id).collect();
    let views = services.documents.find(&ids).await?;
    let node = |row: OrderSummary| match views.get(&row.id) {
        Some(view) => Order::of(Arc::clone(view)),
        None => Order::of_summary(row),
    };
    Ok(rows.into_iter().map(node).collect())
}
