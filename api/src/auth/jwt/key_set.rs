//! The keys of an identity provider, read from its document (RFC 7517).
//!
//! A key says by itself what it may check: its type, its curve, its `alg` and its `use`. What a token's header claims is
//! compared with that and never believed. Keys that are of no use here (for encryption, of another type or curve, a
//! shared secret) are left out, as the standard asks, and so is a key whose private half was published with it.

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde_json::Value;

use super::limits;

/// A key that checks signatures.
pub(super) struct Key {
    id: Option<String>,
    /// Of one family.
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

/// The keys that hold at the moment.
#[derive(Default)]
pub(super) struct KeySet(Vec<Key>);

/// Which key a token names.
pub(super) enum Named<'a> {
    /// This one.
    Key(&'a Key),
    /// One that is not there: it may be new.
    Unknown,
    /// None, where it has to, or one that does not check this algorithm.
    Unfit,
}

/// Why a document is no set of keys.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// Not JSON.
    #[error("the key set is not JSON")]
    Json(#[source] serde_json::Error),
    /// JSON of another form.
    #[error("the document has no list `keys`")]
    NoKeys,
    /// More than are kept.
    #[error("the key set has {0} keys; at most {max} are taken", max = limits::MAX_KEYS)]
    TooMany(usize),
    /// None of them checks signatures with an algorithm that is allowed.
    #[error("none of the {0} keys checks signatures by RS256, PS256, ES256 or EdDSA")]
    NoneFits(usize),
}

impl KeySet {
    /// Reads a document. One without a single key that is of use is refused: it would shut everybody out, and is more
    /// often a mistake than meant.
    pub(super) fn read(document: &[u8]) -> Result<KeySet, KeySetError> {
        let document: Value = serde_json::from_slice(document).map_err(KeySetError::Json)?;
        let listed = document.get("keys").and_then(Value::as_array);
        let listed = listed.ok_or(KeySetError::NoKeys)?;
        if listed.len() > limits::MAX_KEYS {
            return Err(KeySetError::TooMany(listed.len()));
        }
        let keys: Vec<Key> = listed.iter().filter_map(read_key).collect();
        if keys.is_empty() {
            return Err(KeySetError::NoneFits(listed.len()));
        }
        Ok(KeySet(keys))
    }

    /// The key for a token's header. A token may leave its key's id away only where there is one key.
    pub(super) fn named(&self, id: Option<&str>, algorithm: Algorithm) -> Named<'_> {
        let of_id = |key: &&Key| id.is_none_or(|id| key.id.as_deref() == Some(id));
        let mut named = self.0.iter().filter(of_id).peekable();
        if id.is_none() && self.0.len() > 1 {
            return Named::Unfit;
        }
        if named.peek().is_none() {
            return Named::Unknown;
        }
        let fit = named.find(|key| key.algorithms.contains(&algorithm));
        fit.map_or(Named::Unfit, Named::Key)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

fn read_key(listed: &Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(listed.clone()).ok()?;
    if listed.get("d").is_some() {
        tracing::warn!(
            key.id = jwk.common.key_id,
            "a key set publishes a private key: it is not used"
        );
        return None;
    }
    let common = &jwk.common;
    let signs = common
        .public_key_use
        .as_ref()
        .is_none_or(|usage| *usage == PublicKeyUse::Signature);
    let verifies = common
        .key_operations
        .as_ref()
        .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    if !(signs && verifies) {
        return None;
    }
    let by_type: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &[Algorithm::RS256, Algorithm::PS256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => &[Algorithm::ES256],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
        _ => return None,
    };
    let of_key = |algorithm: &Algorithm| {
        common
            .key_algorithm
            .is_none_or(|named| named == KeyAlgorithm::from(*algorithm))
    };
    let algorithms: Vec<Algorithm> = by_type.iter().copied().filter(of_key).collect();
    if algorithms.is_empty() {
        return None;
    }
    Some(Key {
        id: common.key_id.clone(),
        algorithms,
        key: DecodingKey::from_jwk(&jwk).ok()?,
    })
}
