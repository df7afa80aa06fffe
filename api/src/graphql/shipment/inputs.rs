//! What mutations of a shipment take. The fields are those of the commands' JSON form.

use async_graphql::{Enum, ID, InputObject};
use chrono::{DateTime, Utc};
use docket_domain::shipment as domain;
use serde::Serialize;

use crate::graphql::{
    command::asks,
    order::inputs::{AddressInput, LineQuantityInput},
    scalars::MoneyInput,
};

asks! {
    CreateShipmentInput => domain::CreateShipment, "CreateShipmentPayload", required;
    BuyLabelInput => domain::BuyLabel, "BuyLabelPayload", optional;
    DispatchShipmentInput => domain::DispatchShipment, "DispatchShipmentPayload", optional;
    RecordTrackingInput => domain::RecordTracking, "RecordTrackingPayload", optional;
    MarkShipmentFailedInput => domain::MarkShipmentFailed, "MarkShipmentFailedPayload", optional;
    CancelShipmentInput => domain::CancelShipment, "CancelShipmentPayload", optional;
}

/// What a carrier says of a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[graphql(remote = "docket_domain::shipment::CarrierStatus")]
#[serde(rename_all = "snake_case")]
pub enum CarrierStatus {
    /// Nothing that we understand.
    Unknown,
    /// Announced.
    PreTransit,
    /// On its way.
    InTransit,
    /// On its last stretch.
    OutForDelivery,
    /// Waiting to be fetched.
    AvailableForPickup,
    /// There.
    Delivered,
    /// Coming back.
    ReturnToSender,
    /// Something went wrong.
    Failure,
}

/// How a parcel is followed.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackingInput {
    /// Who carries it.
    pub carrier: String,
    /// How fast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The carrier's name for it.
    pub tracking_number: String,
    /// Where a person can look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A parcel as it is asked for.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParcelInput {
    /// In grams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_g: Option<i32>,
    /// In millimetres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length_mm: Option<i32>,
    /// In millimetres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width_mm: Option<i32>,
    /// In millimetres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height_mm: Option<i32>,
    /// How it is followed.
    pub tracking: TrackingInput,
}

/// Starts a shipment of what was allocated to it.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateShipmentInput {
    /// As the allocation named it: `<order>-s1`.
    pub shipment: ID,
    /// Where the goods lie.
    pub location: String,
    /// Where they go; the order's shipping address where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ship_to: Option<AddressInput>,
    /// What goes; all that was allocated where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<LineQuantityInput>>,
    /// The version that the order's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: String,
}

/// Puts labels on a shipment's parcels.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuyLabelInput {
    /// This shipment: `<order>-s1`.
    pub shipment: ID,
    /// At least one; they are numbered in the order given.
    pub parcels: Vec<ParcelInput>,
    /// What the labels cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<MoneyInput>,
    /// The version that the shipment's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Hands a shipment to its carrier.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DispatchShipmentInput {
    /// This shipment: `<order>-s1`.
    pub shipment: ID,
    /// The version that the shipment's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Records what a carrier said of a parcel.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordTrackingInput {
    /// This shipment: `<order>-s1`.
    pub shipment: ID,
    /// Which parcel, by its number.
    pub parcel: i32,
    /// What the carrier said.
    pub status: CarrierStatus,
    /// The carrier's name for the scan: the same one again is nothing new.
    pub carrier_event_id: String,
    /// The carrier's time.
    pub at: DateTime<Utc>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Why a delivery failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// The version that the shipment's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Calls off a shipment that is not dispatched.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelShipmentInput {
    /// This shipment: `<order>-s1`.
    pub shipment: ID,
    /// Why.
    pub reason: String,
    /// The version that the shipment's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}

/// Gives up a shipment that is under way.
#[derive(Debug, InputObject, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MarkShipmentFailedInput {
    /// This shipment: `<order>-s1`.
    pub shipment: ID,
    /// Why.
    pub reason: String,
    /// The version that the shipment's stream must have.
    #[serde(skip)]
    pub expected_version: Option<i32>,
    /// Your name for this request, at most 255 bytes: the same again is answered, not done again.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
}
