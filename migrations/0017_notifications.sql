-- What is fed from the log is a read model, which may be folded anew at any time, or a reactor, which never is: what it
-- once caused stays caused. Both have checkpoints and leases, and are fed by the same processes.
alter table projections add column kind text not null default 'read_model' check (kind in ('read_model', 'reactor'));

comment on column projections.version is 'of the fold that the generation''s rows were made by, or of a reactor''s rules; a binary with another one does not feed it';

-- From where on each rule of a reactor has effects. A reactor's checkpoint alone would not do: where it lags behind, a rule
-- that joins it would reach back before the moment at which it joined.
create table reactor_rules (
    reactor    text     not null references projections (name),
    rule       text     not null,
    partition  smallint not null,
    "offset"   bigint   not null check ("offset" >= 0),
    primary key (reactor, rule, partition)
);

comment on column reactor_rules."offset" is 'events after it have effects';

-- What recipients were told, each numbered from 1 without a gap: a subscription that has seen number n has seen all up to n.
-- Facts only, nothing personal. It grows with the log and is not cut.
create table notifications (
    number      bigint      not null check (number > 0),
    "offset"    bigint      not null,
    created_at  timestamptz not null,
    event_id    uuid        not null,
    order_id    uuid        not null,
    partition   smallint    not null,
    recipient   text        not null,
    rule        text        not null,
    facts       json        not null,
    primary key (recipient, number)
);

comment on column notifications.recipient is 'whom it is for: customer:<id>, or order:<uuid> of an order without a customer';
comment on column notifications.created_at is 'when the log took the event';

-- An event has each effect once, however often a reactor comes by.
create unique index notifications_effect on notifications (event_id, rule, recipient);
-- For whoever follows all of them.
create index notifications_position on notifications (partition, "offset");

-- The newest number of each recipient, and the lock under which the next one is given.
create table notification_recipients (
    newest    bigint not null check (newest > 0),
    recipient text   primary key
) with (fillfactor = 70);

-- The reactor and its rules begin where the log ends now. One statement sees one moment of all partitions: what is appended
-- meanwhile is after it.
insert into projections (name, version, generation, kind) values ('notifications', 1, 1, 'reactor');

with begin as materialized (
    select h.partition, h.head, e.event_id
      from heads h left join events e on e.partition = h.partition and e."offset" = h.head),
rules as (
    insert into reactor_rules (reactor, rule, partition, "offset")
    select 'notifications', rule, partition, head from begin, unnest(array['order_paid', 'order_shipped']) rule)
insert into checkpoints (projection, generation, partition, "offset", event_id)
select 'notifications', 1, partition, head, event_id from begin;
