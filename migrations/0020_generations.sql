-- Generations: the builds of a read model's tables that are there. `projections` points to the one that is served; what was
-- served before is kept and fed, so that it can be served again at once. A reactor has none: it is never replayed.
create table generations (
    projection text    not null references projections (name),
    generation integer not null check (generation > 0),
    version    integer not null,
    state      text    not null check (state in ('building', 'live')),
    served_at  timestamptz,
    left_at    timestamptz,
    primary key (projection, generation)
);

comment on column generations.version is 'of the fold that its rows are made by; a program feeds and serves those of its own';
comment on column generations.state is 'building: a rebuild fills it; live: whoever feeds read models feeds it';
comment on column generations.left_at is 'when the pointer left it last';
comment on column generations.served_at is 'when the pointer came to it last; null: never';

insert into generations (projection, generation, version, state, served_at)
select name, generation, version, 'live', now() from projections where kind = 'read_model';

-- A swap lets the owners of the generation that is left wait for a moment, so that the other one comes to where they are. No
-- lock is held for it, and one that is forgotten ends by itself.
alter table checkpoints add column held_until timestamptz;
-- An owner that cannot write says why, where it still can.
alter table checkpoints add column trouble text;

comment on column checkpoints.held_until is 'until then the checkpoint does not move';

-- What a generation's tables look like, for each version of a fold: templates.<table>_v<version>, always empty. A migration
-- that changes what a read model holds adds the template of its next version.
create schema templates;

-- Makes a table like another one, with its settings, comments and primary key, and its other indexes where they are wanted.
-- Indexes are named as the source's are, with the new table's name in front.
create function copy_table(source regclass, target_schema text, target text, with_indexes boolean) returns void
language plpgsql as $$
declare
    options text[];
    key     text;
begin
    execute format('create table %I.%I (like %s including all excluding indexes)', target_schema, target, source);
    select reloptions into options from pg_class where oid = source;
    if options is not null then
        execute format('alter table %I.%I set (%s)', target_schema, target, array_to_string(options, ', '));
    end if;
    select pg_get_constraintdef(oid) into key from pg_constraint where conrelid = source and contype = 'p';
    if key is not null then
        execute format('alter table %I.%I add %s', target_schema, target, key);
    end if;
    if with_indexes then
        perform copy_index(i.indexrelid, target_schema, target) from pg_index i
          where i.indrelid = source and not i.indisprimary;
    end if;
end $$;

create function copy_index(source regclass, target_schema text, target text) returns void
language plpgsql as $$
declare
    old_table text;
    old_index text;
    condition text;
begin
    select t.relname, i.relname, regexp_replace(pg_get_indexdef(source), '^.*? USING ', 'using ')
      into old_table, old_index, condition
      from pg_index x join pg_class t on t.oid = x.indrelid join pg_class i on i.oid = x.indexrelid
     where x.indexrelid = source;
    execute format('create index if not exists %I on %I.%I %s',
                   target || substr(old_index, length(old_table) + 1), target_schema, target, condition);
end $$;

-- Whoever owns or may use one table owns or may use the other: a program with few rights feeds what another one's owner has built.
create function copy_grants(source regclass, target regclass) returns void
language plpgsql as $$
declare
    entry record;
    owner text;
begin
    select pg_get_userbyid(relowner) into owner from pg_class where oid = source;
    if owner <> (select pg_get_userbyid(relowner) from pg_class where oid = target) then
        execute format('alter table %s owner to %I', target, owner);
    end if;
    for entry in
        select case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as grantee, a.privilege_type
          from pg_class c, aclexplode(c.relacl) a
         where c.oid = source and a.grantee <> c.relowner
    loop
        execute format('grant %s on %s to %s', entry.privilege_type, target, entry.grantee);
    end loop;
end $$;

-- Makes a read model known: its first generation, whose tables a migration has created as <table>_g1, the template of them,
-- and a checkpoint for each partition.
create function add_read_model(model text, model_version integer, variadic model_tables text[]) returns void
language plpgsql as $$
declare
    name text;
begin
    foreach name in array model_tables loop
        perform copy_table(format('public.%I', name || '_g1')::regclass, 'templates', name || '_v' || model_version, true);
    end loop;
    insert into projections (name, version, generation) values (model, model_version, 1);
    insert into generations (projection, generation, version, state, served_at) values (model, 1, model_version, 'live', now());
    insert into checkpoints (projection, generation, partition)
    select model, 1, p from docket, generate_series(0, docket.partitions - 1) p;
end $$;

do $$
declare
    name text;
begin
    foreach name in array array['order_summary', 'order_detail', 'order_timeline', 'shipment_board', 'customer_orders',
                                'payment_ledger', 'payment_ledger_days', 'order_search'] loop
        perform copy_table(format('public.%I', name || '_g1')::regclass, 'templates', name || '_v1', true);
    end loop;
end $$;

-- The work on a read model's generations that goes on, or that ended last: one at a time for each read model. Whoever does it
-- holds the row's lease; when it runs out, another may take it over and goes on where the checkpoints stand.
create table rebuilds (
    projection      text        primary key references projections (name),
    from_generation integer     not null,
    generation      integer     not null,
    version         integer     not null,
    epoch           bigint      not null,
    owner           uuid,
    lease_until     timestamptz,
    step            text        not null check (step in ('create', 'load', 'index', 'verify', 'swap')),
    purpose         text        not null check (purpose in ('swap', 'verify_only')),
    wish            text        not null default 'run' check (wish in ('run', 'pause', 'cancel')),
    started_at      timestamptz not null default clock_timestamp(),
    ended_at        timestamptz,
    outcome         text,
    check ((owner is null) = (lease_until is null))
);

comment on column rebuilds.wish is 'what an operator wants of it';
comment on column rebuilds.epoch is 'rises with every new owner: what an old one still does hits nothing';
comment on column rebuilds.outcome is 'how it ended, or why it stands still: in words';
