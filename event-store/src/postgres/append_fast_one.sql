-- The same for a batch of one partition: the update itself takes the only lock.
with moved as (
    update heads h
       set head = h.head + d.n, recorded_at = greatest(h.recorded_at, clock_timestamp())
      from unnest($1::smallint[], $2::bigint[]) d (partition, n)
     where h.partition = d.partition
    returning h.partition, h.head - d.n as base, h.recorded_at
), ids as (
    insert into command_ids (id, "offset", version, partition, events, request_hash)
    select c.id, m.base + c.last, c.version, c.partition, c.events, c.hash
      from unnest($3::uuid[], $4::bytea[], $5::smallint[], $6::bigint[], $7::smallint[], $8::integer[])
           c (id, hash, partition, last, events, version)
      join moved m on m.partition = c.partition
     order by c.id
), log as (
    insert into events (partition, "offset", order_id, stream_kind, stream_number, version, event_id, event_type,
                        schema_version, origin, occurred_at, recorded_at, command_id, causation_id, actor_kind,
                        actor_id, traceparent, payload)
    select e.partition, m.base + e.seq, e.order_id, e.kind, e.number, e.version, e.id, e.type,
           e.schema, e.origin, e.occurred, m.recorded_at, e.command_id, e.causation, e.actor_kind,
           e.actor_id, e.traceparent, e.payload::json
      from unnest($9::smallint[], $10::bigint[], $11::uuid[], $12::uuid[], $13::"char"[], $14::smallint[], $15::integer[],
                  $16::uuid[], $17::text[], $18::smallint[], $19::"char"[], $20::timestamptz[], $21::uuid[], $22::text[],
                  $23::text[], $24::text[], $25::text[])
           e (partition, seq, command_id, order_id, kind, number, version,
              id, type, schema, origin, occurred, causation, actor_kind,
              actor_id, traceparent, payload)
      join moved m on m.partition = e.partition
)
select partition, base, recorded_at from moved
