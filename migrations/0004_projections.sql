-- What every read model needs beside its tables. A read model's tables are named <name>_g<generation>; the row here
-- points to the generation that is served.
create table projections (
    name        text    primary key,
    version     integer not null,
    generation  integer not null check (generation > 0)
);

comment on column projections.version is 'of the fold that the generation''s rows were made by; a binary with another one does not feed it';

-- How far each partition of each generation has come, who feeds it, and why it stands still where it does.
-- One row holds checkpoint and lease, so that one compare-and-set proves both: rows are written only by whoever still
-- holds the epoch, and only on top of the offset that they were folded from. Pages stay nearly empty, so that every
-- update is a HOT update.
create table checkpoints (
    "offset"       bigint   not null default 0 check ("offset" >= 0),
    epoch          bigint   not null default 0,
    stopped_offset bigint,
    lease_until    timestamptz,
    generation     integer  not null,
    partition      smallint not null,
    projection     text     not null references projections (name),
    event_id       uuid,
    owner          uuid,
    stopped_class  text,
    stopped_reason text,
    primary key (projection, generation, partition),
    check (("offset" = 0) = (event_id is null)),
    check ((owner is null) = (lease_until is null)),
    check ((stopped_offset is null) = (stopped_class is null)),
    check ((stopped_offset is null) = (stopped_reason is null))
) with (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

comment on column checkpoints."offset" is 'the newest event whose effect is in the rows';
comment on column checkpoints.event_id is 'its id: the proof that the rows were folded from this log';
comment on column checkpoints.epoch is 'rises with every new owner: what an old one still sends hits nothing';

-- The processes that feed read models: how many share the partitions.
create table projection_processes (
    process     uuid primary key,
    alive_until timestamptz not null
) with (fillfactor = 20);
