-- What customers bought: the facts of one row an order, from which a customer's sums are made when they are asked for.
create table customer_orders_g1 (
    order_id        uuid        primary key,
    "offset"        bigint      not null,
    created_at      timestamptz not null,
    placed_at       timestamptz,
    grand           bigint      not null,
    cancelled_value bigint      not null,
    captured        bigint      not null,
    refunded        bigint      not null,
    partition       smallint    not null,
    status          text        not null,
    currency        text        not null,
    customer        text
) with (fillfactor = 70);

-- Everything that a customer's sums are made of, side by side.
create index customer_orders_g1_customer on customer_orders_g1 (customer, currency)
    include (placed_at, status, grand, cancelled_value, captured, refunded) where customer is not null;

insert into projections (name, version, generation) values ('customer_orders', 1, 1);
insert into checkpoints (projection, generation, partition)
select 'customer_orders', 1, p from docket, generate_series(0, docket.partitions - 1) p;
