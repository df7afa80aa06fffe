-- One row a shipment, from its allocation on: what the people who pack and send look at. Only what events say stands in a
-- row; whether something is late is asked of due_at when it is read.
create table shipment_board_g1 (
    order_id         uuid        not null,
    "offset"         bigint      not null,
    allocated_at     timestamptz not null,
    updated_at       timestamptz not null,
    due_at           timestamptz not null,
    created_at       timestamptz,
    labelled_at      timestamptz,
    dispatched_at    timestamptz,
    delivered_at     timestamptz,
    closed_at        timestamptz,
    pieces           bigint      not null,
    parcels          integer     not null,
    failed_attempts  integer     not null,
    partition        smallint    not null,
    number           smallint    not null,
    open             boolean     not null,
    failed           boolean     not null,
    status           text        not null,
    location         text,
    carrier          text,
    service          text,
    tracking_numbers text[]      not null,
    carrier_statuses json        not null,
    primary key (order_id, number)
) with (fillfactor = 70);

comment on column shipment_board_g1."offset" is 'of the newest event about it';
comment on column shipment_board_g1.due_at is 'until when it should be dispatched, and once it is, delivered';
comment on column shipment_board_g1.carrier is 'of its first parcel';

-- A list is a walk along one of these; order and number make every place in it unique.
create index shipment_board_g1_due on shipment_board_g1 (due_at, order_id, number);
create index shipment_board_g1_allocated on shipment_board_g1 (allocated_at, order_id, number);
create index shipment_board_g1_dispatched on shipment_board_g1 (dispatched_at, order_id, number)
    where dispatched_at is not null;
-- What people look at is open, or went wrong: a few of very many.
create index shipment_board_g1_open on shipment_board_g1 (due_at, order_id, number) where open;
create index shipment_board_g1_open_location on shipment_board_g1 (location, due_at, order_id, number) where open;
create index shipment_board_g1_open_carrier on shipment_board_g1 (carrier, due_at, order_id, number) where open;
create index shipment_board_g1_failed on shipment_board_g1 (due_at, order_id, number) where failed;
create index shipment_board_g1_status on shipment_board_g1 (status, due_at, order_id, number);
create index shipment_board_g1_tracking on shipment_board_g1 using gin (tracking_numbers);

insert into projections (name, version, generation) values ('shipment_board', 1, 1);
insert into checkpoints (projection, generation, partition)
select 'shipment_board', 1, p from docket, generate_series(0, docket.partitions - 1) p;
