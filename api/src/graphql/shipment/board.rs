//! The board of shipments: open work, what is late, what went wrong.

use async_graphql::{
    ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject, connection::PageInfo,
};
use chrono::{DateTime, Utc};
use docket_domain::OrderId;
use docket_projections::read_models::{
    list::Page,
    shipment_board::{self, Filter, Sort},
};

use crate::graphql::{
    count::Count,
    cursor::{self, List},
    error::Refused,
    order::{
        parts::count,
        queries::{OrdersOf, known_to_the_database, orders_of},
        source::Order,
    },
    paging::Window,
    position::{self, Position, PositionInput},
    scalars, services,
};

/// How far a shipment has come, from its allocation on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "docket_projections::read_models::shipment_board::BoardStatus")]
pub enum BoardStatus {
    /// Pieces are set aside for it.
    Allocated,
    /// It was started.
    Created,
    /// Its parcels have labels.
    LabelPurchased,
    /// The carrier has it.
    Dispatched,
    /// It arrived.
    Delivered,
    /// It comes back.
    Returned,
    /// It will not arrive.
    Failed,
    /// It was called off.
    Cancelled,
    /// Its pieces were given back before it was started.
    Released,
}

/// What a list of shipments is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "docket_projections::read_models::shipment_board::SortField")]
pub enum ShipmentSortField {
    /// Until when it should be dispatched, and once it is, delivered.
    #[graphql(name = "DUE_AT")]
    Due,
    /// When its pieces were set aside.
    #[graphql(name = "ALLOCATED_AT")]
    Allocated,
    /// Since when the carrier has it: only those that one has.
    #[graphql(name = "DISPATCHED_AT")]
    Dispatched,
}

/// The order of a list of shipments.
#[derive(Clone, Copy, Debug, InputObject)]
pub struct ShipmentSort {
    /// By what.
    #[graphql(default_with = "ShipmentSortField::Due")]
    pub field: ShipmentSortField,
    /// The last one first.
    #[graphql(default = false)]
    pub descending: bool,
}

/// What a list of shipments shows: everything that is given must hold.
#[derive(Debug, Default, InputObject)]
pub struct ShipmentFilter {
    /// In one of these statuses.
    pub status: Option<Vec<BoardStatus>>,
    /// Not ended, or ended.
    pub open: Option<bool>,
    /// Went wrong, or not: it will not arrive, or is open and a parcel could not be handed over or comes back.
    pub failed: Option<bool>,
    /// Open and past its due time, or not.
    pub late: Option<bool>,
    /// Of goods that lie here.
    pub location: Option<String>,
    /// Carried by.
    pub carrier: Option<String>,
    /// With a parcel that its carrier calls so.
    pub tracking_number: Option<String>,
    /// With the carrier since at or after.
    pub dispatched_from: Option<DateTime<Utc>>,
    /// With the carrier since before.
    pub dispatched_before: Option<DateTime<Utc>>,
}

impl ShipmentFilter {
    /// What the read model is asked; `None` where nothing can match.
    fn into_rows(self, now: DateTime<Utc>) -> Result<Option<Filter>, Refused> {
        // A NUL byte is in no word, and the database refuses it.
        let words = [&self.location, &self.carrier, &self.tracking_number];
        if words
            .iter()
            .any(|word| word.as_ref().is_some_and(|word| word.contains('\0')))
        {
            return Ok(None);
        }
        let instant = |named: Option<_>| named.map(scalars::instant).transpose();
        for instant in [self.dispatched_from, self.dispatched_before] {
            known_to_the_database(instant)?;
        }
        Ok(Some(Filter {
            statuses: self.status.into_iter().flatten().map(Into::into).collect(),
            open: self.open,
            failed: self.failed,
            late: self.late.map(|late| (late, now)),
            location: self.location,
            carrier: self.carrier,
            tracking_number: self.tracking_number,
            dispatched: (instant(self.dispatched_from)?, instant(self.dispatched_before)?),
        }))
    }
}

/// A shipment on the board, from its allocation on.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct BoardShipment {
    /// Its order.
    pub order: Option<Order>,
    #[graphql(skip)]
    row: shipment_board::BoardShipment,
    #[graphql(skip)]
    now: DateTime<Utc>,
}

#[ComplexObject]
impl BoardShipment {
    /// The shipment's id: `<order>-s1`. It is not called `id`: a client's cache would take this row for the shipment.
    async fn shipment_id(&self) -> ID {
        ID(self.row.id().to_string())
    }

    /// Which of the order's, from 1.
    async fn number(&self) -> i32 {
        i32::from(self.row.number)
    }

    /// Its order's id.
    async fn order_id(&self) -> ID {
        ID(self.row.order_id.to_string())
    }

    /// The newest event about it.
    async fn position(&self) -> Position {
        self.row.position().into()
    }

    /// How far it has come.
    async fn status(&self) -> BoardStatus {
        self.row.status.into()
    }

    /// It has not ended.
    async fn open(&self) -> bool {
        self.row.open
    }

    /// It will not arrive; or it is open, and a parcel could not be handed over or comes back.
    async fn failed(&self) -> bool {
        self.row.failed
    }

    /// It is open and past its due time.
    async fn late(&self) -> bool {
        self.row.is_late(self.now)
    }

    /// Until when it should be dispatched, and once it is, delivered.
    async fn due_at(&self) -> DateTime<Utc> {
        self.row.due_at
    }

    /// Where the goods lie.
    async fn location(&self) -> Option<String> {
        self.row.location.as_ref().map(ToString::to_string)
    }

    /// Who carries it: its first parcel.
    async fn carrier(&self) -> Option<String> {
        self.row.carrier.as_ref().map(ToString::to_string)
    }

    /// How fast: its first parcel.
    async fn service(&self) -> Option<String> {
        self.row.service.as_ref().map(ToString::to_string)
    }

    /// The carriers' names for its parcels.
    async fn tracking_numbers(&self) -> Vec<String> {
        self.row
            .tracking_numbers
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// Pieces in it.
    async fn pieces(&self) -> i32 {
        count(self.row.pieces)
    }

    /// Parcels.
    async fn parcel_count(&self) -> i32 {
        count(self.row.parcels)
    }

    /// How often a parcel could not be handed over.
    async fn failed_attempts(&self) -> i32 {
        count(self.row.failed_attempts)
    }

    /// When its pieces were set aside.
    async fn allocated_at(&self) -> DateTime<Utc> {
        self.row.allocated_at
    }

    /// When it was started.
    async fn created_at(&self) -> Option<DateTime<Utc>> {
        self.row.created_at
    }

    /// When its parcels were labelled.
    async fn labelled_at(&self) -> Option<DateTime<Utc>> {
        self.row.labelled_at
    }

    /// Since when the carrier has it.
    async fn dispatched_at(&self) -> Option<DateTime<Utc>> {
        self.row.dispatched_at
    }

    /// The carrier's time of its arrival.
    async fn delivered_at(&self) -> Option<DateTime<Utc>> {
        self.row.delivered_at
    }

    /// When it ended, however.
    async fn closed_at(&self) -> Option<DateTime<Utc>> {
        self.row.closed_at
    }

    /// When something happened to it last.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.row.updated_at
    }
}

/// A shipment on a page.
#[derive(SimpleObject)]
pub struct BoardShipmentEdge {
    /// The place of this shipment in the list.
    pub cursor: String,
    /// The shipment.
    pub node: BoardShipment,
}

/// A page of shipments.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct BoardShipmentConnection {
    /// The shipments with their places.
    pub edges: Vec<BoardShipmentEdge>,
    /// What lies before and after.
    pub page_info: PageInfo,
    /// What is counted where somebody asks; the page holds the whole list where there is nothing.
    #[graphql(skip)]
    counted: Option<(Filter, shipment_board::SortField)>,
}

#[ComplexObject]
impl BoardShipmentConnection {
    /// The shipments without their places.
    async fn nodes(&self) -> Vec<&BoardShipment> {
        self.edges.iter().map(|edge| &edge.node).collect()
    }

    /// How many shipments the whole list has, whatever the page: exact up to 10,000. Counted only where it is asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<Option<Count>> {
        let Some((filter, field)) = &self.counted else {
            return Ok(Some(Count::on_page(self.edges.len())));
        };
        let services = services(ctx)?;
        let mut connection = services.query_connection().await?;
        let counted = shipment_board::count(&mut *connection, &services.serving(), filter, *field).await;
        Ok(Some(connection.finish(counted).map_err(Refused::from)?.into()))
    }
}

/// Queries of shipments.
#[derive(Default)]
pub struct ShipmentQueries;

#[Object]
impl ShipmentQueries {
    /// Shipments of all orders, from their allocation on. A cursor belongs to its sort.
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of the field")]
    async fn shipments(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, forward; 20 where nothing is said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "After this place.")] after: Option<String>,
        #[graphql(desc = "How many, backward; at most 100.")] last: Option<i32>,
        #[graphql(desc = "Before this place.")] before: Option<String>,
        #[graphql(desc = "Which; all where nothing is said.")] filter: Option<ShipmentFilter>,
        #[graphql(desc = "In which order; what is due first where nothing is said.")] sort: Option<
            ShipmentSort,
        >,
        #[graphql(desc = "Not before what is read is at or past each of these positions.")]
        min_position: Option<Vec<PositionInput>>,
    ) -> Result<Option<BoardShipmentConnection>> {
        let place = |text: &str, argument: &str| cursor::to_place(List::Shipments, text, argument);
        let window = Window::of(first, after.as_deref(), last, before.as_deref(), place)?;
        let sort = sort.map_or_else(Sort::default, |sort| Sort {
            field: sort.field.into(),
            descending: sort.descending,
        });
        let now = Utc::now();
        let filter = filter.unwrap_or_default().into_rows(now)?;
        let orders = OrdersOf::asked(ctx);
        let mut touched = vec![shipment_board::NAME];
        touched.extend(orders.read_models());
        position::wait(ctx, &touched, min_position.as_deref()).await?;
        let services = services(ctx)?;
        let page = match &filter {
            Some(filter) => {
                let mut connection = services.store.query_connection().await.map_err(Refused::from)?;
                let page =
                    shipment_board::page(&mut *connection, &services.serving(), filter, sort, window.part())
                        .await;
                connection.finish(page).map_err(Refused::from)?
            }
            None => Page::empty(),
        };
        let ids: Vec<OrderId> = page.rows.iter().map(|row| row.order_id).collect();
        let found = orders_of(services, orders, &ids).await?;
        let edge = |row: shipment_board::BoardShipment| BoardShipmentEdge {
            cursor: cursor::of_place(List::Shipments, &row.place(sort.field)),
            node: BoardShipment {
                order: found.get(&row.order_id).cloned(),
                row,
                now,
            },
        };
        let edges: Vec<_> = page.rows.into_iter().map(edge).collect();
        let page_info = window.page_info(
            edges.first().map(|edge| &edge.cursor),
            edges.last().map(|edge| &edge.cursor),
            page.has_more,
        );
        let counted = window.counted(page.has_more, filter.map(|filter| (filter, sort.field)));
        Ok(Some(BoardShipmentConnection {
            edges,
            page_info,
            counted,
        }))
    }
}
