//! Random secrets and texts that must not be shown.

use std::fmt;

use anyhow::anyhow;
use burin_api::base32;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

/// A text that `Debug` hides. It serializes as it is: for files of mode 0600 and TLS bodies only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hidden>")
    }
}

/// Random bytes of the kernel.
pub(crate) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| anyhow!("the kernel gave no random bytes"))?;
    Ok(bytes)
}

/// 26 digits that a person can type (125 bits and more).
pub(crate) fn random_text() -> anyhow::Result<String> {
    Ok(base32::encode(u128::from_be_bytes(random()?), 26).to_lowercase())
}

/// SHA-256 as hex: how secrets with full entropy are kept.
pub(crate) fn sha256(text: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, text))
}
