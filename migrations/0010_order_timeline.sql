-- What happened to an order, one row an event that a person wants to read. Rows are only ever inserted. Nothing personal
-- is in one: what a person reads is put into words from the facts when it is read.
create table order_timeline_g1 (
    "offset"   bigint      not null,
    order_id   uuid        not null,
    at         timestamptz not null,
    partition  smallint    not null,
    number     smallint    not null,
    internal   boolean     not null,
    kind       text        not null,
    actor_kind text        not null,
    actor_id   text,
    facts      json        not null,
    primary key (partition, "offset")
);

comment on column order_timeline_g1.number is 'of the order''s payment or shipment; 0 where it is about the order itself';
comment on column order_timeline_g1.internal is 'not for the customer: holds, checks, what went wrong behind the counter';
comment on column order_timeline_g1.actor_id is 'of staff, programs, gateways and carriers; a customer is known by the order';

-- An order's entries, in the order in which they happened: all of them lie in one partition.
create index order_timeline_g1_order on order_timeline_g1 (order_id, "offset");

insert into projections (name, version, generation) values ('order_timeline', 1, 1);
insert into checkpoints (projection, generation, partition)
select 'order_timeline', 1, p from docket, generate_series(0, docket.partitions - 1) p;
