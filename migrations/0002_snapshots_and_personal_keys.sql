-- A cache of folded streams: safe to delete at any time. What is personal in it is sealed.
create table snapshots (
    order_id      uuid     not null,
    stream_kind   "char"   not null,
    stream_number smallint not null,
    version       integer  not null,
    format        smallint not null,
    state         json     not null,
    primary key (order_id, stream_kind, stream_number)
);

-- One living key a subject, wrapped by the master key. Forgetting a subject destroys the key, and the row stays as the
-- proof that it did: what was sealed under this key id opens as the forgotten mark for ever.
create table personal_keys (
    key_id       uuid primary key,
    subject      text not null check (octet_length(subject) <= 320),
    wrapped_key  bytea,
    created_at   timestamptz not null default now(),
    destroyed_at timestamptz,
    check ((wrapped_key is null) = (destroyed_at is not null))
);

create unique index personal_keys_living on personal_keys (subject) where wrapped_key is not null;
