-- Servers go on with a rebuild that nobody does, so the row holds all that whoever goes on needs, and tells what only its
-- owner knew: how far it is.
alter table rebuilds
    add column against_log boolean  not null default false,
    add column parallel    smallint not null default 1 check (parallel > 0),
    add column retry_at    timestamptz,
    add column deaths      integer  not null default 0,
    add column yields      boolean  not null default false,
    add column rows        bigint,
    add column folded      bigint[] not null default '{}',
    add column written     bigint[] not null default '{}',
    add column targets     bigint[] not null default '{}';

comment on column rebuilds.retry_at is 'from then on a server goes on with it by itself; null: where somebody says so';
comment on column rebuilds.deaths is 'owners that died over it since somebody last said that it goes on';
comment on column rebuilds.yields is 'it makes way for live read models';
comment on column rebuilds.rows is 'rows that were compared';
comment on column rebuilds.folded is 'the newest event of each partition that is folded; written: whose effect is in the rows; targets: to which it goes';
