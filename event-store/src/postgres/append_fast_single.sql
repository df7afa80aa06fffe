-- The same for one event of one command: no arrays, and no plan that could hold more than one row.
with moved as (
    update heads
       set head = head + 1, recorded_at = greatest(recorded_at, clock_timestamp())
     where partition = $1
    returning head, recorded_at
), ids as (
    insert into command_ids (id, "offset", version, partition, events, request_hash)
    select $2, head, $4, $1, 1, $3 from moved
)
insert into events (partition, "offset", order_id, stream_kind, stream_number, version, event_id, event_type,
                    schema_version, origin, occurred_at, recorded_at, command_id, causation_id, actor_kind,
                    actor_id, traceparent, payload)
select $1, head, $5, $6, $7, $4, $8, $9,
       $10, $11, $12, recorded_at, $2, $13, $14,
       $15, $16, $17::text::json
  from moved
returning partition, "offset" - 1 as base, recorded_at
