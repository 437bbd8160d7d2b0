//! Who the host is to its hub: an ECDSA P-256 key, in RAM first and then on the system partition.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use burin_api::message::{KeyStore, RootDocument};
use burin_api::token::Token;
use burin_core::release::Accepted;
use burin_core::userdata;
use serde::{Deserialize, Serialize};

use super::key::Key;
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
    /// The newest signed release of each profile that this host took: it never takes an older one.
    pub releases: BTreeMap<String, Accepted>,
}

/// The identity of this host. Clones share it.
#[derive(Clone)]
pub struct Identity {
    state: Arc<Mutex<State>>,
}

struct State {
    key: Arc<Key>,
    /// Shall follow `key`; the hub may have taken it already.
    next: Option<Arc<Key>>,
    registration: Registration,
    user_data: Hidden<String>,
    store: KeyStore,
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Identity")
            .field("thumbprint", &self.thumbprint())
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
        Ok(Self::of(Key::make()?, user_data))
    }

    /// A key that was kept.
    ///
    /// # Errors
    /// When the bytes are no ECDSA P-256 key in PKCS#8.
    pub fn from_pkcs8(pkcs8: &[u8], user_data: &str) -> Result<Self> {
        Ok(Self::of(Key::from_pkcs8(pkcs8)?, user_data))
    }

    fn of(key: Key, user_data: &str) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                key: Arc::new(key),
                next: None,
                registration: Registration::default(),
                user_data: Hidden(user_data.to_owned()),
                store: KeyStore::Ram,
            })),
        }
    }

    /// This identity with other user-data, of which nothing is ever written.
    #[must_use]
    pub fn in_ram(&self, user_data: &str) -> Self {
        let state = self.lock();
        Self {
            state: Arc::new(Mutex::new(State {
                key: Arc::clone(&state.key),
                next: state.next.clone(),
                registration: state.registration.clone(),
                user_data: Hidden(user_data.to_owned()),
                store: KeyStore::Ram,
            })),
        }
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
        // One that cannot be read is worth as much as none: another is made when the hub asks again.
        let next = file::read_if_there(&paths.next_identity_key(), LIMIT)?;
        let next = next.and_then(|bytes| Key::from_pkcs8(&bytes).ok());
        let mut state = found.lock();
        state.next = next.map(Arc::new);
        state.store = KeyStore::File;
        drop(state);
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
            state.key.pkcs8(),
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

    /// Remembers a signed release before the host acts on it: on disk first, once that is ours.
    ///
    /// # Errors
    /// When the system partition cannot be written; nothing is remembered then.
    pub fn take_release(&self, paths: &Paths, profile: &str, mark: Accepted) -> Result<()> {
        let mut state = self.lock();
        let mut after = state.registration.clone();
        after.releases.insert(profile.to_owned(), mark);
        if state.store == KeyStore::File && state.registration != after {
            write_registration(paths, &after)?;
        }
        state.registration = after;
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
    pub fn pkcs8(&self) -> Vec<u8> {
        self.key().pkcs8().to_vec()
    }

    /// Key ID of the public half.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        self.key().thumbprint().to_owned()
    }

    /// The key in force.
    pub(super) fn key(&self) -> Arc<Key> {
        Arc::clone(&self.lock().key)
    }

    /// The key that shall follow, when there is one.
    pub(super) fn next(&self) -> Option<Arc<Key>> {
        self.lock().next.clone()
    }

    /// Makes the key that shall follow and keeps it beside the one in force, before anybody hears of
    /// it. One that is there stays: the hub may know it.
    ///
    /// # Errors
    /// When the system partition cannot be written.
    pub(super) fn make_next(&self, paths: &Paths) -> Result<()> {
        let mut state = self.lock();
        if state.next.is_none() {
            let key = Key::make()?;
            let path = paths.next_identity_key();
            file::replace(&path, key.pkcs8(), file::Mode::Private)?;
            state.next = Some(Arc::new(key));
        }
        Ok(())
    }

    /// The hub took the next key: it is the one in force from now on, and the old one is erased.
    ///
    /// # Errors
    /// When the system partition cannot be written. Unless it could only not be erased, both keys are
    /// then there still.
    pub(super) fn succeed(&self, paths: &Paths) -> Result<()> {
        let mut state = self.lock();
        let Some(next) = state.next.clone() else {
            return Ok(());
        };
        let old = match state.store {
            KeyStore::File => {
                let (new, old) = (paths.next_identity_key(), paths.identity_key());
                Some(file::supersede(&new, &old)?)
            }
            KeyStore::Ram | KeyStore::Tpm => None,
        };
        state.key = next;
        state.next = None;
        drop(state);
        old.map_or(Ok(()), file::erase)
            .context("erasing the old identity key")
    }

    /// Gives the next key up: the hub will never take it.
    ///
    /// # Errors
    /// When the system partition cannot be written.
    pub(super) fn drop_next(&self, paths: &Paths) -> Result<()> {
        let mut state = self.lock();
        if state.next.take().is_some() && state.store == KeyStore::File {
            let path = paths.next_identity_key();
            std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment: a panic elsewhere leaves no half of one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
mod tests;
