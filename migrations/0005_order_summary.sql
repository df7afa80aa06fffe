-- One row an order, for lists and search. Only what events say stands in a row: no default, clock or sequence.
create table order_summary_g1 (
    order_id           uuid        primary key,
    "offset"           bigint      not null,
    created_at         timestamptz not null,
    updated_at         timestamptz not null,
    placed_at          timestamptz,
    confirmed_at       timestamptz,
    completed_at       timestamptz,
    cancelled_at       timestamptz,
    expired_at         timestamptz,
    number             bigint,
    subtotal           bigint      not null,
    discount           bigint      not null,
    shipping           bigint      not null,
    tax                bigint      not null,
    grand              bigint      not null,
    cancelled_value    bigint      not null,
    authorized         bigint      not null,
    captured           bigint      not null,
    refunded           bigint      not null,
    voided             bigint      not null,
    expired            bigint      not null,
    pieces             bigint      not null,
    version            integer     not null,
    lines              integer     not null,
    payments           integer     not null,
    shipments          integer     not null,
    partition          smallint    not null,
    on_hold            boolean     not null,
    origin             "char"      not null,
    status             text        not null,
    payment_status     text        not null,
    fulfillment_status text        not null,
    currency           text        not null,
    channel            text        not null,
    customer           text,
    facts              json        not null
) with (fillfactor = 70);

comment on column order_summary_g1."offset" is 'of the newest event of the order, its payments and its shipments';
comment on column order_summary_g1.version is 'of the order''s own stream';
comment on column order_summary_g1.facts is 'what the fold needs to go on; nothing in it is readable of a person';

-- A list is a walk along one of these; the id makes every place in it unique. What was never placed comes first.
create index order_summary_g1_created on order_summary_g1 (created_at, order_id);
create index order_summary_g1_placed on order_summary_g1 (coalesce(placed_at, '-infinity'::timestamptz), order_id);
create index order_summary_g1_number on order_summary_g1 (coalesce(number, 0), order_id);
create index order_summary_g1_total on order_summary_g1 (grand, order_id);
-- Filters that leave few rows of many.
create index order_summary_g1_customer on order_summary_g1 (customer, created_at, order_id) where customer is not null;
create index order_summary_g1_status on order_summary_g1 (status, created_at, order_id);
create index order_summary_g1_payment on order_summary_g1 (payment_status, created_at, order_id);
create index order_summary_g1_fulfillment on order_summary_g1 (fulfillment_status, created_at, order_id);
create index order_summary_g1_on_hold on order_summary_g1 (created_at, order_id) where on_hold;

insert into projections (name, version, generation) values ('order_summary', 1, 1);
insert into checkpoints (projection, generation, partition)
select 'order_summary', 1, p from docket, generate_series(0, docket.partitions - 1) p;
