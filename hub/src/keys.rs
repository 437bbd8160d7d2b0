//! The hub's own keys: the online key that signs every answer, and the chain of root documents
//! that says so.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use burin_api::dsse::{Envelope, Payload, PublicKey};
use burin_api::message::RootDocument;
use burin_api::root::{self, Anchor};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::files::{self, Readers};

pub(crate) const ONLINE: &str = "online.key";
/// An online key that the newest root document names and that is not in its place yet.
pub(crate) const NEXT_ONLINE: &str = "online.next.key";
pub(crate) const ROOT: &str = "root-unprotected.key";
pub(crate) const CHAIN: &str = "root.json";
/// What the key of shared nonces is derived for.
const NONCES: &[u8] = b"burin hub: nonces of hubs with one database";

/// An Ed25519 key that signs envelopes.
pub(crate) struct SigningKey {
    pair: Ed25519KeyPair,
    thumbprint: String,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, <hidden>)", self.thumbprint)
    }
}

impl SigningKey {
    pub(crate) fn from_pkcs8(bytes: &[u8]) -> anyhow::Result<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(bytes)
            .map_err(|err| anyhow!("not an Ed25519 key in PKCS #8: {err}"))?;
        let thumbprint = public(&pair).thumbprint()?;
        Ok(Self { pair, thumbprint })
    }

    pub(crate) fn create(file: &Path) -> anyhow::Result<Self> {
        let bytes = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| anyhow!("making a key: the kernel gave no random bytes"))?;
        files::replace(file, bytes.as_ref(), Readers::Owner)?;
        Self::from_pkcs8(bytes.as_ref())
    }

    /// Wraps a body with this key's signature.
    pub(crate) fn seal<T: Payload>(&self, body: &T) -> Result<Envelope, serde_json::Error> {
        seal_all(body, &[self])
    }

    pub(crate) fn public(&self) -> PublicKey {
        public(&self.pair)
    }
}

fn public(pair: &Ed25519KeyPair) -> PublicKey {
    PublicKey::Ed25519(hex::encode(pair.public_key()))
}

/// Wraps a body with the signatures of all keys.
pub(crate) fn seal_all<T: Payload>(
    body: &T,
    keys: &[&SigningKey],
) -> Result<Envelope, serde_json::Error> {
    Envelope::seal(body, |message| {
        Ok(keys
            .iter()
            .map(|key| {
                let sig = key.pair.sign(message).as_ref().to_vec();
                (key.thumbprint.clone(), sig)
            })
            .collect())
    })
}

/// What a running hub holds. The root's private half is not among it.
#[derive(Debug)]
pub(crate) struct HubKeys {
    pub(crate) online: SigningKey,
    /// Every root document, oldest first.
    pub(crate) chain: Vec<Envelope>,
    /// The newest root document.
    pub(crate) root: RootDocument,
    /// For the nonces of hubs that share a database and these keys.
    pub(crate) nonce_key: hmac::Key,
    /// What hosts pin: `sha256:<thumbprint of a root key>`.
    pub(crate) pin: String,
}

impl HubKeys {
    /// Whether hosts of this hub take signed releases only.
    pub(crate) fn wants_signatures(&self) -> bool {
        !self.root.release.is_empty()
    }

    /// Reads the keys of a data directory; makes them at the first start.
    pub(crate) fn load_or_create(folder: &Path) -> anyhow::Result<Self> {
        let chain_file = folder.join(CHAIN);
        if files::read(&chain_file)?.is_none() {
            create(folder)?;
        }
        let bytes = files::read(&chain_file)?.context("the root documents were just written")?;
        let chain: Vec<Envelope> = serde_json::from_slice(&bytes)
            .with_context(|| format!("reading {}", chain_file.display()))?;
        let root = root::follow(Anchor::FirstContact, &chain)
            .with_context(|| format!("checking {}", chain_file.display()))?;
        let online_file = folder.join(ONLINE);
        take_next(folder, &root)?;
        let bytes = files::read(&online_file)?
            .with_context(|| format!("{} is missing; restore it", online_file.display()))?;
        let online = SigningKey::from_pkcs8(&bytes)
            .with_context(|| format!("reading {}", online_file.display()))?;
        anyhow::ensure!(
            root.online.contains(&online.public()),
            "{} is not listed in {}: no host would believe this hub; restore both from one backup",
            online_file.display(),
            chain_file.display()
        );
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), NONCES);
        let first = root.root.first().context("a root document lists a key")?;
        let pin = format!("sha256:{}", first.thumbprint()?);
        Ok(Self {
            online,
            chain,
            root,
            nonce_key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()),
            pin,
        })
    }
}

/// Puts a new online key into its place once the root document names it.
fn take_next(folder: &Path, root: &RootDocument) -> anyhow::Result<()> {
    let next = folder.join(NEXT_ONLINE);
    let Some(bytes) = files::read(&next)? else {
        return Ok(());
    };
    let key =
        SigningKey::from_pkcs8(&bytes).with_context(|| format!("reading {}", next.display()))?;
    if root.online.contains(&key.public()) {
        std::fs::rename(&next, folder.join(ONLINE)).context("replacing the online key")?;
    }
    Ok(())
}

/// The root key of a first start lies beside the database: good enough to try burin out, and
/// called unprotected wherever it shows. The root documents are written last: they are what says
/// that the keys are complete.
fn create(folder: &Path) -> anyhow::Result<()> {
    let root = SigningKey::create(&folder.join(ROOT))?;
    let online = SigningKey::create(&folder.join(ONLINE))?;
    let document = RootDocument {
        version: 1,
        hub_id: root.thumbprint.clone(),
        root: vec![root.public()],
        online: vec![online.public()],
        release: Vec::new(),
        retiring: Vec::new(),
        addresses: Vec::new(),
        images: Vec::new(),
        unprotected: true,
    };
    let chain = vec![root.seal(&document)?];
    files::replace(
        &folder.join(CHAIN),
        &serde_json::to_vec_pretty(&chain)?,
        Readers::Everybody,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_only_the_owner_can_read_them() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let first = HubKeys::load_or_create(dir.path()).unwrap();
        let second = HubKeys::load_or_create(dir.path()).unwrap();
        assert_eq!(first.pin, second.pin);
        assert_eq!(first.online.public(), second.online.public());
        assert!(first.root.unprotected);
        for name in [ONLINE, ROOT] {
            let mode = std::fs::metadata(dir.path().join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn an_online_key_that_the_root_does_not_list_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        HubKeys::load_or_create(dir.path()).unwrap();
        SigningKey::create(&dir.path().join(ONLINE)).unwrap();
        let err = HubKeys::load_or_create(dir.path()).unwrap_err().to_string();
        assert!(err.contains("not listed"), "{err}");
    }
}
