-- The log. Offsets in a partition and versions in a stream are dense from 1 and commit in that order, because whoever
-- appends holds the partition's row in `heads`. The number of partitions comes from the session setting
-- `docket.partitions` and is fixed for ever: a stream's partition is a hash of its order's id modulo that number.

create table docket (
    singleton   boolean primary key default true check (singleton),
    log_id      uuid not null default gen_random_uuid(),
    partitions  smallint not null check (partitions between 1 and 1024),
    created_at  timestamptz not null default now()
);

insert into docket (partitions)
values (coalesce(nullif(current_setting('docket.partitions', true), ''), '16')::smallint);

-- One row a partition: the lock under which it grows. Pages stay nearly empty, so that every update is a HOT update.
create table heads (
    partition   smallint primary key,
    head        bigint not null,
    recorded_at timestamptz not null
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

insert into heads (partition, head, recorded_at)
select p, 0, '-infinity' from docket, generate_series(0, docket.partitions - 1) p;

-- Columns in order of alignment: no padding in a row.
create table events (
    "offset"       bigint      not null,
    occurred_at    timestamptz not null,
    recorded_at    timestamptz not null,
    event_id       uuid        not null,
    order_id       uuid        not null,
    command_id     uuid        not null,
    version        integer     not null,
    partition      smallint    not null,
    stream_number  smallint    not null,
    schema_version smallint    not null,
    stream_kind    "char"      not null check (stream_kind in ('o', 'p', 's')),
    origin         "char"      not null check (origin in ('l', 'i')),
    event_type     text        not null,
    actor_kind     text        not null,
    actor_id       text        not null,
    causation_id   uuid,
    traceparent    text,
    payload        json        not null
) partition by list (partition);

comment on column events.stream_kind is 'o order, p payment, s shipment';
comment on column events.origin is 'l live, i imported';
comment on column events.causation_id is 'what caused it where that is not the command itself';

-- A command's id and its stored answer: the position of its last event (or of the head when there was nothing to do,
-- events = 0) and the version of its target. Keyed by id alone, so that a retry is met wherever it lands.
create table command_ids (
    id           uuid     primary key,
    "offset"     bigint   not null,
    version      integer  not null,
    partition    smallint not null,
    events       smallint not null,
    request_hash bytea    not null
);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the log is append-only: % on % is refused', tg_op, tg_table_name using errcode = 'restrict_violation';
end $$;

create trigger append_only before update or delete on events for each row execute function refuse_change();
create trigger append_only before update or delete on command_ids for each row execute function refuse_change();
create trigger no_truncate before truncate on events for each statement execute function refuse_change();
create trigger no_truncate before truncate on command_ids for each statement execute function refuse_change();
create trigger no_truncate before delete or truncate on heads for each statement execute function refuse_change();
create trigger no_change before update or delete or truncate on docket for each statement execute function refuse_change();

-- A child's indexes leave the partition out: it is the same in every row. A parent's TRUNCATE trigger does not fire
-- for a child, so each child has its own; ENABLE ALWAYS holds also under session_replication_role = replica.
do $$
declare
    child text;
begin
    for p in 0 .. (select partitions - 1 from docket) loop
        child := format('events_p%s', p);
        execute format('create table %I partition of events for values in (%s)', child, p);
        execute format('create unique index %I on %I ("offset")', child || '_offset', child);
        execute format('create unique index %I on %I (order_id, stream_kind, stream_number, version)',
                       child || '_stream_version', child);
        execute format('create trigger no_truncate before truncate on %I for each statement execute function refuse_change()', child);
        execute format('alter table %I enable always trigger append_only', child);
        execute format('alter table %I enable always trigger no_truncate', child);
    end loop;
end $$;

alter table events enable always trigger append_only;
alter table events enable always trigger no_truncate;
alter table command_ids enable always trigger append_only;
alter table command_ids enable always trigger no_truncate;
alter table heads enable always trigger no_truncate;
alter table docket enable always trigger no_change;

create sequence order_number start 1001;
