//! `order_search`: what an order is found by of the person who ordered, as keyed hashes.
//!
//! The e-mail address as a whole and each word of the name are normalised ([`index`]) and hashed under a key that follows
//! from the master key; nothing else is kept. So an order is found by who knows the value and has the key, and the table
//! alone tells nobody's name. It gives away which orders share a word or an address.
//!
//! The fold reads clear values, opened batch by batch. What can no longer be opened has no hashes, and
//! `order.personal_data_forgotten` empties a row, so that a read model that is built anew equals the live one as soon as
//! the order says that it is forgotten. Between a key's destruction and that event a live row may still have hashes that
//! a new fold has not; [`crate::verify()`] knows that.

mod apply;
pub mod index;
mod query;

pub use apply::OrderSearchProjector;
pub use index::{Index, Terms};
pub(super) use query::push_terms;

/// Its name: of its tables, its checkpoints and in every message.
pub const NAME: &str = "order_search";
