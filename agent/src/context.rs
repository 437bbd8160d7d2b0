//! What every step is given: where things lie, what is known, and the handles to report through.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use burin_api::desired::{Desired, Release};
use burin_api::message::Mode;
use burin_core::host::HostFacts;

use crate::events::{Events, Meter};
use crate::hub::Identity;

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
    /// The user-data as it was found, with its secrets.
    pub user_data_text: Hidden<Arc<str>>,
    /// What the hub assigned; none while it assigned nothing.
    pub desired: Option<Arc<Desired>>,
    /// Who the host is to its hub.
    pub identity: Identity,
    pub events: Events,
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
}
