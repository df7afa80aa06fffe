//! `payment_ledger`: the money, by payment and by day.
//!
//! A payment's row follows from its state in the domain. What moved on a day is the difference that each event makes to
//! the amounts of its payment, so the days are not a second account by other rules: they can differ from the payments only
//! by a fault, which is what [`drift`] measures. It must be 0. Both are written by one fold in one statement, and read in
//! one, so it is 0 at any moment and not only at rest.
//!
//! A day's rows are sums of many orders. The partition is in their key, and a query adds them up.

mod apply;
mod days;
mod payments;
mod query;

pub use apply::{LedgerEntity, LedgerKey, PaymentLedgerProjector};
pub use days::{Day, Movement};
pub use payments::LedgerPayment;
pub use query::{DayTotals, Drift, Filter, Sort, SortField, count, days, drift, page};

/// Its name: of its tables, its checkpoints and in every message.
pub const NAME: &str = "payment_ledger";
