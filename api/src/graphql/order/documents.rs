//! Orders' documents, read in one statement for all who wait for one.

use std::{collections::HashMap, sync::Arc};

use docket_domain::OrderId;
use docket_event_store::{
    Store,
    gather::{Gather, GatherLimits, Read},
};
use docket_projections::read_models::order_detail;

use super::view::OrderView;
use crate::graphql::{error::Refused, limits};

/// What was found; an order that does not exist is absent.
pub(in crate::graphql) type Views = HashMap<OrderId, Arc<OrderView>>;

/// Reads documents for everybody.
pub(in crate::graphql) struct Documents(Gather<Reader>);

struct Reader(Store);

impl Documents {
    pub(in crate::graphql) fn new(store: Store) -> Documents {
        let limits = GatherLimits {
            lanes: limits::MAX_READ_LANES,
            together: limits::MAX_READ_TOGETHER,
            waiting: limits::MAX_WAITING_READS,
        };
        Documents(Gather::new(Reader(store), limits))
    }

    /// The documents of some orders, as they are after this call began, with what opens them: two statements at most,
    /// which others share.
    ///
    /// # Errors
    /// When the database does not answer, or [`limits::MAX_WAITING_READS`] wait already.
    pub(in crate::graphql) async fn find(&self, orders: &[OrderId]) -> Result<Views, Refused> {
        self.0.find(orders.to_vec()).await
    }
}

impl Read for Reader {
    type Key = OrderId;
    type Value = Arc<OrderView>;
    type Error = Refused;

    async fn read(&self, orders: &[OrderId]) -> Result<Views, Refused> {
        let mut connection = self.0.query_connection().await?;
        let details = order_detail::find(&mut *connection, orders).await;
        let details = connection.finish(details)?;
        let views = OrderView::all_unsealed(&self.0, details).await?;
        Ok(views.map(|view| (view.detail.id, view)).collect())
    }
}
