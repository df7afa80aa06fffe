//! Where nothing is to be parked, an event that cannot be applied stops its partition in the open, and only that.

use crate::shop::{ALL, DEADLINE, add_line, draft, empty_database, open, order_in, quick, stopped};
use docket_domain::{Event, OrderId};
use docket_event_store::{RecordedEvent, Store};
use docket_projections::{
    ApplyError, Generation, OnFailure, Projections, ProjectionsConfig, StopClass, WaitError,
    projector::{PgQuery, Projector, ProjectorSql, RowsOf, Table, Touch, one_table},
};
use docket_tests::{TestDatabase, eventually};
use sqlx::{Row, postgres::PgRow};
use std::sync::Arc;

/// Appends an event that no program of this version can decode, behind everybody's back.
pub(crate) async fn append_undecodable(db: &TestDatabase, partition: i16, order: OrderId) -> i64 {
    sqlx::query_scalar(
        r#"with head as (update heads set head = head + 1 where partition = $1 returning head)
           insert into events (partition, "offset", order_id, stream_kind, stream_number, version, event_id, event_type,
                               schema_version, origin, occurred_at, recorded_at, command_id, actor_kind, actor_id, payload)
           select $1, head, $2, 'o', 0, 2, gen_random_uuid(), 'order.teleported', 1, 'l', now(), now(),
                  gen_random_uuid(), 'staff', 's-1', '{}' from head
        returning "offset""#,
    )
    .bind(partition)
    .bind(order.0)
    .fetch_one(db.admin())
    .await
    .unwrap()
}

/// Feeds read models, and parks nothing.
async fn start(store: &Store) -> Projections {
    Projections::start(store.clone(), stopping()).await.unwrap()
}

fn stopping() -> ProjectionsConfig {
    ProjectionsConfig {
        on_failure: OnFailure::Stop,
        ..quick()
    }
}

async fn still_fed(projections: &Projections, store: &Store, partition: u16) {
    let position = draft(store, order_in(store, partition)).await;
    projections.wait_for(&ALL, &[position]).await.unwrap();
}

/// What comes before it is in the rows, the reason is kept, waits are told, other partitions go on, and an operator can
/// have it tried again.
#[tokio::test]
async fn an_undecodable_event_stops_its_partition() {
    let db = empty_database().await;
    let store = open(&db).await;
    let projections = start(&store).await;
    let order = order_in(&store, 6);
    let before = draft(&store, order).await;
    let offset = append_undecodable(&db, 6, order).await;
    let after = draft(&store, order_in(&store, 6)).await;

    for projection in ALL {
        let status = stopped(&projections, projection, 6).await;
        let why = status.stopped.unwrap();
        assert_eq!(
            (why.class, why.position.offset, status.offset),
            (StopClass::Decode, offset, before.offset)
        );
        assert!(why.reason.contains("order.teleported"), "{}", why.reason);
    }
    let stale = projections.wait_for(&ALL, &[after]).await.unwrap_err();
    assert!(
        matches!(&stale, WaitError::Stale { stopped: Some(_), .. }),
        "{stale:?}"
    );
    still_fed(&projections, &store, 7).await;

    // A restart tries again, and finds the same.
    projections.stop().await;
    let kept: i64 = sqlx::query_scalar(
        "select count(*) from checkpoints where stopped_class = 'decode' and projection = any ($1)",
    )
    .bind(&ALL[..])
    .fetch_one(db.admin())
    .await
    .unwrap();
    assert_eq!(kept, ALL.len() as i64);
    let projections = start(&store).await;
    stopped(&projections, "order_summary", 6).await;

    // The cause is repaired: a program that knows the type would do the same as this.
    sqlx::raw_sql(
        "alter table events_p6 disable trigger all;
         update events set event_type = 'order.hold_placed', payload = '{\"reason\": \"manual\"}'
          where partition = 6 and event_type = 'order.teleported';
         alter table events_p6 enable always trigger append_only",
    )
    .execute(db.admin())
    .await
    .unwrap();
    projections.stop().await;
    // The process that has the event decoded in memory is gone as well.
    let store = open(&db).await;
    let projections = start(&store).await;
    projections.wait_for(&ALL, &[after]).await.unwrap();
    // The reactor's checkpoint follows a little later, because these events have no effects.
    eventually(DEADLINE, async || {
        let left = sqlx::query_scalar("select count(*) from checkpoints where stopped_class is not null");
        let left: i64 = left.fetch_one(db.admin()).await.unwrap();
        (left == 0).then_some(())
    })
    .await;
    projections.stop().await;
}

/// Rows that the database refuses are traced to one event by halving; the rest of the batch is written.
#[tokio::test]
async fn refused_rows_are_traced_to_their_event() {
    let db = empty_database().await;
    let store = open(&db).await;
    let orders: Vec<OrderId> = (0..9).map(|_| order_in(&store, 2)).collect();
    let mut positions = Vec::new();
    for order in &orders {
        positions.push(draft(&store, *order).await);
    }
    let bad = 6;
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "create function refuse() returns trigger language plpgsql as $$
         begin raise exception 'no such thing' using errcode = '22003'; end $$;
         create trigger refuse before insert on order_summary_g1 for each row
         when (new.order_id = '{}') execute function refuse()",
        orders[bad]
    )))
    .execute(db.admin())
    .await
    .unwrap();

    let projections = start(&store).await;
    let status = stopped(&projections, "order_summary", 2).await;
    let why = status.stopped.unwrap();
    assert_eq!((why.class, why.position), (StopClass::Sql, positions[bad]));
    assert_eq!(status.offset, positions[bad - 1].offset);
    let rows: i64 = sqlx::query_scalar("select count(*) from order_summary_g1")
        .fetch_one(db.admin())
        .await
        .unwrap();
    assert_eq!(rows, bad as i64);
    projections.wait_for(&["order_detail"], &positions).await.unwrap();

    // Put right and resumed: it goes on where it stood.
    sqlx::raw_sql("drop trigger refuse on order_summary_g1")
        .execute(db.admin())
        .await
        .unwrap();
    assert!(projections.resume("order_summary", 2).await.unwrap());
    assert!(!projections.resume("order_summary", 3).await.unwrap());
    projections.wait_for(&ALL, &positions[8..]).await.unwrap();
    docket_projections::verify(&store, |_| {}).await.unwrap();
    projections.stop().await;
}

/// Counts events, and panics at an order's second.
struct Fragile;

impl Projector for Fragile {
    type Key = OrderId;
    type Entity = i32;
    type Carried = ();

    const CACHE_SHARE: u32 = 1;

    fn name(&self) -> &'static str {
        "fragile"
    }

    fn version(&self) -> i32 {
        1
    }

    fn tables(&self) -> &'static [Table] {
        &[Table {
            name: "fragile",
            rows: RowsOf::Order,
        }]
    }

    fn sql(&self, generation: Generation) -> ProjectorSql {
        one_table(
            generation,
            "fragile",
            &[("order_id", "uuid"), ("events", "integer")],
        )
    }

    fn touches(&self, event: &RecordedEvent, _: &Event) -> impl IntoIterator<Item = Touch<OrderId>> {
        [Touch::order(event)]
    }

    fn apply(
        &self,
        _: &OrderId,
        entity: Option<i32>,
        _: &RecordedEvent,
        _: &Event,
        (): &mut (),
    ) -> Result<i32, ApplyError> {
        match entity {
            None => Ok(1),
            Some(_) => panic!("one is enough"),
        }
    }

    fn entity(&self, row: &PgRow) -> Result<(OrderId, i32), sqlx::Error> {
        Ok((OrderId(row.try_get(0)?), row.try_get(1)?))
    }

    fn bind<'q>(
        &self,
        query: PgQuery<'q>,
        entities: &[(OrderId, Arc<i32>)],
    ) -> Result<PgQuery<'q>, sqlx::Error> {
        let orders: Vec<_> = entities.iter().map(|(order, _)| order.0).collect();
        let counts: Vec<i32> = entities.iter().map(|(_, count)| **count).collect();
        Ok(query.bind(orders).bind(counts))
    }

    fn approximate_bytes(&self, _: &i32) -> usize {
        4
    }

    fn columns(&self, entity: &i32) -> Vec<(&'static str, String)> {
        vec![("events", entity.to_string())]
    }
}

/// A projector that panics stops its partition; the process and the other partitions go on.
#[tokio::test]
async fn a_panic_stops_its_partition() {
    let db = empty_database().await;
    sqlx::raw_sql(
        "create table fragile_g1 (order_id uuid primary key, events integer not null);
         insert into projections values ('fragile', 1, 1);
         insert into generations values ('fragile', 1, 1, 'live', now());
         insert into checkpoints (projection, generation, partition) select 'fragile', 1, p from generate_series(0, 15) p",
    )
    .execute(db.admin())
    .await
    .unwrap();
    sqlx::raw_sql("grant all on fragile_g1 to public")
        .execute(db.admin())
        .await
        .unwrap();
    let store = open(&db).await;
    let projections = Projections::start_only(store.clone(), stopping(), Fragile)
        .await
        .unwrap();
    let order = order_in(&store, 1);
    let first = draft(&store, order).await;
    let second = add_line(&store, order).await;

    let status = stopped(&projections, "fragile", 1).await;
    let why = status.stopped.unwrap();
    assert_eq!(
        (why.class, why.position, status.offset),
        (StopClass::Panic, second, first.offset)
    );
    assert!(why.reason.contains("one is enough"), "{}", why.reason);
    let elsewhere = draft(&store, order_in(&store, 2)).await;
    projections.wait_for(&["fragile"], &[elsewhere]).await.unwrap();
    projections.stop().await;
}
