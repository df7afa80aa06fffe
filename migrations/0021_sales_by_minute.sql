-- What was sold in each minute of the orders' own time, by currency and channel. Partitions never share a row; a query adds
-- their rows up.
create table sales_by_minute_g1 (
    minute    timestamptz not null,
    orders    bigint      not null,
    total     bigint      not null,
    smallest  bigint      not null,
    largest   bigint      not null,
    squares   numeric     not null,
    partition smallint    not null,
    currency  text        not null,
    channel   text        not null,
    primary key (partition, minute, currency, channel)
) with (fillfactor = 50);

comment on column sales_by_minute_g1.minute is 'its beginning; of the orders'' business time';
comment on column sales_by_minute_g1.squares is 'the sum of the squares of the totals, for the deviation';

create index sales_by_minute_g1_minute on sales_by_minute_g1 (minute, currency, channel);

select add_read_model('sales_by_minute', 1, 'sales_by_minute');
