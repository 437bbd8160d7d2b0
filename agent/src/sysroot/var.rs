//! `/var` and the persistent paths, from the data partition. A partition that is full, damaged or
//! missing does not keep the host from booting: it is replaced by memory, and said.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use burin_core::persistent::{PERSISTENT, Persistent, Refresh};
use nix::mount::MsFlags;

use super::copy::{self, Existing};
use crate::machine::exec;
use crate::machine::mount::{Source, mount};

/// Repairs what it safely can; it is in the initramfs when the image has it.
const FSCK: &str = "/usr/sbin/e2fsck";
/// A disk of several terabytes with a damaged journal.
const REPAIR_LIMIT: Duration = Duration::from_secs(600);

/// Mounts everything that is writable for long. Returns what is not as it should be.
///
/// # Errors
/// When not even memory can stand in.
pub(super) fn mount_all(
    device: Option<&Path>,
    data: &Path,
    root: &Path,
    generation: u64,
) -> Result<Vec<String>> {
    let mut troubles = Vec::new();
    if let Err(err) = mount_data(device, data) {
        troubles.push(format!(
            "the data partition is not in use, /var is in memory and will be lost: {err:#}"
        ));
        mount(memory(), data).context("putting memory in place of the data partition")?;
    }
    let steps = std::iter::once(lay_var(data, root, generation)).chain(
        PERSISTENT
            .iter()
            .map(|one| lay(one, data, root, generation)),
    );
    troubles.extend(steps.filter_map(|step| step.err().map(|err| format!("{err:#}"))));
    Ok(troubles)
}

fn memory() -> Source<'static> {
    Source {
        device: Path::new("tmpfs"),
        kind: "tmpfs",
        flags: MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        options: "mode=0755,size=50%",
    }
}

fn mount_data(device: Option<&Path>, data: &Path) -> Result<()> {
    let device = device.context("the disk has no partition burin-data")?;
    let source = Source {
        device,
        kind: "ext4",
        flags: MsFlags::MS_NODEV | MsFlags::MS_NOATIME,
        options: "",
    };
    let Err(err) = mount(source, data) else {
        return Ok(());
    };
    if !Path::new(FSCK).exists() {
        return Err(err);
    }
    repair(device).context(format!("{err:#}"))?;
    mount(source, data).context("after a repair")
}

fn repair(device: &Path) -> Result<()> {
    let name = device.to_str().context("a device name that is no text")?;
    let ran = exec::run_any(Path::new(FSCK), &["-p", name], REPAIR_LIMIT)?;
    // e2fsck(8): 1 is "errors corrected", 2 "and the system should be restarted", which matters
    // only for a mounted file system.
    if !matches!(ran.code, Some(0..=2)) {
        bail!("repairing {name}: {}", ran.errors.trim());
    }
    Ok(())
}

/// `/var` of the data partition, with the image's content laid down where it is missing.
fn lay_var(data: &Path, root: &Path, generation: u64) -> Result<()> {
    let own = data.join("var");
    once(data, "var", generation, || {
        copy::tree(&root.join("var"), &own, Existing::Keep)
    })?;
    bind(&own, &root.join("var"))
}

fn lay(one: &Persistent, data: &Path, root: &Path, generation: u64) -> Result<()> {
    let own = data.join("persistent").join(one.path);
    let at = root.join(one.path);
    let existing = match one.refresh {
        Refresh::Seed => Existing::Keep,
        Refresh::EachGeneration => Existing::Replace,
    };
    once(data, one.path, generation, || {
        std::fs::create_dir_all(&own).with_context(|| format!("making {}", own.display()))?;
        if at.is_dir() {
            copy::tree(&at, &own, existing)?;
        }
        Ok(())
    })?;
    if !at.is_dir() {
        // Only below the rendered /etc can it be made; elsewhere the merge made it.
        std::fs::create_dir_all(&at).with_context(|| format!("making {}", at.display()))?;
    }
    bind(&own, &at)
}

/// Does the work once for a generation. The marker is written last, so that work which was cut
/// short is done again.
fn once(data: &Path, name: &str, generation: u64, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let marker = marker(data, name, generation);
    if marker.exists() {
        return Ok(());
    }
    work()?;
    if let Some(folder) = marker.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    crate::machine::file::replace(&marker, b"", crate::machine::file::Mode::Public)
}

fn marker(data: &Path, name: &str, generation: u64) -> PathBuf {
    data.join("laid")
        .join(format!("{}.{generation}", name.replace('/', "-")))
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    let none = None::<&str>;
    nix::mount::mount(Some(from), to, none, MsFlags::MS_BIND, none)
        .with_context(|| format!("binding {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_was_cut_short_is_done_again() {
        let data = tempfile::tempdir().unwrap();
        let mut tries = 0;
        for (fails, want) in [(true, 1), (false, 2), (false, 2)] {
            let outcome = once(data.path(), "opt/cni/bin", 3, || {
                tries += 1;
                anyhow::ensure!(!fails, "cut");
                Ok(())
            });
            assert_eq!(outcome.is_err(), fails);
            assert_eq!(tries, want);
        }
        once(data.path(), "opt/cni/bin", 4, || {
            tries += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(tries, 3, "a new generation lays its own");
    }
}
