//! What lets the hub read the secrets that its database holds sealed: one seed in a file beside the
//! database, so that a copy of the database, or an export, gives nothing away.

use std::path::Path;

use anyhow::{Context as _, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use burin_seal::PrivateKey;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;

use crate::files::{self, Readers};
use crate::secret::random;

/// Name of the seed's file in the data folder.
pub(crate) const FILE: &str = "secrets.key";
/// Bytes of the seed.
const SEED: usize = 32;
/// What the keys are derived for.
const CREDENTIALS: &[u8] = b"burin hub: credentials of registries";
const SCREENS: &[u8] = b"burin hub: codes and numbers on screens";
const CODES: &[u8] = b"burin hub: finding codes";
const ISOS: &[u8] = b"burin hub: user-data of ISOs";
const SEALING: &[u8] = b"burin hub: what hosts seal to it";

/// Seals texts that only this hub has to read.
pub(crate) struct Locker(LessSafeKey);

impl std::fmt::Debug for Locker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Locker(<hidden>)")
    }
}

impl Locker {
    /// # Errors
    /// A key that has not 32 bytes.
    pub(crate) fn new(key: &[u8]) -> anyhow::Result<Self> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key)
            .map_err(|_| anyhow!("a key of {} bytes, not {SEED}", key.len()))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// The text as the database keeps it; it opens only with the same `bound`.
    pub(crate) fn seal(&self, bound: &str, text: &[u8]) -> anyhow::Result<String> {
        let nonce = random::<NONCE_LEN>()?;
        let mut bytes = text.to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(bound.as_bytes()),
                &mut bytes,
            )
            .map_err(|_| anyhow!("sealing a secret for the database"))?;
        Ok(STANDARD.encode([&nonce[..], &bytes].concat()))
    }

    /// The text; none when it was sealed with another key or for something else, or was damaged.
    pub(crate) fn open(&self, bound: &str, sealed: &str) -> Option<Vec<u8>> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, text) = bytes.split_first_chunk()?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self
            .0
            .open_in_place(nonce, Aad::from(bound.as_bytes()), &mut text);
        opened.ok().map(|text| text.to_vec())
    }
}

/// The keys of a running hub for the secrets of others.
#[derive(Debug)]
pub(crate) struct Vault {
    /// For credentials of registries.
    pub(crate) credentials: Locker,
    /// For codes and numbers on the screens of hosts.
    pub(crate) screens: Locker,
    codes: hmac::Key,
    /// For user-data of ISOs that wait to be fetched.
    pub(crate) isos: Locker,
    /// For what hosts seal to this hub.
    pub(crate) sealing: PrivateKey,
}

impl Vault {
    /// Reads the seed of a data folder; makes it at the first start.
    pub(crate) fn load_or_create(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let seed = match files::read(&path)? {
            Some(seed) => seed,
            None => {
                let seed = random::<SEED>()?.to_vec();
                files::replace(&path, &seed, Readers::Owner)?;
                seed
            }
        };
        ensure!(
            seed.len() == SEED,
            "{} does not hold {SEED} bytes; restore it",
            path.display()
        );
        let seed = hmac::Key::new(hmac::HMAC_SHA256, &seed);
        let key = |purpose| hmac::sign(&seed, purpose);
        Ok(Self {
            credentials: Locker::new(key(CREDENTIALS).as_ref()).context("deriving a key")?,
            screens: Locker::new(key(SCREENS).as_ref()).context("deriving a key")?,
            codes: hmac::Key::new(hmac::HMAC_SHA256, key(CODES).as_ref()),
            isos: Locker::new(key(ISOS).as_ref()).context("deriving a key")?,
            sealing: PrivateKey::derive(key(SEALING).as_ref()),
        })
    }

    /// By what the database finds a code: codes are short, so that a hash without a key would be
    /// tried out in seconds.
    pub(crate) fn code_hash(&self, code: &str) -> String {
        hex::encode(hmac::sign(&self.codes, code.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_is_made_once_and_only_the_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let first = Vault::load_or_create(dir.path()).unwrap();
        let sealed = first.credentials.seal("r.example", b"hunter2").unwrap();
        let again = Vault::load_or_create(dir.path()).unwrap();
        assert_eq!(first.sealing.public(), again.sealing.public());
        let open = |vault: &Vault, bound: &str| vault.credentials.open(bound, &sealed);
        assert_eq!(open(&again, "r.example").unwrap(), b"hunter2");
        assert_eq!(open(&again, "other.example"), None);
        let mode = std::fs::metadata(dir.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);

        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        let other = Vault::load_or_create(dir.path()).unwrap();
        assert_eq!(open(&other, "r.example"), None);
        assert_ne!(first.sealing.public(), other.sealing.public());
        std::fs::write(dir.path().join(FILE), "short").unwrap();
        assert!(Vault::load_or_create(dir.path()).is_err());
    }

    #[test]
    fn a_damaged_text_stays_closed() {
        let locker = Locker::new(&[7; 32]).unwrap();
        let sealed = locker.seal("a", b"text").unwrap();
        let mut bytes = STANDARD.decode(&sealed).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert_eq!(locker.open("a", &STANDARD.encode(&bytes)), None, "{at}");
            bytes[at] ^= 1;
        }
        for junk in ["", "AAAA", "%"] {
            assert_eq!(locker.open("a", junk), None, "{junk}");
        }
    }
}
