//! What every step is given: where things lie, what is known, and the handles to report through.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result};
use burin_api::desired::{Desired, Release};
use burin_api::message::Mode;
use burin_api::sealed::HostSecrets;
use burin_core::host::HostFacts;
use burin_core::userdata::UserData;
use tokio::sync::watch;

use crate::events::{Events, Meter};
use crate::hub::Identity;
use crate::store::{Store, Verity};

/// The version in every message, event and entry.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where things lie. On a machine as [`Paths::default`]; tests put all of it under a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `/`, under which `proc`, `sys`, `dev`, `usr` and `etc` are found.
    pub root: PathBuf,
    /// Mount point of `burin-system`.
    pub system: PathBuf,
    /// Mount point of `burin-esp`.
    pub esp: PathBuf,
    /// Mount point of `burin-data`.
    pub data: PathBuf,
    /// `/usr/lib/modules`: kernel modules of the running system, by release.
    pub modules: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self::under(Path::new("/"))
    }
}

impl Paths {
    /// All paths below `root`.
    #[must_use]
    pub fn under(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            system: root.join("run/burin/system"),
            esp: root.join("run/burin/esp"),
            data: root.join("run/burin/data"),
            modules: root.join("usr/lib/modules"),
        }
    }

    /// The content store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.system.join("store")
    }

    /// The directory of one generation.
    #[must_use]
    pub fn generation(&self, number: u64) -> PathBuf {
        self.system.join("generations").join(number.to_string())
    }

    /// `record.json`.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.system.join("record.json")
    }

    /// The identity key, 0600.
    #[must_use]
    pub fn identity_key(&self) -> PathBuf {
        self.system.join("identity.key")
    }

    /// The identity key that shall follow, 0600; there only while the hub has not said yes to it.
    #[must_use]
    pub fn next_identity_key(&self) -> PathBuf {
        self.system.join("identity.next.key")
    }

    /// What registration brought: `host.json`.
    #[must_use]
    pub fn host(&self) -> PathBuf {
        self.system.join("host.json")
    }

    /// The user-data in force, 0600.
    #[must_use]
    pub fn user_data(&self) -> PathBuf {
        self.system.join("user-data")
    }

    /// What `seal` leaves for the steps after it.
    #[must_use]
    pub fn sealed(&self) -> PathBuf {
        self.system.join("sealed.json")
    }

    /// Logs of the agent.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.system.join("logs")
    }
}

/// Text that may hold a secret.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Hidden<T>(pub T);

impl<T> fmt::Debug for Hidden<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("<hidden>")
    }
}

/// The store, opened once and shared by every clone of a context.
pub type LazyStore = Arc<OnceLock<Store>>;

/// What a step works with. Cheap to clone; every clone is of the same operation.
#[derive(Debug, Clone)]
pub struct Context {
    pub paths: Paths,
    pub mode: Mode,
    /// The kernel's random boot ID.
    pub boot_id: String,
    /// Which installation, upgrade or boot this is.
    pub operation: String,
    pub facts: Arc<HostFacts>,
    /// The user-data in force.
    pub user_data: Arc<UserData>,
    /// Its text as it was found, with its secrets.
    pub user_data_text: Hidden<Arc<str>>,
    /// What the hub assigned; none while it assigned nothing.
    pub desired: Option<Arc<Desired>>,
    /// What the hub sealed to this host; in RAM only.
    pub secrets: watch::Receiver<Arc<HostSecrets>>,
    /// Who the host is to its hub.
    pub identity: Identity,
    pub events: Events,
    /// Opened by [`Context::store`].
    pub store: LazyStore,
    /// Bytes of the step under way; a step reports with [`Meter::report`].
    pub meter: Meter,
}

impl Context {
    /// The assigned release.
    ///
    /// # Errors
    /// When nothing is assigned: no step that needs a release is planned then.
    pub fn release(&self) -> Result<&Release> {
        let desired = self.desired.as_deref();
        desired
            .map(|desired| &desired.release)
            .context("the step needs a release and none is assigned")
    }

    /// The content store on the mounted system partition, opened (and made) at first use.
    ///
    /// # Errors
    /// When the system partition cannot be written or has no fs-verity.
    pub fn store(&self) -> Result<&Store> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let opened = Store::open(&self.paths.store(), Verity::Required)?;
        // Two steps may open it at once; whoever comes second drops its own.
        Ok(self.store.get_or_init(|| opened))
    }
}
