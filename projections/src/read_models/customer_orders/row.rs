//! A row of `customer_orders`.

use super::NAME;
use crate::json_table::JsonTable;
use chrono::{DateTime, Utc};
use docket_domain::{Currency, CustomerId, OrderId, order::OrderStatus};
use serde::{Deserialize, Serialize};

pub(super) const TABLE: JsonTable = JsonTable {
    name: NAME,
    key: &[("order_id", "uuid")],
    columns: &[
        "order_id",
        "offset",
        "created_at",
        "placed_at",
        "grand",
        "cancelled_value",
        "captured",
        "refunded",
        "partition",
        "status",
        "currency",
        "customer",
    ],
};

/// An order as far as its customer's sums need it. Amounts are minor units of its currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerOrder {
    /// Which order.
    pub order_id: OrderId,
    /// The partition of the order.
    pub partition: u16,
    /// Of the newest event that it was made of.
    pub offset: i64,
    /// Who buys, where they are known.
    pub customer: Option<CustomerId>,
    /// Of every amount.
    pub currency: Currency,
    /// How far the sale has come.
    pub status: OrderStatus,
    /// What it added up to when it was placed; 0 before.
    pub grand: i64,
    /// What of it was cancelled line by line.
    pub cancelled_value: i64,
    /// What its payments took.
    pub captured: i64,
    /// What they gave back.
    pub refunded: i64,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When it was placed.
    pub placed_at: Option<DateTime<Utc>>,
}
