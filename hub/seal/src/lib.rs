//! Secrets between hub and host, sealed with HPKE (RFC 9180) to a key of the receiver: base mode,
//! DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305. docs/protocol.md has the bytes.
//!
//! A package of its own because it needs randomness, which the pure packages never have, and so
//! that the curve's code reaches nobody but agent and hub.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use burin_api::sealed::Sealed;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _};
use zeroize::Zeroizing;

/// What every `info` begins with; the number is raised when the bytes change.
const SCHEME: &str = "burin-seal/1";

/// Why something could not be sealed or opened. Never quotes what was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not 32 bytes as hex, or a point that leaves no secret.
    #[error("the sealing key is not a usable X25519 key of 32 bytes as hex")]
    Key,
    /// Not base 64, or too short to be one.
    #[error("it is not a sealed text")]
    Malformed,
    /// Damaged, or sealed to another key, for another purpose, host or session.
    #[error("it was sealed to another key or for something else, or was damaged")]
    Unopened,
    /// The cipher refused; its input is far beyond any secret.
    #[error("it cannot be sealed")]
    Unsealed,
}

/// What a sealed text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// From the hub to a host's session: [`burin_api::sealed::HostSecrets`] as JSON.
    HostSecrets,
    /// From a host to its hub: the administrator's kubeconfig, YAML.
    Kubeconfig,
}

/// For whom and for what: a sealed text opens in the context that it was made for and no other.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub purpose: Purpose,
    pub hub_id: &'a str,
    pub host_uid: &'a str,
    /// Empty for what outlives the session.
    pub session: &'a str,
}

impl Context<'_> {
    /// HPKE's `info`.
    fn info(&self) -> String {
        let purpose = match self.purpose {
            Purpose::HostSecrets => "host-secrets",
            Purpose::Kubeconfig => "kubeconfig",
        };
        format!("{SCHEME} {purpose}")
    }

    /// HPKE's `aad`: each part with its length before it, so that no two contexts have the same.
    fn aad(&self) -> String {
        [self.hub_id, self.host_uid, self.session]
            .map(|part| format!("{} {part}", part.len()))
            .join(" ")
    }
}

/// The key that texts are sealed to. In JSON 32 bytes as hex, which is also its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(<X25519HkdfSha256 as Kem>::PublicKey);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.to_bytes()))
    }
}

impl FromStr for PublicKey {
    type Err = SealError;

    /// Reads a key and tries it: points of small order are refused here and not at the first secret.
    fn from_str(text: &str) -> Result<Self, SealError> {
        let bytes = hex::decode(text).map_err(|_| SealError::Key)?;
        let key = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&bytes);
        let key = Self(key.map_err(|_| SealError::Key)?);
        let nothing = Context {
            purpose: Purpose::HostSecrets,
            hub_id: "",
            host_uid: "",
            session: "",
        };
        key.seal(&nothing, b"").map_err(|_| SealError::Key)?;
        Ok(key)
    }
}

impl PublicKey {
    /// Seals a text.
    ///
    /// # Errors
    /// [`SealError::Unsealed`].
    ///
    /// # Panics
    /// When the kernel gives no random bytes at all.
    pub fn seal(&self, context: &Context<'_>, text: &[u8]) -> Result<Sealed, SealError> {
        let (enc, ciphertext) =
            hpke::single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
                &OpModeS::Base,
                &self.0,
                context.info().as_bytes(),
                text,
                context.aad().as_bytes(),
            )
            .map_err(|_| SealError::Unsealed)?;
        Ok(Sealed {
            enc: STANDARD.encode(enc.to_bytes()),
            ciphertext: STANDARD.encode(ciphertext),
        })
    }
}

/// The key that opens. Wiped from memory when it is dropped.
pub struct PrivateKey(<X25519HkdfSha256 as Kem>::PrivateKey);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(<hidden>)")
    }
}

impl PrivateKey {
    /// A new key.
    ///
    /// # Panics
    /// When the kernel gives no random bytes at all.
    #[must_use]
    pub fn generate() -> Self {
        Self(X25519HkdfSha256::gen_keypair().0)
    }

    /// The key of a seed of at least 32 random bytes: `DeriveKeyPair` of RFC 9180.
    #[must_use]
    pub fn derive(seed: &[u8]) -> Self {
        Self(X25519HkdfSha256::derive_keypair(seed).0)
    }

    /// What others seal to.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(X25519HkdfSha256::sk_to_pk(&self.0))
    }

    /// Opens a text; it is wiped from memory when it is dropped.
    ///
    /// # Errors
    /// [`SealError::Malformed`] or [`SealError::Unopened`].
    pub fn open(
        &self,
        context: &Context<'_>,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.open_raw(
            context.info().as_bytes(),
            context.aad().as_bytes(),
            &STANDARD
                .decode(&sealed.enc)
                .map_err(|_| SealError::Malformed)?,
            &STANDARD
                .decode(&sealed.ciphertext)
                .map_err(|_| SealError::Malformed)?,
        )
    }

    fn open_raw(
        &self,
        info: &[u8],
        aad: &[u8],
        enc: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(enc)
            .map_err(|_| SealError::Malformed)?;
        hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.0,
            &enc,
            info,
            ciphertext,
            aad,
        )
        .map(Zeroizing::new)
        .map_err(|_| SealError::Unopened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: Context<'_> = Context {
        purpose: Purpose::HostSecrets,
        hub_id: "39e0215b",
        host_uid: "01980f2e",
        session: "9b1deb4d",
    };

    /// RFC 9180, appendix A.2.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base
    /// mode, sequence number 0.
    #[test]
    fn the_vectors_of_the_standard_open() {
        let bytes = |text: &str| hex::decode(text).unwrap();
        let key = PrivateKey::derive(&bytes(
            "1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df",
        ));
        assert_eq!(
            key.public().to_string(),
            "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a"
        );
        let opened = key.open_raw(
            &bytes("4f6465206f6e2061204772656369616e2055726e"),
            &bytes("436f756e742d30"),
            &bytes("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a"),
            &bytes(
                "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db\
                 21993c62ce81883d2dd1b51a28",
            ),
        );
        assert_eq!(*opened.unwrap(), b"Beauty is truth, truth beauty"[..]);
    }

    #[test]
    fn a_sealed_text_opens_in_its_own_context_only() {
        let key = PrivateKey::generate();
        let sealed = key.public().seal(&CONTEXT, b"hunter2").unwrap();
        assert_eq!(*key.open(&CONTEXT, &sealed).unwrap(), b"hunter2"[..]);
        let others = [
            Context {
                purpose: Purpose::Kubeconfig,
                ..CONTEXT
            },
            Context {
                hub_id: "39e0215c",
                ..CONTEXT
            },
            Context {
                host_uid: "",
                ..CONTEXT
            },
            Context {
                session: "9b1deb4e",
                ..CONTEXT
            },
            // The same letters, parted elsewhere.
            Context {
                hub_id: "39e0215b 8",
                host_uid: "01980f2",
                ..CONTEXT
            },
        ];
        for other in others {
            let opened = key.open(&other, &sealed);
            assert_eq!(opened.unwrap_err(), SealError::Unopened, "{other:?}");
        }
        let stranger = PrivateKey::generate();
        assert!(stranger.open(&CONTEXT, &sealed).is_err());
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let key = PrivateKey::generate();
        let sealed = key.public().seal(&CONTEXT, b"hunter2").unwrap();
        let bytes = |text: &str| STANDARD.decode(text).unwrap();
        let (enc, ciphertext) = (bytes(&sealed.enc), bytes(&sealed.ciphertext));
        for at in 0..enc.len() + ciphertext.len() {
            let (mut enc, mut ciphertext) = (enc.clone(), ciphertext.clone());
            match enc.get_mut(at) {
                // The highest bit of an X25519 point is no part of it.
                Some(byte) => *byte ^= 1,
                None => ciphertext[at - enc.len()] ^= 1,
            }
            let changed = Sealed {
                enc: STANDARD.encode(enc),
                ciphertext: STANDARD.encode(ciphertext),
            };
            assert!(key.open(&CONTEXT, &changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn junk_is_neither_a_key_nor_a_sealed_text() {
        let key = PrivateKey::generate();
        // The last three: points of small order, with which every secret is zero.
        let short = "ab".repeat(31);
        let zero = "00".repeat(32);
        let one = format!("01{}", "00".repeat(31));
        let minus_one = format!("ec{}7f", "ff".repeat(30));
        for junk in ["", "zz", "ab", &short, &zero, &one, &minus_one] {
            assert_eq!(junk.parse::<PublicKey>(), Err(SealError::Key), "{junk}");
        }
        let again = key.public().to_string().parse::<PublicKey>().unwrap();
        assert_eq!(again, key.public());
        for (enc, ciphertext) in [("", ""), ("!", "AAAA"), ("AAAA", "AAAA"), ("AAAA", "?")] {
            let sealed = Sealed {
                enc: enc.to_owned(),
                ciphertext: ciphertext.to_owned(),
            };
            assert_eq!(
                key.open(&CONTEXT, &sealed).unwrap_err(),
                SealError::Malformed
            );
        }
        assert_eq!(format!("{key:?}"), "PrivateKey(<hidden>)");
    }
}
