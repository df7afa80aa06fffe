//! An order as it is answered: its document, and what opens the personal values in it.
//!
//! Rows and folds hold personal values sealed. They are opened here, for all orders of an answer with one statement at
//! most; a value whose key was destroyed opens as none, and nothing tells it from one that never was but `forgotten`.

use std::sync::Arc;

use docket_domain::{Actor, Personal, Role, SealedValue, access};
use docket_event_store::{Opener, Store};
use docket_projections::read_models::order_detail::OrderDetail;
use serde::de::DeserializeOwned;

use crate::graphql::error::Refused;

/// An order with its payments and shipments, and the keys to what is personal.
pub struct OrderView {
    /// The document.
    pub(in crate::graphql) detail: OrderDetail,
    opener: Arc<Opener>,
}

impl OrderView {
    /// A document with its keys: one statement at most.
    pub(in crate::graphql) async fn unsealed(
        store: &Store,
        detail: OrderDetail,
    ) -> Result<Arc<OrderView>, Refused> {
        let opener = store.vault().opener(sealed_values(&detail)).await?;
        let opener = Arc::new(opener);
        Ok(Arc::new(OrderView { detail, opener }))
    }

    /// The same for some documents: one statement at most for all.
    pub(super) async fn all_unsealed(
        store: &Store,
        details: Vec<OrderDetail>,
    ) -> Result<impl Iterator<Item = Arc<OrderView>>, Refused> {
        let opener = store
            .vault()
            .opener(details.iter().flat_map(sealed_values))
            .await?;
        let opener = Arc::new(opener);
        Ok(details.into_iter().map(move |detail| {
            let opener = Arc::clone(&opener);
            Arc::new(OrderView { detail, opener })
        }))
    }

    /// The clear value, where there is one and its key is there.
    pub(in crate::graphql) fn open<T: DeserializeOwned + Clone>(
        &self,
        value: Option<&Personal<T>>,
    ) -> Option<T> {
        value?.open_with(&|sealed| self.opener.open(sealed))
    }

    /// Whether something personal in it can no longer be opened.
    pub(in crate::graphql) fn is_forgotten(&self) -> bool {
        self.detail.order().forgotten
            || sealed_values(&self.detail).any(|sealed| self.opener.open(sealed).is_none())
    }

    /// Whether an actor may see it. What is not theirs does not exist for them.
    pub(in crate::graphql) fn is_for(&self, actor: &Actor) -> bool {
        access::may_see(self.detail.order(), actor)
    }
}

/// The orders that an actor's lists are narrowed to; none where they see all.
pub(in crate::graphql) fn only_customer(actor: &Actor) -> Option<&str> {
    match actor.role {
        Role::Customer => Some(&actor.id),
        Role::Staff | Role::Operator | Role::Service | Role::Gateway => None,
    }
}

fn sealed<T>(value: &Personal<T>) -> Option<&SealedValue> {
    match value {
        Personal::Sealed(sealed) => Some(sealed),
        Personal::Open(_) | Personal::Forgotten => None,
    }
}

/// Every sealed value of a document.
fn sealed_values(detail: &OrderDetail) -> impl Iterator<Item = &SealedValue> {
    let order = detail.order();
    let texts = [
        order.name.as_ref().and_then(sealed),
        order.email.as_ref().and_then(sealed),
        order.phone.as_ref().and_then(sealed),
        order.note.as_ref().and_then(sealed),
    ];
    let shipments = detail.document.shipments.values();
    let ship_to = shipments.clone().map(|shipment| &shipment.state.ship_to);
    let addresses = [&order.shipping_address, &order.billing_address]
        .into_iter()
        .chain(ship_to)
        .flatten();
    let scans = shipments.clone().flat_map(|shipment| shipment.scans.values());
    let names = shipments
        .filter_map(|shipment| shipment.signed_by.as_ref())
        .chain(scans.filter_map(|scan| scan.place.as_ref()));
    texts
        .into_iter()
        .flatten()
        .chain(addresses.filter_map(|address| sealed(&address.lines)))
        .chain(names.filter_map(sealed))
}
