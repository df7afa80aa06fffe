//! What happened to an order, as a person reads it.
//!
//! The read model keeps facts; the sentence is made here, each time, so that wording changes without a rebuild. Customers
//! read their own order's timeline without what is internal, and without what staff and gateways said in their own words:
//! why they refused or called something off, and who they are.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{
    ID, Object, SimpleObject,
    connection::PageInfo,
    dataloader::{DataLoader, Loader},
};
use chrono::{DateTime, Utc};
use docket_domain::{ActorKind, Money, PaymentId, ShipmentId};
use docket_event_store::{Position as LogPosition, Store};
use docket_projections::{
    Projections,
    read_models::order_timeline::{self, Ask, Entry, Facts, Kind},
};

use crate::graphql::{
    cursor,
    error::Refused,
    limits,
    order::parts::count,
    paging::{Window, page_size},
    position::{self, Position},
    scalars::MoneyValue,
};

/// Reads the timelines of many orders with one statement.
pub(in crate::graphql) struct Timelines {
    store: Store,
    projections: Projections,
}

impl Timelines {
    pub(in crate::graphql) fn loader(store: Store, projections: Projections) -> DataLoader<Timelines> {
        let timelines = Timelines { store, projections };
        DataLoader::new(timelines, tokio::spawn)
            .delay(limits::TIMELINE_DELAY)
            .max_batch_size(limits::MAX_PAGE as usize)
    }
}

impl Loader<Ask> for Timelines {
    type Value = Arc<Vec<Entry>>;
    type Error = Arc<sqlx::Error>;

    async fn load(&self, asks: &[Ask]) -> Result<HashMap<Ask, Arc<Vec<Entry>>>, Arc<sqlx::Error>> {
        let mut connection = self.store.query_connection().await?;
        let serving = self.projections.serving();
        let entries = order_timeline::entries(&mut *connection, &serving, asks).await;
        let entries = connection.finish(entries)?;
        Ok(asks
            .iter()
            .copied()
            .zip(entries.into_iter().map(Arc::new))
            .collect())
    }
}

/// Something that happened to an order.
pub struct TimelineEntry {
    entry: Entry,
    for_customer: bool,
}

/// Something that happened to an order, its payments or its shipments.
#[Object]
impl TimelineEntry {
    /// When it happened in the business.
    async fn at(&self) -> DateTime<Utc> {
        self.entry.at
    }

    /// What it is: the event's type, such as `order.placed`.
    async fn kind(&self) -> &'static str {
        self.entry.kind.as_str()
    }

    /// In words. They may change at any time; what programs read is beside it.
    async fn text(&self) -> String {
        text(self.entry.kind, &self.shown())
    }

    /// Who did it: `customer`, `staff`, `system`, `gateway` or `carrier`.
    async fn actor_kind(&self) -> &'static str {
        self.entry.actor_kind.as_str()
    }

    /// Who did it, where it was not a customer. Not told to customers.
    async fn actor_id(&self) -> Option<&str> {
        self.entry.actor_id.as_deref().filter(|_| !self.for_customer)
    }

    /// Not for the customer.
    async fn internal(&self) -> bool {
        self.entry.internal
    }

    /// The payment that it is about.
    async fn payment_id(&self) -> Option<ID> {
        let is_payment = self.entry.kind.as_str().starts_with("payment.");
        is_payment.then(|| ID(PaymentId::new(self.entry.order_id, self.entry.number).to_string()))
    }

    /// The shipment that it is about.
    async fn shipment_id(&self) -> Option<ID> {
        let is_shipment = self.entry.kind.as_str().starts_with("shipment.");
        let number = if is_shipment {
            Some(self.entry.number)
        } else {
            self.entry.facts.shipment
        };
        number.map(|number| ID(ShipmentId::new(self.entry.order_id, number).to_string()))
    }

    /// How much money.
    async fn amount(&self) -> Option<MoneyValue> {
        let facts = &self.entry.facts;
        Some(MoneyValue::new(facts.amount?, facts.currency?))
    }

    /// How many pieces.
    async fn pieces(&self) -> Option<i32> {
        let lines = &self.entry.facts.lines;
        (!lines.is_empty()).then(|| count(pieces(&self.entry.facts)))
    }

    /// A gateway's name for it. Not told to customers.
    async fn reference(&self) -> Option<String> {
        self.shown().reference.as_ref().map(ToString::to_string)
    }

    /// Why, in somebody's words. Customers are told what they or a carrier said.
    async fn reason(&self) -> Option<String> {
        self.shown().reason.as_ref().map(ToString::to_string)
    }

    /// Who carries the goods.
    async fn carrier(&self) -> Option<String> {
        self.entry.facts.carrier.as_ref().map(ToString::to_string)
    }

    /// The carriers' names for the parcels.
    async fn tracking_numbers(&self) -> Vec<String> {
        self.entry
            .facts
            .tracking_numbers
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// What shows what a detector saw: references and counts.
    async fn evidence(&self) -> Vec<String> {
        self.entry
            .facts
            .evidence
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// Where its event is in the log.
    async fn position(&self) -> Position {
        self.entry.position().into()
    }
}

impl TimelineEntry {
    /// What whoever asks may read of it.
    fn shown(&self) -> Facts {
        let mut facts = self.entry.facts.clone();
        if self.for_customer {
            let theirs = matches!(self.entry.actor_kind, ActorKind::Customer | ActorKind::Carrier);
            if !theirs {
                facts.reason = None;
            }
            (facts.reference, facts.advice) = (None, None);
            if self.entry.kind == Kind::AuthorizationFailed {
                facts.code = None;
            }
        }
        facts
    }
}

/// An entry on a page.
#[derive(SimpleObject)]
pub struct TimelineEdge {
    /// The place of this entry in the timeline.
    pub cursor: String,
    /// The entry.
    pub node: Arc<TimelineEntry>,
}

/// A page of a timeline, as it happened.
#[derive(SimpleObject)]
pub struct TimelineConnection {
    /// The entries with their places.
    pub edges: Vec<TimelineEdge>,
    /// The entries without their places.
    pub nodes: Vec<Arc<TimelineEntry>>,
    /// What lies before and after.
    pub page_info: PageInfo,
}

/// Whose timeline, as of what, and for whom.
pub(super) struct Wanted {
    pub(super) order: docket_domain::OrderId,
    /// The newest event that the order which is shown knows of: the timeline knows as much, and shows no more.
    pub(super) until: LogPosition,
    pub(super) for_customer: bool,
}

pub(super) async fn timeline(
    projections: &Projections,
    loader: &DataLoader<Timelines>,
    wanted: Wanted,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<TimelineConnection, Refused> {
    let window = Window {
        from: after.map(cursor::to_event).transpose()?,
        limit: page_size(first, "first")?,
        backward: false,
    };
    position::wait_for(projections, &[order_timeline::NAME], &[wanted.until]).await?;
    let ask = Ask {
        order: wanted.order,
        after: window.from.unwrap_or(0),
        until: wanted.until.offset,
        limit: u32::try_from(window.limit)
            .unwrap_or(limits::MAX_PAGE)
            .saturating_add(1),
        internal: !wanted.for_customer,
    };
    let entries = loader
        .load_one(ask)
        .await
        .map_err(|error| Refused::of_shared(&error))?;
    let entries = entries.unwrap_or_default();
    let has_more = entries.len() > window.limit;
    let edges: Vec<TimelineEdge> = entries
        .iter()
        .take(window.limit)
        .map(|entry| TimelineEdge {
            cursor: cursor::of_event(entry.offset),
            node: Arc::new(TimelineEntry {
                entry: entry.clone(),
                for_customer: wanted.for_customer,
            }),
        })
        .collect();
    let page_info = window.page_info(
        edges.first().map(|edge| &edge.cursor),
        edges.last().map(|edge| &edge.cursor),
        has_more,
    );
    Ok(TimelineConnection {
        nodes: edges.iter().map(|edge| Arc::clone(&edge.node)).collect(),
        edges,
        page_info,
    })
}

fn pieces(facts: &Facts) -> u64 {
    facts
        .lines
        .iter()
        .map(|line| u64::from(line.quantity.get()))
        .sum()
}

/// `3 pieces`.
fn some_pieces(facts: &Facts) -> String {
    match pieces(facts) {
        1 => "1 piece".into(),
        number => format!("{number} pieces"),
    }
}

fn money(amount: Option<i64>, facts: &Facts) -> String {
    match (amount, facts.currency) {
        (Some(amount), Some(currency)) => Money::new(amount, currency).to_string(),
        _ => "an unknown amount".into(),
    }
}

/// A value after some words, where it is there.
fn with(words: &str, value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| format!("{words}{}", value.to_string()))
}

/// In plain words, as a sentence.
fn text(kind: Kind, facts: &Facts) -> String {
    match kind.as_str().split_once('.') {
        Some(("payment", _)) => of_payment(kind, facts),
        Some(("shipment", _)) => of_shipment(kind, facts),
        _ => of_order(kind, facts),
    }
}

fn of_order(kind: Kind, facts: &Facts) -> String {
    let amount = money(facts.amount, facts);
    let why = with(": ", facts.reason.as_ref());
    let (from, to) = facts.quantities.unwrap_or_default();
    let line = facts.line.unwrap_or_default();
    let code = facts.code.as_ref().map_or("unknown", |code| code.as_str());
    match kind {
        Kind::Drafted => format!("The order was begun through {code}."),
        Kind::LineAdded => format!(
            "{to} x {} at {amount} was added.",
            facts.sku.as_ref().map_or("?", |sku| sku.as_str())
        ),
        Kind::LineQuantityChanged if to == 0 => format!("Line {line} was taken out."),
        Kind::LineQuantityChanged => format!("The quantity of line {line} was changed from {from} to {to}."),
        Kind::DetailsSet => format!("Details were set{}.", with("; shipping by ", facts.code.as_ref())),
        Kind::Abandoned => format!(
            "Nobody worked on the draft; reminder {}.",
            facts.ordinal.unwrap_or_default()
        ),
        Kind::Flagged => format!("A detector flagged the order ({}).", code.replace('_', " ")),
        Kind::ReturnRequested => format!("A return of {} was requested.", some_pieces(facts)),
        Kind::ReturnReceived => format!("{} came back; {amount} is due.", some_pieces(facts)),
        Kind::Placed => format!(
            "The order was placed for {amount}{}.",
            with(" as number ", facts.order_number)
        ),
        Kind::AddressCorrected => format!("The {code} address was corrected."),
        Kind::Confirmed => "The order was confirmed.".into(),
        Kind::HoldPlaced => format!("The order was put on hold ({code})."),
        Kind::HoldReleased => format!("A hold was released ({code})."),
        Kind::PersonalDataForgotten => "The personal data was forgotten.".into(),
        Kind::LinesCancelled => format!("{} worth {amount} were cancelled{why}.", some_pieces(facts)),
        Kind::Cancelled => format!("The order was cancelled{why}."),
        Kind::Expired => "The order expired unpaid.".into(),
        Kind::FulfillmentAllocated => format!(
            "{} were set aside for shipment {}.",
            some_pieces(facts),
            facts.shipment.unwrap_or_default()
        ),
        Kind::FulfillmentReleased => format!(
            "{} of shipment {} were given back.",
            some_pieces(facts),
            facts.shipment.unwrap_or_default()
        ),
        Kind::Completed => "The order was completed.".into(),
        other => format!("{other}."),
    }
}

fn of_payment(kind: Kind, facts: &Facts) -> String {
    let amount = money(facts.amount, facts);
    let why = with(": ", facts.reason.as_ref());
    let code = with(" (", facts.code.as_ref().map(|code| format!("{code})")));
    let reference = with(", reference ", facts.reference.as_ref());
    match kind {
        Kind::PaymentInitiated => format!(
            "A payment of {amount} was started{}.",
            with(" through ", facts.gateway.as_ref())
        ),
        Kind::ActionRequired => format!("The payer has to do something{code}."),
        Kind::Authorized => format!("{amount} was authorized{reference}."),
        Kind::AuthorizationFailed => format!(
            "The payment was declined{code}{}.",
            with("; advice: ", facts.advice.as_ref())
        ),
        Kind::AuthorizationAdjusted => {
            format!(
                "The authorization was changed from {} to {amount}.",
                money(facts.before, facts)
            )
        }
        Kind::AuthorizationExpired => format!("The authorization of {amount} expired."),
        Kind::CaptureRequested => format!("A capture of {amount} was requested."),
        Kind::Captured => format!("{amount} was captured{reference}."),
        Kind::CaptureFailed => format!("The capture of {amount} failed{code}."),
        Kind::Voided => format!("The payment was voided; {amount} was let go{why}."),
        Kind::RefundRequested => format!("A refund of {amount} was requested{why}."),
        Kind::Refunded => format!("{amount} was refunded{reference}."),
        Kind::DisputeOpened => format!("The payer disputes {amount}{code}."),
        Kind::DisputeClosed => format!("The dispute over {amount} was closed{code}."),
        Kind::RefundFailed => format!("The refund of {amount} failed{code}."),
        other => format!("{other}."),
    }
}

fn of_shipment(kind: Kind, facts: &Facts) -> String {
    let why = with(": ", facts.reason.as_ref());
    let carrier = with(" with ", facts.carrier.as_ref());
    let numbers: Vec<&str> = facts
        .tracking_numbers
        .iter()
        .map(|number| number.as_str())
        .collect();
    let numbers = with(", tracking ", (!numbers.is_empty()).then(|| numbers.join(", ")));
    let ordinal = facts.ordinal.unwrap_or_default();
    match kind {
        Kind::ShipmentCreated => format!(
            "A shipment of {} was started{}.",
            some_pieces(facts),
            with(" at ", facts.location.as_ref())
        ),
        Kind::LabelPurchased => format!("Labels were bought{carrier}{numbers}."),
        Kind::Dispatched => format!("The shipment was dispatched{carrier}{numbers}."),
        Kind::TrackingUpdated => format!(
            "Parcel {ordinal}: {}.",
            facts
                .code
                .as_ref()
                .map_or("unknown", |code| code.as_str())
                .replace('_', " ")
        ),
        Kind::DeliveryAttemptFailed => format!("Delivery attempt {ordinal} failed{why}."),
        Kind::Delivered => "The shipment was delivered.".into(),
        Kind::Returned => "The shipment is on its way back.".into(),
        Kind::ShipmentFailed => format!("The shipment was given up{why}."),
        Kind::ShipmentCancelled => format!("The shipment was cancelled{why}."),
        other => format!("{other}."),
    }
}

#[cfg(test)]
mod tests {
    use super::{Facts, Kind, text};

    #[test]
    fn every_kind_has_a_sentence() {
        for kind in Kind::ALL {
            let text = text(*kind, &Facts::default());
            assert!(
                text.ends_with('.') && text != format!("{kind}."),
                "{kind}: {text}"
            );
        }
    }
}
