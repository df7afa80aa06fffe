//! Who is let in by an identity provider's tokens, who is not, and for how long.

mod bad_tokens;
mod door;
mod idempotency;
mod key_sets;
mod rotation;
