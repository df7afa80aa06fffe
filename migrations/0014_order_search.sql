-- What an order is found by of the person who ordered. The hashes are keyed (HMAC-SHA-256, cut to 16 bytes) and kept as
-- uuid, PostgreSQL's plain value of that size: nothing here can be read without the master key.
create table order_search_g1 (
    order_id  uuid     primary key,
    partition smallint not null,
    email     uuid,
    words     uuid[]   not null
);

comment on column order_search_g1.email is 'the keyed hash of the whole address, in lower case';
comment on column order_search_g1.words is 'the keyed hash of each word of the name';

create index order_search_g1_email on order_search_g1 (email) where email is not null;
-- A search reads what waits to be put into the index row by row, so that it must not be much.
create index order_search_g1_words on order_search_g1 using gin (words) with (gin_pending_list_limit = 256);

insert into projections (name, version, generation) values ('order_search', 1, 1);
insert into checkpoints (projection, generation, partition)
select 'order_search', 1, p from docket, generate_series(0, docket.partitions - 1) p;
