//! How many there are of something.

use async_graphql::{Enum, SimpleObject};
use docket_projections::read_models::list;

/// How many there are of something. Counting stops at a limit, because a list may have millions.
#[derive(Clone, Copy, Debug, SimpleObject)]
pub struct Count {
    /// How many were counted, at most 10,000.
    pub count: i32,
    /// Whether that is all.
    pub precision: CountPrecision,
}

/// What a count says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum CountPrecision {
    /// There are so many.
    Exact,
    /// There are more than so many.
    AtLeast,
}

impl Count {
    /// Of a list that is on one page.
    pub(super) fn on_page(items: usize) -> Count {
        Count {
            // A page has at most a hundred.
            count: i32::try_from(items).unwrap_or(i32::MAX),
            precision: CountPrecision::Exact,
        }
    }
}

impl From<list::Count> for Count {
    fn from(counted: list::Count) -> Count {
        Count {
            count: i32::try_from(counted.rows).unwrap_or(i32::MAX),
            precision: if counted.has_more {
                CountPrecision::AtLeast
            } else {
                CountPrecision::Exact
            },
        }
    }
}
