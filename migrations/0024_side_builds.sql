-- Side builds: a read model built to be looked at, by another fold or as of an instant. Its tables lie in a schema of their
-- own until the next one of the same read model, or until an operator drops them. Nobody feeds or serves them: while a rebuild
-- fills one it is a generation like any other, and afterwards it has no checkpoints.
create schema side;

alter table generations drop constraint generations_state_check,
    add constraint generations_state_check check (state in ('building', 'live', 'side'));

comment on column generations.state is
    'building: a rebuild fills it; live: whoever feeds read models feeds it; side: it is done, lies in the schema side and stays as it is';

-- A program of the version before sets a purpose of its own and leaves as_of as it was.
alter table rebuilds drop constraint rebuilds_purpose_check,
    add constraint rebuilds_purpose_check check (purpose in ('swap', 'verify_only', 'what_if', 'as_of')),
    add column as_of timestamptz,
    add column differences jsonb,
    add constraint rebuilds_as_of_check check (purpose <> 'as_of' or as_of is not null);

comment on column rebuilds.differences is 'how a build aside differs from what is served, once it was compared';
comment on column rebuilds.as_of is 'events that were recorded until then are in the rows';
