-- The money: one row a payment, and what moved on each day. Both are written by one fold in one statement, so that at any
-- moment the payments and the days add up to the same.
create table payment_ledger_g1 (
    order_id       uuid        not null,
    "offset"       bigint      not null,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    authorized_at  timestamptz,
    captured_at    timestamptz,
    refunded_at    timestamptz,
    capture_before timestamptz,
    amount         bigint      not null,
    authorized     bigint      not null,
    captured       bigint      not null,
    refunded       bigint      not null,
    voided         bigint      not null,
    expired        bigint      not null,
    capturable     bigint      not null,
    disputed       bigint      not null,
    lost           bigint      not null,
    failures       integer     not null,
    partition      smallint    not null,
    number         smallint    not null,
    status         text        not null,
    gateway        text        not null,
    currency       text        not null,
    facts          json        not null,
    primary key (order_id, number)
) with (fillfactor = 70);

comment on column payment_ledger_g1.facts is 'what the fold needs to go on; nothing in it is readable of a person';

-- A list is a walk along one of these; order and number make every place in it unique.
create index payment_ledger_g1_created on payment_ledger_g1 (created_at, order_id, number);
create index payment_ledger_g1_updated on payment_ledger_g1 (updated_at, order_id, number);
create index payment_ledger_g1_amount on payment_ledger_g1 (amount, order_id, number);
create index payment_ledger_g1_status on payment_ledger_g1 (status, created_at, order_id, number);
create index payment_ledger_g1_gateway on payment_ledger_g1 (gateway, created_at, order_id, number);
-- Money that gateways hold runs out: what has to be taken first.
create index payment_ledger_g1_capturable on payment_ledger_g1 (capture_before, order_id, number)
    where capturable > 0 and capture_before is not null;
create index payment_ledger_g1_disputed on payment_ledger_g1 (created_at, order_id, number) where disputed > 0;

-- Sums of movements. Partitions never share a row; a query adds their rows up.
create table payment_ledger_days_g1 (
    day        date     not null,
    authorized bigint   not null,
    captured   bigint   not null,
    refunded   bigint   not null,
    voided     bigint   not null,
    expired    bigint   not null,
    lost       bigint   not null,
    failed     bigint   not null,
    disputes   bigint   not null,
    partition  smallint not null,
    currency   text     not null,
    primary key (partition, day, currency)
) with (fillfactor = 50);

comment on column payment_ledger_days_g1.day is 'of the events'' business time, in UTC';

create index payment_ledger_days_g1_day on payment_ledger_days_g1 (day, currency);

insert into projections (name, version, generation) values ('payment_ledger', 1, 1);
insert into checkpoints (projection, generation, partition)
select 'payment_ledger', 1, p from docket, generate_series(0, docket.partitions - 1) p;
