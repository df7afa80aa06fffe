-- $1, $2: the heads to move and by how much. The rows are locked in ascending order before the update comes to them: an
-- UPDATE alone locks in the order of its plan, and two processes that meet in opposite order deadlock.
with moved as (
    update heads h
       set head = h.head + l.n, recorded_at = greatest(h.recorded_at, clock_timestamp())
      from (select k.partition, d.n
              from heads k join unnest($1::smallint[], $2::bigint[]) d (partition, n) on d.partition = k.partition
             order by k.partition for update of k) l
     where h.partition = l.partition
    returning h.partition, h.head - l.n as base, h.recorded_at
), batch as materialized (
    select m.base + r.seq as "offset", m.recorded_at, r.*
      from unnest($3::append_row[]) r
     -- A hash of the rows would copy them all to look four partitions up.
     cross join lateral (select base, recorded_at from moved where partition = r.partition offset 0) m
), ids as (
    insert into command_ids (id, "offset", version, partition, events, request_hash)
    select command_id, "offset", command_version, partition, command_events, request_hash
      from batch where command_events is not null order by command_id
), log as (
    insert into events (partition, "offset", order_id, stream_kind, stream_number, version, event_id, event_type,
                        schema_version, origin, occurred_at, recorded_at, command_id, causation_id, actor_kind,
                        actor_id, traceparent, payload)
    select partition, "offset", order_id, stream_kind, stream_number, version, event_id, event_type,
           schema_version, origin, occurred_at, recorded_at, command_id, causation_id, actor_kind,
           actor_id, traceparent, payload
      from batch
)
select partition, base, recorded_at from moved
