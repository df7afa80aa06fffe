//! Bare PostgreSQL: the rows of a command, written without a head, a check or an order.

use super::{
    BenchError,
    append::sample,
    database::{self, BenchDatabase},
    measure::Measured,
};
use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use uuid::Uuid;

/// The columns and their types, as both statements write them.
macro_rules! insert {
    ($source:literal) => {
        concat!(
            r#"with e as (
                insert into events (partition, "offset", order_id, stream_kind, stream_number, version, event_id,
                                    event_type, schema_version, origin, occurred_at, recorded_at, command_id,
                                    actor_kind, actor_id, payload)
                select p, nextval('yardstick'), order_id, 'o'::"char", 0, 1, event_id, 'order.drafted', 1, 'l'::"char",
                       $1::timestamptz, clock_timestamp(), command_id, 'staff', 'bench', payload::json from "#,
            $source,
            r#" )
            insert into command_ids (id, "offset", version, partition, events, request_hash)
            select command_id, 1, 1, p, 1, '\x00112233445566778899aabbccddeeff' from "#,
            $source
        )
    };
}

const SINGLE: &str = insert!(
    "(values ($2::smallint, $3::uuid, $4::uuid, $5::uuid, $6::text)) r (p, order_id, event_id, command_id, payload)"
);
const BULK: &str = insert!(
    "unnest($2::smallint[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[]) r (p, order_id, event_id, command_id, payload)"
);
/// Commands a transaction of *bulk*, and its connections.
const BULK_COMMANDS: usize = 1_000;
const BULK_CONNECTIONS: usize = 4;
const PARTITIONS: u128 = 16;

/// Connections that wait to be timed.
pub(super) struct Yardstick {
    single: Vec<PgConnection>,
    bulk: Vec<PgConnection>,
}

impl Yardstick {
    pub(super) async fn connect(database: &BenchDatabase, writers: u32) -> Result<Self, BenchError> {
        let mut yardstick = Self {
            single: Vec::new(),
            bulk: Vec::new(),
        };
        let options = database.options();
        for _ in 0..writers {
            yardstick.single.push(PgConnection::connect_with(&options).await?);
        }
        for _ in 0..BULK_CONNECTIONS {
            yardstick.bulk.push(PgConnection::connect_with(&options).await?);
        }
        if let Some(connection) = yardstick.bulk.first_mut() {
            sqlx::query("create sequence if not exists yardstick cache 1")
                .execute(&mut *connection)
                .await?;
        }
        Ok(yardstick)
    }

    /// One command a statement, at the bench's concurrency.
    pub(super) async fn single(&mut self, length: Duration) -> Result<Measured, BenchError> {
        let connections = std::mem::take(&mut self.single);
        let (measured, connections) = timed(connections, length, 1).await?;
        self.single = connections;
        Ok(measured)
    }

    /// A thousand commands a statement.
    pub(super) async fn bulk(&mut self, length: Duration) -> Result<Measured, BenchError> {
        let connections = std::mem::take(&mut self.bulk);
        let (measured, connections) = timed(connections, length, BULK_COMMANDS).await?;
        self.bulk = connections;
        Ok(measured)
    }
}

async fn timed(
    connections: Vec<PgConnection>,
    length: Duration,
    commands: usize,
) -> Result<(Measured, Vec<PgConnection>), BenchError> {
    let started = Instant::now();
    let mut running = JoinSet::new();
    for mut connection in connections {
        running.spawn(async move {
            let (mut events, mut latencies) = (0, Vec::new());
            while started.elapsed() < length {
                let asked = Instant::now();
                write(&mut connection, commands).await?;
                events += commands as u64;
                latencies.push(asked.elapsed());
            }
            Ok::<_, BenchError>((connection, events, latencies))
        });
    }
    let (mut events, mut latencies, mut connections) = (0, Vec::new(), Vec::new());
    while let Some(done) = running.join_next().await {
        let (connection, wrote, took) = done.map_err(|error| BenchError::Worker(error.to_string()))??;
        connections.push(connection);
        events += wrote;
        latencies.extend(took);
    }
    Ok((Measured::new(events, started.elapsed(), latencies), connections))
}

async fn write(connection: &mut PgConnection, commands: usize) -> Result<(), BenchError> {
    let now: DateTime<Utc> = Utc::now();
    if commands == 1 {
        let order = Uuid::now_v7();
        sqlx::query(SINGLE)
            .bind(now)
            .bind(partition(order))
            .bind(order)
            .bind(Uuid::now_v7())
            .bind(Uuid::new_v4())
            .bind(sample().1)
            .execute(connection)
            .await?;
        return Ok(());
    }
    let mut rows = Rows::default();
    for _ in 0..commands {
        rows.push();
    }
    rows.insert(connection, now).await
}

#[derive(Default)]
struct Rows {
    partition: Vec<i16>,
    order: Vec<Uuid>,
    event: Vec<Uuid>,
    command: Vec<Uuid>,
    payload: Vec<&'static str>,
}

impl Rows {
    fn push(&mut self) {
        let order = Uuid::now_v7();
        self.partition.push(partition(order));
        self.order.push(order);
        self.event.push(Uuid::now_v7());
        self.command.push(Uuid::new_v4());
        self.payload.push(sample().1);
    }

    async fn insert(&self, connection: &mut PgConnection, now: DateTime<Utc>) -> Result<(), BenchError> {
        sqlx::query(BULK)
            .bind(now)
            .bind(&self.partition)
            .bind(&self.order)
            .bind(&self.event)
            .bind(&self.command)
            .bind(&self.payload)
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// Any spread will do: the yardstick has no order to keep.
fn partition(order: Uuid) -> i16 {
    (order.as_u128() % PARTITIONS) as i16
}

/// Fills a log with dense offsets before the clock starts, so that it has the size of a log that has lived.
pub(super) async fn preload(database: &BenchDatabase, events: u64) -> Result<(), BenchError> {
    let mut connection = PgConnection::connect_with(&database.options()).await?;
    sqlx::query(
        r#"with r as (
            select (i % 16)::smallint as p, i / 16 + 1 as n, gen_random_uuid() as command_id
              from generate_series(0, $1::bigint - 1) i
        ), e as (
            insert into events (partition, "offset", order_id, stream_kind, stream_number, version, event_id, event_type,
                                schema_version, origin, occurred_at, recorded_at, command_id, actor_kind, actor_id, payload)
            select p, n, gen_random_uuid(), 'o'::"char", 0, 1, gen_random_uuid(), 'order.drafted', 1, 'l'::"char", now(), now(),
                   command_id, 'staff', 'bench', $2::text::json from r
        ), c as (
            insert into command_ids (id, "offset", version, partition, events, request_hash)
            select command_id, n, 1, p, 1, '\x00112233445566778899aabbccddeeff' from r
        )
        update heads set head = ($1::bigint - partition + 15) / 16"#,
    )
    .bind(i64::try_from(events).unwrap_or(i64::MAX))
    .bind(sample().1)
    .execute(&mut connection)
    .await?;
    sqlx::query("create sequence if not exists yardstick")
        .execute(&mut connection)
        .await?;
    sqlx::query("select setval('yardstick', $1)")
        .bind(i64::try_from(events.max(1)).unwrap_or(i64::MAX))
        .execute(&mut connection)
        .await?;
    // One by one: several statements at once are a transaction, in which there is no VACUUM.
    for statement in ["vacuum analyze events", "vacuum analyze command_ids"] {
        sqlx::query(statement).execute(&mut connection).await?;
    }
    database::checkpoint(&mut connection).await?;
    connection.close().await?;
    Ok(())
}
