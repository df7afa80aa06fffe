//! A row of `order_summary` and its way to and from the table.

use crate::{
    projector::{Column, PgQuery},
    read_models::{
        axes::{FulfillmentStatus, OrderPaymentStatus, Sums},
        stored::{json_column, parse, to_json, unknown},
    },
};
use chrono::{DateTime, Utc};
use docket_domain::{
    Currency, CustomerId, OrderId, OrderNumber, Version,
    order::{Order, OrderStatus, Totals},
    payment::Payment,
    shipment::Shipment,
    text::Code,
};
use docket_event_store::{Origin, Position};
use serde::{Deserialize, Serialize};
use sqlx::{Row, postgres::PgRow};
use std::{collections::BTreeMap, sync::Arc};

/// The table's columns in the order of their arguments.
pub(super) const COLUMNS: &[Column] = &[
    ("order_id", "uuid"),
    ("offset", "bigint"),
    ("created_at", "timestamptz"),
    ("updated_at", "timestamptz"),
    ("placed_at", "timestamptz"),
    ("confirmed_at", "timestamptz"),
    ("completed_at", "timestamptz"),
    ("cancelled_at", "timestamptz"),
    ("expired_at", "timestamptz"),
    ("number", "bigint"),
    ("subtotal", "bigint"),
    ("discount", "bigint"),
    ("shipping", "bigint"),
    ("tax", "bigint"),
    ("grand", "bigint"),
    ("cancelled_value", "bigint"),
    ("authorized", "bigint"),
    ("captured", "bigint"),
    ("refunded", "bigint"),
    ("voided", "bigint"),
    ("expired", "bigint"),
    ("pieces", "bigint"),
    ("version", "integer"),
    ("lines", "integer"),
    ("payments", "integer"),
    ("shipments", "integer"),
    ("partition", "smallint"),
    ("on_hold", "boolean"),
    ("origin", "\"char\""),
    ("status", "text"),
    ("payment_status", "text"),
    ("fulfillment_status", "text"),
    ("currency", "text"),
    ("channel", "text"),
    ("customer", "text"),
    ("facts", "json"),
];

/// Columns without the fold's own: what queries read.
pub(super) const SHOWN: usize = COLUMNS.len() - 1;

/// An order as lists show it. Amounts are minor units of its currency; times are those of the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderSummary {
    /// Which order.
    pub id: OrderId,
    /// The newest event of the order, its payments and its shipments.
    pub position: Position,
    /// Of the order's own stream.
    pub version: Version,
    /// Where its first event came from.
    pub origin: Origin,
    /// What people call it by, once placed.
    pub number: Option<OrderNumber>,
    /// How far the sale has come.
    pub status: OrderStatus,
    /// How far its payments have come.
    pub payment_status: OrderPaymentStatus,
    /// How far its shipments have come.
    pub fulfillment_status: FulfillmentStatus,
    /// It is stopped.
    pub on_hold: bool,
    /// Who buys, where they are known.
    pub customer: Option<CustomerId>,
    /// Where it comes from.
    pub channel: Code,
    /// Of every amount.
    pub currency: Currency,
    /// What it adds up to: as placed, or, in a draft, now.
    pub totals: Totals,
    /// What the customer need not pay of it.
    pub cancelled_value: i64,
    /// The sums over its payments; `captured` is what was paid.
    pub sums: Sums,
    /// Lines.
    pub lines: u32,
    /// Pieces of all lines.
    pub pieces: u64,
    /// Payments that were started.
    pub payments: u32,
    /// Shipments that were started.
    pub shipments: u32,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When something happened to it last.
    pub updated_at: DateTime<Utc>,
    /// When it was placed.
    pub placed_at: Option<DateTime<Utc>>,
    /// When it was confirmed.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// When it was completed.
    pub completed_at: Option<DateTime<Utc>>,
    /// When it was called off.
    pub cancelled_at: Option<DateTime<Utc>>,
    /// When it expired.
    pub expired_at: Option<DateTime<Utc>>,
}

/// The domain's states as far as the row follows from them: no address, name, note, tracking or token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) order: Order,
    pub(super) payments: BTreeMap<u16, Payment>,
    pub(super) shipments: BTreeMap<u16, Shipment>,
}

/// A row with what the fold needs to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    pub(super) row: OrderSummary,
    pub(super) facts: Facts,
}

/// Counts of things in an order are far below 2^31.
fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Binds one array a column, in the order of [`COLUMNS`].
pub(super) fn bind<'q>(
    query: PgQuery<'q>,
    entities: &[(OrderId, Arc<Entity>)],
) -> Result<PgQuery<'q>, sqlx::Error> {
    fn all<T>(entities: &[(OrderId, Arc<Entity>)], value: impl Fn(&OrderSummary) -> T) -> Vec<T> {
        entities.iter().map(|(_, entity)| value(&entity.row)).collect()
    }
    let text = |value: &dyn Fn(&OrderSummary) -> &str| all(entities, |row| value(row).to_owned());
    let facts: Vec<String> = entities
        .iter()
        .map(|(_, e)| to_json(&e.facts))
        .collect::<Result<_, _>>()?;
    Ok(query
        .bind(all(entities, |row| row.id.0))
        .bind(all(entities, |row| row.position.offset))
        .bind(all(entities, |row| row.created_at))
        .bind(all(entities, |row| row.updated_at))
        .bind(all(entities, |row| row.placed_at))
        .bind(all(entities, |row| row.confirmed_at))
        .bind(all(entities, |row| row.completed_at))
        .bind(all(entities, |row| row.cancelled_at))
        .bind(all(entities, |row| row.expired_at))
        .bind(all(entities, |row| row.number.map(|number| number.0)))
        .bind(all(entities, |row| row.totals.subtotal))
        .bind(all(entities, |row| row.totals.discount))
        .bind(all(entities, |row| row.totals.shipping))
        .bind(all(entities, |row| row.totals.tax))
        .bind(all(entities, |row| row.totals.grand))
        .bind(all(entities, |row| row.cancelled_value))
        .bind(all(entities, |row| row.sums.authorized))
        .bind(all(entities, |row| row.sums.captured))
        .bind(all(entities, |row| row.sums.refunded))
        .bind(all(entities, |row| row.sums.voided))
        .bind(all(entities, |row| row.sums.expired))
        .bind(all(entities, |row| i64::try_from(row.pieces).unwrap_or(i64::MAX)))
        .bind(all(entities, |row| row.version.0))
        .bind(all(entities, |row| count(row.lines)))
        .bind(all(entities, |row| count(row.payments)))
        .bind(all(entities, |row| count(row.shipments)))
        .bind(all(entities, |row| row.position.partition as i16))
        .bind(all(entities, |row| row.on_hold))
        .bind(all(entities, |row| row.origin.code()))
        .bind(text(&|row| row.status.as_str()))
        .bind(text(&|row| row.payment_status.as_str()))
        .bind(text(&|row| row.fulfillment_status.as_str()))
        .bind(text(&|row| row.currency.code()))
        .bind(text(&|row| row.channel.as_str()))
        .bind(all(entities, |row| {
            row.customer.as_ref().map(|customer| customer.as_str().to_owned())
        }))
        .bind(facts))
}

/// Reads a row of the shown columns.
pub(super) fn read(row: &PgRow) -> Result<OrderSummary, sqlx::Error> {
    let number = |index: &str| row.try_get::<i64, _>(index);
    let counted = |index: &str| Ok::<_, sqlx::Error>(row.try_get::<i32, _>(index)?.unsigned_abs());
    let totals = Totals {
        subtotal: number("subtotal")?,
        discount: number("discount")?,
        shipping: number("shipping")?,
        tax: number("tax")?,
        grand: number("grand")?,
    };
    let (authorized, captured) = (number("authorized")?, number("captured")?);
    let (voided, expired) = (number("voided")?, number("expired")?);
    let capturable = authorized
        .saturating_sub(captured)
        .saturating_sub(voided)
        .saturating_sub(expired);
    let payment_status: &str = row.try_get("payment_status")?;
    let fulfillment_status: &str = row.try_get("fulfillment_status")?;
    Ok(OrderSummary {
        id: OrderId(row.try_get("order_id")?),
        position: Position {
            partition: row.try_get::<i16, _>("partition")? as u16,
            offset: number("offset")?,
        },
        version: Version(row.try_get("version")?),
        origin: Origin::from_code(row.try_get("origin")?)?,
        number: row.try_get::<Option<i64>, _>("number")?.map(OrderNumber),
        status: read_status(row.try_get("status")?)?,
        payment_status: OrderPaymentStatus::from_word(payment_status)
            .ok_or_else(|| unknown(payment_status, "a payment status"))?,
        fulfillment_status: FulfillmentStatus::from_word(fulfillment_status)
            .ok_or_else(|| unknown(fulfillment_status, "a fulfilment status"))?,
        on_hold: row.try_get("on_hold")?,
        customer: match row.try_get::<Option<&str>, _>("customer")? {
            Some(customer) => Some(parse(customer, "a customer's id")?),
            None => None,
        },
        channel: parse(row.try_get("channel")?, "a channel")?,
        currency: parse(row.try_get("currency")?, "a currency")?,
        totals,
        cancelled_value: number("cancelled_value")?,
        sums: Sums {
            authorized,
            captured,
            refunded: number("refunded")?,
            voided,
            expired,
            capturable,
        },
        lines: counted("lines")?,
        pieces: number("pieces")?.unsigned_abs(),
        payments: counted("payments")?,
        shipments: counted("shipments")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        placed_at: row.try_get("placed_at")?,
        confirmed_at: row.try_get("confirmed_at")?,
        completed_at: row.try_get("completed_at")?,
        cancelled_at: row.try_get("cancelled_at")?,
        expired_at: row.try_get("expired_at")?,
    })
}

/// Reads a row with the fold's own column.
pub(super) fn read_entity(row: &PgRow) -> Result<Entity, sqlx::Error> {
    Ok(Entity {
        row: read(row)?,
        facts: json_column(row, "facts")?,
    })
}

fn read_status(word: &str) -> Result<OrderStatus, sqlx::Error> {
    use OrderStatus::{Cancelled, Completed, Confirmed, Draft, Expired, Placed};
    let all = [Draft, Placed, Confirmed, Completed, Expired, Cancelled];
    all.into_iter()
        .find(|status| status.as_str() == word)
        .ok_or_else(|| unknown(word, "an order's status"))
}

/// Every column as text.
pub(super) fn columns(entity: &Entity) -> Vec<(&'static str, String)> {
    let row = &entity.row;
    let number = row
        .number
        .map_or_else(|| NULL.to_owned(), |number| number.0.to_string());
    let customer = row.customer.as_ref().map_or(NULL, |customer| customer.as_str());
    let facts = to_json(&entity.facts).unwrap_or_else(|error| error.to_string());
    let mut columns = vec![
        ("order_id", row.id.to_string()),
        ("partition", row.position.partition.to_string()),
        ("offset", row.position.offset.to_string()),
        ("version", row.version.to_string()),
        ("origin", row.origin.as_str().to_owned()),
        ("number", number),
        ("status", row.status.to_string()),
        ("payment_status", row.payment_status.to_string()),
        ("fulfillment_status", row.fulfillment_status.to_string()),
        ("on_hold", row.on_hold.to_string()),
        ("customer", customer.to_owned()),
        ("channel", row.channel.as_str().to_owned()),
        ("currency", row.currency.to_string()),
        ("facts", facts),
    ];
    let numbers = numbers(row)
        .into_iter()
        .map(|(column, number)| (column, number.to_string()));
    let shown = |time: Option<DateTime<Utc>>| time.map_or_else(|| NULL.to_owned(), |time| time.to_rfc3339());
    columns.extend(numbers);
    columns.extend(times(row).map(|(column, time)| (column, shown(time))));
    columns
}

const NULL: &str = "null";

fn numbers(row: &OrderSummary) -> [(&'static str, i128); 15] {
    [
        ("subtotal", row.totals.subtotal.into()),
        ("discount", row.totals.discount.into()),
        ("shipping", row.totals.shipping.into()),
        ("tax", row.totals.tax.into()),
        ("grand", row.totals.grand.into()),
        ("cancelled_value", row.cancelled_value.into()),
        ("authorized", row.sums.authorized.into()),
        ("captured", row.sums.captured.into()),
        ("refunded", row.sums.refunded.into()),
        ("voided", row.sums.voided.into()),
        ("expired", row.sums.expired.into()),
        ("lines", row.lines.into()),
        ("pieces", row.pieces.into()),
        ("payments", row.payments.into()),
        ("shipments", row.shipments.into()),
    ]
}

fn times(row: &OrderSummary) -> impl Iterator<Item = (&'static str, Option<DateTime<Utc>>)> {
    [
        ("created_at", Some(row.created_at)),
        ("updated_at", Some(row.updated_at)),
        ("placed_at", row.placed_at),
        ("confirmed_at", row.confirmed_at),
        ("completed_at", row.completed_at),
        ("cancelled_at", row.cancelled_at),
        ("expired_at", row.expired_at),
    ]
    .into_iter()
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, columns};
    use crate::interleaving::any_summary;
    use std::collections::BTreeSet;

    #[test]
    fn every_column_of_the_table_is_compared() {
        let compared: BTreeSet<_> = columns(&any_summary())
            .into_iter()
            .map(|(column, _)| column)
            .collect();
        assert_eq!(compared, COLUMNS.iter().map(|(column, _)| *column).collect());
    }
}
