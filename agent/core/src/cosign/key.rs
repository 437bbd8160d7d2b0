//! Public keys that sign images, as `cosign generate-key-pair` and OpenSSL write them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};

/// Before the 65 bytes of an uncompressed point: SubjectPublicKeyInfo with id-ecPublicKey and
/// prime256v1 (RFC 5480, 2.1).
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// Before the 32 bytes of an Ed25519 key (RFC 8410, 4).
const EDWARDS: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// Longest PEM text of one key, bytes.
const LONGEST: usize = 1024;

/// A public key: ECDSA over P-256 with SHA-256, or Ed25519.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// Uncompressed SEC1 point.
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// A text is not a key that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("it is no public key in PEM: `-----BEGIN PUBLIC KEY-----`, base 64, and the end")]
    Pem,
    #[error("it is a private key; whoever reads this can sign: take its public half")]
    Private,
    #[error("it is neither an ECDSA key over P-256 nor an Ed25519 key")]
    Algorithm,
}

impl Key {
    /// Reads one `PUBLIC KEY` in PEM.
    ///
    /// # Errors
    /// Another text, another algorithm, or a private key.
    pub fn parse(pem: &str) -> Result<Self, KeyError> {
        if pem.contains("PRIVATE KEY") {
            return Err(KeyError::Private);
        }
        if pem.len() > LONGEST {
            return Err(KeyError::Pem);
        }
        let inner = pem.trim().strip_prefix("-----BEGIN PUBLIC KEY-----");
        let inner = inner.and_then(|rest| rest.strip_suffix("-----END PUBLIC KEY-----"));
        let text: String = inner.ok_or(KeyError::Pem)?.split_whitespace().collect();
        let der = BASE64.decode(text).map_err(|_| KeyError::Pem)?;
        if let Some(point) = der.strip_prefix(&P256)
            && point.len() == 65
            && point[0] == 4
        {
            return Ok(Self::P256(point.to_vec()));
        }
        match der.strip_prefix(&EDWARDS) {
            Some(key) if key.len() == 32 => Ok(Self::Ed25519(key.to_vec())),
            _ => Err(KeyError::Algorithm),
        }
    }

    /// Whether a signature over a message is by this key.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let (algorithm, key): (&'static dyn VerificationAlgorithm, _) = match self {
            Self::P256(key) => (&ECDSA_P256_SHA256_ASN1, key),
            Self::Ed25519(key) => (&ED25519, key),
        };
        UnparsedPublicKey::new(algorithm, key)
            .verify(message, signature)
            .is_ok()
    }
}
