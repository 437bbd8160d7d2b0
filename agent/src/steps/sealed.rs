//! `sealed.json`: which digests `seal` made for which release, so that the steps after it, also
//! after a power cut, know them without sealing again.

use anyhow::{Context as _, Result};
use burin_api::desired::Release;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::context::Paths;
use crate::machine::file;

/// What was sealed last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedRelease {
    pub generation: u64,
    /// [`fingerprint`] of the release.
    pub release: String,
    /// fs-verity digest of the root image, hex.
    pub root: String,
    /// fs-verity digest of the agent's image, hex.
    pub agent: String,
}

/// Names a release by its content: SHA-256 over its JSON, hex.
///
/// # Errors
/// When the release cannot be written as JSON, which no release that was read can meet.
pub fn fingerprint(release: &Release) -> Result<String> {
    let bytes = serde_json::to_vec(release).context("writing the release as JSON")?;
    Ok(hex::encode(Sha256::digest(bytes)))
}

impl SealedRelease {
    /// What lies on the system partition, if it is of this generation and release.
    ///
    /// # Errors
    /// When the file cannot be read or makes no sense.
    pub fn find(paths: &Paths, generation: u64, release: &Release) -> Result<Option<Self>> {
        let path = paths.sealed();
        let Some(bytes) = file::read_if_there(&path, 64 * 1024)? else {
            return Ok(None);
        };
        let found: Self = serde_json::from_slice(&bytes)
            .with_context(|| format!("reading {}", path.display()))?;
        let wanted = found.generation == generation && found.release == fingerprint(release)?;
        Ok(wanted.then_some(found))
    }

    /// Writes it, synced, after both images are in the store and synced.
    ///
    /// # Errors
    /// When the system partition cannot be written.
    pub fn keep(&self, paths: &Paths) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(self).context("writing sealed.json")?;
        file::replace(&paths.sealed(), &bytes, file::Mode::Public)
    }
}
