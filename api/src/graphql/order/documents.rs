//! Orders' documents, read in one statement for all who wait for one.

use std::{collections::HashMap, sync::Arc};

use docket_domain::OrderId;
use docket_event_store::{
    Store,
    gather::{Gather, GatherLimits, Read},
    limits::MAX_GATHERED_READ,
};
use docket_projections::{
    Projections,
    read_models::order_detail::{self, DetailRow, OrderDetail},
};

use super::view::OrderView;
use crate::graphql::{error::Refused, limits};

/// What was found; an order that does not exist is absent.
pub(in crate::graphql) type Views = HashMap<OrderId, Arc<OrderView>>;

/// Reads documents for everybody.
pub(in crate::graphql) struct Documents {
    store: Store,
    rows: Gather<Reader>,
}

struct Reader {
    store: Store,
    projections: Projections,
}

impl Documents {
    pub(in crate::graphql) fn new(store: Store, projections: Projections) -> Documents {
        let limits = GatherLimits {
            lanes: limits::MAX_READ_LANES,
            together: limits::MAX_READ_TOGETHER,
            waiting: limits::MAX_WAITING_READS,
            time: MAX_GATHERED_READ,
        };
        let reader = Reader {
            store: store.clone(),
            projections,
        };
        Documents {
            rows: Gather::new(reader, limits),
            store,
        }
    }

    /// The documents of some orders, as they are after this call began, with what opens them: two statements at most,
    /// which others share.
    ///
    /// # Errors
    /// When the database does not answer in time, one of them cannot be read, or [`limits::MAX_WAITING_READS`] wait
    /// already.
    pub(in crate::graphql) async fn find(&self, orders: &[OrderId]) -> Result<Views, Refused> {
        let rows = self.rows.find(orders.to_vec()).await?;
        // Here, and not where all are read: a document that cannot be read is the trouble of who asked for it.
        let details: Result<Vec<OrderDetail>, _> = rows.values().map(|row| row.detail()).collect();
        let views = OrderView::all_unsealed(&self.store, details?).await?;
        Ok(views.map(|view| (view.detail.id, view)).collect())
    }
}

impl Read for Reader {
    type Key = OrderId;
    type Value = Arc<DetailRow>;
    type Error = Refused;

    async fn read(&self, orders: &[OrderId]) -> Result<HashMap<OrderId, Arc<DetailRow>>, Refused> {
        let mut connection = self.store.query_connection().await?;
        let serving = self.projections.serving();
        let rows = order_detail::rows(&mut *connection, &serving, orders).await;
        let rows = connection.finish(rows)?;
        Ok(rows.into_iter().map(|row| (row.id, Arc::new(row))).collect())
    }
}
