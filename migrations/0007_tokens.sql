-- Bearer tokens. The token itself is shown once, when it is made; only its SHA-256 is kept, which is enough: 256 random
-- bits cannot be guessed, so a slow hash would only slow down every request.
create table api_tokens (
    token_hash bytea       primary key check (octet_length(token_hash) = 32),
    token_id   uuid        not null unique default gen_random_uuid(),
    role       text        not null check (role in ('customer', 'staff', 'operator', 'service', 'gateway')),
    actor_id   text        not null check (octet_length(actor_id) between 1 and 255),
    label      text        not null check (octet_length(label) <= 255),
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz
);
