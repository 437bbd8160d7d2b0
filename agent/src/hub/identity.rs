//! Who the host is to its hub: an ECDSA P-256 key, in RAM first and then on the system partition.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, anyhow};
use burin_api::dsse::PublicKey;
use burin_api::message::{KeyStore, RootDocument};
use burin_api::token::Token;
use burin_core::userdata;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};

use crate::context::{Hidden, Paths};
use crate::machine::file;

/// `host.json`: what registration brought, public.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Registration {
    /// The hub's name for this host; none until it was accepted.
    pub host_uid: Option<String>,
    pub host_id: String,
    pub host_id_source: String,
    /// The newest root document of the hub that was confirmed.
    pub root: Option<RootDocument>,
    /// Newest time that the hub confirmed, milliseconds since 1970: the clock's floor.
    pub confirmed_time: u64,
}

/// The identity of this host. Clones share it.
#[derive(Clone)]
pub struct Identity {
    shared: Arc<Shared>,
}

struct Shared {
    pkcs8: Hidden<Vec<u8>>,
    pair: EcdsaKeyPair,
    public: PublicKey,
    thumbprint: String,
    state: Mutex<State>,
}

struct State {
    registration: Registration,
    user_data: Hidden<String>,
    store: KeyStore,
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Identity")
            .field("thumbprint", &self.shared.thumbprint)
            .finish_non_exhaustive()
    }
}

/// Largest of the identity's files, in bytes.
const LIMIT: usize = 1024 * 1024;

impl Identity {
    /// A new key in RAM.
    ///
    /// # Errors
    /// When the kernel gives no randomness.
    pub fn make(user_data: &str) -> Result<Self> {
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .map_err(|_| {
                    anyhow!("making the identity key: the kernel gives no random bytes")
                })?;
        Self::from_pkcs8(pkcs8.as_ref(), user_data)
    }

    /// A key that was kept.
    ///
    /// # Errors
    /// When the bytes are no ECDSA P-256 key in PKCS#8.
    pub fn from_pkcs8(pkcs8: &[u8], user_data: &str) -> Result<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            pkcs8,
            &SystemRandom::new(),
        )
        .map_err(|err| anyhow!("reading the identity key: {err}"))?;
        let public = PublicKey::EcdsaP256(hex::encode(pair.public_key().as_ref()));
        let thumbprint = public.thumbprint()?;
        Ok(Self {
            shared: Arc::new(Shared {
                pkcs8: Hidden(pkcs8.to_vec()),
                pair,
                public,
                thumbprint,
                state: Mutex::new(State {
                    registration: Registration::default(),
                    user_data: Hidden(user_data.to_owned()),
                    store: KeyStore::Ram,
                }),
            }),
        })
    }

    /// The identity on a mounted system partition, with its registration and user-data.
    ///
    /// # Errors
    /// When its files cannot be read or make no sense.
    pub fn find(paths: &Paths) -> Result<Option<Self>> {
        let Some(pkcs8) = file::read_if_there(&paths.identity_key(), LIMIT)? else {
            return Ok(None);
        };
        let user_data = file::read_if_there(&paths.user_data(), LIMIT)?.unwrap_or_default();
        let user_data = String::from_utf8(user_data)
            .with_context(|| format!("reading {}", paths.user_data().display()))?;
        let found = Self::from_pkcs8(&pkcs8, &user_data)?;
        if let Some(bytes) = file::read_if_there(&paths.host(), LIMIT)? {
            found.lock().registration = serde_json::from_slice(&bytes)
                .with_context(|| format!("reading {}", paths.host().display()))?;
        }
        found.lock().store = KeyStore::File;
        Ok(Some(found))
    }

    /// Writes everything to the mounted system partition, each file synced, the key last: it says
    /// that the rest is there.
    ///
    /// # Errors
    /// When the system partition cannot be written.
    pub fn keep(&self, paths: &Paths) -> Result<()> {
        let mut state = self.lock();
        if state.registration.host_uid.is_some() {
            state.user_data = Hidden(without_token(&state.user_data.0));
        }
        file::replace(
            &paths.user_data(),
            state.user_data.0.as_bytes(),
            file::Mode::Private,
        )?;
        write_registration(paths, &state.registration)?;
        file::replace(
            &paths.identity_key(),
            &self.shared.pkcs8.0,
            file::Mode::Private,
        )?;
        state.store = KeyStore::File;
        Ok(())
    }

    /// Changes what is known of the registration, on disk as well once the identity is there.
    ///
    /// # Errors
    /// When the system partition cannot be written.
    pub fn register(&self, paths: &Paths, change: impl FnOnce(&mut Registration)) -> Result<()> {
        let mut state = self.lock();
        let before = state.registration.clone();
        change(&mut state.registration);
        if state.store == KeyStore::File && state.registration != before {
            write_registration(paths, &state.registration)?;
        }
        Ok(())
    }

    /// What registration brought so far.
    #[must_use]
    pub fn registration(&self) -> Registration {
        self.lock().registration.clone()
    }

    /// Where the key lies now.
    #[must_use]
    pub fn store(&self) -> KeyStore {
        self.lock().store
    }

    /// The key in PKCS#8, for the firmware's variable only.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        &self.shared.pkcs8.0
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.shared.public
    }

    /// Key ID of the public half.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.shared.thumbprint
    }

    /// Signs the bytes of an envelope.
    ///
    /// # Errors
    /// When the kernel gives no randomness.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let signature = self.shared.pair.sign(&SystemRandom::new(), message);
        let signature = signature.map_err(|_| anyhow!("signing with the identity key"))?;
        Ok(signature.as_ref().to_vec())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment: a panic elsewhere leaves no half of one.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// User-data whose registration token is replaced by one that no hub knows: an accepted host does
/// not need it, and whoever takes the disk must not register with it.
#[must_use]
pub fn without_token(user_data: &str) -> String {
    let token = userdata::parse(user_data).ok().and_then(|data| data.token);
    match token {
        Some(token) => user_data.replace(token.expose(), &blank_token()),
        None => user_data.to_owned(),
    }
}

/// The token that stands where one was wiped.
#[must_use]
pub fn blank_token() -> String {
    Token::from_seed([0; 16]).reveal()
}

fn write_registration(paths: &Paths, registration: &Registration) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(registration).context("writing host.json")?;
    file::replace(&paths.host(), &bytes, file::Mode::Public)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_identity_is_found_with_its_registration() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        std::fs::create_dir_all(&paths.system).unwrap();
        assert!(Identity::find(&paths).unwrap().is_none());

        let made = Identity::make("#cloud-config\n").unwrap();
        made.register(&paths, |it| it.host_uid = Some("uid".to_owned()))
            .unwrap();
        assert!(
            !paths.host().exists(),
            "nothing is written before the disk is ours"
        );
        made.keep(&paths).unwrap();
        made.register(&paths, |it| it.confirmed_time = 7).unwrap();

        let found = Identity::find(&paths).unwrap().unwrap();
        assert_eq!(found.thumbprint(), made.thumbprint());
        assert_eq!(found.registration(), made.registration());
        assert_eq!(
            (found.store(), made.store()),
            (KeyStore::File, KeyStore::File)
        );
    }

    #[test]
    fn an_accepted_hosts_token_never_reaches_the_disk() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::under(root.path());
        std::fs::create_dir_all(&paths.system).unwrap();
        let token = Token::from_seed([5; 16]).reveal();
        let text = format!("#cloud-config\nburin:\n  token: {token}\n  host: {{ name: a }}\n");
        let made = Identity::make(&text).unwrap();
        made.register(&paths, |it| it.host_uid = Some("uid".to_owned()))
            .unwrap();
        made.keep(&paths).unwrap();
        let kept = std::fs::read_to_string(paths.user_data()).unwrap();
        let seed = token.rsplit('-').next().unwrap();
        assert!(!kept.contains(seed), "{kept}");
        assert_eq!(
            userdata::parse(&kept).unwrap().host.name.as_deref(),
            Some("a")
        );
    }

    #[test]
    fn no_secret_is_in_debug_output() {
        let secret = "BRN1-SECRET";
        let made = Identity::make(secret).unwrap();
        let text = format!("{made:?}");
        assert!(
            !text.contains(secret) && !text.contains(&hex::encode(made.pkcs8())),
            "{text}"
        );
    }

    #[test]
    fn signatures_verify_with_the_public_key() {
        let made = Identity::make("").unwrap();
        let key = match made.public_key() {
            PublicKey::EcdsaP256(key) => hex::decode(key).unwrap(),
            PublicKey::Ed25519(_) => unreachable!("an identity is ECDSA"),
        };
        let signature = made.sign(b"message").unwrap();
        ring::signature::UnparsedPublicKey::new(&ring::signature::ECDSA_P256_SHA256_FIXED, key)
            .verify(b"message", &signature)
            .unwrap();
    }
}
