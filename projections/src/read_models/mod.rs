//! The read models, a folder each: the row, its fold, its queries.

pub mod axes;
pub mod customer_orders;
pub mod fraud_signals;
pub mod list;
pub mod order_detail;
pub mod order_search;
pub mod order_summary;
pub mod order_timeline;
pub mod payment_ledger;
pub mod sales_by_minute;
pub mod shipment_board;
pub(crate) mod stored;

use crate::{
    projector::{Generation, Projector, Table},
    rebuild::{self, Comparison, Loader, PartitionLoader, Progress, Site},
    supervisor::{Fed, FedBy},
    verify::{self, VerifyError},
};
use docket_event_store::{Store, Vault};
use futures::future::BoxFuture;
use sqlx::{PgConnection, PgPool};
use std::sync::Arc;

/// Every read model of this program: what a process feeds and what verification examines.
pub(crate) fn all(store: &Store) -> Vec<Arc<dyn ReadModel>> {
    vec![
        Arc::new(order_summary::OrderSummaryProjector),
        Arc::new(order_detail::OrderDetailProjector),
        Arc::new(order_search::OrderSearchProjector::new(store.vault())),
        Arc::new(order_timeline::OrderTimelineProjector),
        Arc::new(shipment_board::ShipmentBoardProjector),
        Arc::new(customer_orders::CustomerOrdersProjector),
        Arc::new(payment_ledger::PaymentLedgerProjector),
        Arc::new(sales_by_minute::SalesByMinuteProjector),
        Arc::new(fraud_signals::FraudSignalsProjector),
    ]
}

/// A projector, whatever its keys and entities are.
pub(crate) trait ReadModel: Send + Sync {
    fn name(&self) -> &'static str;
    fn version(&self) -> i32;
    fn cache_share(&self) -> u32;
    fn tables(&self) -> &'static [Table];
    fn reads_personal(&self) -> bool;
    fn readable(&self, column: &str, text: String) -> String;

    /// What feeds a generation of it.
    fn fed(self: Arc<Self>, generation: Generation) -> Arc<dyn Fed>;

    /// What fills a partition of a generation in a rebuild.
    fn loader(self: Arc<Self>, store: Store, site: Site) -> Box<dyn Loader>;

    /// Compares the rows of two generations, as an exported snapshot has them.
    fn compare<'a>(
        self: Arc<Self>,
        pool: &'a PgPool,
        snapshot: &'a str,
        generations: (Generation, Generation),
        parallel: u16,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<Comparison, sqlx::Error>>;

    /// Compares a generation's rows of one partition with the fold of the log, which ends at `head`; how many they are. As a
    /// rebuild's step it makes way as that does.
    fn examine<'a>(
        &'a self,
        snapshot: &'a mut PgConnection,
        vault: &'a Vault,
        generation: Generation,
        partition: u16,
        head: i64,
        step: Option<&'a Progress>,
    ) -> BoxFuture<'a, Result<u64, VerifyError>>;
}

impl<P: Projector> ReadModel for P {
    fn name(&self) -> &'static str {
        Projector::name(self)
    }

    fn version(&self) -> i32 {
        Projector::version(self)
    }

    fn cache_share(&self) -> u32 {
        P::CACHE_SHARE
    }

    fn tables(&self) -> &'static [Table] {
        Projector::tables(self)
    }

    fn reads_personal(&self) -> bool {
        P::READS_PERSONAL
    }

    fn readable(&self, column: &str, text: String) -> String {
        Projector::readable(self, column, text)
    }

    fn fed(self: Arc<Self>, generation: Generation) -> Arc<dyn Fed> {
        Arc::new(FedBy::new(self, generation))
    }

    fn loader(self: Arc<Self>, store: Store, site: Site) -> Box<dyn Loader> {
        Box::new(PartitionLoader::new(store, self, site))
    }

    fn compare<'a>(
        self: Arc<Self>,
        pool: &'a PgPool,
        snapshot: &'a str,
        generations: (Generation, Generation),
        parallel: u16,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Result<Comparison, sqlx::Error>> {
        Box::pin(
            async move { rebuild::compare(pool, &*self, snapshot, generations, parallel, progress).await },
        )
    }

    fn examine<'a>(
        &'a self,
        snapshot: &'a mut PgConnection,
        vault: &'a Vault,
        generation: Generation,
        partition: u16,
        head: i64,
        step: Option<&'a Progress>,
    ) -> BoxFuture<'a, Result<u64, VerifyError>> {
        Box::pin(verify::compare(
            snapshot, vault, self, generation, partition, head, step,
        ))
    }
}
