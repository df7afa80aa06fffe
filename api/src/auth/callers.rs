//! The hook of the transports: a bearer token to its caller, whichever kind of token it is.

use std::sync::Arc;

use super::{Caller, Checked, Jwks, Tokens};
use crate::http::{AuthError, Authenticate, Session};

/// The longest token that is looked at, in bytes: 8 KiB. A random one has 50; a JWT of a provider that puts a person's
/// groups into it has 2 or 3 kB.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Tells callers by the table of tokens and, where an identity provider is configured, by its keys. Clones share what is
/// remembered.
#[derive(Clone)]
pub struct Callers {
    tokens: Tokens,
    jwks: Option<Jwks>,
}

impl Callers {
    /// Both kinds; the second where there is a provider.
    pub fn new(tokens: Tokens, jwks: Option<Jwks>) -> Callers {
        Callers { tokens, jwks }
    }

    async fn check(&self, text: &str) -> Checked<(Caller, std::time::Duration)> {
        if text.len() > MAX_TOKEN_BYTES {
            return Checked::Not;
        }
        // A JWT has two dots, a token of ours none.
        match &self.jwks {
            Some(jwks) if text.contains('.') => jwks
                .check(text)
                .await
                .map(|(actor, left)| (Caller::Known(Arc::new(actor)), left)),
            _ => self
                .tokens
                .check(text)
                .await
                .map(|(actor, left)| (Caller::Known(actor), left)),
        }
    }
}

impl Authenticate for Callers {
    type Caller = Caller;

    async fn authenticate(&self, bearer: Option<&str>) -> Result<Session<Caller>, AuthError> {
        let Some(text) = bearer else {
            return Ok(Session {
                caller: Caller::Anonymous,
                valid_for: None,
            });
        };
        match self.check(text).await {
            Checked::Holds((caller, left)) => Ok(Session {
                caller,
                valid_for: Some(left),
            }),
            Checked::Not => Err(AuthError::Invalid),
            Checked::Unknown(error) => Err(AuthError::Unavailable(error)),
        }
    }
}
