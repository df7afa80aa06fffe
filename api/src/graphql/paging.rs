//! Pages of lists: which part is asked for, and what lies around it.

use async_graphql::connection::PageInfo;
use docket_projections::read_models::list::Part;

use super::{error::Refused, limits};

/// Which part of a list is asked for; `P` is a place in it.
pub(super) struct Window<P> {
    pub(super) from: Option<P>,
    pub(super) limit: usize,
    pub(super) backward: bool,
}

impl<P> Window<P> {
    /// Of the arguments of a connection; `place` reads a cursor of the argument that is named.
    pub(super) fn of(
        first: Option<i32>,
        after: Option<&str>,
        last: Option<i32>,
        before: Option<&str>,
        place: impl Fn(&str, &str) -> Result<P, Refused>,
    ) -> Result<Window<P>, Refused> {
        if (first.is_some() || after.is_some()) && (last.is_some() || before.is_some()) {
            return Err(Refused::bad_input(
                "Page forward with `first` and `after`, or backward with `last` and `before`.",
            ));
        }
        let backward = last.is_some() || before.is_some();
        let named = if backward { last } else { first };
        let limit = page_size(named, if backward { "last" } else { "first" })?;
        let from = match (after, before) {
            (Some(after), _) => Some(place(after, "after")?),
            (None, Some(before)) => Some(place(before, "before")?),
            (None, None) => None,
        };
        Ok(Window {
            from,
            limit,
            backward,
        })
    }

    /// The same for a read model.
    pub(super) fn part(&self) -> Part<'_, P> {
        Part {
            from: self.from.as_ref(),
            limit: self.limit,
            backward: self.backward,
        }
    }

    /// What is counted where somebody asks for the number of all: nothing where the page holds the whole list.
    pub(super) fn counted<F>(&self, has_more: bool, filter: Option<F>) -> Option<F> {
        let is_all = self.from.is_none() && !has_more;
        filter.filter(|_| !is_all)
    }

    /// What lies around a page from its first cursor to its last.
    pub(super) fn page_info(
        &self,
        first: Option<&String>,
        last: Option<&String>,
        has_more: bool,
    ) -> PageInfo {
        PageInfo {
            // There is something behind a cursor that was given: what it was taken from.
            has_previous_page: if self.backward {
                has_more
            } else {
                self.from.is_some()
            },
            has_next_page: if self.backward {
                self.from.is_some()
            } else {
                has_more
            },
            start_cursor: first.cloned(),
            end_cursor: last.cloned(),
        }
    }
}

/// How many items a caller asks for.
pub(super) fn page_size(named: Option<i32>, argument: &str) -> Result<usize, Refused> {
    let size = named.map_or(Some(limits::DEFAULT_PAGE), |size| u32::try_from(size).ok());
    match size {
        Some(size) if size <= limits::MAX_PAGE => Ok(size as usize),
        _ => {
            let limit = limits::MAX_PAGE;
            Err(Refused::bad_input(format!(
                "`{argument}` is between 0 and {limit}, not {}.",
                named.unwrap_or_default()
            )))
        }
    }
}
