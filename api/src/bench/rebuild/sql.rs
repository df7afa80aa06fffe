//! The yardstick: the same table by one INSERT ... SELECT over each quarter of the log's partitions, on four connections at
//! once. It reads the same rows, decodes the same fields and writes the same columns; it knows only the kinds of events that
//! the bench's log has, keeps no checkpoint, builds no index, and cannot be interrupted.

use crate::bench::BenchError;
use docket_event_store::Store;
use sqlx::{Connection, PgConnection};
use std::time::Duration;
use tokio::{task::JoinSet, time::Instant};

/// As `docs/performance.md` shows it.
pub(super) const SQL: &str = r#"
insert into yardstick_order_summary
       (order_id, "offset", created_at, updated_at, placed_at, number, subtotal, discount, shipping, tax, grand,
        cancelled_value, authorized, captured, refunded, voided, expired, pieces, version, lines, payments, shipments,
        partition, on_hold, origin, status, payment_status, fulfillment_status, currency, channel, customer, facts)
select o.order_id, o.newest, o.created_at, o.updated_at, o.placed_at, p.number, t.subtotal, t.discount, t.shipping, t.tax,
       t.grand, 0, 0, 0, 0, 0, 0, l.pieces, o.version, l.lines, o.payments, 0, o.partition, false, o.origin::"char",
       'placed', case when o.payments > 0 then 'pending' else 'unpaid' end,
       case when l.goods then 'unfulfilled' else 'not_required' end, p.currency, p.channel, p.customer,
       ('{"order":{"status":"placed","subject":' || to_json(d.subject) || ',"customer":' || to_json(p.customer)
        || ',"name":null,"email":null,"phone":null,"channel":' || to_json(p.channel) || ',"currency":' || to_json(p.currency)
        || ',"locale":' || to_json(p.locale) || ',"lines":[' || l.facts || '],"last_line":' || l.last
        || ',"shipping_address":null,"billing_address":null,"shipping_method":null,"note":null,"number":' || p.number
        || ',"totals":' || p.totals || ',"cancelled_value":0,"payment_due_at":' || to_json(p.payment_due_at)
        || ',"holds":[],"payments":' || o.payments || ',"allocations":{},"forgotten":false},"payments":{' || o.paying
        || '},"shipments":{}}')::json
  from (select order_id, partition, max("offset") as newest, max(version) filter (where stream_kind = 'o') as version,
               min(origin::text) as origin, min(occurred_at) as created_at, max(occurred_at) as updated_at,
               max(occurred_at) filter (where event_type = 'order.placed') as placed_at,
               max(payload::text) filter (where event_type = 'order.drafted') as drafted,
               max(payload::text) filter (where event_type = 'order.placed') as placed,
               count(*) filter (where event_type = 'payment.initiated') as payments,
               string_agg('"' || stream_number || '":{"phase":"initiated","amount":' || (payload ->> 'amount')
                          || ',"currency":' || (payload -> 'currency') || ',"capture_method":' || (payload -> 'capture_method')
                          || ',"method":null,"gateway":' || (payload -> 'gateway')
                          || ',"action":null,"authorized":0,"reference":null,"authorization_at":null,"capture_before":null,'
                          || '"voided":0,"expired":0,"captures":{},"refunds":{}}', ',' order by stream_number)
                          filter (where event_type = 'payment.initiated') as paying
          from events where partition = any ($1) group by order_id, partition) o
 cross join lateral json_to_record(o.drafted::json) d (subject text)
 cross join lateral json_to_record(o.placed::json)
       p (number bigint, customer text, channel text, locale text, currency text, lines json, totals json,
          payment_due_at text)
 cross join lateral json_to_record(p.totals)
       t (subtotal bigint, discount bigint, shipping bigint, tax bigint, grand bigint)
 cross join lateral (
       select count(*) as lines, sum((line ->> 'quantity')::bigint) as pieces, max((line ->> 'id')::int) as last,
              bool_or(coalesce((line ->> 'requires_shipping')::boolean, true)) as goods,
              string_agg('{"line":' || line || ',"cancelled":0,"allocated":0}', ',') as facts
         from json_array_elements(p.lines) line) l"#;

const CONNECTIONS: u16 = 4;

async fn connect(store: &Store) -> Result<PgConnection, sqlx::Error> {
    let mut connection = PgConnection::connect_with(&store.pool().connect_options()).await?;
    // All that a quarter needs stays in memory; one connection is one process.
    sqlx::raw_sql(
        "set statement_timeout = 0; set work_mem = '512MB'; set hash_mem_multiplier = 4; set jit = off;
         set max_parallel_workers_per_gather = 0",
    )
    .execute(&mut connection)
    .await?;
    Ok(connection)
}

/// Builds the table anew; how long that took.
pub(super) async fn build(store: &Store) -> Result<Duration, BenchError> {
    let mut connection = connect(store).await?;
    sqlx::raw_sql(
        "drop table if exists yardstick_order_summary;
         select copy_table('templates.order_summary_v1', 'public', 'yardstick_order_summary', false);
         alter table yardstick_order_summary drop constraint yardstick_order_summary_pkey",
    )
    .execute(&mut connection)
    .await?;
    connection.close().await?;
    let started = Instant::now();
    let mut running = JoinSet::new();
    for quarter in 0..CONNECTIONS {
        let store = store.clone();
        running.spawn(async move {
            let partitions = store.partitions().all();
            let mine: Vec<i16> = partitions
                .filter(|partition| partition % CONNECTIONS == quarter)
                .map(|partition| partition as i16)
                .collect();
            let mut connection = connect(&store).await?;
            sqlx::query(SQL).bind(mine).execute(&mut connection).await?;
            connection.close().await
        });
    }
    while let Some(done) = running.join_next().await {
        done.map_err(|error| BenchError::Worker(error.to_string()))??;
    }
    Ok(started.elapsed())
}

/// Its table is the one that is served, row for row.
pub(super) async fn compare(store: &Store) -> Result<(), BenchError> {
    let mut connection = connect(store).await?;
    let served: i32 = sqlx::query_scalar("select generation from projections where name = 'order_summary'")
        .fetch_one(&mut connection)
        .await?;
    let text = format!(
        "select count(*), count(*) filter (where s::text is distinct from y::text), count(y.order_id)
           from order_summary_g{served} s full join yardstick_order_summary y using (order_id)"
    );
    let (rows, differ, theirs): (i64, i64, i64) = sqlx::query_as(sqlx::AssertSqlSafe(text))
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    if differ == 0 && rows == theirs {
        Ok(())
    } else {
        Err(BenchError::Worker(format!(
            "{differ} of {rows} rows of the yardstick's table are not those of the rebuilt one"
        )))
    }
}
