//! Where things lie: the repository, its target folder, the cache, the folder of a scenario.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The repository's root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// What is costly and can always be made again: images, packages, answers of probes.
///
/// # Errors
/// When it cannot be created.
pub fn cache() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache"),
        PathBuf::from,
    );
    let cache = base.join("burin");
    fs::create_dir_all(&cache).with_context(|| format!("creating {}", cache.display()))?;
    Ok(cache)
}

/// An empty folder for the logs, screenshots and disks of one scenario.
///
/// # Errors
/// When an old one cannot be removed or the new one not be made.
pub fn scenario(name: &str) -> Result<PathBuf> {
    let folder = target().join("vm").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("clearing {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder)
}

/// Held while a machine runs: two emulated machines at once would miss each other's time limits.
#[derive(Debug)]
pub struct Turn {
    _file: File,
}

impl Turn {
    /// Waits until no other machine of this user runs.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn take() -> Result<Self> {
        Self::named("machine")
    }

    /// Waits for the turn called `name`.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn named(name: &str) -> Result<Self> {
        let path = cache()?.join(format!("{name}.lock"));
        let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        file.lock()
            .with_context(|| format!("waiting for {}", path.display()))?;
        Ok(Self { _file: file })
    }
}
