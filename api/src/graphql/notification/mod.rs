//! What people were told of their orders: an inbox to page through, and a stream that goes on from it.

pub(super) mod queries;
pub(super) mod subscriptions;
pub(super) mod types;

use docket_domain::{Actor, CustomerId, Subject};

use super::{
    error::{Refused, sentence},
    order::view::only_customer,
};
use crate::http::code;

/// Whose notifications are asked for: customers have their own, everybody else names somebody.
fn recipient(actor: &Actor, named: Option<&str>) -> Result<Subject, Refused> {
    let named: Option<Subject> = named
        .map(|named| {
            named
                .parse()
                .map_err(|error| Refused::bad_input(sentence(&error)))
        })
        .transpose()?;
    let Some(own) = only_customer(actor) else {
        let nobody = || {
            Refused::bad_input("Say whose notifications: `recipient` is `customer:<id>` or `order:<uuid>`.")
        };
        return named.ok_or_else(nobody);
    };
    // A token's actor is not always a customer's id that could have an order; then nothing is theirs.
    let own = CustomerId::try_new(own).map_err(|error| Refused::bad_input(sentence(&error)))?;
    let own = Subject::Customer(own);
    if named.is_some_and(|named| named != own) {
        return Err(Refused::new(
            code::FORBIDDEN,
            "Customers see their own notifications.",
        ));
    }
    Ok(own)
}
