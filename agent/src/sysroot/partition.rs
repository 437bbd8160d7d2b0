//! Finds the system partition by its PARTUUID and its siblings on the same disk, while drivers come
//! up. Waits for the kernel's events, never for a time.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use burin_core::modules::drives_disks;

use crate::machine::block;
use crate::machine::module::{Drivers, modaliases};
use crate::machine::uevent::{Heard, Listener};

/// Large RAID controllers scan their disks for up to a minute and a half.
const DEADLINE: Duration = Duration::from_secs(120);
/// Not found by any modalias: file systems, and what they hash with.
const ALWAYS: [&str; 9] = [
    "ext4",
    "vfat",
    "nls_ascii",
    "nls_cp437",
    "nls_iso8859-1",
    "overlay",
    "erofs",
    "loop",
    "sha512_ssse3",
];

/// Device nodes of burin's partitions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) system: PathBuf,
    pub(super) esp: Option<PathBuf>,
    pub(super) data: Option<PathBuf>,
}

/// Loads drivers until the partition is there: those of disks first, and no more than it takes.
/// The root's own udev loads the rest.
///
/// # Errors
/// When it does not appear in time, with the names of the disks that did.
pub(super) fn find(guid: &str) -> Result<Disk> {
    let root = Path::new("/");
    let listener = Listener::open()?;
    let mut drivers = Drivers::of_running_kernel(root)?;
    for name in ALWAYS {
        drivers.load(name);
    }
    let mut waiting = devices(root);
    let deadline = Instant::now() + DEADLINE;
    let mut changed = true;
    loop {
        // Looking may read the tables of all disks: only when there is a new one.
        if changed && let Some(disk) = look(root, guid)? {
            return Ok(disk);
        }
        changed = false;
        let until = if waiting.is_empty() {
            deadline
        } else {
            Instant::now()
        };
        match listener.next(until)? {
            Heard::Event(event) => {
                changed = event.value("SUBSYSTEM") == "block";
                let alias = event.value("MODALIAS");
                if event.action == "add" && !alias.is_empty() {
                    // What a driver has just found may be the disk.
                    waiting.push_front(alias.to_owned());
                }
            }
            Heard::Lost => {
                changed = true;
                waiting = devices(root);
            }
            Heard::Nothing => match waiting.pop_front() {
                Some(alias) => drop(drivers.load(&alias)),
                None => bail!(
                    "looking for the system partition {guid}: not there after {} s; block devices seen: {}",
                    DEADLINE.as_secs(),
                    names(&root.join("sys/class/block"))
                ),
            },
        }
    }
}

/// The modaliases of all devices, those of disks' controllers first.
fn devices(root: &Path) -> VecDeque<String> {
    let mut all: Vec<String> = modaliases(root).into_iter().collect();
    all.sort_by_key(|alias| !drives_disks(alias));
    all.into()
}

/// Looks once, below `root`.
fn look(root: &Path, guid: &str) -> Result<Option<Disk>> {
    let Some(found) = block::find_partition(root, guid) else {
        return Ok(None);
    };
    let name = found.file_name().context("a device has a name")?;
    let system = root.join("sys/class/block").join(name);
    // A partition's folder lies in that of its disk, wherever the links point from.
    let real = system
        .canonicalize()
        .with_context(|| format!("following {}", system.display()))?;
    let disk = real.parent().context("a partition without a disk")?;
    let sibling = |label: &str| {
        let found = entries(disk)
            .ok()?
            .into_iter()
            .find(|e| value(e, "PARTNAME") == label)?;
        node(&found)
    };
    Ok(Some(Disk {
        system: node(&system).context("the system partition has no device node")?,
        esp: sibling("burin-esp"),
        data: sibling("burin-data"),
    }))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let all = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    Ok(all.flatten().map(|entry| entry.path()).collect())
}

/// A value of the device's `uevent` file; empty when it is not there.
fn value(entry: &Path, key: &str) -> String {
    let text = std::fs::read_to_string(entry.join("uevent")).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value.to_owned())
        .unwrap_or_default()
}

fn node(entry: &Path) -> Option<PathBuf> {
    let name = value(entry, "DEVNAME");
    (!name.is_empty()).then(|| Path::new("/dev").join(name))
}

fn names(blocks: &Path) -> String {
    let names: Vec<_> = entries(blocks)
        .unwrap_or_default()
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    if names.is_empty() {
        "none; the image's kernel has no driver for this disk".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let add = |path: &str, text: &str| {
            let folder = root.path().join("devices").join(path);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("uevent"), text).unwrap();
            let links = root.path().join("sys/class/block");
            std::fs::create_dir_all(&links).unwrap();
            std::os::unix::fs::symlink(&folder, links.join(folder.file_name().unwrap())).unwrap();
        };
        add("nvme0n1", "DEVNAME=nvme0n1\nDEVTYPE=disk\n");
        add(
            "nvme0n1/nvme0n1p1",
            "DEVNAME=nvme0n1p1\nPARTNAME=burin-esp\nPARTUUID=aa\n",
        );
        add(
            "nvme0n1/nvme0n1p2",
            "DEVNAME=nvme0n1p2\nPARTNAME=burin-system\nPARTUUID=bb\n",
        );
        add("sda", "DEVNAME=sda\n");
        add(
            "sda/sda3",
            "DEVNAME=sda3\nPARTNAME=burin-data\nPARTUUID=cc\n",
        );
        root
    }

    #[test]
    fn siblings_are_of_the_same_disk() {
        let root = tree();
        let found = look(root.path(), "BB").unwrap().unwrap();
        assert_eq!(
            found,
            Disk {
                system: "/dev/nvme0n1p2".into(),
                esp: Some("/dev/nvme0n1p1".into()),
                data: None,
            }
        );
    }

    #[test]
    fn another_partition_of_the_same_name_is_not_taken() {
        let root = tree();
        assert_eq!(look(root.path(), "dd").unwrap(), None);
    }
}
