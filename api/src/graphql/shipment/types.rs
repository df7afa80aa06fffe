//! A shipment as it is shown.

use std::sync::Arc;

use async_graphql::{ComplexObject, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use docket_domain::{ParcelNumber, ShipmentId, shipment as domain};
use docket_projections::read_models::order_detail::ShipmentDetail;

use super::inputs::CarrierStatus;
use crate::graphql::{
    order::{
        parts::{Address, LineQuantity, count},
        view::OrderView,
    },
    plain::{Plain, PlainList, leaf_enum, shown},
    scalars::MoneyValue,
};

/// How far a shipment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ShipmentStatus {
    /// Started.
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
}

impl ShipmentStatus {
    /// None for a shipment that does not exist, which is never shown.
    fn of(status: domain::ShipmentStatus) -> Option<ShipmentStatus> {
        Some(match status {
            domain::ShipmentStatus::Missing => return None,
            domain::ShipmentStatus::Created => ShipmentStatus::Created,
            domain::ShipmentStatus::LabelPurchased => ShipmentStatus::LabelPurchased,
            domain::ShipmentStatus::Dispatched => ShipmentStatus::Dispatched,
            domain::ShipmentStatus::Delivered => ShipmentStatus::Delivered,
            domain::ShipmentStatus::Returned => ShipmentStatus::Returned,
            domain::ShipmentStatus::Failed => ShipmentStatus::Failed,
            domain::ShipmentStatus::Cancelled => ShipmentStatus::Cancelled,
        })
    }
}

/// How a parcel is followed.
#[derive(Clone, Debug, SimpleObject)]
pub struct Tracking {
    /// Who carries it.
    pub carrier: String,
    /// How fast.
    pub service: Option<String>,
    /// The carrier's name for it.
    pub tracking_number: String,
    /// Where a person can look.
    pub url: Option<String>,
}

impl From<&domain::Tracking> for Tracking {
    fn from(tracking: &domain::Tracking) -> Self {
        Self {
            carrier: tracking.carrier.to_string(),
            service: tracking.service.as_ref().map(ToString::to_string),
            tracking_number: tracking.tracking_number.to_string(),
            url: tracking.url.as_ref().map(ToString::to_string),
        }
    }
}

/// Where a carrier saw a parcel.
#[derive(Clone, Debug, SimpleObject)]
pub struct Scan {
    /// What it said.
    pub status: CarrierStatus,
    /// Its time.
    pub at: DateTime<Utc>,
    /// Where; none where the person is forgotten.
    pub place: Option<String>,
}

/// A parcel with what the carrier said of it.
#[derive(Clone, SimpleObject)]
#[graphql(complex)]
pub struct Parcel {
    /// Which of the shipment's, from 1.
    pub number: i32,
    /// In grams.
    pub weight_g: Option<i32>,
    /// In millimetres.
    pub length_mm: Option<i32>,
    /// In millimetres.
    pub width_mm: Option<i32>,
    /// In millimetres.
    pub height_mm: Option<i32>,
    /// How it is followed.
    pub tracking: Plain<Tracking>,
    /// Where it is; moves forward only, except to failure and return.
    pub status: CarrierStatus,
    /// How often it could not be handed over.
    pub failed_attempts: i32,
    #[graphql(skip)]
    of: Shipment,
}

#[ComplexObject]
impl Parcel {
    /// The newest scan.
    async fn last_scan(&self) -> Option<Scan> {
        let number = ParcelNumber(self.number.try_into().ok()?);
        let scan = self.of.detail()?.scans.get(&number)?;
        let place = self.of.view.open(scan.place.as_ref());
        Some(Scan {
            status: scan.status.into(),
            at: scan.at,
            place: place.map(|place| place.to_string()),
        })
    }
}

impl Parcel {
    fn of(shipment: &Shipment, state: &domain::ParcelState) -> Self {
        let parcel = &state.parcel;
        Self {
            number: i32::from(parcel.number.0),
            weight_g: parcel.weight_g.map(count),
            length_mm: parcel.length_mm.map(count),
            width_mm: parcel.width_mm.map(count),
            height_mm: parcel.height_mm.map(count),
            tracking: Plain((&parcel.tracking).into()),
            status: state.status.into(),
            failed_attempts: count(state.failed_attempts),
            of: shipment.clone(),
        }
    }
}

/// A shipment.
#[derive(Clone)]
pub struct Shipment {
    view: Arc<OrderView>,
    number: u16,
}

impl Shipment {
    /// A shipment of an order, where it was started.
    pub(in crate::graphql) fn of(view: &Arc<OrderView>, number: u16) -> Option<Shipment> {
        let exists = view.detail.document.shipments.contains_key(&number);
        exists.then(|| Shipment {
            view: Arc::clone(view),
            number,
        })
    }

    fn detail(&self) -> Option<&ShipmentDetail> {
        self.view.detail.document.shipments.get(&self.number)
    }

    fn state(&self) -> Option<&domain::Shipment> {
        self.detail().map(|detail| &detail.state)
    }

    fn shown_id(&self) -> ID {
        ID(ShipmentId::new(self.view.detail.id, self.number).to_string())
    }

    fn shown_status(&self) -> Option<ShipmentStatus> {
        ShipmentStatus::of(self.state()?.status)
    }

    fn shown_location(&self) -> Option<String> {
        self.state()?.location.as_ref().map(ToString::to_string)
    }

    fn shown_lines(&self) -> PlainList<LineQuantity> {
        let lines = self.state().into_iter().flat_map(|state| &state.lines);
        lines.map(LineQuantity::from).collect()
    }

    fn shown_parcels(&self) -> PlainList<Parcel> {
        let Some(detail) = self.detail() else {
            return PlainList::default();
        };
        let parcels = detail.state.parcels.iter();
        parcels.map(|parcel| Parcel::of(self, parcel)).collect()
    }
}

/// A shipment of an order.
#[Object]
impl Shipment {
    /// Its id: `<order>-s1`.
    pub async fn id(&self) -> ID {
        self.shown_id()
    }

    /// Which of the order's, from 1.
    async fn number(&self) -> i32 {
        i32::from(self.number)
    }

    /// Its order's id.
    async fn order_id(&self) -> ID {
        ID(self.view.detail.id.to_string())
    }

    /// The version of its stream, for `expectedVersion`.
    async fn version(&self) -> Option<i32> {
        self.detail().map(|detail| detail.version.0)
    }

    /// How far it has come.
    async fn status(&self) -> Option<ShipmentStatus> {
        self.shown_status()
    }

    /// Where the goods lie.
    async fn location(&self) -> Option<String> {
        self.shown_location()
    }

    /// Where they go.
    async fn ship_to(&self) -> Option<Address> {
        self.state()?
            .ship_to
            .as_ref()
            .map(|address| Address::of(&self.view, address))
    }

    /// What goes.
    async fn lines(&self) -> PlainList<LineQuantity> {
        self.shown_lines()
    }

    /// Its parcels, by number.
    async fn parcels(&self) -> PlainList<Parcel> {
        self.shown_parcels()
    }

    /// What the labels cost.
    async fn cost(&self) -> Option<MoneyValue> {
        self.state()?
            .cost
            .map(|cost| MoneyValue::new(cost.amount, cost.currency))
    }

    /// A person entered the labels, so people report how the parcels fare.
    async fn labelled_by_hand(&self) -> Option<bool> {
        self.state().map(|state| state.labelled_by_hand)
    }

    /// Since when the carrier has it.
    async fn dispatched_at(&self) -> Option<DateTime<Utc>> {
        self.state()?.dispatched_at
    }

    /// The carrier's time of its arrival.
    async fn delivered_at(&self) -> Option<DateTime<Utc>> {
        self.detail()?.delivered_at
    }

    /// The carrier's time of its return.
    async fn returned_at(&self) -> Option<DateTime<Utc>> {
        self.detail()?.returned_at
    }

    /// Who took it; none where the person is forgotten.
    async fn signed_by(&self) -> Option<String> {
        self.view
            .open(self.detail()?.signed_by.as_ref())
            .map(|name| name.to_string())
    }

    /// Why it was given up or called off.
    async fn reason(&self) -> Option<String> {
        self.detail()?.reason.as_ref().map(ToString::to_string)
    }

    /// When it was started.
    async fn created_at(&self) -> Option<DateTime<Utc>> {
        self.detail().map(|detail| detail.created_at)
    }

    /// When something happened to it last.
    async fn updated_at(&self) -> Option<DateTime<Utc>> {
        self.detail().map(|detail| detail.updated_at)
    }
}

leaf_enum!(CarrierStatus, ShipmentStatus);

shown!(Tracking, |tracking| {
    carrier: &tracking.carrier,
    service: &tracking.service,
    trackingNumber: &tracking.tracking_number,
    url: &tracking.url,
});

shown!(Parcel, |parcel| {
    number: &parcel.number,
    weightG: &parcel.weight_g,
    lengthMm: &parcel.length_mm,
    widthMm: &parcel.width_mm,
    heightMm: &parcel.height_mm,
    tracking: &parcel.tracking,
    status: &parcel.status,
    failedAttempts: &parcel.failed_attempts,
});

shown!(Shipment, |shipment| {
    id: shipment.shown_id(),
    number: i32::from(shipment.number),
    orderId: ID(shipment.view.detail.id.to_string()),
    version: shipment.detail().map(|detail| detail.version.0),
    status: shipment.shown_status(),
    location: shipment.shown_location(),
    lines: shipment.shown_lines(),
    parcels: shipment.shown_parcels(),
    dispatchedAt: shipment.state().and_then(|state| state.dispatched_at),
    deliveredAt: shipment.detail().and_then(|detail| detail.delivered_at),
    returnedAt: shipment.detail().and_then(|detail| detail.returned_at),
    createdAt: shipment.detail().map(|detail| detail.created_at),
    updatedAt: shipment.detail().map(|detail| detail.updated_at),
});
