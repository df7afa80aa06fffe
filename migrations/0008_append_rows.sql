-- An event as the append takes it: one array of rows is read and unnested once, an array a column seventeen times.
--
-- seq: the event's number among the batch's events of its partition, from 1. command_events, command_version and
-- request_hash stand with a command's last event only; they make the command's row.
create type append_row as (
    partition       smallint,
    seq             bigint,
    order_id        uuid,
    stream_kind     "char",
    stream_number   smallint,
    version         integer,
    event_id        uuid,
    event_type      text,
    schema_version  smallint,
    origin          "char",
    occurred_at     timestamptz,
    command_id      uuid,
    causation_id    uuid,
    actor_kind      text,
    actor_id        text,
    traceparent     text,
    payload         json,
    command_events  smallint,
    command_version integer,
    request_hash    bytea
);

-- A check is parsed and compiled anew for each partition of each statement. Readers refuse a code that they do not know.
alter table events drop constraint events_stream_kind_check;
alter table events drop constraint events_origin_check;

-- The append's checking path: for a batch that names streams which it only reads, and for one that violated a unique
-- index on the fast path. Each statement of a VOLATILE function has its own snapshot, so what is read after the head
-- rows are locked is the newest. Lock order everywhere: heads ascending, then command ids ascending.
--
-- c_*: the commands. x_*: the versions that they expect, also of streams only read. batch: their events.
-- A row a command: outcome 0 appended, 1 stored before (its answer), 2 conflict (x_index and the actual version).
--
-- A connection keeps the plans that it made when the log was young, and a small table is cheapest to read from end to
-- end: ids are looked up by subqueries that cannot become joins, and never by a sequential scan.
-- `offset 0` keeps what it takes to know whether a command passes from being asked once for each use of the answer.
--
-- The one before it, which takes an array a column, stays: a process of the version before may still run beside this one.
create function append_checked(
    c_id uuid[], c_hash bytea[], c_partition smallint[], c_events smallint[], c_version integer[],
    x_command integer[], x_order uuid[], x_kind "char"[], x_number smallint[], x_version integer[],
    batch append_row[]
) returns table (
    command integer, outcome smallint, "offset" bigint, partition smallint, events smallint, version integer,
    same_request boolean, recorded_at timestamptz, x_index integer
) language plpgsql volatile set enable_seqscan = off as $$
#variable_conflict use_column
declare
    -- A command: the offset before its first event, and the time; null where it does not pass.
    n_base     bigint[];
    n_time     timestamptz[];
    violated   text;
    -- One for the whole batch, taken under the lock: a clock that steps back within it changes no order.
    taken_at   timestamptz;
    done       boolean := false;
begin
    perform from heads h where h.partition = any (c_partition) order by h.partition for update;
    taken_at := clock_timestamp();

    -- Another lane may commit one of these command ids between the look and the insert, which then waits for it and is
    -- refused; the next round sees its answer. An id is claimed once, so the rounds are bounded by the commands.
    for round in 0 .. cardinality(c_id) loop
        begin
            select array_agg(n.base order by n.i), array_agg(n.time order by n.i)
              into n_base, n_time
              from (
                select c.i,
                       case when p.passes then h.head + sum(case when p.passes then c.events else 0 end)
                           over (partition by c.partition order by c.i) - c.events end as base,
                       case when p.passes then greatest(h.recorded_at, taken_at) end as time
                  from unnest(c_id, c_partition, c_events) with ordinality c (id, partition, events, i)
                  join heads h on h.partition = c.partition
                 cross join lateral (
                    select (select k.id from command_ids k where k.id = c.id) is null
                       and not exists (
                        select from unnest(x_command, x_order, x_kind, x_number, x_version)
                               x (command, order_id, kind, number, version)
                         where x.command = c.i
                           and x.version <> coalesce((
                                select max(e.version) from events e
                                 where e.partition = c.partition and e.order_id = x.order_id
                                   and e.stream_kind = x.kind and e.stream_number = x.number), 0)
                       ) as passes offset 0) p
              ) n;

            insert into events (partition, "offset", order_id, stream_kind, stream_number, version, event_id, event_type,
                                schema_version, origin, occurred_at, recorded_at, command_id, causation_id, actor_kind,
                                actor_id, traceparent, payload)
            select e.partition, n.base + row_number() over (partition by e.command_id order by e.seq), e.order_id,
                   e.stream_kind, e.stream_number, e.version, e.event_id, e.event_type,
                   e.schema_version, e.origin, e.occurred_at, n.time, e.command_id, e.causation_id, e.actor_kind,
                   e.actor_id, e.traceparent, e.payload
              from unnest(batch) e
              join unnest(c_id, n_base, n_time) n (id, base, time) on n.id = e.command_id
             where n.base is not null;

            insert into command_ids (id, "offset", version, partition, events, request_hash)
            select c.id, n_base[c.i] + c.events, c.version, c.partition, c.events, c.hash
              from unnest(c_id, c_hash, c_partition, c_events, c_version)
                   with ordinality c (id, hash, partition, events, version, i)
             where n_base[c.i] is not null
             order by c.id;

            update heads h set head = g.head, recorded_at = g.time
              from (select c.partition, max(n_base[c.i] + c.events) as head, max(n_time[c.i]) as time
                      from unnest(c_partition, c_events) with ordinality c (partition, events, i)
                     where n_base[c.i] is not null and c.events > 0
                     group by c.partition) g
             where h.partition = g.partition;
            done := true;
            exit;
        exception when unique_violation then
            get stacked diagnostics violated = constraint_name;
            if violated <> 'command_ids_pkey' then
                raise;
            end if;
        end;
    end loop;
    if not done then
        raise exception 'command ids are claimed that this transaction cannot see' using errcode = 'serialization_failure';
    end if;

    return query
    select c.i::integer, 0::smallint, n_base[c.i] + c.events, c.partition, c.events, c.version, true, n_time[c.i], null::integer
      from unnest(c_partition, c_events, c_version) with ordinality c (partition, events, version, i)
     where n_base[c.i] is not null;

    if array_position(n_base, null) is null then
        return;
    end if;

    return query
    select c.i::integer, 1::smallint, k."offset", k.partition, k.events, k.version, k.request_hash = c.hash,
           null::timestamptz, null::integer
      from unnest(c_id, c_hash) with ordinality c (id, hash, i)
     cross join lateral (select * from command_ids k where k.id = c.id limit 1) k
     where n_base[c.i] is null;

    return query
    select distinct on (c.i) c.i::integer, 2::smallint, null::bigint, c.partition, 0::smallint, a.actual, null::boolean,
           null::timestamptz, x.i::integer
      from unnest(c_id, c_partition) with ordinality c (id, partition, i)
      join unnest(x_command, x_order, x_kind, x_number, x_version)
           with ordinality x (command, order_id, kind, number, version, i) on x.command = c.i
     cross join lateral (
        select coalesce((select max(e.version) from events e
                          where e.partition = c.partition and e.order_id = x.order_id
                            and e.stream_kind = x.kind and e.stream_number = x.number), 0) as actual) a
     where n_base[c.i] is null and a.actual <> x.version
       and (select k.id from command_ids k where k.id = c.id) is null
     order by c.i, x.i;
end $$;
