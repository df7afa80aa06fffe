//! Signatures, checked by `ring`, which the tree has already: the JWT library brings the form and leaves the
//! cryptography to whoever uses it.
//!
//! Four algorithms, all asymmetric. There is no branch for a shared secret and none for `none`, so that no key and no
//! header can lead there.

use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind,
    crypto::{CryptoProvider, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
    signature,
};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

/// Nothing is signed here.
static RING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(unsupported()),
    verifier_factory: |algorithm, key| Ok(Box::new(Verifier::of(*algorithm, key)?)),
    key_utils: KeyUtils::new_unimplemented(),
};

/// Has the library check signatures here. To say it twice changes nothing.
pub(super) fn install() {
    // Refused where it was said before.
    let _ = RING.install_default();
}

fn unsupported() -> Error {
    ErrorKind::UnsupportedAlgorithm.into()
}

struct Verifier {
    algorithm: Algorithm,
    key: Key,
}

enum Key {
    Rsa(&'static RsaParameters, RsaPublicKeyComponents<Vec<u8>>),
    Point(UnparsedPublicKey<Vec<u8>>),
}

impl Verifier {
    fn of(algorithm: Algorithm, key: &DecodingKey) -> Result<Verifier, Error> {
        // A key of another family than its algorithm's is never tried.
        if key.family() != algorithm.family() {
            return Err(ErrorKind::InvalidKeyFormat.into());
        }
        let point = |kind: &'static dyn VerificationAlgorithm| {
            let bytes = key.try_get_as_bytes()?.to_vec();
            Ok::<_, Error>(Key::Point(UnparsedPublicKey::new(kind, bytes)))
        };
        let rsa = |kind: &'static RsaParameters| match key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                let (n, e) = (n.clone(), e.clone());
                Ok(Key::Rsa(kind, RsaPublicKeyComponents { n, e }))
            }
            DecodingKeyKind::SecretOrDer(_) => Err(Error::from(ErrorKind::InvalidKeyFormat)),
        };
        let key = match algorithm {
            Algorithm::RS256 => rsa(&RSA_PKCS1_2048_8192_SHA256)?,
            Algorithm::PS256 => rsa(&RSA_PSS_2048_8192_SHA256)?,
            Algorithm::ES256 => point(&ECDSA_P256_SHA256_FIXED)?,
            Algorithm::EdDSA => point(&ED25519)?,
            _ => return Err(unsupported()),
        };
        Ok(Verifier { algorithm, key })
    }
}

impl signature::Verifier<Vec<u8>> for Verifier {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> Result<(), signature::Error> {
        let checked = match &self.key {
            Key::Rsa(kind, key) => key.verify(kind, message, signed),
            Key::Point(key) => key.verify(message, signed),
        };
        checked.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Verifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
