//! One identity key: ECDSA P-256.

use std::fmt;

use anyhow::{Result, anyhow};
use burin_api::dsse::PublicKey;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

use crate::context::Hidden;

/// A key pair with its names.
pub(super) struct Key {
    pkcs8: Hidden<Vec<u8>>,
    pair: EcdsaKeyPair,
    public: PublicKey,
    thumbprint: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Key({}, <hidden>)", self.thumbprint)
    }
}

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// When the kernel gives no randomness.
    pub(super) fn make() -> Result<Self> {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .map_err(|_| {
                    anyhow!("making the identity key: the kernel gives no random bytes")
                })?;
        Self::from_pkcs8(pkcs8.as_ref())
    }

    /// One that was kept.
    ///
    /// # Errors
    /// When the bytes are no ECDSA P-256 key in PKCS#8.
    pub(super) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            pkcs8,
            &SystemRandom::new(),
        )
        .map_err(|err| anyhow!("reading the identity key: {err}"))?;
        let public = PublicKey::EcdsaP256(hex::encode(pair.public_key().as_ref()));
        Ok(Self {
            pkcs8: Hidden(pkcs8.to_vec()),
            thumbprint: public.thumbprint()?,
            pair,
            public,
        })
    }

    /// PKCS#8, for what keeps it.
    pub(super) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8.0
    }

    pub(super) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Key ID of the public half.
    pub(super) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Signs the bytes of an envelope.
    ///
    /// # Errors
    /// When the kernel gives no randomness.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let signature = self.pair.sign(&SystemRandom::new(), message);
        let signature = signature.map_err(|_| anyhow!("signing with the identity key"))?;
        Ok(signature.as_ref().to_vec())
    }
}
