-- One document an order: everything that is known of it, its payments and its shipments. Personal values in it are
-- sealed as they are in the log.
create table order_detail_g1 (
    order_id  uuid     primary key,
    "offset"  bigint   not null,
    version   integer  not null,
    partition smallint not null,
    document  json     not null
) with (fillfactor = 70);

comment on column order_detail_g1."offset" is 'of the newest event of the order, its payments and its shipments';
comment on column order_detail_g1.version is 'of the order''s own stream';

insert into projections (name, version, generation) values ('order_detail', 1, 1);
insert into checkpoints (projection, generation, partition)
select 'order_detail', 1, p from docket, generate_series(0, docket.partitions - 1) p;
