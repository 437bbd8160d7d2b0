//! Writes the counted boot entry: the last write of an installation.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use burin_core::boot::{ENTRIES, Entry, EntryName};
use burin_core::generations::{Generation, StateError};
use burin_core::plan;

use crate::context::{Context, Paths};
use crate::installed::generations;
use crate::machine::file;
use crate::steps::{Failure, Outcome};

/// Ours are below 2 KiB.
const LIMIT: usize = 16 * 1024;

/// Arms the generation: its state first, then the entry with all its tries, read back.
///
/// # Errors
/// When the generation may not be armed (it was given up), or the ESP fails.
#[expect(clippy::unused_async, reason = "every step has the same shape")]
pub async fn perform(ctx: &Context, generation: u64) -> Result<Outcome> {
    arm(&ctx.paths, generation)?;
    Ok(Outcome::Done)
}

fn arm(paths: &Paths, number: u64) -> Result<()> {
    let mut generation = generations::need(paths, number)?;
    match generation.arm() {
        Ok(()) => generations::write(paths, &generation)?,
        // Its entry may be lost and is written again, without a counter: it is proven.
        Err(StateError::ProvenGood(_)) => {}
        Err(err) => {
            return Err(Failure::never(
                "the generation was given up",
                "Publish a corrected version of the profile.",
            )
            .because(err)
            .into());
        }
    }
    let wanted = if generation.unproven() {
        EntryName::counted(number)
    } else {
        EntryName::good(number)
    };
    let text = text(&generation);
    let old = names(paths)?;
    let old: Vec<_> = old.iter().filter(|it| it.generation == number).collect();
    let stands =
        |name: &&&EntryName| name.bootable() && read(paths, name).is_ok_and(|found| found == text);
    if old.iter().any(|name| stands(&name)) {
        return Ok(());
    }
    write(paths, &wanted, &text)?;
    for name in old.into_iter().filter(|name| **name != wanted) {
        remove(paths, name)?;
    }
    Ok(())
}

/// Gives a generation that fell without a word its tries back. False when it had that too often.
///
/// # Errors
/// When the partitions cannot be read or written.
pub fn arm_again(paths: &Paths, number: u64) -> Result<bool> {
    let mut generation = generations::need(paths, number)?;
    generation.fail(None)?;
    let armed = generation.arm().is_ok();
    generations::write(paths, &generation)?;
    if armed {
        arm(paths, number)?;
    }
    Ok(armed)
}

/// What stands on the ESP for a generation. An entry that cannot be read as ours counts as absent.
#[must_use]
pub fn look(paths: &Paths, generation: u64) -> plan::Entry {
    let names = names(paths).unwrap_or_default();
    let ours = names.iter().filter(|name| name.generation == generation);
    let read = ours.filter(|name| read(paths, name).is_ok_and(|text| Entry::parse(&text).is_ok()));
    let seen = read.map(|name| match name.tries {
        None => plan::Entry::Good,
        Some(_) => plan::Entry::Counted,
    });
    seen.max().unwrap_or_default()
}

fn text(generation: &Generation) -> String {
    let content = &generation.content;
    let release = format!("{} {}", content.profile, content.version);
    Entry::generation(
        content.number,
        &release,
        &content.kernel,
        &content.initramfs,
        &content.cmdline,
    )
    .render()
}

/// The folder of the entries.
fn folder(paths: &Paths) -> PathBuf {
    paths.esp.join(ENTRIES)
}

/// Names of the entries of all generations.
///
/// # Errors
/// When the folder is there and cannot be read.
pub(super) fn names(paths: &Paths) -> Result<Vec<EntryName>> {
    let folder = folder(paths);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let doing = || format!("reading {}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).with_context(doing)? {
        let name = entry.with_context(doing)?.file_name();
        found.extend(name.to_str().and_then(EntryName::parse));
    }
    Ok(found)
}

/// The text of an entry.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read(paths: &Paths, name: &EntryName) -> Result<String> {
    file::read_text(&folder(paths).join(name.to_string()), LIMIT)
}

/// Writes an entry, synced, and reads it back.
///
/// # Errors
/// When the ESP cannot be written or gives back something else.
pub(super) fn write(paths: &Paths, name: &EntryName, text: &str) -> Result<()> {
    let path: &Path = &folder(paths).join(name.to_string());
    fs::create_dir_all(folder(paths)).context("making the folder of the boot entries")?;
    file::replace(path, text.as_bytes(), file::Mode::Public)?;
    let found = read(paths, name)?;
    ensure!(
        found == text && Entry::parse(&found).is_ok(),
        "{}: the ESP does not give back what was written",
        path.display()
    );
    Ok(())
}

/// Removes an entry and syncs its folder; one that is gone is fine.
///
/// # Errors
/// When the ESP cannot be written.
pub(super) fn remove(paths: &Paths, name: &EntryName) -> Result<()> {
    let path = folder(paths).join(name.to_string());
    match fs::remove_file(&path) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
            Err(err).with_context(|| format!("removing {}", path.display()))
        }
        _ => file::sync_folder(&folder(paths)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::installed::generations::Settings;
    use burin_core::generations::{Content, Reason};

    /// A generation on a disk of folders.
    pub(crate) fn staged(root: &Path, number: u64) -> Paths {
        let paths = Paths::under(root);
        let generation = Generation::staged(Content {
            number,
            profile: "p".into(),
            version: "1".into(),
            layers: Vec::new(),
            root: "r".into(),
            agent: "a".into(),
            kernel_release: "6.12".into(),
            kernel: "kk".into(),
            initramfs: "ii".into(),
            cmdline: "quiet".into(),
            kubernetes: String::new(),
            reason: Reason::Install,
            made: 1,
        });
        let release = r#"{"name":"p","version":"1","layers":[],"registries":[]}"#;
        let settings = Settings {
            release: serde_json::from_str(release).unwrap(),
            host_id: "h".into(),
            host_name: "n".into(),
        };
        fs::create_dir_all(&paths.system).unwrap();
        generations::create(&paths, &generation, &settings, "#cloud-config\n").unwrap();
        paths
    }

    pub(crate) fn entry_names(paths: &Paths) -> Vec<String> {
        let mut all: Vec<String> = names(paths)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        all.sort();
        all
    }

    #[test]
    fn a_generation_is_armed_once_and_the_step_may_be_repeated() {
        let root = tempfile::tempdir().unwrap();
        let paths = staged(root.path(), 3);
        assert_eq!(look(&paths, 3), plan::Entry::Absent);
        arm(&paths, 3).unwrap();
        assert_eq!(entry_names(&paths), ["burin-3+3.conf"]);
        // The loader has counted meanwhile: the tries are not given back.
        let folder = folder(&paths);
        fs::rename(
            folder.join("burin-3+3.conf"),
            folder.join("burin-3+2-1.conf"),
        )
        .unwrap();
        arm(&paths, 3).unwrap();
        assert_eq!(entry_names(&paths), ["burin-3+2-1.conf"]);
        assert_eq!(look(&paths, 3), plan::Entry::Counted);
    }

    #[test]
    fn a_silent_fall_gives_the_tries_back_twice() {
        let root = tempfile::tempdir().unwrap();
        let paths = staged(root.path(), 1);
        arm(&paths, 1).unwrap();
        let folder = folder(&paths);
        let over = folder.join("burin-1+0-3.conf");
        for _ in 0..2 {
            fs::rename(folder.join("burin-1+3.conf"), &over).unwrap();
            assert!(arm_again(&paths, 1).unwrap());
            assert_eq!(entry_names(&paths), ["burin-1+3.conf"]);
        }
        fs::rename(folder.join("burin-1+3.conf"), &over).unwrap();
        for _ in 0..2 {
            assert!(!arm_again(&paths, 1).unwrap());
            assert_eq!(entry_names(&paths), ["burin-1+0-3.conf"]);
        }
    }

    #[test]
    fn a_cut_entry_is_written_again() {
        let root = tempfile::tempdir().unwrap();
        let paths = staged(root.path(), 1);
        arm(&paths, 1).unwrap();
        fs::write(folder(&paths).join("burin-1+3.conf"), "title x\n").unwrap();
        assert_eq!(look(&paths, 1), plan::Entry::Absent);
        arm(&paths, 1).unwrap();
        assert_eq!(look(&paths, 1), plan::Entry::Counted);
    }

    #[test]
    fn the_lost_entry_of_a_good_generation_comes_back_without_a_counter() {
        let root = tempfile::tempdir().unwrap();
        let paths = staged(root.path(), 1);
        let mut generation = generations::need(&paths, 1).unwrap();
        generation.arm().unwrap();
        generation.mark_good(1).unwrap();
        generations::write(&paths, &generation).unwrap();
        arm(&paths, 1).unwrap();
        assert_eq!(entry_names(&paths), ["burin-1.conf"]);
    }
}
