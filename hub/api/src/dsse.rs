//! DSSE envelopes (Dead Simple Signing Envelope, protocol v1.0.2): every body in both directions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The largest request body that a hub reads, in bytes.
pub const MAX_REQUEST: usize = 64 * 1024;
/// The largest answer that a host reads, in bytes.
pub const MAX_ANSWER: usize = 256 * 1024;

/// A signed body. `payload` and every `sig` are standard base 64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    pub payload: String,
    pub signatures: Vec<Signature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Thumbprint of the signing key, see [`PublicKey::thumbprint`].
    pub keyid: String,
    pub sig: String,
}

/// A public key. Its purpose fixes its algorithm; nothing is negotiated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "algorithm", content = "key", rename_all = "kebab-case")]
pub enum PublicKey {
    /// Uncompressed SEC1 point (65 bytes, lower-case hex); signatures are 64 bytes `r || s`.
    EcdsaP256(String),
    /// 32 bytes, lower-case hex.
    Ed25519(String),
}

/// Why an envelope was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DsseError {
    #[error("the envelope is a `{found}`, expected `{expected}`")]
    WrongType {
        expected: &'static str,
        found: String,
    },
    #[error("{0} is not valid base 64")]
    Encoding(&'static str),
    #[error("the key is not valid hex")]
    Key,
    #[error("no signature by key {0}")]
    Missing(String),
    #[error("the signature by key {0} is wrong")]
    Wrong(String),
    #[error("the payload does not parse: {0}")]
    Payload(String),
    #[error("it answers another request")]
    OtherRequest,
}

impl PublicKey {
    /// SHA-256 over the algorithm's name, a zero byte and the key's bytes, as lower-case hex.
    ///
    /// # Errors
    /// [`DsseError::Key`] when the key is not hex.
    pub fn thumbprint(&self) -> Result<String, DsseError> {
        let (name, key) = match self {
            Self::EcdsaP256(key) => ("ecdsa-p256", key),
            Self::Ed25519(key) => ("ed25519", key),
        };
        let key = hex::decode(key).map_err(|_| DsseError::Key)?;
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        hash.update(name.as_bytes());
        hash.update(&[0]);
        hash.update(&key);
        Ok(hex::encode(hash.finish()))
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<bool, DsseError> {
        let (algorithm, key): (&dyn ring::signature::VerificationAlgorithm, _) = match self {
            Self::EcdsaP256(key) => (&ECDSA_P256_SHA256_FIXED, key),
            Self::Ed25519(key) => (&ED25519, key),
        };
        let key = hex::decode(key).map_err(|_| DsseError::Key)?;
        Ok(UnparsedPublicKey::new(algorithm, key)
            .verify(message, signature)
            .is_ok())
    }
}

/// The bytes that are signed: `DSSEv1 <len type> <type> <len payload> <payload>` (DSSE, "PAE").
pub fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    )
    .into_bytes();
    out.extend_from_slice(payload);
    out
}

/// A body that names its payload type, so that one message can never pass for another.
pub trait Payload: Serialize + DeserializeOwned {
    /// The media type signed together with the body.
    const TYPE: &'static str;
}

impl Envelope {
    /// Wraps a body. `sign` is called once a key with the bytes to sign.
    ///
    /// # Errors
    /// What `sign` returns, or a body that does not serialize.
    pub fn seal<T: Payload, E: From<serde_json::Error>>(
        body: &T,
        mut sign: impl FnMut(&[u8]) -> Result<Vec<(String, Vec<u8>)>, E>,
    ) -> Result<Self, E> {
        let payload = serde_json::to_vec(body)?;
        let signatures = sign(&pre_authentication(T::TYPE, &payload))?
            .into_iter()
            .map(|(keyid, sig)| Signature {
                keyid,
                sig: STANDARD.encode(sig),
            })
            .collect();
        Ok(Self {
            payload_type: T::TYPE.to_owned(),
            payload: STANDARD.encode(payload),
            signatures,
        })
    }

    /// The body, *unverified*: only to find out which key must have signed it.
    ///
    /// # Errors
    /// Wrong type, bad base 64, bad JSON.
    pub fn peek<T: Payload>(&self) -> Result<T, DsseError> {
        serde_json::from_slice(&self.payload_bytes::<T>()?)
            .map_err(|err| DsseError::Payload(err.to_string()))
    }

    /// The body, after *every* key in `keys` was found to have signed it.
    ///
    /// # Errors
    /// Wrong type, bad base 64, a missing or wrong signature, bad JSON.
    pub fn open<T: Payload>(&self, keys: &[&PublicKey]) -> Result<T, DsseError> {
        let message = pre_authentication(T::TYPE, &self.payload_bytes::<T>()?);
        for key in keys {
            let id = key.thumbprint()?;
            let sig = self
                .signatures
                .iter()
                .find(|s| s.keyid == id)
                .ok_or_else(|| DsseError::Missing(id.clone()))?;
            let sig = STANDARD
                .decode(&sig.sig)
                .map_err(|_| DsseError::Encoding("a signature"))?;
            if !key.verify(&message, &sig)? {
                return Err(DsseError::Wrong(id));
            }
        }
        if keys.is_empty() {
            return Err(DsseError::Missing("(none was asked for)".to_owned()));
        }
        self.peek()
    }

    /// SHA-256 of the payload's bytes, lower-case hex: what an answer repeats of its request. The
    /// payload holds a nonce, or a session and its sequence number, so that no two are the same.
    ///
    /// # Errors
    /// A payload that is not base 64.
    pub fn digest(&self) -> Result<String, DsseError> {
        let payload = self.decoded()?;
        Ok(hex::encode(ring::digest::digest(
            &ring::digest::SHA256,
            &payload,
        )))
    }

    fn decoded(&self) -> Result<Vec<u8>, DsseError> {
        STANDARD
            .decode(&self.payload)
            .map_err(|_| DsseError::Encoding("the payload"))
    }

    fn payload_bytes<T: Payload>(&self) -> Result<Vec<u8>, DsseError> {
        if self.payload_type != T::TYPE {
            return Err(DsseError::WrongType {
                expected: T::TYPE,
                found: self.payload_type.clone(),
            });
        }
        self.decoded()
    }
}
