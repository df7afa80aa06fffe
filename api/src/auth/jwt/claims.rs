//! What one token says, and whether it holds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use docket_domain::{Actor, CustomerId, Role};
use jsonwebtoken::{Header, Validation, decode, decode_header};
use serde_json::Value;

use super::key_set::{KeySet, Named};

/// The longest that a session is taken to hold without being asked for again; a token's `exp` may name any year.
const MAX_SESSION: Duration = Duration::from_secs(24 * 3_600);
/// The types that a token may name in its header: RFC 7519 and RFC 9068. A provider signs other things with the same
/// keys (logout tokens, security events), which must not open anything here.
const TYPES: [&str; 3] = ["JWT", "at+jwt", "application/at+jwt"];

/// What a token has to say to be one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtRules {
    /// Its `iss`.
    pub issuer: String,
    /// Its `aud`, or one of them.
    pub audience: String,
    /// Where its role stands: a claim's name, or the way to one (`/realm_access/roles`).
    pub roles_claim: String,
    /// How far clocks may be apart.
    pub leeway: Duration,
}

/// Why a token does not hold. It decides what is done next and is told to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rejected {
    /// It names a key that is not known: a new one, or an invention.
    UnknownKey,
    /// Anything else.
    Invalid,
}

impl JwtRules {
    /// The actor of a token that holds, and for how long it goes on holding.
    pub(super) fn verify(&self, keys: &KeySet, text: &str) -> Result<(Actor, Duration), Rejected> {
        let header = decode_header(text).map_err(|_| Rejected::Invalid)?;
        if !is_plain(&header) {
            return Err(Rejected::Invalid);
        }
        let key = match keys.named(header.kid.as_deref(), header.alg) {
            Named::Key(key) => key,
            Named::Unknown => return Err(Rejected::UnknownKey),
            Named::Unfit => return Err(Rejected::Invalid),
        };
        let mut validation = Validation::new(header.alg);
        // The key's own, which the header's is one of.
        validation.algorithms.clone_from(&key.algorithms);
        validation.leeway = self.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let token = decode::<Value>(text, &key.key, &validation).map_err(|_| Rejected::Invalid)?;
        self.read(&token.claims).ok_or(Rejected::Invalid)
    }

    /// What the library leaves to us: when it was issued, whose it is, and as what.
    fn read(&self, claims: &Value) -> Option<(Actor, Duration)> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        if let Some(issued) = claims.get("iat")
            && seconds(issued)? > now.saturating_add(self.leeway)
        {
            return None;
        }
        // To the moment: the library goes by whole seconds, and would take it for up to one more.
        let ends = seconds(claims.get("exp")?)?.saturating_add(self.leeway);
        let left = ends
            .checked_sub(now)
            .filter(|left| !left.is_zero())?
            .min(MAX_SESSION);
        let id = claims.get("sub")?.as_str()?;
        if !(1..=255).contains(&id.len()) || id.contains('\0') {
            return None;
        }
        let role = self.role(claims)?;
        if role == Role::Customer && CustomerId::try_new(id).is_err() {
            return None;
        }
        Some((Actor::new(role, id), left))
    }

    /// The one role among what the claim names. Roles of other programs are passed over; two of ours are one too many,
    /// because then somebody else would have to say which counts.
    fn role(&self, claims: &Value) -> Option<Role> {
        let claim = if self.roles_claim.starts_with('/') {
            claims.pointer(&self.roles_claim)?
        } else {
            claims.get(&self.roles_claim)?
        };
        let named = match claim {
            Value::Array(named) => named.as_slice(),
            one => std::slice::from_ref(one),
        };
        let mut ours = named
            .iter()
            .filter_map(|name| name.as_str()?.parse::<Role>().ok());
        match (ours.next(), ours.next()) {
            (Some(role), None) => Some(role),
            _ => None,
        }
    }
}

/// Whether a header asks for nothing that has to be understood.
fn is_plain(header: &Header) -> bool {
    let known = |named: &String| TYPES.iter().any(|known| known.eq_ignore_ascii_case(named));
    header.crit.is_none()
        && header.enc.is_none()
        && header.zip.is_none()
        && header.typ.as_ref().is_none_or(known)
}

/// A time since 1970, in whole or broken seconds.
fn seconds(claim: &Value) -> Option<Duration> {
    let broken = || Duration::try_from_secs_f64(claim.as_f64()?).ok();
    claim.as_u64().map(Duration::from_secs).or_else(broken)
}
