//! Secrets on their way between hub and host: sealed with HPKE to a key of the receiver, because
//! signatures hide nothing and TLS may be opened on the way.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Most bytes of the sealed parts of one message, as base 64: a sync has 64 KiB in all.
pub const MAX_SEALED: usize = 24 * 1024;

/// One sealed text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The encapsulated key, 32 bytes as base 64.
    pub enc: String,
    /// The text and its tag of 16 bytes, as base 64.
    pub ciphertext: String,
}

/// What a host needs besides its desired state, sealed to its session: [`HostSecrets`] as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecrets {
    /// The host returns it in the next syncs of its session; changes with the secrets.
    pub etag: String,
    pub sealed: Sealed,
}

/// The secrets of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSecrets {
    /// For the registries of its release, and no others.
    #[serde(default)]
    pub registries: Vec<RegistryLogin>,
}

/// User name and password of a registry.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryLogin {
    /// Host name and port as image references name it.
    pub host: String,
    pub username: String,
    pub password: String,
}

impl fmt::Debug for RegistryLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistryLogin({}, <hidden>)", self.host)
    }
}
