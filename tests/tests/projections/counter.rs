//! A read model of a test's own: how many events an order has, times a number that is the fold's version.

use docket_domain::{Event, OrderId};
use docket_event_store::RecordedEvent;
use docket_projections::{
    ApplyError, Generation, Projector,
    projector::{PgQuery, ProjectorSql, RowsOf, Table, Touch, one_table},
};
use docket_tests::TestDatabase;
use sqlx::{Connection, PgConnection, Row, postgres::PgRow};
use std::sync::Arc;

/// The fold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counter {
    pub(crate) version: i32,
    /// It panics at an order's second event.
    pub(crate) is_fragile: bool,
}

/// The first version, which can do what it should.
pub(crate) const COUNTER: Counter = Counter {
    version: 1,
    is_fragile: false,
};

/// What a migration would do.
pub(crate) async fn migrate(db: &TestDatabase) {
    sqlx::raw_sql(
        "create table counter_g1 (order_id uuid primary key, partition smallint not null, events integer not null);
         create index counter_g1_events on counter_g1 (events);
         select add_read_model('counter', 1, 'counter');
         select copy_table('templates.counter_v1', 'templates', 'counter_v2', true)",
    )
    .execute(&mut PgConnection::connect_with(&db.connect_options()).await.unwrap())
    .await
    .unwrap();
}

impl Projector for Counter {
    type Key = OrderId;
    type Entity = (u16, i32);
    type Carried = ();

    const CACHE_SHARE: u32 = 1;

    fn name(&self) -> &'static str {
        "counter"
    }

    fn version(&self) -> i32 {
        self.version
    }

    fn tables(&self) -> &'static [Table] {
        &[Table {
            name: "counter",
            rows: RowsOf::Order,
        }]
    }

    fn sql(&self, generation: Generation) -> ProjectorSql {
        let columns = [
            ("order_id", "uuid"),
            ("partition", "smallint"),
            ("events", "integer"),
        ];
        one_table(generation, "counter", &columns)
    }

    fn touches(&self, event: &RecordedEvent, _: &Event) -> impl IntoIterator<Item = Touch<OrderId>> {
        [Touch::order(event)]
    }

    fn apply(
        &self,
        _: &OrderId,
        entity: Option<(u16, i32)>,
        event: &RecordedEvent,
        _: &Event,
        (): &mut (),
    ) -> Result<(u16, i32), ApplyError> {
        let before = entity.map_or(0, |(_, count)| count);
        assert!(!self.is_fragile || before == 0, "one is enough");
        Ok((event.position.partition, before + self.version))
    }

    fn entity(&self, row: &PgRow) -> Result<(OrderId, (u16, i32)), sqlx::Error> {
        let partition = row.try_get::<i16, _>(1)? as u16;
        Ok((OrderId(row.try_get(0)?), (partition, row.try_get(2)?)))
    }

    fn bind<'q>(
        &self,
        query: PgQuery<'q>,
        entities: &[(OrderId, Arc<(u16, i32)>)],
    ) -> Result<PgQuery<'q>, sqlx::Error> {
        let orders: Vec<_> = entities.iter().map(|(order, _)| order.0).collect();
        let partitions: Vec<i16> = entities.iter().map(|(_, entity)| entity.0 as i16).collect();
        let counts: Vec<i32> = entities.iter().map(|(_, entity)| entity.1).collect();
        Ok(query.bind(orders).bind(partitions).bind(counts))
    }

    fn approximate_bytes(&self, _: &(u16, i32)) -> usize {
        8
    }

    fn columns(&self, entity: &(u16, i32)) -> Vec<(&'static str, String)> {
        vec![
            ("partition", entity.0.to_string()),
            ("events", entity.1.to_string()),
        ]
    }
}
