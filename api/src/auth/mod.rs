//! Who calls: bearer tokens and the roles that they carry.
//!
//! A token is 256 random bits, shown once; the database keeps its SHA-256 ([`token`]). A verified token is remembered
//! for a few seconds in a bounded cache ([`cache`]), so a busy caller costs no statement a request, and a revoked token
//! works for at most that long. Where an identity provider is configured, its JWTs open the same doors ([`jwt`]). The
//! actor comes from the token alone, never from a request's input.

mod cache;
mod callers;
pub mod jwt;
mod token;

use std::{error::Error, sync::Arc};

use docket_domain::{Actor, Role};

pub use self::{
    cache::Tokens,
    callers::{Callers, MAX_TOKEN_BYTES},
    jwt::{Jwks, JwksError, JwksLimits, JwtRules},
    token::{NewToken, TokenError, create_token, revoke_token},
};

/// Who a request comes from; resolvers find it in the request's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody has been named: only introspection is open.
    Anonymous,
    /// The holder of a token that was checked.
    Known(Arc<Actor>),
}

impl Caller {
    /// A caller of this role and id; for tests and for what runs inside the process.
    pub fn known(role: Role, id: impl Into<String>) -> Caller {
        Caller::Known(Arc::new(Actor::new(role, id)))
    }

    /// The actor, where there is one.
    pub fn actor(&self) -> Option<&Arc<Actor>> {
        match self {
            Caller::Anonymous => None,
            Caller::Known(actor) => Some(actor),
        }
    }

    /// The role, where there is one.
    pub fn role(&self) -> Option<Role> {
        self.actor().map(|actor| actor.role)
    }
}

/// What came of looking at a token.
enum Checked<T> {
    /// It holds.
    Holds(T),
    /// It does not, for whatever reason.
    Not,
    /// That cannot be told at the moment.
    Unknown(Box<dyn Error + Send + Sync>),
}

impl<T> Checked<T> {
    fn map<U>(self, into: impl FnOnce(T) -> U) -> Checked<U> {
        match self {
            Checked::Holds(held) => Checked::Holds(into(held)),
            Checked::Not => Checked::Not,
            Checked::Unknown(error) => Checked::Unknown(error),
        }
    }
}
