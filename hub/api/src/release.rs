//! Signed releases: what an offline key says of one published version of a profile.

use serde::{Deserialize, Serialize};

use crate::desired::Release;
use crate::dsse::{Payload, PublicKey};

/// A key that may sign releases, listed in the root document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseKey {
    /// Ed25519.
    pub key: PublicKey,
    /// Names of the profiles that it may sign for; all of them when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
}

impl ReleaseKey {
    /// Whether the key may sign releases of a profile.
    #[must_use]
    pub fn may_sign(&self, profile: &str) -> bool {
        self.profiles.is_empty() || self.profiles.iter().any(|name| name == profile)
    }
}

/// What is signed: a whole release, for one hub, until a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Of the hub whose hosts may install it.
    pub hub_id: String,
    /// Grows with every signature for a profile: a host never goes back to a lower one.
    pub counter: u64,
    /// Milliseconds since 1970; no host takes it later that did not take it before.
    pub expires: u64,
    /// Lowest version of the agent that may install it; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    pub release: Release,
}

impl Payload for Statement {
    const TYPE: &'static str = "application/vnd.burin.release.v1+json";
}
