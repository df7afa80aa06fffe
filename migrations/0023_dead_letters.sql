-- Dead letters: events that could not be applied to a generation of a read model, and the later events of their orders, which
-- wait behind them, as positions. Everything else of the partition goes on. Rows are the fold of the log without these.
create table dead_letters (
    "offset"   bigint      not null,
    failed_at  timestamptz,
    attempts   integer     not null default 0,
    generation integer     not null,
    partition  smallint    not null,
    is_wanted  boolean     not null default false,
    order_id   uuid        not null,
    projection text        not null references projections (name),
    class      text,
    reason     text,
    primary key (projection, generation, partition, "offset"),
    check ((class is null) = (reason is null)),
    check ((class is null) = (failed_at is null))
);

comment on column dead_letters.class is 'null: it waits behind an earlier one of its order';
comment on column dead_letters.is_wanted is 'it is to be tried again, by the owner of its partition';

create index dead_letters_sequence on dead_letters (projection, generation, partition, order_id, "offset");
create index dead_letters_wanted on dead_letters (projection, generation, partition, order_id, "offset") where is_wanted;

-- Orders of the partition that have dead letters: kept with the checkpoint, so that both are read together. And a number that
-- rises with whatever is done about dead letters without moving the checkpoint: who does not know of it writes nothing.
alter table checkpoints
    add column parked  integer not null default 0 check (parked >= 0),
    add column letters bigint  not null default 0;

comment on column checkpoints.letters is 'rises when letters are taken away or an event is discarded; part of the compare-and-set';

-- Events that somebody has decided a fold of a read model shall never hold, with the reason. Every generation and every
-- rebuild of that version passes over them.
create table discarded_events (
    "offset"     bigint      not null,
    discarded_at timestamptz not null default clock_timestamp(),
    partition    smallint    not null,
    event_id     uuid        not null,
    order_id     uuid        not null,
    version      integer     not null,
    projection   text        not null references projections (name),
    reason       text        not null check (reason <> ''),
    discarded_by text        not null,
    failure      text        not null,
    primary key (projection, version, partition, "offset")
);

comment on column discarded_events.failure is 'why it could not be applied, as it was known then';
