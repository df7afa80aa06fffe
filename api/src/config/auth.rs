//! Who is let in besides the holders of our own tokens.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::auth::JwtRules;

/// The furthest that an identity provider's clock may be from ours: 5 min. Clocks that are kept are within a second;
/// what is added here is added to the life of every token.
pub(super) const MAX_LEEWAY_S: u64 = 300;

/// An identity provider whose tokens open what their role has. Without `jwks` there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSettings {
    /// Where its keys are: an address or a file; empty for none.
    pub jwks: String,
    /// What its tokens name as `iss`.
    pub issuer: String,
    /// What its tokens for us name as `aud`.
    pub audience: String,
    /// Where its tokens name a role.
    pub roles_claim: String,
    /// How far its clock may be from ours, in seconds.
    pub leeway_s: u64,
}

impl Default for AuthSettings {
    fn default() -> Self {
        AuthSettings {
            jwks: String::new(),
            issuer: String::new(),
            audience: String::new(),
            roles_claim: "roles".to_owned(),
            leeway_s: 30,
        }
    }
}

impl AuthSettings {
    /// Where the provider's keys are and what its tokens must say, where there is one.
    pub fn identity_provider(&self) -> Option<(&str, JwtRules)> {
        let rules = || JwtRules {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            roles_claim: self.roles_claim.clone(),
            leeway: Duration::from_secs(self.leeway_s),
        };
        (!self.jwks.is_empty()).then(|| (self.jwks.as_str(), rules()))
    }

    /// What a provider lacks. Without it, tokens that were made for others would open this door.
    pub(super) fn missing(&self) -> Option<&'static str> {
        let needed = [
            ("auth.issuer", &self.issuer),
            ("auth.audience", &self.audience),
            ("auth.roles_claim", &self.roles_claim),
        ];
        let mut missing = needed.into_iter().filter(|(_, value)| value.is_empty());
        let (name, _) = missing.next()?;
        (!self.jwks.is_empty()).then_some(name)
    }
}
