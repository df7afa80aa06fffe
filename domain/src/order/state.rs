//! An order as far as decisions need it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::{Flagged, HoldReason, ReceivedLine, ReturnLine, ShippingMethod};
use super::line::{Line, Totals};
use crate::address::Address;
use crate::ids::{LineId, OrderNumber, ReturnId};
use crate::money::{Currency, MoneyError};
use crate::personal::Personal;
use crate::quantity::LineQuantity;
use crate::subject::{CustomerId, Subject};
use crate::text::{Code, Email, Locale, Name, Note};

/// How far the sale has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// There is no such order.
    #[default]
    Missing,
    /// Being put together.
    Draft,
    /// The customer is committed.
    Placed,
    /// The shop is committed.
    Confirmed,
    /// Delivered and settled.
    Completed,
    /// Not paid in time.
    Expired,
    /// Called off.
    Cancelled,
}

impl OrderStatus {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            OrderStatus::Missing => "missing",
            OrderStatus::Draft => "draft",
            OrderStatus::Placed => "placed",
            OrderStatus::Confirmed => "confirmed",
            OrderStatus::Completed => "completed",
            OrderStatus::Expired => "expired",
            OrderStatus::Cancelled => "cancelled",
        }
    }
}

impl std::fmt::Display for OrderStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A line with what became of its pieces. What is neither cancelled nor allocated is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// As it is sold.
    pub line: Line,
    /// Pieces that will not be delivered.
    pub cancelled: u32,
    /// Pieces set aside for shipments.
    pub allocated: u32,
    /// Pieces that came back from the customer.
    #[serde(default, skip_serializing_if = "is_none")]
    pub returned: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(pieces: &u32) -> bool {
    *pieces == 0
}

impl OrderLine {
    /// Pieces that are neither cancelled nor allocated.
    pub fn open(&self) -> u32 {
        self.line
            .quantity
            .get()
            .saturating_sub(self.cancelled)
            .saturating_sub(self.allocated)
    }

    /// What the customer paid for `pieces` that come back after `before` others. Pieces come back from the line's end, as
    /// they are cancelled from its beginning, so that whatever is cancelled and returned, in whatever order, is worth
    /// together what the line costs.
    pub fn value_returned(&self, before: u32, pieces: u32) -> Result<i64, MoneyError> {
        let rest = self.line.quantity.get().saturating_sub(before);
        let above = self.line.value_of(rest)?;
        let below = self.line.value_of(rest.saturating_sub(pieces))?;
        above.checked_sub(below).ok_or(MoneyError::Overflow)
    }
}

/// What is set aside for one shipment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// Which pieces; those that were given back while a shipment held the others are not among them.
    pub lines: Vec<LineQuantity>,
    /// All of it was given back.
    pub released: bool,
}

/// What the customer sends back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    /// Which pieces were to come, and why.
    pub lines: Vec<ReturnLine>,
    /// What the customer is to get: for all of them, or, once it is received, for those that came.
    pub refund_due: i64,
    /// Which came, and how; none before it is received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<Vec<ReceivedLine>>,
}

/// A draft's rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idle {
    /// When somebody worked on it last.
    #[serde(with = "crate::instant")]
    pub since: DateTime<Utc>,
    /// How often its customer was reminded.
    #[serde(default)]
    pub reminders: u8,
    /// When they were reminded last.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::instant::option"
    )]
    pub reminded_at: Option<DateTime<Utc>>,
}

/// An order's state: the fold of its stream. The default is an order that does not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// How far the sale has come.
    pub status: OrderStatus,
    /// Whose personal data it holds; there from the first event on.
    pub subject: Option<Subject>,
    /// Who buys, where they are known.
    pub customer: Option<CustomerId>,
    /// What they are called.
    pub name: Option<Personal<Name>>,
    /// Where mail reaches them.
    pub email: Option<Personal<Email>>,
    /// Where a call reaches them.
    pub phone: Option<Personal<Code>>,
    /// Where it comes from; there from the first event on.
    pub channel: Option<Code>,
    /// Of every amount; there from the first event on.
    pub currency: Option<Currency>,
    /// The customer's language; there from the first event on.
    pub locale: Option<Locale>,
    /// By line number, ascending.
    pub lines: Vec<OrderLine>,
    /// The number of the last line that was added, removed ones included.
    pub last_line: u16,
    /// Where the goods go.
    pub shipping_address: Option<Address>,
    /// Where the bill goes.
    pub billing_address: Option<Address>,
    /// How the goods go.
    pub shipping_method: Option<ShippingMethod>,
    /// What the customer wishes.
    pub note: Option<Personal<Note>>,
    /// What people call it by, once placed.
    pub number: Option<OrderNumber>,
    /// What it added up to when it was placed.
    pub totals: Totals,
    /// What the customer need not pay of it, because it was cancelled.
    pub cancelled_value: i64,
    /// When it expires unless it is paid, once placed.
    #[serde(default, with = "crate::instant::option")]
    pub payment_due_at: Option<DateTime<Utc>>,
    /// Why it is stopped; empty where it is not.
    pub holds: BTreeSet<HoldReason>,
    /// How many payments were started: they are numbered from 1 to this.
    pub payments: u16,
    /// What is set aside, by shipment number, dense from 1.
    pub allocations: BTreeMap<u16, Allocation>,
    /// Its subject's key was destroyed.
    pub forgotten: bool,
    /// What comes or came back, by number, dense from 1.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub returns: BTreeMap<ReturnId, Return>,
    /// What detectors noticed, in the order of time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flagged>,
    /// How long nobody has worked on it; only while it is a draft.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Idle>,
}

impl Order {
    /// Whether its stream has any event.
    pub fn exists(&self) -> bool {
        self.status != OrderStatus::Missing
    }

    /// A line by its number.
    pub fn line(&self, id: LineId) -> Option<&OrderLine> {
        self.lines.iter().find(|line| line.line.id == id)
    }

    /// Pieces of a line that are to come back and have not yet.
    pub fn return_pending(&self, id: LineId) -> u32 {
        let open = self.returns.values().filter(|back| back.received.is_none());
        open.flat_map(|back| &back.lines)
            .filter(|pieces| pieces.line == id)
            .fold(0u32, |sum, pieces| sum.saturating_add(pieces.quantity.get()))
    }

    /// What the customer owes for it in all: the grand total without what was cancelled.
    pub fn due(&self) -> i64 {
        self.totals.grand.saturating_sub(self.cancelled_value)
    }

    /// What it adds up to now: as placed, or, in a draft, of the lines as they are.
    pub fn totals_now(&self) -> Result<Totals, MoneyError> {
        if self.number.is_some() {
            return Ok(self.totals);
        }
        let shipping = self.shipping_method.as_ref().map_or(0, |method| method.price);
        Totals::of(self.lines.iter().map(|line| &line.line), shipping)
    }

    /// The numbers of its payments.
    pub fn payment_numbers(&self) -> impl Iterator<Item = u16> + use<> {
        1..=self.payments
    }

    /// The numbers of its shipments, started or not.
    pub fn shipment_numbers(&self) -> impl Iterator<Item = u16> + '_ {
        self.allocations.keys().copied()
    }

    /// About how much memory it holds, for a cache that counts bytes.
    pub fn approximate_bytes(&self) -> usize {
        let text = |text: &str| text.len() + 16;
        let lines = self.lines.iter().map(|line| {
            size_of::<OrderLine>() + text(line.line.sku.as_str()) + text(line.line.name.as_str())
        });
        let allocations = self.allocations.values().map(|allocation| {
            64 + size_of::<Allocation>() + allocation.lines.len() * size_of::<LineQuantity>()
        });
        let returns = self.returns.values().map(|back| {
            64 + size_of::<Return>()
                + back.lines.len() * size_of::<ReturnLine>()
                + back.received.as_ref().map_or(0, Vec::len) * size_of::<ReceivedLine>()
        });
        let flags = self.flags.iter().map(|flag| {
            let evidence = flag.evidence.iter().map(|evidence| 32 + text(evidence.as_str()));
            64 + size_of::<Flagged>() + evidence.sum::<usize>()
        });
        let addresses = [&self.shipping_address, &self.billing_address]
            .into_iter()
            .flatten();
        let note = self.note.as_ref().map_or(0, Personal::approximate_bytes);
        size_of::<Self>()
            + 256
            + note
            + lines.sum::<usize>()
            + allocations.sum::<usize>()
            + returns.sum::<usize>()
            + flags.sum::<usize>()
            + addresses.map(Address::approximate_bytes).sum::<usize>()
    }
}
