//! Finding personal values without keeping them: what is stored in an index is a keyed hash of the value.
//!
//! The key follows from the master key (HKDF-SHA-256, a label for each index), so that whoever has the database alone
//! can neither read a hash nor try a dictionary on it, and every process makes the same hashes. Equal values have equal
//! hashes: that is what finds them, and all that the index gives away.

use crate::personal::MasterKey;
use ring::hmac;

/// Bytes of a hash: half of HMAC-SHA-256. Two of a billion values meet by chance with a probability of one in 10^20.
pub const INDEX_HASH_BYTES: usize = 16;

/// The key of one index over personal values.
#[derive(Clone)]
pub struct IndexKey(hmac::Key);

impl MasterKey {
    /// The key of the index with this label. Another label makes hashes that have nothing to do with these.
    pub fn index_key(&self, label: &str) -> IndexKey {
        // HKDF (RFC 5869) of one block: extract, expand. Written out because it cannot fail then.
        let salt = hmac::Key::new(hmac::HMAC_SHA256, b"docket index");
        let root = hmac::sign(&salt, self.bytes());
        let root = hmac::Key::new(hmac::HMAC_SHA256, root.as_ref());
        let key = hmac::sign(&root, &[label.as_bytes(), &[1]].concat());
        IndexKey(hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()))
    }
}

impl IndexKey {
    /// The hash of a value of a kind; values of two kinds never meet.
    pub fn hash(&self, kind: &str, value: &str) -> [u8; INDEX_HASH_BYTES] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(kind.as_bytes());
        context.update(&[0]);
        context.update(value.as_bytes());
        let tag = context.sign();
        let mut hash = [0; INDEX_HASH_BYTES];
        hash.copy_from_slice(&tag.as_ref()[..INDEX_HASH_BYTES]);
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::MasterKey;

    #[test]
    fn a_hash_depends_on_the_master_key_the_label_the_kind_and_the_value() {
        let hash = |master: &str, label, kind, value| {
            let master = MasterKey::from_hex(&master.repeat(32)).expect("64 digits");
            master.index_key(label).hash(kind, value)
        };
        let one = hash("5a", "search", "name", "ada");
        assert_eq!(one, hash("5a", "search", "name", "ada"));
        for other in [
            hash("5b", "search", "name", "ada"),
            hash("5a", "other", "name", "ada"),
            hash("5a", "search", "email", "ada"),
            hash("5a", "search", "name", "adb"),
        ] {
            assert_ne!(one, other);
        }
        assert_ne!(hash("5a", "s", "ab", "c"), hash("5a", "s", "a", "bc"));
    }
}
