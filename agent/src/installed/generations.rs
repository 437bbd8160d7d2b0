//! The directories of generations: `generations/<n>/` with `generation.json`, `settings.json` and
//! `user-data`.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;

use anyhow::{Context as _, Result};
use burin_api::desired::Release;
use burin_core::boot::BootTarget;
use burin_core::generations::Generation;
use serde::{Deserialize, Serialize};

use crate::context::Paths;
use crate::machine::file;

/// More than a release with all its facts has.
const LIMIT: usize = 16 << 20;

/// What a boot without a hub needs to render everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub release: Release,
    pub host_id: String,
    pub host_name: String,
}

/// Number of the generation that runs, from the kernel's command line.
///
/// # Errors
/// When this boot is not one of burin's.
pub fn running(paths: &Paths) -> Result<u64> {
    let line = file::read_text(&paths.root.join("proc/cmdline"), 64 * 1024)?;
    let target = BootTarget::parse(&line).context("finding the running generation")?;
    Ok(target.generation)
}

/// Reads the state of a generation; none when its directory is not complete.
///
/// # Errors
/// When the file is there and cannot be read or makes no sense.
pub fn read(paths: &Paths, number: u64) -> Result<Option<Generation>> {
    let path = paths.generation(number).join("generation.json");
    let Some(bytes) = file::read_if_there(&path, LIMIT)? else {
        return Ok(None);
    };
    let parsed = serde_json::from_slice(&bytes);
    parsed
        .map(Some)
        .with_context(|| format!("reading {}", path.display()))
}

/// Reads a generation that must be there.
///
/// # Errors
/// As [`read`], and when there is none.
pub fn need(paths: &Paths, number: u64) -> Result<Generation> {
    read(paths, number)?.with_context(|| format!("generation {number} has no directory"))
}

/// All complete generations, lowest first.
///
/// # Errors
/// When the folder or one of them cannot be read.
pub fn all(paths: &Paths) -> Result<Vec<Generation>> {
    let folder = paths.system.join("generations");
    let mut found = Vec::new();
    if !folder.exists() {
        return Ok(found);
    }
    let doing = || format!("reading {}", folder.display());
    for entry in fs::read_dir(&folder).with_context(doing)? {
        let name = entry.with_context(doing)?.file_name();
        // What a cut left half-made has another name.
        if let Some(number) = name.to_str().and_then(|name| name.parse().ok()) {
            found.extend(read(paths, number)?);
        }
    }
    found.sort_by_key(|one: &Generation| one.content.number);
    Ok(found)
}

/// Replaces the state of a generation, atomically.
///
/// # Errors
/// When the system partition cannot be written.
pub fn write(paths: &Paths, generation: &Generation) -> Result<()> {
    let folder = paths.generation(generation.content.number);
    let bytes = serde_json::to_vec_pretty(generation).context("writing generation.json")?;
    file::replace(&folder.join("generation.json"), &bytes, file::Mode::Private)
}

/// Reads the settings of a generation.
///
/// # Errors
/// When they are not there or make no sense.
pub fn settings(paths: &Paths, number: u64) -> Result<Settings> {
    let path = paths.generation(number).join("settings.json");
    let bytes = file::read(&path, LIMIT)?;
    serde_json::from_slice(&bytes).with_context(|| format!("reading {}", path.display()))
}

/// The user-data that a generation was made with.
///
/// # Errors
/// When it is not there.
pub fn user_data(paths: &Paths, number: u64) -> Result<String> {
    file::read_text(&paths.generation(number).join("user-data"), LIMIT)
}

/// Writes the whole directory of a new generation: beside, synced, then under its number.
///
/// # Errors
/// When the system partition cannot be written; nothing is there under the number then.
pub fn create(
    paths: &Paths,
    generation: &Generation,
    settings: &Settings,
    user_data: &str,
) -> Result<()> {
    let target = paths.generation(generation.content.number);
    let doing = || format!("writing {}", target.display());
    let folder = paths.system.join("generations");
    let beside = folder.join(format!(".{}.new", generation.content.number));
    let mut private = fs::DirBuilder::new();
    private.recursive(true).mode(0o700);
    private.create(&folder).with_context(doing)?;
    for old in [&beside, &target] {
        // Only what this very step left: a complete generation is never planned again.
        if old.exists() {
            fs::remove_dir_all(old).with_context(doing)?;
        }
    }
    private.create(&beside).with_context(doing)?;
    let state = serde_json::to_vec_pretty(generation).with_context(doing)?;
    let settings = serde_json::to_vec_pretty(settings).with_context(doing)?;
    for (name, bytes) in [
        ("user-data", user_data.as_bytes()),
        ("settings.json", &settings),
        ("generation.json", &state),
    ] {
        file::replace(&beside.join(name), bytes, file::Mode::Private)?;
    }
    file::sync_folder(&beside)?;
    fs::rename(&beside, &target).with_context(doing)?;
    file::sync_folder(&folder)?;
    file::sync_folder(&paths.system)
}

/// A generation for tests.
#[cfg(test)]
pub(crate) mod sample {
    use burin_core::generations::{Content, Generation, Reason, State};

    pub(crate) fn generation(number: u64, state: State) -> Generation {
        let content = Content {
            number,
            profile: String::new(),
            version: String::new(),
            layers: Vec::new(),
            root: String::new(),
            agent: String::new(),
            kernel_release: String::new(),
            kernel: String::new(),
            initramfs: String::new(),
            cmdline: String::new(),
            kubernetes: String::new(),
            reason: Reason::Install,
            made: 0,
        };
        Generation {
            state,
            ..Generation::staged(content)
        }
    }
}
